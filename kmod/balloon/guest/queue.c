// SPDX-License-Identifier: GPL-2.0
/*
 * The device's queues, and how the device is told of pages. See guest.h.
 */
#include <linux/mm.h>
#include <linux/scatterlist.h>

#include "balloon/guest/param.h"
#include "balloon/guest/queue.h"

static struct fisc_guest_param answer_s = { 60, 1, 3600 };
module_param_cb(answer_s, &fisc_guest_param_ops, &answer_s, 0644);
MODULE_PARM_DESC(answer_s,
		 "seconds in which the host must answer, or the device is reset");

/* The same, at most, once the driver is leaving the device. */
#define FISC_GUEST_LAST_ANSWER	10U

enum fisc_guest_queue {
	FISC_GUEST_INFLATE,
	FISC_GUEST_DEFLATE,
	FISC_GUEST_STATISTICS,
	FISC_GUEST_HINT,
	FISC_GUEST_REPORTING,
	FISC_GUEST_QUEUES,
};

static void fisc_guest_acked(struct virtqueue *vq)
{
	struct fisc_guest *g = vq->vdev->priv;

	wake_up(&g->acked);
}

/**
 * fisc_guest_find_queues() - set up the device's queues
 * @g: the balloon
 * @stats_request: called when the device wants statistics
 *
 * Queues without a name get no number. The queue of free page hints is not
 * used, but a device that has it counts it.
 *
 * Context: may sleep.
 * Return: 0 or -errno from the transport.
 */
