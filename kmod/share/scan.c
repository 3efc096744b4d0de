// SPDX-License-Identifier: GPL-2.0
/**
 * DOC: The scanner
 *
 * Each node with CPUs has one thread, which scans the chunks that were first
 * touched on the node. The VMs take turns, one chunk each; within a VM, the
 * thread picks a random chunk of those marked due. VMs that are
 * latency-sensitive are left out. When no chunk is due, it sleeps until the
 * next epoch (recheck_ms) and then marks the chunks due whose epoch has come
 * (fisc_chunk_mark_later()).
 *
 * Two budgets limit a thread: pages (pages_per_sec) and CPU time (cpu_percent).
 * Each is kept as the time up to which the earnings have been spent; unspent
 * earnings older than FISC_EARN_MAX_NS are lost. When memory is short
 * (pressure_percent), both rates are four times as high. Changing a knob
 * cancels debts: pages read at one page a second must not delay a thread that
 * may now read thousands.
 *
 * When nothing is due, a thread does nothing: it dozes until the first known
 * page becomes due, but FISC_DOZE_EPOCHS and FISC_DOZE_NS at most, since it
 * also monitors the host's memory. If a chunk is marked due meanwhile, as new
 * memory is, the doze ends with the current epoch (fisc_due_poke()).
 */
#include <linux/delay.h>
#include <linux/freezer.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/random.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "base/state.h"
#include "memory/due.h"
#include "memory/large.h"
#include "memory/region.h"
#include "memory/shared.h"
#include "share/merge.h"
#include "share/scan.h"
#include "uapi/fisc.h"
#include "vm/vm.h"

/* Older earnings are lost, which limits how much is done in one go. */
#define FISC_EARN_MAX_NS	(40 * NSEC_PER_MSEC)

/* The shortest sleep, so that small earnings do not cost a wakeup each. */
#define FISC_SLEEP_MIN_NS	((u64)20 * NSEC_PER_MSEC)

/* How often to check whether memory is short. */
#define FISC_PRESSURE_NS	(100 * NSEC_PER_MSEC)

/* The longest sleep of a thread when nothing is due. */
#define FISC_DOZE_EPOCHS	8U
#define FISC_DOZE_NS		(5 * (u64)NSEC_PER_SEC)

/* Maximum step of the epoch: less than the longest wait of a page. */
#define FISC_EPOCHS_AT_ONCE	4096ULL

/* How long fisc_scan_chunk() waits for the thread. */
#define FISC_SCAN_CHUNK_MS	10

/* Factor of both rates when memory is short. */
#define FISC_PRESSURE_BOOST	4

/**
 * struct fisc_scanner - a scanning thread
 * @task: the thread
 * @nid: its node
 * @due: tells the thread of chunks that become due
 * @vm_id: id of the VM whose turn it is
 * @pages_at: time up to which the page budget is spent, in ns of local_clock()
 * @cpu_at: time up to which the CPU budget is spent, in ns of local_clock()
 * @cpu_used: sum_exec_runtime that has been charged to the CPU budget
 * @turned: value of fisc_knobs_turned that the thread has seen
 * @epoch: the last epoch that the thread has seen
 * @drained: nothing was due at some time in @epoch
 * @full_scans: number of epochs in which nothing was due any more
 * @break_pages: break_pages in @epoch; a lower one makes large frames due
 * @lock: serialises visits by the thread and by fisc_scan_chunk()
 * @visit: the current visit
 */
struct fisc_scanner {
	struct task_struct *task;
	int nid;
	struct fisc_due_node *due;
	unsigned long vm_id;
	u64 pages_at;
	u64 cpu_at;
	u64 cpu_used;
	int turned;
	u16 epoch;
	bool drained;
	u64 full_scans;
	unsigned int break_pages;
	struct mutex lock;	/* protects visit */
	struct fisc_visit visit;
};

static struct fisc_scanner *fisc_scanners[MAX_NUMNODES];
static DEFINE_SPINLOCK(fisc_epoch_lock);
static u64 fisc_epoch_at;	/* when fisc_epoch began; under its lock */

