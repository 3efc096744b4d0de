// SPDX-License-Identifier: GPL-2.0
/**
 * DOC: The scanner
 *
 * One thread for each node with CPUs looks at the chunks that were
 * first touched there. The VMs take turns, one chunk each; within a VM the chunk
 * is a random one of those that are marked due. When none is left the thread
 * sleeps until the next epoch (recheck_ms), then marks those chunks due whose
 * time has come (fisc_chunk_mark_later()).
 *
 * Two accounts bound it: pages (pages_per_sec), and CPU time (cpu_percent). Both
 * are kept as the time up to which everything has been earned; what was not
 * used for long is lost. When memory is short (pressure_percent), both flow four
 * times as fast. A knob that is turned cancels debts: what was read at a page a
 * second must not keep a scanner waiting that may read thousands.
 *
 * Nothing due is nothing done: the thread dozes until the first page is due
 * that it knows of, FISC_DOZE_EPOCHS and FISC_DOZE_NS at most, for it looks at the
 * host's memory, too. A page that becomes due by itself, as new memory does, ends
 * the doze with the epoch (fisc_due_poke()).
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

/* Earnings older than this are lost: a bound on how much is done in one go. */
#define FISC_EARN_MAX_NS	(40 * NSEC_PER_MSEC)

/* The shortest sleep, so that little earnings do not cost a wakeup each. */
#define FISC_SLEEP_MIN_NS	((u64)20 * NSEC_PER_MSEC)

/* How often it is looked whether memory is short. */
#define FISC_PRESSURE_NS	(100 * NSEC_PER_MSEC)

/* The longest time that the scanner sleeps if nothing is due. */
#define FISC_DOZE_EPOCHS	8U
#define FISC_DOZE_NS		(5 * (u64)NSEC_PER_SEC)

/* Epochs that pass at once, at most: less than a page may have to wait for. */
#define FISC_EPOCHS_AT_ONCE	4096ULL

/* How long fisc_scan_chunk() waits for the scanner. */
#define FISC_SCAN_CHUNK_MS	10

/* How much faster the scanner may be when memory is short. */
#define FISC_PRESSURE_BOOST	4

/**
 * struct fisc_scanner - a scanning thread
 * @task: the thread
 * @nid: its node
 * @due: what it is told of due chunks
 * @vm_id: VM whose turn it is
 * @pages_at: until when pages have been earned, in ns of local_clock()
 * @cpu_at: until when CPU time has been earned
 * @cpu_used: sum_exec_runtime that has been paid for
 * @turned: fisc_knobs_turned when it last looked
 * @epoch: the last one that it has seen
 * @drained: nothing was due since then
 * @full_scans: how often nothing was due any more, once an epoch at most
 * @break_pages: number by which large frames were last looked through
 * @lock: who looks at a chunk: the thread, or fisc_scan_chunk()
 * @visit: the chunk under way
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

/* Goes up when a knob is turned, so that sleepers look again. */
static atomic_t fisc_knobs_turned;

static u64 fisc_pressure_at;

/* Let as many epochs pass as have passed. Return: when the next one begins. */
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

/* Earnings do not pile up, nor do debts outlive a clock that jumps. */
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

/* Pages that have been earned and not yet been read. */
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

/* Pay for @pages and the CPU time used since last time. */
static void fisc_scan_pay(struct fisc_scanner *scanner, unsigned int pages)
{
	u64 used = READ_ONCE(current->se.sum_exec_runtime);
	unsigned int percent = READ_ONCE(fisc_scan_cpu_percent);

	if (fisc_share_under_pressure())
		percent = min(percent * FISC_PRESSURE_BOOST, 100U);

	/* Going over a chunk without reading is not quite free. */
	scanner->pages_at += div64_u64((u64)max(pages, 1U) * NSEC_PER_SEC,
				       fisc_scan_rate());
	scanner->cpu_at += (used - scanner->cpu_used) * 100 / percent;
	scanner->cpu_used = used;
}

