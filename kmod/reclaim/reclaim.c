// SPDX-License-Identifier: GPL-2.0
/*
 * The thread that takes memory back. See DOC: Reclaim in reclaim.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/freezer.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/shrinker.h>
#include <linux/swap.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>
#include <linux/wait.h>

#include "../../uapi/fisc.h"
#include "../knob.h"
#include "../policy.h"
#include "../trace.h"
#include "../vm.h"
#include "backing.h"
#include "reclaim.h"
#include "swap.h"

/* How often the thread looks, in ms. */
#define FISC_LOOK_MS		100	/* when nothing is to be done */
#define FISC_LOOK_SHORT_MS	20	/* when something is */

/* Random chunks that are looked at for each VM in one go, at most. */
#define FISC_RECLAIM_TRIES	256

/* Chunks that are armed for each one that is wanted. */
#define FISC_RECLAIM_ARM	4

/* How long any page may be taken after cold ones were too few, in ms. */
#define FISC_COLD_ENOUGH_MS	500

/* What a fault that holds locks waits at a time, in jiffies. */
#define FISC_BLOCK_STEP		(HZ / 50)

/* How long the last way out of the kernel's waits for memory. */
#define FISC_OOM_WAIT		(HZ / 2)

#define FISC_HISTORY		32

/**
 * struct fisc_reclaim_event - a state has begun
 * @ns: when, by ktime_get_boottime_ns()
 * @state: the state
 * @free: pages of the pool that were free
 * @host: pages of the host that were free
 */
struct fisc_reclaim_event {
	u64 ns;
	enum fisc_reclaim_state state;
	u64 free;
	u64 host;
};

/**
 * struct fisc_pool - memory that states depend on
 * @total: pages in all
 * @free: of them
 * @levels: where states begin
 */
struct fisc_pool {
	u64 total;
	u64 free;
	struct fisc_levels levels;
};

static struct task_struct *fisc_reclaimer;
static struct fisc_swap_batch *fisc_reclaim_batch;
static DECLARE_WAIT_QUEUE_HEAD(fisc_reclaim_wait);
static DECLARE_WAIT_QUEUE_HEAD(fisc_unblock_wait);
static DECLARE_WAIT_QUEUE_HEAD(fisc_freed_wait);
static bool fisc_reclaim_poked;

/* Written by the thread. */
static enum fisc_reclaim_state fisc_state;
static struct fisc_pool fisc_pool, fisc_host;
static u64 fisc_excess;			/* pages of all VMs above their targets */
static bool fisc_helpless;		/* there is no way to take memory back */
static unsigned long fisc_cold_enough;	/* when there were enough cold pages */
static atomic_long_t fisc_reclaim_freed;

/* Pages of the pool in use, at which another state may have begun. */
static u64 fisc_reclaim_wake_at = U64_MAX;

/* Pages that the host asked for and has not got. */
static atomic_long_t fisc_asked;

static DEFINE_SPINLOCK(fisc_history_lock);
static struct fisc_reclaim_event fisc_history[FISC_HISTORY];
static unsigned int fisc_history_nr;

static struct kobject *fisc_reclaim_parent;
static DEFINE_MUTEX(fisc_levels_mutex);
static unsigned int fisc_percent[FISC_RECLAIM_STATES] = {
	[FISC_RECLAIM_CLEAR] = FISC_HIGH_PERCENT_DEFAULT,
	[FISC_RECLAIM_SOFT] = FISC_SOFT_PERCENT_DEFAULT,
	[FISC_RECLAIM_HARD] = FISC_HARD_PERCENT_DEFAULT,
	[FISC_RECLAIM_LOW] = FISC_LOW_PERCENT_DEFAULT,
};

static unsigned int fisc_sliding;
static unsigned int fisc_paging = 1;
static unsigned int fisc_blocking = 1;
static unsigned int fisc_cold_ms = FISC_COLD_MS_DEFAULT;

