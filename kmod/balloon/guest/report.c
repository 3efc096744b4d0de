// SPDX-License-Identifier: GPL-2.0
/*
 * Statistics for the device. See guest.h.
 */
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/vm_event_item.h>
#include <linux/vmstat.h>

#include "balloon/guest/pace.h"
#include "balloon/guest/pressure.h"
#include "balloon/guest/recover.h"
#include "balloon/guest/report.h"

static void fisc_guest_stat(struct fisc_guest *g, unsigned int *nr, u16 tag,
			    u64 value)
{
	if (WARN_ON_ONCE(*nr >= FISC_GUEST_STATS))
		return;
	g->stats[*nr].tag = cpu_to_virtio16(g->vdev, tag);
	g->stats[*nr].val = cpu_to_virtio64(g->vdev, value);
	++*nr;
}

static u64 fisc_guest_bytes(unsigned long pages)
{
	return (u64)pages << PAGE_SHIFT;
}

static void fisc_guest_event_stats(struct fisc_guest *g, unsigned int *nr)
{
	unsigned long events[NR_VM_EVENT_ITEMS] = {};
	unsigned long stalls = 0;
	unsigned int zone;

	all_vm_events(events);
	for (zone = 0; zone < MAX_NR_ZONES; zone++)
		stalls += events[ALLOCSTALL_NORMAL - ZONE_NORMAL + zone];

	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_SWAP_IN,
			fisc_guest_bytes(events[PSWPIN]));
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_SWAP_OUT,
			fisc_guest_bytes(events[PSWPOUT]));
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_MAJFLT, events[PGMAJFAULT]);
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_MINFLT, events[PGFAULT]);
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_OOM_KILL, events[OOM_KILL]);
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_ALLOC_STALL, stalls);
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_ASYNC_SCAN,
			fisc_guest_bytes(events[PGSCAN_KSWAPD]));
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_DIRECT_SCAN,
			fisc_guest_bytes(events[PGSCAN_DIRECT]));
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_ASYNC_RECLAIM,
			fisc_guest_bytes(events[PGSTEAL_KSWAPD]));
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_DIRECT_RECLAIM,
			fisc_guest_bytes(events[PGSTEAL_DIRECT]));
#ifdef CONFIG_HUGETLB_PAGE
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_HTLB_PGALLOC,
			events[HTLB_BUDDY_PGALLOC]);
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_HTLB_PGFAIL,
			events[HTLB_BUDDY_PGALLOC_FAIL]);
#endif
}

static void fisc_guest_memory_stats(struct fisc_guest *g, unsigned int *nr)
{
	unsigned long caches = global_node_page_state(NR_FILE_PAGES);
	struct sysinfo info;

	si_meminfo(&info);
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_MEMFREE,
			fisc_guest_bytes(info.freeram));
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_MEMTOT,
			fisc_guest_bytes(info.totalram));
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_AVAIL,
			fisc_guest_bytes(si_mem_available()));
	fisc_guest_stat(g, nr, VIRTIO_BALLOON_S_CACHES,
			fisc_guest_bytes(caches));
}

static void fisc_guest_paired_stats(struct fisc_guest *g, unsigned int *nr)
{
	struct fisc_guest_pressure now;

	fisc_guest_pressure(&now);
	if (now.psi) {
		fisc_guest_stat(g, nr, FISC_BALLOON_S_PSI_SOME, now.psi_some);
		fisc_guest_stat(g, nr, FISC_BALLOON_S_PSI_FULL, now.psi_full);
	}
	fisc_guest_stat(g, nr, FISC_BALLOON_S_REFAULTS, now.refaults);
	fisc_guest_stat(g, nr, FISC_BALLOON_S_SMALL, READ_ONCE(g->nr_small));
	fisc_guest_stat(g, nr, FISC_BALLOON_S_LARGE, READ_ONCE(g->nr_large));
	fisc_guest_stat(g, nr, FISC_BALLOON_S_FLOOR,
			fisc_guest_bytes(fisc_guest_floor(g)));
	fisc_guest_stat(g, nr, FISC_BALLOON_S_SHORT,
			READ_ONCE(g->pace.shortfall));
}

/*
 * Give the device a buffer; it returns the buffer when it wants new statistics.
 */
static void fisc_guest_send_stats(struct fisc_guest *g)
{
	struct scatterlist sg;
	unsigned int nr = 0;

	fisc_guest_event_stats(g, &nr);
	fisc_guest_memory_stats(g, &nr);
	if (fisc_guest_has(g, FISC_BALLOON_F_PAIRED))
		fisc_guest_paired_stats(g, &nr);

	sg_init_one(&sg, g->stats, nr * sizeof(g->stats[0]));
	if (!virtqueue_add_outbuf(g->stats_vq, &sg, 1, g, GFP_KERNEL))
		virtqueue_kick(g->stats_vq);
}

/**
 * fisc_guest_stats_start() - send the first statistics
 * @g: the balloon, with the device ready and no work queued
 *
 * Context: may sleep.
 */
void fisc_guest_stats_start(struct fisc_guest *g)
{
	if (g->stats_vq)
		fisc_guest_send_stats(g);
}

/**
 * fisc_guest_stats_request() - handle the device's request for statistics
 * @vq: the queue
 *
 * Context: interrupt.
 */
void fisc_guest_stats_request(struct virtqueue *vq)
{
	struct fisc_guest *g = vq->vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&g->stop_lock, flags);
	if (!g->stop)
		queue_work(system_freezable_wq, &g->stats_work);
	spin_unlock_irqrestore(&g->stop_lock, flags);
}

/**
 * fisc_guest_stats_work() - answer a request for statistics
 * @work: fisc_guest.stats_work
 *
 * Context: may sleep.
 */
void fisc_guest_stats_work(struct work_struct *work)
{
	struct fisc_guest *g = container_of(work, struct fisc_guest,
					    stats_work);
	unsigned int len;

	if (virtqueue_get_buf(g->stats_vq, &len))
		fisc_guest_send_stats(g);
}