unsigned int fisc_scan_run = FISC_SHARE_STOP;
unsigned int fisc_scan_pages_per_sec = FISC_PAGES_PER_SEC_DEFAULT;
unsigned int fisc_scan_cpu_percent = FISC_CPU_PERCENT_DEFAULT;
unsigned int fisc_scan_recheck_ms = FISC_RECHECK_MS_DEFAULT;
unsigned int fisc_scan_pressure_percent = FISC_PRESSURE_PERCENT_DEFAULT;

/* Incremented when a knob changes, so that sleeping threads read it. */
static atomic_t fisc_knobs_turned;

static u64 fisc_pressure_at;

/* Advance fisc_epoch to @now. Return: the time the next epoch begins. */
static u64 fisc_epoch_advance(u64 now)
{
	u64 epoch_ns = (u64)READ_ONCE(fisc_scan_recheck_ms) * NSEC_PER_MSEC;
	u64 passed;

	spin_lock(&fisc_epoch_lock);
	passed = now > fisc_epoch_at ? div64_u64(now - fisc_epoch_at, epoch_ns) : 0;
	if (passed > FISC_EPOCHS_AT_ONCE) {
		passed = FISC_EPOCHS_AT_ONCE;
		fisc_epoch_at = now - passed * epoch_ns;
	}
	WRITE_ONCE(fisc_epoch, fisc_epoch + passed);
	fisc_epoch_at += passed * epoch_ns;
	now = fisc_epoch_at + epoch_ns;
	spin_unlock(&fisc_epoch_lock);

	return now;
}

static void fisc_check_pressure(u64 now)
{
	unsigned long least = totalram_pages() / 100 *
			      READ_ONCE(fisc_scan_pressure_percent);

	if (now - READ_ONCE(fisc_pressure_at) < FISC_PRESSURE_NS)
		return;
	WRITE_ONCE(fisc_pressure_at, now);
	fisc_share_set_pressure(si_mem_available() < (long)least ||
				fisc_reclaim_state() > FISC_RECLAIM_HIGH);
}

static bool fisc_scan_must_pause(void)
{
	return kthread_should_stop() || freezing(current) ||
	       READ_ONCE(fisc_scan_run) != FISC_SHARE_RUN;
}

/* Limit what has been earned, and debts, should the clock have jumped. */
static void fisc_account_clamp(u64 *at, u64 now)
{
	if (*at + FISC_EARN_MAX_NS < now)
		*at = now - FISC_EARN_MAX_NS;
	if (*at > now + 60 * (u64)NSEC_PER_SEC)
		*at = now;
}

static u64 fisc_scan_rate(void)
{
	u64 rate = READ_ONCE(fisc_scan_pages_per_sec);

	return fisc_share_under_pressure() ? rate * FISC_PRESSURE_BOOST : rate;
}

/* Return the number of pages that the budgets allow to read now. */
static unsigned int fisc_scan_earned(struct fisc_scanner *scanner, u64 now)
{
	fisc_account_clamp(&scanner->pages_at, now);
	fisc_account_clamp(&scanner->cpu_at, now);
	if (scanner->pages_at >= now || scanner->cpu_at >= now)
		return 0;

	return min_t(u64, FISC_CHUNK_PAGES,
		     (now - scanner->pages_at) * fisc_scan_rate() /
		     NSEC_PER_SEC + 1);
}

/* Charge @pages, and the CPU time used since the last charge. */
static void fisc_scan_pay(struct fisc_scanner *scanner, unsigned int pages)
{
	u64 used = READ_ONCE(current->se.sum_exec_runtime);
	unsigned int percent = READ_ONCE(fisc_scan_cpu_percent);

	if (fisc_share_under_pressure())
		percent = min(percent * FISC_PRESSURE_BOOST, 100U);

	/* Visiting a chunk has a cost even if no page is read. */
	scanner->pages_at += div64_u64((u64)max(pages, 1U) * NSEC_PER_SEC,
				       fisc_scan_rate());
	scanner->cpu_at += (used - scanner->cpu_used) * 100 / percent;
	scanner->cpu_used = used;
}

/* Return a random due chunk of the thread's node, or NULL. */
static struct fisc_chunk *fisc_scan_pick(struct fisc_scanner *scanner,
					 struct fisc_region *region)
{
	unsigned long last = fisc_region_size_pages(region) >> FISC_CHUNK_SHIFT;
	unsigned long start = get_random_u32_below(last + 1);
	struct fisc_chunk *chunk;
	unsigned long nr;