DEFINE_PER_CPU(unsigned int, fisc_reclaim_charged);

/**
 * fisc_reclaim_state() - how short memory is
 *
 * Context: any.
 * Return: the state.
 */
enum fisc_reclaim_state fisc_reclaim_state(void)
{
	return READ_ONCE(fisc_state);
}

/* Where states begin, of so many pages. */
static void fisc_levels_now(struct fisc_levels *levels, u64 total)
{
	guard(mutex)(&fisc_levels_mutex);
	fisc_levels_set(levels, total, fisc_percent, READ_ONCE(fisc_sliding));
}

/**
 * fisc_reclaim_keep() - memory that is not divided among VMs
 * @total: pages in all, of the pool or the host
 *
 * VMs that have what they should leave so much free that nothing is taken back.
 *
 * Context: may sleep.
 * Return: pages.
 */
u64 fisc_reclaim_keep(u64 total)
{
	struct fisc_levels levels;

	fisc_levels_now(&levels, total);

	return fisc_levels_leave(&levels, FISC_RECLAIM_SOFT);
}

static void fisc_reclaim_poke(void)
{
	WRITE_ONCE(fisc_reclaim_poked, true);
	wake_up(&fisc_reclaim_wait);
}

/**
 * __fisc_reclaim_charge() - a CPU has allocated FISC_RECLAIM_CHARGE frames
 *
 * Context: any.
 */
void __fisc_reclaim_charge(void)
{
	this_cpu_write(fisc_reclaim_charged, 0);
	if (fisc_frames_in_use() >= READ_ONCE(fisc_reclaim_wake_at))
		fisc_reclaim_poke();
}

/* --- how much is free -------------------------------------------------------- */

static void fisc_pool_look(struct fisc_pool *pool, u64 total, u64 used)
{
	pool->total = total;
	pool->free = total - min(used, total);
	fisc_levels_now(&pool->levels, total);
}

static void fisc_reclaim_note(enum fisc_reclaim_state state)
{
	struct fisc_reclaim_event *event;

	trace_fisc_state(fisc_reclaim_names[state], fisc_pool.free,
			 fisc_host.free);
	spin_lock(&fisc_history_lock);
	event = &fisc_history[fisc_history_nr++ % FISC_HISTORY];
	event->ns = ktime_get_boottime_ns();
	event->state = state;
	event->free = fisc_pool.free;
	event->host = fisc_host.free;
	spin_unlock(&fisc_history_lock);
}

static void fisc_reclaim_set(enum fisc_reclaim_state state)
{
	if (state == fisc_state)
		return;
	WRITE_ONCE(fisc_state, state);
	fisc_reclaim_note(state);
	sysfs_notify(fisc_reclaim_parent, "reclaim", "state");
	fisc_policy_poke();
	wake_up_all(&fisc_unblock_wait);
}

/* Pages in use at which the pool's next state begins. */
static u64 fisc_reclaim_next(void)
{
	u64 below;

	if (fisc_state == FISC_RECLAIM_LOW)
		return U64_MAX;
	below = fisc_pool.levels.below[fisc_state + 1];

	return fisc_frames_in_use() + (fisc_pool.free - min(below, fisc_pool.free));
}

static void fisc_reclaim_look(void)
{
	u64 host = max(si_mem_available(), 0L) +
		   global_node_page_state(NR_SWAPCACHE);
	u64 ram = totalram_pages();

	fisc_pool_look(&fisc_pool, fisc_quota_capacity(),
		       fisc_frames_in_use() + fisc_metadata_pages());
	fisc_pool_look(&fisc_host, ram, ram - min(host, ram));
	fisc_reclaim_set(max(fisc_levels_state(&fisc_pool.levels, fisc_state,
					       fisc_pool.free),
			     fisc_levels_state(&fisc_host.levels, fisc_state,
					       fisc_host.free)));
	WRITE_ONCE(fisc_reclaim_wake_at, fisc_reclaim_next());
}

