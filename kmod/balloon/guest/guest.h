/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_GUEST_H
#define _FISC_BALLOON_GUEST_GUEST_H

#include <linux/atomic.h>
#include <linux/balloon_compaction.h>
#include <linux/bits.h>
#include <linux/completion.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/page_reporting.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/virtio.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "uapi/fisc_balloon.h"

/**
 * DOC: The guest's end of the balloon
 *
 * A balloon is memory that the guest's own allocator gave to this driver, so
 * that the guest decides what it can do without (Waldspurger, OSDI 2002,
 * section 3). The device says how large the balloon should be (num_pages), is
 * told which pages are in it, and may use their memory until it is told that
 * they are out again. A fisc device offers FISC_BALLOON_F_PAIRED and is told
 * pages in ranges (see uapi/fisc_balloon.h). Other balloon devices are left to
 * the kernel's driver, unless the parameter any_device is set.
 *
 * The balloon holds single pages (*small*), which compaction can move on, and
 * blocks of 2 MiB (*large*), which the host can give to another VM as they are.
 * Large pages are only taken where the allocator has them free; nothing is
 * reclaimed or moved for them. To give back fewer pages than that, a large page
 * is split into 512 small ones; the host need not know.
 *
 * Growth (pace.c): free large pages are taken at once. Small pages, for which
 * something may have to be reclaimed, are limited by a bucket filled at *rate*
 * pages per second. Every second, the rate is halved if the guest reclaims hard
 * (pressure.c), in which case no large pages are taken either. Otherwise it is
 * reset if no small pages were taken, or doubled if at least half of it was
 * used. The balloon stops growing where the guest would be left with less than
 * the floor, or with next to nothing that could be reclaimed. It shrinks at
 * once. Allocations of this driver never lead to an OOM kill; if one is about
 * to happen, pages are given back, if the device permits that.
 *
 * A host that does not answer (queue.c): a device may stop serving its queues,
 * and VMMs do not pass on that it needs a reset. So nobody waits for it longer
 * than *answer_s* seconds, or FISC_GUEST_LAST_ANSWER once the driver is
 * leaving, or after the waiting task was killed. The driver then gives the
 * device up: it resets the device, as what is in a queue might be read late,
 * and only after that do the pages go where they would have gone. A device that
 * was given up is started again (recover.c) after a pause, which becomes longer
 * each time until the device has answered.
 *
 * Only this driver's own threads wait for the host, and who unloads or suspends
 * it. A task about to be killed for lack of memory has g->oom_work give pages
 * back, and waits for that for a moment only. Compaction notes which pages it
 * has moved, and the device is told later.
 *
 * Invariants:
 *
 * - A page in the balloon is in g->large or g->dev_info.pages (or isolated by
 *   compaction), holds a reference of this driver, is PageOffline(), and has
 *   been told to the device, or will be before anything else is (g->moves).
 * - No page is freed before the device has acknowledged that it is out, or has
 *   been reset.
 * - A holder of g->lock never allocates memory: g->oom_work may be waiting for
 *   the lock.
 *
 * Locks: g->lock protects the balloon's content; its holders keep it until the
 * device has answered or was given up. dev_info.pages_lock, inside g->lock or
 * alone, protects the list of small pages from compaction. g->lost_lock, inside
 * g->lock or alone, is held while a device is given up. g->stop_lock, which
 * interrupts take, protects g->stop and g->removed: work is queued under it.
 * Only g->work uses the fields of the pace, except where noted.
 *
 * Lifetimes: struct fisc_guest lives from probe to remove; its queues live from
 * fisc_guest_up() to fisc_guest_down(), which leaves the balloon empty. These
 * two also run around a suspend, and to recover a device that needs a reset.
 */

/* Pages of a large page. */
#define FISC_GUEST_LARGE_PAGES	BIT(FISC_BALLOON_MAX_ORDER)

/* Pages told, or allocated and not yet told, at a time. */
#define FISC_GUEST_BATCH	4096

/* Entries of a buffer: the standard's drivers never send more than 256. */
#define FISC_GUEST_PFNS		256
#define FISC_GUEST_RANGES	512

/* Pages that compaction can move until the device is told. */
#define FISC_GUEST_MOVES	256

/* Pause before a device is started again; doubles, up to the second. */
#define FISC_GUEST_RECOVER	(5UL * HZ)
#define FISC_GUEST_RECOVER_MAX	(600UL * HZ)

/* Statistics sent to a paired device: the standard's and fisc's. */
#define FISC_GUEST_STATS	(VIRTIO_BALLOON_S_NR + 7)

/**
 * struct fisc_guest_pressure - memory pressure in the guest
 * @psi_some: part of the last ten seconds with some task stalled, in 1/100 %
 * @psi_full: the same for all tasks at once
 * @stall_us: total time that some task was stalled, since boot, in us
 * @refaults: pages read again soon after they were reclaimed, since boot
 * @swapouts: pages swapped out, since boot
 * @psi: the first three are valid
 */
struct fisc_guest_pressure {
	unsigned int psi_some;
	unsigned int psi_full;
	u64 stall_us;
	unsigned long refaults;
	unsigned long swapouts;
	bool psi;
};