	xa_for_each_marked(&region->chunks, nr, chunk, FISC_MARK_DUE) {
		if (nr < start)
			nr = start - 1;
		else if (chunk->nid == scanner->nid)
			return chunk;
	}
	xa_for_each_marked(&region->chunks, nr, chunk, FISC_MARK_DUE)
		if (chunk->nid == scanner->nid)
			return chunk;

	return NULL;
}

/*
 * Visit one chunk of the VM whose turn it is.
 * Return: false if nothing is due in any VM.
 */
static bool fisc_scan_next(struct fisc_scanner *scanner, unsigned int max)
{
	unsigned long id = scanner->vm_id;
	bool wrapped = false;

	for (;;) {
		struct fisc_vm *vm = fisc_vm_next_due(&id);
		struct fisc_region *region;
		struct fisc_chunk *chunk;

		if (!vm) {
			if (wrapped)
				return false;
			wrapped = true;
			id = 0;
			continue;
		}
		region = fisc_vm_is_sensitive(vm) ? NULL :
						    fisc_vm_due_region(vm);
		fisc_vm_put_later(vm);
		id++;
		if (!region)
			continue;
		chunk = fisc_scan_pick(scanner, region);
		if (chunk) {
			scanner->vm_id = id;
			mutex_lock(&scanner->lock);
			/* Whoever stops the scanner waits for the lock. */
			if (!fisc_scan_must_pause())
				fisc_scan_pay(scanner,
					      fisc_merge_chunk(&scanner->visit,
							       region, chunk,
							       max));
			mutex_unlock(&scanner->lock);
		}
		fisc_region_put(region);
		if (chunk)
			return true;
	}
}

/**
 * fisc_scan_chunk() - scan a chunk now, if the scanner is enabled
 * @region: the region; held by the caller
 * @chunk: the chunk
 *
 * For reclaim: the pages read are not charged, as memory is short. Gives up
 * after FISC_SCAN_CHUNK_MS, because the thread may itself be waiting for memory
 * that the caller is about to free.
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_scan_chunk(struct fisc_region *region, struct fisc_chunk *chunk)
{
	struct fisc_scanner *scanner = fisc_scanners[chunk->nid];
	unsigned int ms = FISC_SCAN_CHUNK_MS;

	while (!mutex_trylock(&scanner->lock)) {
		if (!ms-- || READ_ONCE(fisc_scan_run) != FISC_SHARE_RUN)
			return;
		fsleep(USEC_PER_MSEC);
	}
	if (READ_ONCE(fisc_scan_run) == FISC_SHARE_RUN)
		fisc_merge_chunk(&scanner->visit, region, chunk,
				 FISC_CHUNK_PAGES);
	mutex_unlock(&scanner->lock);
}

/* Mark the chunks of a region due whose epoch has come. */
static int fisc_scan_wake_region(struct fisc_region *region, void *arg)
{
	struct fisc_scanner *scanner = arg;

	fisc_region_wake(region, scanner->nid);

	return 0;
}

/* Mark the chunks of a region due that may be broken or rebuilt now. */
static int fisc_scan_sweep_region(struct fisc_region *region, void *arg)
{
	struct fisc_scanner *scanner = arg;
	struct fisc_chunk *chunk;
	unsigned long nr;

	xa_for_each(&region->chunks, nr, chunk) {
		if (chunk->nid == scanner->nid &&
		    (READ_ONCE(chunk->large) ?
		     atomic_read(&chunk->duplicates) >= scanner->break_pages :
		     atomic_read(&chunk->filled) == FISC_CHUNK_PAGES))
			fisc_chunk_mark_due(chunk);
		cond_resched();
	}

	return 0;
}

static void fisc_scan_each_region(int (*fn)(struct fisc_region *region,
					    void *arg),
				  void *arg)
{
	struct fisc_vm *vm = NULL;

	while ((vm = fisc_vm_after(vm)))
		if (!fisc_vm_is_sensitive(vm))
			fisc_vm_each_region(vm, fn, arg);
}

/* Lower *@arg to the number of epochs until a page of the region is due. */
static int fisc_scan_ask_region(struct fisc_region *region, void *arg)
{
	s16 wait = READ_ONCE(region->next_due) - READ_ONCE(fisc_epoch);
	unsigned int *epochs = arg;

	*epochs = min_t(unsigned int, *epochs, max_t(s16, wait, 1));

	return 0;
}