/* Pages that have to be freed to get out of "soft". */
static u64 fisc_pool_lacks(const struct fisc_pool *pool)
{
	u64 wanted = fisc_levels_leave(&pool->levels, FISC_RECLAIM_SOFT);

	return wanted - min(wanted, pool->free);
}

/* --- whose memory goes ------------------------------------------------------- */

/* Is a VM's balloon on its way to what it should be? */
static bool fisc_balloon_works(struct fisc_vm *vm)
{
	struct fisc_reclaim_vm *known = &vm->reclaim;
	u64 actual = fisc_balloon_actual(vm);

	if (actual != known->balloon) {
		known->balloon = actual;
		known->moved = jiffies;
	}

	return READ_ONCE(vm->balloon.device) &&
	       READ_ONCE(vm->balloon.wanted) > actual &&
	       time_before(jiffies, known->moved +
			   msecs_to_jiffies(FISC_BALLOON_STUCK_MS));
}

/* @works: its balloon does. */
static enum fisc_reclaim_reason fisc_reclaim_reason(const struct fisc_vm *vm,
						    bool works)
{
	if (!vm->reclaim.excess || fisc_state < FISC_RECLAIM_SOFT)
		return FISC_REASON_NONE;
	if (fisc_state == FISC_RECLAIM_SOFT && works)
		return FISC_REASON_BALLOON;
	if (fisc_state == FISC_RECLAIM_LOW && READ_ONCE(fisc_blocking))
		return FISC_REASON_BLOCKED;

	return FISC_REASON_PAGING;
}

/* What each VM has above its target; that matters when memory is short. */
static void fisc_reclaim_weigh(void)
{
	static bool weighed;
	bool helpless = !READ_ONCE(fisc_paging) || fisc_backing_room() <= 0;
	struct fisc_vm *vm = NULL;
	u64 sum = 0;

	/* Once more when it no longer is: nothing is done about anybody then. */
	if (fisc_state < FISC_RECLAIM_SOFT && !weighed)
		return;
	weighed = fisc_state >= FISC_RECLAIM_SOFT;
	while ((vm = fisc_vm_after(vm))) {
		u64 has = fisc_vm_allocated(vm);
		u64 target = READ_ONCE(vm->quota.target);
		bool works = fisc_balloon_works(vm);

		WRITE_ONCE(vm->reclaim.excess, has - min(target, has));
		WRITE_ONCE(vm->reclaim.reason, fisc_reclaim_reason(vm, works));
		if (vm->reclaim.reason >= FISC_REASON_PAGING)
			sum += vm->reclaim.excess;
		helpless &= !works;
		cond_resched();
	}
	WRITE_ONCE(fisc_excess, sum);
	if (READ_ONCE(fisc_helpless) != helpless) {
		WRITE_ONCE(fisc_helpless, helpless);
		wake_up_all(&fisc_unblock_wait);
	}
}

/* Take @want pages from random places of a VM. Return: how many were taken. */
static u64 fisc_reclaim_pages(struct fisc_vm *vm, u64 want, bool any)
{
	unsigned int arm = want * FISC_RECLAIM_ARM / FISC_CHUNK_PAGES + 1;
	unsigned int tries = FISC_RECLAIM_TRIES;
	u64 taken = 0;

	while (taken < want && tries-- && !kthread_should_stop()) {
		struct fisc_region *region;
		struct fisc_chunk *chunk;
		pgoff_t index;

		region = fisc_vm_random_page(vm, &index);
		if (!region)
			break;
		chunk = fisc_region_find_chunk(region, index);
		if (chunk && (any || fisc_swap_is_armed(chunk, READ_ONCE(fisc_cold_ms)))) {
			taken += fisc_swap_out(fisc_reclaim_batch, region,
					       chunk, want - taken, any);
		} else if (chunk && arm && !READ_ONCE(chunk->armed)) {
			fisc_swap_arm(region, chunk);
			arm--;
		}
		fisc_region_put(region);
		cond_resched();
	}

	return taken;
}

