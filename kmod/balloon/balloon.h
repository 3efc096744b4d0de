/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_BALLOON_H
#define _FISC_BALLOON_BALLOON_H

#include <linux/list.h>
#include <linux/types.h>

struct fisc_vm;
struct mm_struct;

/**
 * DOC: Balloons
 *
 * A balloon is a driver in the guest that allocates as much of the guest's
 * memory as the host tells it to, and reports the pages to the host, which may
 * then use them. So the guest itself decides what it can do without. (C.
 * Waldspurger, Memory Resource Management in VMware ESX Server, OSDI 2002,
 * section 3.2.)
 *
 * The *target* of a VM's balloon is chosen by the administrator or else follows
 * from the tax: it is what the balloon holds already plus what the VM has above
 * its target of memory (DOC: Targets), paged out or not, but at most *max*. The
 * balloon grows only while memory is short (from state "soft" on, DOC:
 * Reclaim), and shrinks whenever the target of memory rises. When nothing is
 * short, no VM is above its target, and no balloon holds anything.
 *
 * Which pages are in the balloon is recorded page by page, as bits beside the
 * frame map (struct fisc_chunk_balloon). Such a page is a hole. If it is
 * touched anyway (by a guest that was reset without its device, or that breaks
 * the protocol), it becomes a page of zeroes like any other hole, leaves the
 * balloon, and is counted as *popped*. Nothing that a guest says about a page
 * is trusted longer than that.
 *
 * Guests are reached through a *device* (balloon/device, a separate module). It
 * attaches itself to the VM whose memory it was given; a VM has at most one. A
 * device that a VMM has opened is *plugged*, with or without a VM. It is told
 * to look for its VM when memory of the VMM has been adopted or released, and
 * when another device has let go of its VM.
 *
 * Locks: fisc_balloon_mutex protects the settings, the list of plugged devices
 * and the VMs' pointers to them. It nests inside a device's lock; only a VM's
 * locks, the device's config_lock and that of its worker nest inside it. A
 * chunk's bits are set under the chunk's lock held for writing, and cleared by
 * atomic operations under that lock held at least for reading.
 */

/* Default max of a balloon, in percent of the VM's size. */
#define FISC_BALLOON_MAX_PERCENT	65

/**
 * enum fisc_balloon_stat - statistics that guests send
 *
 * @FISC_STAT_SWAP_IN: bytes swapped in
 * @FISC_STAT_SWAP_OUT: bytes swapped out
 * @FISC_STAT_MAJOR_FAULTS: major page faults
 * @FISC_STAT_MINOR_FAULTS: minor page faults
 * @FISC_STAT_FREE: free memory in bytes
 * @FISC_STAT_TOTAL: total memory in bytes
 * @FISC_STAT_AVAILABLE: available memory in bytes, as in /proc/meminfo
 * @FISC_STAT_DISK_CACHES: page cache in bytes
 * @FISC_STAT_HUGETLB_ALLOCATIONS: hugetlb pages allocated
 * @FISC_STAT_HUGETLB_FAILURES: failed allocations of hugetlb pages
 * @FISC_STAT_OOM_KILLS: OOM kills
 * @FISC_STAT_ALLOC_STALLS: allocations that stalled
 * @FISC_STAT_ASYNC_SCANNED: bytes scanned by kswapd
 * @FISC_STAT_DIRECT_SCANNED: bytes scanned by direct reclaim
 * @FISC_STAT_ASYNC_RECLAIMED: bytes reclaimed by kswapd
 * @FISC_STAT_DIRECT_RECLAIMED: bytes reclaimed by direct reclaim
 * @FISC_STAT_PSI_SOME: FISC_BALLOON_S_PSI_SOME
 * @FISC_STAT_PSI_FULL: FISC_BALLOON_S_PSI_FULL
 * @FISC_STAT_REFAULTS: FISC_BALLOON_S_REFAULTS
 * @FISC_STAT_SMALL: FISC_BALLOON_S_SMALL
 * @FISC_STAT_LARGE: FISC_BALLOON_S_LARGE
 * @FISC_STAT_FLOOR: FISC_BALLOON_S_FLOOR
 * @FISC_STAT_SHORT: FISC_BALLOON_S_SHORT
 * @FISC_NR_STATS: number of statistics
 *
 * Those of the standard, in its order, then those of uapi/fisc_balloon.h.
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
 * struct fisc_balloon_ops - operations of a device
 * @retarget: tell the guest that the target has changed
 * @ask: ask the guest for statistics after fisc_balloon_stats_period()
 * @look: find out soon which VM is the device's
 *
 * None may sleep.
 */
struct fisc_balloon_ops {
	void (*retarget)(void *device);
	void (*ask)(void *device);
	void (*look)(void *device);
};

/**
 * struct fisc_balloon_plug - a device that a VMM has opened
 * @node: in the list of plugged devices
 * @mm: memory of the VMM; compared only
 * @ops: operations of the device
 * @device: argument for @ops
 * @vm: the VM that it is attached to, or NULL
 */
struct fisc_balloon_plug {
	struct list_head node;
	const struct mm_struct *mm;
	const struct fisc_balloon_ops *ops;
	void *device;
	struct fisc_vm *vm;
};

/**
 * struct fisc_balloon - a VM's balloon
 * @target: chosen target in pages, or FISC_PAGES_FOLLOW
 * @max: chosen max in pages, or FISC_PAGES_FOLLOW
 * @wanted: target that the guest is told, in pages
 * @plug: the device, or NULL
 * @stats: latest value of each statistic, by enum fisc_balloon_stat
 * @said: bits of the statistics that the guest has sent
 */
struct fisc_balloon {
	u64 target;
	u64 max;
	u64 wanted;
	struct fisc_balloon_plug *plug;
	u64 stats[FISC_NR_STATS];
	unsigned long said;
};

/* Knob: how often guests are asked for statistics, in ms. */
extern unsigned int fisc_balloon_stats_ms;

int fisc_balloon_begin(struct fisc_vm *vm);
void fisc_balloon_end(struct fisc_vm *vm);
void fisc_balloon_follow(struct fisc_vm *vm);
int fisc_balloon_set_target(struct fisc_vm *vm, u64 pages);
u64 fisc_balloon_max(struct fisc_vm *vm);
int fisc_balloon_set_max(struct fisc_vm *vm, u64 pages);
void fisc_balloon_ask_all(void);
void fisc_balloon_look(const struct mm_struct *mm);

/* For devices */
int fisc_balloon_plug(struct fisc_balloon_plug *plug, struct mm_struct *mm);
void fisc_balloon_unplug(struct fisc_balloon_plug *plug);
int fisc_balloon_attach(struct fisc_vm *vm, struct fisc_balloon_plug *plug);
void fisc_balloon_detach(struct fisc_vm *vm);
void fisc_balloon_empty(struct fisc_vm *vm);
void fisc_balloon_empty_id(u64 id);
void fisc_balloon_forget_stats(struct fisc_vm *vm);
u64 fisc_balloon_actual(struct fisc_vm *vm);
void fisc_balloon_say(struct fisc_vm *vm, enum fisc_balloon_stat stat,
		      u64 value);
unsigned int fisc_balloon_stats_period(void);

#endif /* _FISC_BALLOON_BALLOON_H */