int fisc_guest_find_queues(struct fisc_guest *g, vq_callback_t *stats_request)
{
	struct virtqueue_info info[FISC_GUEST_QUEUES] = {};
	struct virtqueue *vqs[FISC_GUEST_QUEUES] = {};
	u64 offered = g->vdev->config->get_features(g->vdev);
	int err;

	info[FISC_GUEST_INFLATE].name = "inflate";
	info[FISC_GUEST_INFLATE].callback = fisc_guest_acked;
	info[FISC_GUEST_DEFLATE].name = "deflate";
	info[FISC_GUEST_DEFLATE].callback = fisc_guest_acked;
	if (fisc_guest_has(g, VIRTIO_BALLOON_F_STATS_VQ)) {
		info[FISC_GUEST_STATISTICS].name = "stats";
		info[FISC_GUEST_STATISTICS].callback = stats_request;
	}
	if (offered & BIT_ULL(VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		info[FISC_GUEST_HINT].name = "hint";
	if (fisc_guest_has(g, VIRTIO_BALLOON_F_REPORTING)) {
		info[FISC_GUEST_REPORTING].name = "reporting";
		info[FISC_GUEST_REPORTING].callback = fisc_guest_acked;
	}

	err = virtio_find_vqs(g->vdev, FISC_GUEST_QUEUES, vqs, info, NULL);
	if (err)
		return err;

	g->inflate_vq = vqs[FISC_GUEST_INFLATE];
	g->deflate_vq = vqs[FISC_GUEST_DEFLATE];
	g->stats_vq = vqs[FISC_GUEST_STATISTICS];
	g->reporting_vq = vqs[FISC_GUEST_REPORTING];

	return 0;
}

/**
 * fisc_guest_reset() - reset the device
 * @g: the balloon
 *
 * Context: may sleep.
 */
void fisc_guest_reset(struct fisc_guest *g)
{
	/* One that is gone reads as all ones, for ever. */
	if (g->vdev->config->get_status(g->vdev) != U8_MAX)
		virtio_reset_device(g->vdev);
}

/**
 * fisc_guest_give_up() - expect no more answers from the device, and reset it
 * @g: the balloon
 *
 * When this returns, the device reads no buffers and has forgotten all pages.
 *
 * Context: may sleep.
 */
void fisc_guest_give_up(struct fisc_guest *g)
{
	guard(mutex)(&g->lost_lock);
	if (g->lost)
		return;
	virtio_break_device(g->vdev);
	fisc_guest_reset(g);
	WRITE_ONCE(g->lost, true);
	wake_up_all(&g->acked);
}

/* Test whether the buffer came back, or never will. */
static bool fisc_guest_settled(struct virtqueue *vq)
{
	unsigned int len;

	return virtqueue_get_buf(vq, &len) || virtqueue_is_broken(vq);
}

/* Test whether a device that has not answered for so long may still do so. */
static bool fisc_guest_may_answer(struct fisc_guest *g, unsigned int seconds)
{
	unsigned int most = READ_ONCE(answer_s.value);

	if (fisc_guest_needs_reset(g))
		return false;
	if (READ_ONCE(g->stop))
		most = min(most, FISC_GUEST_LAST_ANSWER);
	if (seconds < most)
		return true;
	dev_warn_ratelimited(&g->vdev->dev,
			     "no answer from the host for %u s, resetting the device\n",
			     seconds);

	return false;
}

/*
 * Wait for the buffer in a queue, or give the device up. Seconds are counted
 * here because the clock may jump when the VM was stopped.
 */
static void fisc_guest_wait(struct fisc_guest *g, struct virtqueue *vq)
{
	unsigned int seconds = 0;
	long left;

	virtqueue_kick(vq);
	do {
		left = wait_event_killable_timeout(g->acked,
						   fisc_guest_settled(vq), HZ);
	} while (!left && fisc_guest_may_answer(g, ++seconds));

	if (left > 0 && !virtqueue_is_broken(vq))
		WRITE_ONCE(g->recover_delay, FISC_GUEST_RECOVER);
	else
		fisc_guest_give_up(g);
}

/**
 * fisc_guest_flush() - send the buffer's entries to the device
 * @g: the balloon
 * @vq: the queue
 *
 * Returns when the device has read them, or was given up.
 *
 * Context: may sleep; @g->lock held.
 */
void fisc_guest_flush(struct fisc_guest *g, struct virtqueue *vq)
{
	struct scatterlist sg;
	size_t entry = sizeof(g->pfns[0]);

	lockdep_assert_held(&g->lock);

	if (!g->nr_entries)
		return;

	if (fisc_guest_has(g, FISC_BALLOON_F_PAIRED))
		entry = sizeof(g->ranges[0]);
	sg_init_one(&sg, g->pfns, g->nr_entries * entry);
	g->nr_entries = 0;
	/* The queue is empty, so this fails only if the queue is broken. */
	if (virtqueue_add_outbuf(vq, &sg, 1, g, GFP_NOWAIT))
		fisc_guest_give_up(g);
	else
		fisc_guest_wait(g, vq);
}

/**
 * fisc_guest_tell() - tell the device of pages
 * @g: the balloon
 * @vq: the queue
 * @page: the first page
 * @order: order of the number of pages
 *
 * Only adds the pages to a buffer. It is sent by fisc_guest_flush(), or when
 * another entry does not fit.
 *
 * Context: may sleep if the buffer is full; @g->lock held.
 */
void fisc_guest_tell(struct fisc_guest *g, struct virtqueue *vq,
		     struct page *page, unsigned int order)
{
	unsigned long pfn = page_to_pfn(page), end = pfn + (1UL << order);

	BUILD_BUG_ON(PAGE_SHIFT != VIRTIO_BALLOON_PFN_SHIFT);

	if (fisc_guest_has(g, FISC_BALLOON_F_PAIRED)) {
		if (g->nr_entries == FISC_GUEST_RANGES)
			fisc_guest_flush(g, vq);
		g->ranges[g->nr_entries++] =
			cpu_to_le64(FISC_BALLOON_RANGE((u64)pfn, order));
		return;
	}

	for (; pfn < end; pfn++) {
		if (g->nr_entries == FISC_GUEST_PFNS)
			fisc_guest_flush(g, vq);
		g->pfns[g->nr_entries++] = cpu_to_virtio32(g->vdev, pfn);
	}
}

static int fisc_guest_report(struct page_reporting_dev_info *info,
			     struct scatterlist *sg, unsigned int nents)
{
	struct fisc_guest *g = container_of(info, struct fisc_guest, reporting);
	int err;

	err = virtqueue_add_inbuf(g->reporting_vq, sg, nents, g,
				  GFP_NOWAIT | __GFP_NOWARN);
	if (err)
		return err;
	fisc_guest_wait(g, g->reporting_vq);

	return virtqueue_is_broken(g->reporting_vq) ? -EIO : 0;
}

/**
 * fisc_guest_start_reporting() - start to report free pages
 * @g: the balloon
 *
 * The kernel takes only one device for that. Without reporting, the balloon
 * still works.
 *
 * Context: may sleep.
 */
void fisc_guest_start_reporting(struct fisc_guest *g)
{
	int err;

	if (!g->reporting_vq || virtqueue_get_vring_size(g->reporting_vq) <
				PAGE_REPORTING_CAPACITY)
		return;

	g->reporting.report = fisc_guest_report;
	err = page_reporting_register(&g->reporting);
	g->reports = !err;
	if (err)
		dev_info(&g->vdev->dev, "no free page reporting: %pe\n",
			 ERR_PTR(err));
}

/**
 * fisc_guest_stop_reporting() - stop reporting free pages
 * @g: the balloon
 *
 * Context: may sleep.
 */
void fisc_guest_stop_reporting(struct fisc_guest *g)
{
	if (g->reports)
		page_reporting_unregister(&g->reporting);
	g->reports = false;
}