/**
 * struct fisc_guest_pace - how fast the balloon grows
 * @rate: small pages per second
 * @credit: small pages that may be taken now
 * @credited: when @credit was filled, in jiffies
 * @spent: small pages taken since @looked
 * @looked: when the pressure was measured, in jiffies
 * @last: the pressure measured then
 * @pressed: the pressure was high
 * @starved: no pages were available
 * @oomed: fisc_guest_oom() gave pages back; any context
 * @oom_end: the balloon does not grow until then if @oomed, in jiffies; any
 *	context
 * @shortfall: FISC_BALLOON_SHORT_*; read in any context
 */
struct fisc_guest_pace {
	unsigned long rate;
	unsigned long credit;
	unsigned long credited;
	unsigned long spent;
	unsigned long looked;
	struct fisc_guest_pressure last;
	bool pressed;
	bool starved;
	bool oomed;
	unsigned long oom_end;
	unsigned int shortfall;
};

/**
 * struct fisc_guest_retell - telling pages again to a device that lost them
 * @behind: looks in a row at which the device had fewer pages than the driver
 * @patience: value of @behind at which all pages are told again
 * @large: large pages still to be told
 * @small: small pages still to be told
 */
struct fisc_guest_retell {
	unsigned int behind;
	unsigned int patience;
	unsigned long large;
	unsigned long small;
};

/**
 * struct fisc_guest_move - a small page that compaction has moved
 * @from: the page that was in the balloon; holds a reference of this driver
 * @to: the page that is there instead
 */
struct fisc_guest_move {
	struct page *from;
	struct page *to;
};

/**
 * struct fisc_guest - a balloon device, and what is in the balloon
 * @vdev: the device
 * @inflate_vq: its queue for pages that go in
 * @deflate_vq: its queue for pages that come out
 * @stats_vq: its queue for statistics, or NULL
 * @reporting_vq: its queue for free pages, or NULL
 * @acked: wait queue for the device's answers
 * @wq: runs @work and @oom_work; makes progress when memory is short
 * @work: adjusts the balloon
 * @oom_work: gives pages back before an OOM kill
 * @stats_work: answers a request for statistics
 * @recover_work: starts a device again that was given up
 * @recover_delay: pause before that, in jiffies
 * @stop_lock: see above
 * @stop: no work but @recover_work may be queued; read in any context
 * @removed: @recover_work may not be queued either
 * @up: the queues exist
 * @lost_lock: see above
 * @lost: the device was given up, and reset; written under @lost_lock
 * @lock: see above; protects the fields from here to @ranges
 * @dev_info: the small pages
 * @large: the large pages, by the list head of their first page
 * @nr_small: number of small pages, isolated ones included; read without the
 *	lock
 * @nr_large: number of large pages; read without the lock
 * @nr_moves: number of @moves
 * @moves: moves of which the device has not been told
 * @nr_entries: entries in the buffer
 * @pfns: the buffer, in the standard's format
 * @ranges: the buffer, in the paired format
 * @fragmented: no large pages were available; @work only
 * @pace: how fast the balloon grows
 * @retell: telling pages again; @work only
 * @stats: the buffer for statistics; @stats_work only
 * @oom_nb: in the chain called before an OOM kill
 * @oom_done: @oom_work has run
 * @oom_given: pages that @oom_work has given back since fisc_guest_oom() looked
 * @reporting: reports free pages
 * @reports: @reporting is registered
 */
struct fisc_guest {
	struct virtio_device *vdev;
	struct virtqueue *inflate_vq;
	struct virtqueue *deflate_vq;
	struct virtqueue *stats_vq;
	struct virtqueue *reporting_vq;
	wait_queue_head_t acked;

	struct workqueue_struct *wq;
	struct delayed_work work;
	struct work_struct oom_work;
	struct work_struct stats_work;
	struct delayed_work recover_work;
	unsigned long recover_delay;
	spinlock_t stop_lock;	/* see above */
	bool stop;
	bool removed;
	bool up;
	struct mutex lost_lock;	/* see above */
	bool lost;

	struct mutex lock;	/* see above */
	struct balloon_dev_info dev_info;
	struct list_head large;
	unsigned long nr_small;
	unsigned long nr_large;
	unsigned int nr_moves;
	struct fisc_guest_move moves[FISC_GUEST_MOVES];
	unsigned int nr_entries;
	union {
		__virtio32 pfns[FISC_GUEST_PFNS];
		__le64 ranges[FISC_GUEST_RANGES];
	};

	bool fragmented;
	struct fisc_guest_pace pace;
	struct fisc_guest_retell retell;

	struct virtio_balloon_stat stats[FISC_GUEST_STATS];
	struct notifier_block oom_nb;
	struct completion oom_done;
	atomic_long_t oom_given;
	struct page_reporting_dev_info reporting;
	bool reports;
};

/**
 * fisc_guest_has() - test whether device and driver have agreed on a feature
 * @g: the balloon
 * @bit: the feature
 *
 * Context: any.
 * Return: true if they have.
 */
static inline bool fisc_guest_has(const struct fisc_guest *g, unsigned int bit)
{
	return virtio_has_feature(g->vdev, bit);
}

/**
 * fisc_guest_needs_reset() - test whether the device needs a reset
 * @g: the balloon
 *
 * Context: any.
 * Return: true if it says so, was given up, or is gone.
 */
static inline bool fisc_guest_needs_reset(const struct fisc_guest *g)
{
	return READ_ONCE(g->lost) || g->vdev->config->get_status(g->vdev) &
				     VIRTIO_CONFIG_S_NEEDS_RESET;
}

#endif /* _FISC_BALLOON_GUEST_GUEST_H */