static void fisc_scan_begin_epoch(struct fisc_scanner *scanner)
{
	unsigned int break_pages = fisc_share_under_pressure() ? 1 :
				   READ_ONCE(fisc_large_break_pages);
	bool fewer = break_pages < scanner->break_pages;

	scanner->epoch = READ_ONCE(fisc_epoch);
	scanner->drained = false;
	scanner->break_pages = break_pages;

	fisc_shared_resize();
	fisc_scan_each_region(fisc_scan_wake_region, scanner);
	if (fewer || fisc_large_was_refused())
		fisc_scan_each_region(fisc_scan_sweep_region, scanner);
	WRITE_ONCE(scanner->due->poked, false);
	/* Chunks marked before a poke that was cleared here are seen now. */
	smp_mb();
}

static u64 fisc_ns_until(u64 next, u64 now)
{
	return next - min(next, now);
}

/*
 * Nothing is due, and the next epoch begins at @next.
 * Return: ns to sleep unless poked.
 */
static u64 fisc_scan_doze(struct fisc_scanner *scanner, u64 now, u64 next)
{
	u64 epoch_ns = (u64)READ_ONCE(fisc_scan_recheck_ms) * NSEC_PER_MSEC;
	unsigned int epochs = FISC_DOZE_EPOCHS;

	if (READ_ONCE(scanner->due->poked))
		return fisc_ns_until(next, now);

	fisc_scan_each_region(fisc_scan_ask_region, &epochs);
	if (epochs > 1)
		WRITE_ONCE(scanner->due->dozing, true);

	return fisc_ns_until(next, now) +
	       min((epochs - 1) * epoch_ns, FISC_DOZE_NS);
}

/* Cancel debts, which were made at rates that no longer apply. */
static void fisc_account_cancel(struct fisc_scanner *scanner)
{
	u64 now = local_clock();

	scanner->pages_at = min(scanner->pages_at, now);
	scanner->cpu_at = min(scanner->cpu_at, now);
}

/* Scan while chunks are due and the budgets allow. Return: ns to sleep. */
static u64 fisc_scan(struct fisc_scanner *scanner)
{
	unsigned int max;
	u64 now, next;
	int turned;

	turned = atomic_read(&fisc_knobs_turned);
	if (scanner->turned != turned) {
		scanner->turned = turned;
		fisc_account_cancel(scanner);
	}

	if (READ_ONCE(scanner->due->dozing)) {
		WRITE_ONCE(scanner->due->dozing, false);
		/* New memory may still be being written: wait for the epoch. */
		if (READ_ONCE(scanner->due->poked)) {
			now = local_clock();
			return fisc_ns_until(fisc_epoch_advance(now), now);
		}
	}

	for (;;) {
		now = local_clock();
		fisc_check_pressure(now);
		next = fisc_epoch_advance(now);
		if (scanner->epoch != READ_ONCE(fisc_epoch))
			fisc_scan_begin_epoch(scanner);
		if (fisc_scan_must_pause())
			return 0;
		max = fisc_scan_earned(scanner, now);
		if (!max)
			return max3(scanner->pages_at, scanner->cpu_at,
				    now + FISC_SLEEP_MIN_NS) - now;
		if (!fisc_scan_next(scanner, max))
			break;
		cond_resched();
	}

	if (!scanner->drained) {
		scanner->drained = true;
		WRITE_ONCE(scanner->full_scans, scanner->full_scans + 1);
	}
	fisc_scan_pay(scanner, 1);

	return fisc_scan_doze(scanner, now, next);
}

/* Must a sleeping thread wake up early? */
static bool fisc_scan_is_woken(const struct fisc_scanner *scanner)
{
	return fisc_scan_must_pause() ||
	       scanner->turned != atomic_read(&fisc_knobs_turned) ||
	       (READ_ONCE(scanner->due->dozing) && READ_ONCE(scanner->due->poked));
}