/* Take @want pages of those that are to be paged, in proportion. */
static u64 fisc_reclaim_page_out(u64 want, bool any)
{
	struct fisc_vm *vm = NULL;
	u64 sum = fisc_excess, taken = 0;

	want = min(want, sum);
	while (want && (vm = fisc_vm_after(vm))) {
		u64 part = vm->reclaim.excess;

		if (vm->reclaim.reason >= FISC_REASON_PAGING && part)
			taken += fisc_reclaim_pages(vm,
						    mul_u64_u64_div_u64(want, part, sum) + 1,
						    any);
		cond_resched();
	}

	return taken;
}

static void fisc_reclaim_report(u64 taken)
{
	long asked = atomic_long_read(&fisc_asked);

	if (taken) {
		atomic_long_add(taken, &fisc_reclaim_freed);
		atomic_long_sub(min_t(long, asked, taken), &fisc_asked);
		wake_up_all(&fisc_freed_wait);
	}
}

/* Return: is there more to be done? */
static bool fisc_reclaim_turn(void)
{
	u64 want, taken;
	bool any;

	fisc_reclaim_look();
	fisc_reclaim_weigh();
	fisc_reclaim_rates();
	want = fisc_state < FISC_RECLAIM_SOFT ? 0 :
	       max(fisc_pool_lacks(&fisc_pool), fisc_pool_lacks(&fisc_host));
	want = max_t(u64, want, atomic_long_read(&fisc_asked));
	if (!want || !fisc_excess || !READ_ONCE(fisc_paging)) {
		atomic_long_set(&fisc_asked, 0);
		fisc_cold_enough = jiffies;
		return fisc_state >= FISC_RECLAIM_SOFT;
	}

	any = fisc_state >= FISC_RECLAIM_HARD &&
	      time_after(jiffies, fisc_cold_enough +
			 msecs_to_jiffies(READ_ONCE(fisc_cold_ms) +
					  FISC_COLD_ENOUGH_MS));
	taken = fisc_reclaim_page_out(want, any);
	if (taken >= want / 2)
		fisc_cold_enough = jiffies;
	fisc_reclaim_report(taken);

	return true;
}

static int fisc_reclaim_thread(void *data)
{
	unsigned int flags = memalloc_noreclaim_save();

	set_freezable();
	while (!kthread_should_stop()) {
		unsigned int ms = fisc_reclaim_turn() ? FISC_LOOK_SHORT_MS :
							FISC_LOOK_MS;

		wait_event_freezable_timeout(fisc_reclaim_wait,
					     kthread_should_stop() ||
					     READ_ONCE(fisc_reclaim_poked),
					     msecs_to_jiffies(ms));
		WRITE_ONCE(fisc_reclaim_poked, false);
	}
	memalloc_noreclaim_restore(flags);

	return 0;
}

/* --- VMs that wait ------------------------------------------------------------- */

/**
 * fisc_reclaim_blocks() - has a VM to wait before it gets more memory?
 * @vm: the VM
 *
 * Context: any.
 * Return: true if memory is very short, the VM is above its target, and it is of use
 * to wait.
 */
bool fisc_reclaim_blocks(const struct fisc_vm *vm)
{
	return unlikely(READ_ONCE(fisc_state) == FISC_RECLAIM_LOW) &&
	       READ_ONCE(vm->reclaim.excess) && READ_ONCE(fisc_blocking) &&
	       !READ_ONCE(fisc_helpless);
}

static void fisc_reclaim_waited(struct fisc_vm *vm, u64 start)
{
	fisc_wait_account(FISC_WAIT_BLOCKED, start);
	atomic64_add(max_t(s64, local_clock() - start, 0),
		     &vm->reclaim.blocked_ns);
}

/**
 * fisc_reclaim_block() - wait until a VM may have more memory
 * @vm: the VM
 *
 * Context: may sleep; no locks held.
 * Return: 0, -EINTR if the process is killed.
 */
