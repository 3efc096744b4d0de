/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_GUEST_H
#define _FISC_BALLOON_GUEST_GUEST_H

#include <linux/balloon_compaction.h>
#include <linux/bits.h>
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
 * section 3). The device says how large it should be (num_pages), is told
 * which pages are in it, and has the use of their memory until it is told that
 * they are out again. It may be any virtio balloon device; with one that
 * offers FISC_BALLOON_F_PAIRED, pages are told in ranges (see
 * uapi/fisc_balloon.h).
 *
 * Pages are in the balloon one by one (*small*), so that compaction can move
 * them on, or in blocks of 2 MiB (*large*), which the host can give to
 * somebody else as they are. Large ones are only taken where the allocator has
 * them free; nothing is reclaimed or moved for them. When fewer pages are
 * wanted back than that, a large one becomes 512 small ones, of which the host
 * need not know.
 *
 * How fast it grows (pace.c): large ones that lie there free are taken at once.
 * For small ones, for which something may have to be reclaimed, a bucket is filled
 * at *rate* pages a second. Each second, the rate is doubled if it was made use of,
 * or halved if the guest reclaims hard (pressure.c); then no large ones are taken
 * either. The balloon stops growing where the guest
 * would be left with less than the floor, or with next to nothing that could
 * be reclaimed. It shrinks at once. Allocations of this driver never lead to
 * an OOM kill; if one is about to happen, pages are given back, if the device
 * permits that.
 *
 * Invariants:
 *
 * - A page that the balloon holds is in g->large or g->dev_info.pages (or
 *   isolated by compaction), has a reference of ours, is PageOffline(), and
 *   was told.
 * - No page is freed before the device has acknowledged that it is out, unless
 *   the device is broken; then it is reset before it is used again.
 * - Nobody who holds g->lock allocates memory: someone in need of memory may be
 *   waiting for it (fisc_guest_oom()), or be us (fisc_guest_migrate()).
 *
 * Locks: g->lock is taken by those who change what is in the balloon, for as
 * long as it takes the device to answer. dev_info.pages_lock, within it or
 * alone, protects the list of small pages from compaction. g->stop_lock, which
 * interrupts take, protects g->stop and g->removed: work is queued under it.
 * What belongs to the pace is used by g->work only, if not said otherwise.
 *
 * Lifetimes: struct fisc_guest lives from probe to remove; its queues from
 * fisc_guest_up() to fisc_guest_down(), which leaves the balloon empty. That
 * happens, too, around a suspend, and to recover a device that needs a reset.
 */

#define FISC_GUEST_LARGE_PAGES	BIT(FISC_BALLOON_MAX_ORDER)

/* Pages told, or allocated and not yet told, at a time. */
#define FISC_GUEST_BATCH	4096

/* Entries of a buffer: the standard's drivers never send more than 256. */
#define FISC_GUEST_PFNS		256
#define FISC_GUEST_RANGES	512

#define FISC_GUEST_STATS	(VIRTIO_BALLOON_S_NR + 7)

/**
 * struct fisc_guest_pressure - how hard memory is to come by
 * @psi_some: part of the last ten seconds that a task was stalled, in 1/100 %
 * @psi_full: the same for all tasks at once
 * @stall_us: how long some task was stalled, since boot
 * @refaults: pages read again soon after they were reclaimed, since boot
 * @swapouts: pages swapped out, since boot
 * @psi: the kernel says the first three
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
 * @rate: small pages a second
 * @credit: small pages that may be taken now
 * @credited: when @credit was filled, in jiffies
 * @spent: small pages taken since @looked
 * @looked: when the pressure was looked at, in jiffies
 * @last: the pressure then
 * @pressed: it was high
 * @starved: there was nothing to be had
 * @oomed: fisc_guest_oom() gave pages back; any context
 * @oom_end: until when it does not grow for that, in jiffies; any context
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
 * struct fisc_guest_retell - telling a forgetful device once more
 * @behind: how often in a row it had fewer pages than we
 * @patience: how often that may be
 * @large: large ones still to be told
 * @small: small ones still to be told
 */
struct fisc_guest_retell {
	unsigned int behind;
	unsigned int patience;
	unsigned long large;
	unsigned long small;
};

/**
 * struct fisc_guest - a balloon device and what is in the balloon
 * @vdev: the device
 * @inflate_vq: its queue for pages that go in
 * @deflate_vq: its queue for pages that come out
 * @stats_vq: its queue for statistics, or NULL
 * @reporting_vq: its queue for free pages, or NULL
 * @acked: where we wait for it
 * @wq: where @work runs, able to go on when memory is short
 * @work: adjusts the balloon
 * @stats_work: answers a request for statistics
 * @recover_work: resets a device that needs it
 * @stop_lock: see above
 * @stop: no work but @recover_work is to be queued
 * @removed: nor is that
 * @up: there are queues
 * @lock: see above; protects all that follows up to @ranges
 * @dev_info: the small pages
 * @large: the large ones, by the list head of their first page
 * @nr_small: number of small ones, with those isolated; read without the lock
 * @nr_large: number of large ones; read without the lock
 * @nr_entries: entries in the buffer
 * @pfns: the buffer, as in the standard
 * @ranges: the buffer, paired
 * @fragmented: there were no large ones to be had; @work only
 * @pace: how fast it grows
 * @retell: telling pages again; @work only
 * @stats: the buffer for statistics; @stats_work only
 * @oom_nb: in the chain of those asked before an OOM kill
 * @reporting: tells free pages
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
	struct work_struct stats_work;
	struct delayed_work recover_work;
	spinlock_t stop_lock;	/* see above */
	bool stop;
	bool removed;
	bool up;

	struct mutex lock;	/* see above */
	struct balloon_dev_info dev_info;
	struct list_head large;
	unsigned long nr_small;
	unsigned long nr_large;
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
	struct page_reporting_dev_info reporting;
	bool reports;
};

static inline bool fisc_guest_has(const struct fisc_guest *g, unsigned int bit)
{
	return virtio_has_feature(g->vdev, bit);
}

static inline bool fisc_guest_needs_reset(const struct fisc_guest *g)
{
	return g->vdev->config->get_status(g->vdev) &
	       VIRTIO_CONFIG_S_NEEDS_RESET;
}

#endif /* _FISC_BALLOON_GUEST_GUEST_H */