static int fisc_scan_thread(void *data)
{
	struct fisc_scanner *scanner = data;

	set_freezable();
	while (!kthread_should_stop()) {
		u64 ns;

		if (READ_ONCE(fisc_scan_run) != FISC_SHARE_RUN) {
			wait_event_freezable(fisc_due_wait,
					     kthread_should_stop() ||
					     READ_ONCE(fisc_scan_run) ==
					     FISC_SHARE_RUN);
			continue;
		}
		ns = fisc_scan(scanner);
		/* Pairs with smp_mb() in fisc_due_poke(). */
		smp_mb();
		wait_event_freezable_timeout(fisc_due_wait,
					     fisc_scan_is_woken(scanner),
					     nsecs_to_jiffies(ns) + 1);
	}

	return 0;
}

/* Wait for visits that began before the scanner was stopped. */
static void fisc_scan_wait(void)
{
	int nid;

	for_each_node(nid) {
		struct fisc_scanner *scanner = fisc_scanners[nid];

		if (!scanner)
			continue;
		if (mutex_lock_killable(&scanner->lock))
			return;
		mutex_unlock(&scanner->lock);
	}
}

/**
 * fisc_scan_turned() - apply changed knobs, and cancel the scanner's debts
 *
 * If the scanner has been stopped, it reads nothing any more when this returns,
 * unless the caller is being killed.
 *
 * Context: may sleep; an attribute of share/, which exists as long as the
 * scanner does.
 */
void fisc_scan_turned(void)
{
	atomic_inc(&fisc_knobs_turned);
	wake_up_all(&fisc_due_wait);
	if (READ_ONCE(fisc_scan_run) != FISC_SHARE_RUN)
		fisc_scan_wait();
}

/**
 * fisc_scan_full_scans() - return the number of full scans of all memory
 *
 * Context: any.
 * Return: the lowest number of any node: in how many epochs it ran out of due
 * chunks.
 */
u64 fisc_scan_full_scans(void)
{
	u64 least = U64_MAX;
	int nid;

	for_each_node(nid)
		if (fisc_scanners[nid])
			least = min(least,
				    READ_ONCE(fisc_scanners[nid]->full_scans));

	return least;
}

/**
 * fisc_scan_cpu_ns() - return the CPU time that the scanner has used
 *
 * Context: any.
 * Return: ns.
 */
u64 fisc_scan_cpu_ns(void)
{
	u64 sum = 0;
	int nid;

	for_each_node(nid)
		if (fisc_scanners[nid])
			sum += READ_ONCE(fisc_scanners[nid]->task->se.sum_exec_runtime);

	return sum;
}

static void fisc_scan_stop(void)
{
	int nid;

	for_each_node(nid) {
		struct fisc_scanner *scanner = fisc_scanners[nid];

		if (!scanner)
			continue;
		fisc_due_serve(nid, false);
		kthread_stop_put(scanner->task);
		fisc_scanners[nid] = NULL;
		kvfree(scanner);
	}
}

static int fisc_scan_start(int nid)
{
	struct fisc_scanner *scanner;
	struct task_struct *task;

	scanner = kvzalloc_node(sizeof(*scanner), GFP_KERNEL, nid);
	if (!scanner)
		return -ENOMEM;

	mutex_init(&scanner->lock);
	scanner->nid = nid;
	scanner->due = &fisc_due_nodes[nid];
	scanner->break_pages = FISC_LARGE_PAGES;
	task = kthread_create_on_node(fisc_scan_thread, scanner, nid,
				      "fisc_share/%d", nid);
	if (IS_ERR(task)) {
		kvfree(scanner);
		return PTR_ERR(task);
	}
	get_task_struct(task);
	scanner->task = task;
	set_cpus_allowed_ptr(task, cpumask_of_node(nid));
	fisc_scanners[nid] = scanner;
	fisc_due_serve(nid, true);
	wake_up_process(task);

	return 0;
}

/**
 * fisc_scan_init() - start the scanner's threads
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_scan_init(void)
{
	int err = 0;
	int nid;

	for_each_node_state(nid, N_CPU) {
		err = fisc_scan_start(nid);
		if (err)
			break;
	}
	if (err)
		fisc_scan_stop();

	return err;
}

/**
 * fisc_scan_exit() - stop the scanner's threads
 *
 * The interfaces that use the scanner are gone already.
 *
 * Context: may sleep.
 */
void fisc_scan_exit(void)
{
	fisc_scan_stop();
}