/* A random due chunk of the thread's node, or NULL. */
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
 * Look at one chunk of the VM whose turn it is.
 * Return: false if nothing is due anywhere.
 */
static bool fisc_scan_next(struct fisc_scanner *scanner, unsigned int max)
{
	unsigned long id = scanner->vm_id;
	bool wrapped = false;

	for (;;) {
		struct fisc_vm *vm = fisc_vm_next(&id);
		struct fisc_region *region;
		struct fisc_chunk *chunk;

		if (!vm) {
			if (wrapped)
				return false;
			wrapped = true;
			id = 0;
			continue;
		}
		region = fisc_vm_due_region(vm);
		fisc_vm_put(vm);
		id++;
		if (!region)
			continue;
		chunk = fisc_scan_pick(scanner, region);
		if (chunk) {
			scanner->vm_id = id;
			mutex_lock(&scanner->lock);
			fisc_scan_pay(scanner,
				      fisc_merge_chunk(&scanner->visit, region,
						       chunk, max));
			mutex_unlock(&scanner->lock);
		}
		fisc_region_put(region);
		if (chunk)
			return true;
	}
}

/**
 * fisc_scan_chunk() - look at a chunk now, if the scanner is to run at all
 * @region: the region; held by the caller
 * @chunk: the chunk
 *
 * What this reads is not paid for: memory is short. A scanner that waits for just
 * that memory does not have the caller wait for it.
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_scan_chunk(struct fisc_region *region, struct fisc_chunk *chunk)
{
	struct fisc_scanner *scanner = fisc_scanners[chunk->nid];
	unsigned int ms = FISC_SCAN_CHUNK_MS;

	if (READ_ONCE(fisc_scan_run) != FISC_SHARE_RUN)
		return;
	while (!mutex_trylock(&scanner->lock)) {
		if (!ms--)
			return;
		fsleep(USEC_PER_MSEC);
	}
	fisc_merge_chunk(&scanner->visit, region, chunk, FISC_CHUNK_PAGES);
	mutex_unlock(&scanner->lock);
}

/* What a new epoch makes due, in one region. */
static int fisc_scan_wake_region(struct fisc_region *region, void *arg)
{
	struct fisc_scanner *scanner = arg;

	fisc_region_wake(region, scanner->nid);

	return 0;
}

/* Chunks that circumstances have made worth a look, in one region. */
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
		fisc_vm_each_region(vm, fn, arg);
}

/* Epochs until something is due in a region, at most *@arg. */
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
	/* Chunks of those who poked before this are seen now. */
	smp_mb();
}

static u64 fisc_ns_until(u64 next, u64 now)
{
	return next - min(next, now);
}

/* Nothing is due. Return: ns to sleep if nobody pokes, @next the next epoch. */
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

/* Debts were made at rates that hold no more. */
static void fisc_account_cancel(struct fisc_scanner *scanner)
{
	u64 now = local_clock();

	scanner->pages_at = min(scanner->pages_at, now);
	scanner->cpu_at = min(scanner->cpu_at, now);
}

/* Work as long as there is some and it is paid for. Return: ns to sleep. */
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
		/* What has become due may still be being written. */
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

/* Shall a scanner that sleeps wake up before its time? */
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

/**
 * fisc_scan_turned() - have the scanner look at its knobs, and forget its debts
 *
 * Context: any.
 */
void fisc_scan_turned(void)
{
	atomic_inc(&fisc_knobs_turned);
	wake_up_all(&fisc_due_wait);
}

/**
 * fisc_scan_full_scans() - return how often all memory has been looked at
 *
 * Context: any.
 * Return: how often nothing was due any more, of the node where that was least.
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
 * fisc_scan_init() - start the scanner
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
 * fisc_scan_exit() - stop the scanner
 *
 * The interfaces it serves are gone already.
 *
 * Context: may sleep.
 */
void fisc_scan_exit(void)
{
	fisc_scan_stop();
}