int fisc_reclaim_block(struct fisc_vm *vm)
{
	u64 start = local_clock();
	int err;

	if (!fisc_reclaim_blocks(vm))
		return 0;
	err = wait_event_state(fisc_unblock_wait, !fisc_reclaim_blocks(vm),
			       (TASK_KILLABLE | TASK_FREEZABLE));
	fisc_reclaim_waited(vm, start);

	return err ? -EINTR : 0;
}

/**
 * fisc_reclaim_block_fault() - the same, in a page fault
 * @vm: a VM that has to wait
 * @vmf: the fault
 *
 * Context: a page fault; nothing of this module locked.
 * Return: VM_FAULT_RETRY, for which the lock of the address space has been given
 * back if the fault says that it may be; 0 if the fault has waited before.
 */
vm_fault_t fisc_reclaim_block_fault(struct fisc_vm *vm, struct vm_fault *vmf)
{
	if (!fault_flag_allow_retry_first(vmf->flags))
		return 0;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;

	/* The file, and the VM with it, may go once it is unlocked. */
	fisc_vm_get(vm);
	release_fault_lock(vmf);
	fisc_reclaim_block(vm);
	fisc_vm_put(vm);

	return VM_FAULT_RETRY;
}

/**
 * fisc_reclaim_pause() - the same for a moment, where no lock can be given back
 * @vm: a VM that has to wait
 *
 * Context: may sleep.
 */
void fisc_reclaim_pause(struct fisc_vm *vm)
{
	u64 start = local_clock();

	wait_event_killable_timeout(fisc_unblock_wait, !fisc_reclaim_blocks(vm),
				    FISC_BLOCK_STEP);
	fisc_reclaim_waited(vm, start);
}

/* --- the rest of the host ------------------------------------------------------ */

static unsigned long fisc_shrink_count(struct shrinker *shrinker,
				       struct shrink_control *sc)
{
	if (!READ_ONCE(fisc_paging) || fisc_backing_room() <= 0)
		return 0;

	return READ_ONCE(fisc_excess);
}

static unsigned long fisc_shrink_scan(struct shrinker *shrinker,
				      struct shrink_control *sc)
{
	if (atomic_long_read(&fisc_asked) < (long)READ_ONCE(fisc_excess)) {
		atomic_long_add(sc->nr_to_scan, &fisc_asked);
		fisc_reclaim_poke();
	}

	/* It comes later, if at all. */
	return SHRINK_STOP;
}

static int fisc_oom_notify(struct notifier_block *block, unsigned long val,
			   void *freed)
{
	long before = atomic_long_read(&fisc_reclaim_freed);

	if (!fisc_shrink_count(NULL, NULL))
		return NOTIFY_OK;
	atomic_long_add(SWAP_CLUSTER_MAX, &fisc_asked);
	fisc_reclaim_poke();
	wait_event_timeout(fisc_freed_wait,
			   atomic_long_read(&fisc_reclaim_freed) != before,
			   FISC_OOM_WAIT);
	*(unsigned long *)freed += atomic_long_read(&fisc_reclaim_freed) - before;

	return NOTIFY_OK;
}

static struct notifier_block fisc_oom_block = {
	.notifier_call = fisc_oom_notify,
};

static struct shrinker *fisc_shrinker;

/* --- what is shown and chosen --------------------------------------------------- */

static ssize_t state_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	return sysfs_emit(buf, "%s\n", fisc_reclaim_names[fisc_reclaim_state()]);
}

static struct kobj_attribute state_attr = __ATTR_RO(state);

static unsigned int *fisc_percent_of(const struct kobj_attribute *attr);

static ssize_t percent_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(*fisc_percent_of(attr)));
}

