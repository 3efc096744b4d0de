/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_BALLOON_H
#define _FISC_BALLOON_BALLOON_H

#include <linux/types.h>

struct fisc_vm;

/**
 * DOC: Balloons
 *
 * A balloon is a driver in the guest that allocates memory there, as much as the
 * host tells it to, and says which: it is free for the host then. So the guest
 * itself decides what it can do without. (C. Waldspurger, Memory Resource
 * Management in VMware ESX Server, OSDI 2002, section 3.2.)
 *
 * What a VM's balloon is to hold, its *target*, is chosen by the administrator
 * or, unless it is, follows from the tax: what the VM has in the balloon, and
 * what it has above its target of memory (DOC: Targets), paged out or not, but no
 * more than *max*. It grows only while memory is short (from state "soft" on, DOC: Reclaim),
 * and shrinks whenever the target of memory rises. When nothing is short, no VM is
 * above its target, and no balloon holds anything.
 *
 * Which pages are in the balloon is known page by page, as bits beside the
 * frame map (struct fisc_chunk_balloon). Such a page is a hole. When somebody
 * touches it all the same (a guest that was reset without the device, or does not
 * keep to its word), it becomes a page of zeroes like any other hole, leaves
 * the balloon, and is counted as *popped*. Nothing that a guest says about a
 * page is believed longer than that.
 *
 * Guests are reached by a *device* (balloon/device, a module of its own). It
 * attaches itself to the VM whose memory it was given; a VM has one at most.
 *
 * Locks: fisc_balloon_mutex protects what is chosen, and which device there is. It
 * is taken within a device's lock, and nothing but a VM's locks within it. A
 * chunk's bits are set under its lock held for writing, and cleared under it held
 * for reading at least, by atomic operations.
 */

#define FISC_BALLOON_MAX_PERCENT	65

/**
 * enum fisc_balloon_stat - what guests say of themselves
 *
 * Those of the standard, in its order, and those of uapi/fisc_balloon.h.
 */
enum fisc_balloon_stat {
	FISC_STAT_SWAP_IN,
	FISC_STAT_SWAP_OUT,
	FISC_STAT_MAJOR_FAULTS,
	FISC_STAT_MINOR_FAULTS,
	FISC_STAT_FREE,
	FISC_STAT_TOTAL,
	FISC_STAT_AVAILABLE,
	FISC_STAT_DISK_CACHES,
	FISC_STAT_HUGETLB_ALLOCATIONS,
	FISC_STAT_HUGETLB_FAILURES,
	FISC_STAT_OOM_KILLS,
	FISC_STAT_ALLOC_STALLS,
	FISC_STAT_ASYNC_SCANNED,
	FISC_STAT_DIRECT_SCANNED,
	FISC_STAT_ASYNC_RECLAIMED,
	FISC_STAT_DIRECT_RECLAIMED,
	FISC_STAT_PSI_SOME,
	FISC_STAT_PSI_FULL,
	FISC_STAT_REFAULTS,
	FISC_STAT_SMALL,
	FISC_STAT_LARGE,
	FISC_STAT_FLOOR,
	FISC_STAT_SHORT,
	FISC_NR_STATS,
};

/**
 * struct fisc_balloon_ops - what a device can be asked to do
 * @retarget: tell the guest of the new target
 * @ask: ask the guest for statistics after fisc_balloon_stats_period()
 *
 * Neither sleeps.
 */
struct fisc_balloon_ops {
	void (*retarget)(void *device);
	void (*ask)(void *device);
};

/**
 * struct fisc_balloon - a VM's balloon
 * @target: pages chosen, or FISC_PAGES_FOLLOW
 * @max: most pages, chosen, or FISC_PAGES_FOLLOW
 * @wanted: pages that the guest is told of
 * @ops: how the device is told
 * @device: the device, or NULL
 * @stats: what the guest said last, by enum fisc_balloon_stat
 * @said: which of them it said at all
 */
struct fisc_balloon {
	u64 target;
	u64 max;
	u64 wanted;
	const struct fisc_balloon_ops *ops;
	void *device;
	u64 stats[FISC_NR_STATS];
	unsigned long said;
};

extern unsigned int fisc_balloon_stats_ms;

int fisc_balloon_begin(struct fisc_vm *vm);
void fisc_balloon_end(struct fisc_vm *vm);
void fisc_balloon_follow(struct fisc_vm *vm);
int fisc_balloon_set_target(struct fisc_vm *vm, u64 pages);
u64 fisc_balloon_max(struct fisc_vm *vm);
int fisc_balloon_set_max(struct fisc_vm *vm, u64 pages);
void fisc_balloon_ask_all(void);

/* For devices. */
int fisc_balloon_attach(struct fisc_vm *vm, const struct fisc_balloon_ops *ops,
			void *device);
void fisc_balloon_detach(struct fisc_vm *vm);
void fisc_balloon_empty(struct fisc_vm *vm);
u64 fisc_balloon_actual(struct fisc_vm *vm);
void fisc_balloon_say(struct fisc_vm *vm, enum fisc_balloon_stat stat,
		      u64 value);
unsigned int fisc_balloon_stats_period(void);

#endif /* _FISC_BALLOON_BALLOON_H */
