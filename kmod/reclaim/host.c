// SPDX-License-Identifier: GPL-2.0
/*
 * Memory requests of the rest of the host. See DOC: Reclaim in reclaim.h.
 */
#include <linux/atomic.h>
#include <linux/minmax.h>
#include <linux/oom.h>
#include <linux/shrinker.h>
#include <linux/swap.h>
#include <linux/wait.h>

#include "base/state.h"
#include "reclaim/host.h"

/* How long the kernel waits for memory before it resorts to an OOM kill. */
#define FISC_OOM_WAIT		(HZ / 2)

static DECLARE_WAIT_QUEUE_HEAD(fisc_freed_wait);
static atomic_long_t fisc_freed;	/* pages freed so far */
static atomic_long_t fisc_asked;	/* pages requested and not yet freed */
static u64 fisc_available;		/* pages that could be freed */

static unsigned long fisc_shrink_count(struct shrinker *shrinker,
				       struct shrink_control *sc)
{
	return fisc_swap_room() > 0 ? READ_ONCE(fisc_available) : 0;
}

static unsigned long fisc_shrink_scan(struct shrinker *shrinker,
				      struct shrink_control *sc)
{
	if (atomic_long_read(&fisc_asked) < (long)READ_ONCE(fisc_available)) {
		atomic_long_add(sc->nr_to_scan, &fisc_asked);
		fisc_reclaim_poke();
	}

	/* The thread frees memory later, if at all. */
	return SHRINK_STOP;
}

static int fisc_oom_notify(struct notifier_block *block, unsigned long val,
			   void *freed)
{
	long before = atomic_long_read(&fisc_freed);

	if (!fisc_shrink_count(NULL, NULL))
		return NOTIFY_OK;
	atomic_long_add(SWAP_CLUSTER_MAX, &fisc_asked);
	fisc_reclaim_poke();
	wait_event_timeout(fisc_freed_wait,
			   atomic_long_read(&fisc_freed) != before,
			   FISC_OOM_WAIT);
	*(unsigned long *)freed += atomic_long_read(&fisc_freed) - before;

	return NOTIFY_OK;
}

static struct notifier_block fisc_oom_block = {
	.notifier_call = fisc_oom_notify,
};

static struct shrinker *fisc_shrinker;

/**
 * fisc_host_asked() - return how much the host has requested and not received
 *
 * Context: any.
 * Return: the number of pages.
 */
long fisc_host_asked(void)
{
	return atomic_long_read(&fisc_asked);
}

/**
 * fisc_host_forget() - drop the host's outstanding requests
 *
 * Context: the thread that reclaims.
 */
void fisc_host_forget(void)
{
	atomic_long_set(&fisc_asked, 0);
}

/**
 * fisc_host_freed() - account freed memory and wake those who wait for it
 * @pages: number of pages freed
 *
 * Context: any.
 */
void fisc_host_freed(u64 pages)
{
	long asked = atomic_long_read(&fisc_asked);

	if (!pages)
		return;
	atomic_long_add(pages, &fisc_freed);
	while (!atomic_long_try_cmpxchg(&fisc_asked, &asked,
					asked - min_t(long, asked, pages)))
		;
	wake_up_all(&fisc_freed_wait);
}

/**
 * fisc_host_set_available() - set how much the host may request
 * @pages: pages that VMs have above their targets; 0 if VMs may not be paged
 *
 * Context: the thread that reclaims.
 */
void fisc_host_set_available(u64 pages)
{
	WRITE_ONCE(fisc_available, pages);
}

/**
 * fisc_host_get_stats() - return what the host has requested
 * @stats: the result
 *
 * Context: any.
 */
void fisc_host_get_stats(struct fisc_host_stats *stats)
{
	stats->asked = atomic_long_read(&fisc_asked);
	stats->freed = atomic_long_read(&fisc_freed);
}

/**
 * fisc_host_init() - let the host request memory
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_host_init(void)
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
 * fisc_host_exit() - undo fisc_host_init()
 *
 * Context: may sleep.
 */
void fisc_host_exit(void)
{
	unregister_oom_notifier(&fisc_oom_block);
	shrinker_free(fisc_shrinker);
}