/* Not more than for the state before, nor less than for the one after. */
static ssize_t percent_store(struct kobject *kobj, struct kobj_attribute *attr,
			     const char *buf, size_t count)
{
	unsigned int *percent = fisc_percent_of(attr);
	unsigned int most = FISC_STATE_PERCENT_MAX, least = 0, value;
	int err;

	err = kstrtouint(buf, 0, &value);
	if (err)
		return -EINVAL;

	guard(mutex)(&fisc_levels_mutex);
	if (percent != &fisc_percent[FISC_RECLAIM_CLEAR])
		most = percent[-1];
	if (percent != &fisc_percent[FISC_RECLAIM_LOW])
		least = percent[1];
	if (value < least || value > most)
		return -EINVAL;
	WRITE_ONCE(*percent, value);
	fisc_policy_poke();
	fisc_reclaim_poke();

	return count;
}

static struct kobj_attribute fisc_percent_attrs[] = {
	__ATTR(high_percent, 0644, percent_show, percent_store),
	__ATTR(soft_percent, 0644, percent_show, percent_store),
	__ATTR(hard_percent, 0644, percent_show, percent_store),
	__ATTR(low_percent, 0644, percent_show, percent_store),
};

static unsigned int *fisc_percent_of(const struct kobj_attribute *attr)
{
	return &fisc_percent[FISC_RECLAIM_CLEAR + (attr - fisc_percent_attrs)];
}

static void fisc_reclaim_turned(void)
{
	fisc_policy_poke();
	fisc_reclaim_poke();
	wake_up_all(&fisc_unblock_wait);
}

static struct fisc_knob fisc_reclaim_knobs[] = {
	FISC_KNOB_NOTIFY(sliding, &fisc_sliding, 0, 1, fisc_reclaim_turned),
	FISC_KNOB_NOTIFY(paging, &fisc_paging, 0, 1, fisc_reclaim_turned),
	FISC_KNOB_NOTIFY(blocking, &fisc_blocking, 0, 1, fisc_reclaim_turned),
	FISC_KNOB_NOTIFY(cold_ms, &fisc_cold_ms, FISC_COLD_MS_MIN,
			 FISC_COLD_MS_MAX, fisc_reclaim_turned),
};

static struct attribute *fisc_reclaim_attrs[] = {
	&state_attr.attr,
	&fisc_percent_attrs[0].attr,
	&fisc_percent_attrs[1].attr,
	&fisc_percent_attrs[2].attr,
	&fisc_percent_attrs[3].attr,
	&fisc_reclaim_knobs[0].attr.attr,
	&fisc_reclaim_knobs[1].attr.attr,
	&fisc_reclaim_knobs[2].attr.attr,
	&fisc_reclaim_knobs[3].attr.attr,
	NULL,
};

static const struct attribute_group fisc_reclaim_group = {
	.name = "reclaim",
	.attrs = fisc_reclaim_attrs,
};

static void fisc_pool_show(struct seq_file *m, const char *name,
			   const struct fisc_pool *pool)
{
	unsigned int i;

	seq_printf(m, "%s_total: %llu\n", name, pool->total);
	seq_printf(m, "%s_free: %llu\n", name, pool->free);
	for (i = FISC_RECLAIM_CLEAR; i < FISC_RECLAIM_STATES; i++)
		seq_printf(m, "%s_%s_below: %llu\n", name,
			   fisc_reclaim_names[i], pool->levels.below[i]);
}

static void fisc_history_show(struct seq_file *m)
{
	unsigned int i;

	spin_lock(&fisc_history_lock);
	seq_printf(m, "changes: %u\n", fisc_history_nr);
	for (i = fisc_history_nr - min(fisc_history_nr, FISC_HISTORY);
	     i != fisc_history_nr; i++) {
		const struct fisc_reclaim_event *event =
			&fisc_history[i % FISC_HISTORY];

		seq_printf(m, "at_ms_%llu: %s %llu %llu\n",
			   div_u64(event->ns, NSEC_PER_MSEC),
			   fisc_reclaim_names[event->state], event->free,
			   event->host);
	}
	spin_unlock(&fisc_history_lock);
}

static int fisc_reclaim_stats_show(struct seq_file *m, void *v)
{
	seq_printf(m, "state: %s\n", fisc_reclaim_names[fisc_reclaim_state()]);
	fisc_pool_show(m, "pool", &fisc_pool);
	fisc_pool_show(m, "host", &fisc_host);
	seq_printf(m, "excess: %llu\n", READ_ONCE(fisc_excess));
	seq_printf(m, "asked: %ld\n", atomic_long_read(&fisc_asked));
	seq_printf(m, "freed: %ld\n", atomic_long_read(&fisc_reclaim_freed));
	seq_printf(m, "swap_room: %ld\n", fisc_backing_room());
	seq_printf(m, "swapped: %ld\n", fisc_total_sum(FISC_SWAPPED));
	seq_printf(m, "swap_out: %ld\n", fisc_total_sum(FISC_SWAP_OUT));
	seq_printf(m, "swap_in: %ld\n", fisc_total_sum(FISC_SWAP_IN));
	seq_printf(m, "swap_lost: %ld\n", fisc_total_sum(FISC_SWAP_LOST));
	seq_printf(m, "swap_no_memory: %ld\n",
		   fisc_total_sum(FISC_SWAP_NO_MEMORY));
	seq_printf(m, "armed: %ld\n", fisc_total_sum(FISC_SWAP_ARMED));
	fisc_wait_show(m, FISC_WAIT_SWAP_IN, "swap_in", FISC_WAIT_BUCKETS);
	fisc_wait_show(m, FISC_WAIT_BLOCKED, "blocked", FISC_WAIT_BUCKETS);
	fisc_history_show(m);

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(fisc_reclaim_stats);

/* --- coming and going ------------------------------------------------------------ */

static int fisc_reclaim_register(void)
{
	int err;

	fisc_shrinker = shrinker_alloc(0, "fisc");
	if (!fisc_shrinker)
		return -ENOMEM;
	fisc_shrinker->count_objects = fisc_shrink_count;
	fisc_shrinker->scan_objects = fisc_shrink_scan;
	err = register_oom_notifier(&fisc_oom_block);
	if (err)
		shrinker_free(fisc_shrinker);
	else
		shrinker_register(fisc_shrinker);

	return err;
}

/**
 * fisc_reclaim_init() - begin to watch memory
 * @parent: /sys/kernel/fisc
 * @debugfs: /sys/kernel/debug/fisc
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_reclaim_init(struct kobject *parent, struct dentry *debugfs)
{
	int err;

	fisc_reclaim_parent = parent;
	fisc_reclaim_batch = vzalloc(sizeof(*fisc_reclaim_batch));
	if (!fisc_reclaim_batch)
		return -ENOMEM;
	err = fisc_reclaim_register();
	if (err)
		goto err_batch;
	err = sysfs_create_group(parent, &fisc_reclaim_group);
	if (err)
		goto err_register;
	fisc_reclaimer = kthread_run(fisc_reclaim_thread, NULL, "fisc_reclaim");
	if (IS_ERR(fisc_reclaimer)) {
		err = PTR_ERR(fisc_reclaimer);
		goto err_register;
	}
	debugfs_create_file("reclaim", 0444, debugfs, NULL,
			    &fisc_reclaim_stats_fops);
	fisc_reclaim_vms_init(debugfs);

	return 0;

err_register:
	unregister_oom_notifier(&fisc_oom_block);
	shrinker_free(fisc_shrinker);
err_batch:
	vfree(fisc_reclaim_batch);
	return err;
}

/**
 * fisc_reclaim_exit() - stop
 *
 * There are no files any more. The knobs go with their parent.
 *
 * Context: may sleep.
 */
void fisc_reclaim_exit(void)
{
	unregister_oom_notifier(&fisc_oom_block);
	shrinker_free(fisc_shrinker);
	kthread_stop(fisc_reclaimer);
	vfree(fisc_reclaim_batch);
}
