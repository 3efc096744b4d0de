// SPDX-License-Identifier: GPL-2.0
/*
 * Handling of the buffers that a balloon device is given. See DOC: The balloon
 * device in device.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/sort.h>
#include <linux/slab.h>
#include <uapi/linux/virtio_config.h>

#include "balloon/balloon.h"
#include "balloon/device/count.h"
#include "balloon/device/device.h"
#include "memory/balloon.h"
#include "memory/hole.h"
#include "uapi/fisc_balloon.h"

static struct workqueue_struct *fisc_device_queue;

/* Tell the driver to read the configuration again. */
static void fisc_device_config_changed(struct fisc_device *device)
{
	spin_lock(&device->config_lock);
	if (device->config_cb.callback)
		device->config_cb.callback(device->config_cb.private);
	spin_unlock(&device->config_lock);
}

static void fisc_device_retarget(void *device)
{
	fisc_device_config_changed(device);
}

/* Ask the guest for statistics when the period has passed. */
static void fisc_device_ask_later(void *arg)
{
	struct fisc_device *device = arg;

	mod_delayed_work(fisc_device_queue, &device->ask,
			 msecs_to_jiffies(fisc_balloon_stats_period()));
}

static const struct fisc_balloon_ops fisc_device_balloon_ops = {
	.retarget = fisc_device_retarget,
	.ask = fisc_device_ask_later,
};

static bool fisc_device_has_queue(const struct fisc_device *device,
				  unsigned int queue)
{
	return device->status & VIRTIO_CONFIG_S_DRIVER_OK &&
	       !device->suspended && device->rings[queue].placed &&
	       device->rings[queue].ready;
}

static bool fisc_device_runs(const struct fisc_device *device,
			     unsigned int queue)
{
	return fisc_device_has_queue(device, queue) &&
	       !(device->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static bool fisc_device_has(const struct fisc_device *device, unsigned int f)
{
	return device->features & BIT_ULL(f);
}

/* Stop service after an error in a ring, until the device is reset. */
static void fisc_device_fail(struct fisc_device *device,
			     enum fisc_ring_error error)
{
	WRITE_ONCE(device->status,
		   device->status | VIRTIO_CONFIG_S_NEEDS_RESET);
	fisc_device_count_error(error);
	fisc_device_count(FISC_DEVICE_NEEDS_RESET, 1);
	dev_warn_ratelimited(&device->vdpa.dev,
			     "a ring is broken (%d); reset the guest's balloon driver, or check which driver it runs\n",
			     error);
	fisc_device_config_changed(device);
}

/* Read all of a device-readable buffer. @len: its length in bytes. */
static enum fisc_ring_error fisc_device_read(struct fisc_device *device,
					     size_t *len)
{
	const struct fisc_ring_buffer *parts = device->parts;
	unsigned int i;

	*len = 0;
	for (i = 0; i < parts->nr; i++) {
		u32 part = parts->parts[i].len;

		if (part > FISC_BALLOON_BUFFER_MAX - *len)
			return FISC_RING_BAD_LENGTH;
		if (fisc_memory_read(&device->memory, parts->parts[i].addr,
				     device->buffer + *len, part))
			return FISC_RING_BAD_ADDRESS;
		*len += part;
	}

	return FISC_RING_OK;
}

typedef void (*fisc_device_fn)(struct fisc_region *region, pgoff_t first,
			       pgoff_t last);

static void fisc_device_inflate(struct fisc_region *region, pgoff_t first,
				pgoff_t last)
{
	/*
	 * A page that cannot be recorded is not in the balloon; actual shows
	 * that.
	 */
	if (fisc_region_inflate(region, first, last))
		pr_warn_ratelimited("no memory to record pages in a balloon\n");
}

static void fisc_device_deflate(struct fisc_region *region, pgoff_t first,
				pgoff_t last)
{
	long nr = last - first + 1;

	fisc_device_count(FISC_DEVICE_ABSENT,
			  nr - fisc_region_deflate(region, first, last));
}

/* Call @fn for the pages that page numbers stand for. */
static void fisc_device_each(struct fisc_device *device, u64 pfn, u64 nr,
			     fisc_device_fn fn)
{
	struct fisc_memory_range range;

	while (nr && !atomic_read(&device->resets)) {
		u64 done = fisc_memory_find(&device->memory, pfn, nr, &range);

		if (range.nr)
			fn(range.region, range.first,
			   range.first + range.nr - 1);
		if (done != range.nr)
			fisc_device_count(FISC_DEVICE_UNMAPPED,
					  done - range.nr);
		pfn += done;
		nr -= done;
		cond_resched();
	}
}

static int fisc_device_pfn_cmp(const void *a, const void *b)
{
	const u32 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The standard's page numbers, most of which are neighbours. */
static void fisc_device_pfns(struct fisc_device *device, size_t nr,
			     fisc_device_fn fn)
{
	u32 *pfns = device->buffer;
	size_t i, k;

	for (i = 0; i < nr; i++)
		pfns[i] = le32_to_cpu(((__le32 *)device->buffer)[i]);
	sort(pfns, nr, sizeof(*pfns), fisc_device_pfn_cmp, NULL);
	for (i = 0; i < nr; i = k) {
		for (k = i + 1; k < nr && pfns[k] == pfns[k - 1] + 1; k++)
			;
		fisc_device_each(device, pfns[i], k - i, fn);
	}
}

/* Ranges from a paired driver. */
static void fisc_device_ranges(struct fisc_device *device, size_t nr,
			       fisc_device_fn fn)
{
	const __le64 *ranges = device->buffer;
	size_t i;

	for (i = 0; i < nr; i++) {
		u64 range = le64_to_cpu(ranges[i]);
		u64 pfn = FISC_BALLOON_RANGE_PFN(range);
		unsigned int order = FISC_BALLOON_RANGE_ORDER(range);

		if (order > FISC_BALLOON_MAX_ORDER ||
		    pfn & (BIT_ULL(order) - 1))
			fisc_device_count(FISC_DEVICE_MALFORMED, 1);
		else
			fisc_device_each(device, pfn, BIT_ULL(order), fn);
	}
}

static enum fisc_ring_error fisc_device_pages(struct fisc_device *device,
					      fisc_device_fn fn)
{
	bool paired = fisc_device_has(device, FISC_BALLOON_F_PAIRED);
	size_t size = paired ? sizeof(__le64) : sizeof(__le32);
	enum fisc_ring_error error;
	size_t len;

	error = fisc_device_read(device, &len);
	if (error)
		return error;
	fisc_device_count(FISC_DEVICE_ENTRIES, len / size);
	if (paired)
		fisc_device_ranges(device, len / size, fn);
	else
		fisc_device_pfns(device, len / size, fn);

	return FISC_RING_OK;
}

static void fisc_device_free(struct fisc_region *region, pgoff_t first,
			     pgoff_t last)
{
	fisc_region_remove(region, first, last);
	fisc_device_count(FISC_DEVICE_REPORTED, last - first + 1);
}

/* Reported free memory; only whole pages count. Their content may be lost. */
static void fisc_device_report(struct fisc_device *device)
{
	const struct fisc_ring_buffer *parts = device->parts;
	unsigned int i;

	/* The guest expects to find its poison value in free pages. */
	if (fisc_device_has(device, VIRTIO_BALLOON_F_PAGE_POISON) &&
	    READ_ONCE(device->poison))
		return;

	for (i = 0; i < parts->nr; i++) {
		u64 addr = parts->parts[i].addr;
		u64 first = fisc_memory_first_pfn(addr);
		u64 end = fisc_memory_end_pfn(addr + parts->parts[i].len - 1);

		if (first < end)
			fisc_device_each(device, first, end - first,
					 fisc_device_free);
	}
}

static void fisc_device_say(struct fisc_device *device, u16 tag, u64 value)
{
	if (tag <= FISC_STAT_DIRECT_RECLAIMED)
		fisc_balloon_say(device->vm, tag, value);
	else if (tag >= FISC_BALLOON_S_PSI_SOME &&
		 tag <= FISC_BALLOON_S_SHORT &&
		 fisc_device_has(device, FISC_BALLOON_F_PAIRED))
		fisc_balloon_say(device->vm, FISC_STAT_PSI_SOME + tag -
				 FISC_BALLOON_S_PSI_SOME, value);
}

/* Statistics: a tag of 16 bits and a value of 64 bits each, packed. */
static enum fisc_ring_error fisc_device_stats(struct fisc_device *device)
{
	const struct virtio_balloon_stat *stats = device->buffer;
	enum fisc_ring_error error;
	size_t len, i;

	error = fisc_device_read(device, &len);
	if (error)
		return error;
	for (i = 0; device->vm && i < len / sizeof(*stats); i++)
		fisc_device_say(device,
				le16_to_cpu((__force __le16)stats[i].tag),
				le64_to_cpu((__force __le64)stats[i].val));

	return FISC_RING_OK;
}

/* Return the statistics buffer, if the device keeps one. */
static enum fisc_ring_error fisc_device_return_stats(struct fisc_device *device)
{
	int head = device->stats_head;

	device->stats_head = -1;

	return head < 0 ? FISC_RING_OK :
			  fisc_ring_use(&device->rings[FISC_QUEUE_STATS],
					&device->memory, head);
}

/* Keep the statistics buffer until new statistics are wanted. */
static enum fisc_ring_error fisc_device_keep_stats(struct fisc_device *device)
{
	enum fisc_ring_error error = fisc_device_return_stats(device);

	device->stats_head = device->parts->head;
	fisc_device_ask_later(device);

	return error;
}

static enum fisc_ring_error fisc_device_handle(struct fisc_device *device,
					       unsigned int queue)
{
	enum fisc_ring_error error = FISC_RING_OK;

	switch (queue) {
	case FISC_QUEUE_INFLATE:
		error = fisc_device_pages(device, fisc_device_inflate);
		break;
	case FISC_QUEUE_DEFLATE:
		error = fisc_device_pages(device, fisc_device_deflate);
		break;
	case FISC_QUEUE_STATS:
		error = fisc_device_stats(device);
		return error ?: fisc_device_keep_stats(device);
	case FISC_QUEUE_REPORT:
	case FISC_QUEUE_REPORT_LATE:
		fisc_device_report(device);
		break;
	}

	return error ?: fisc_ring_use(&device->rings[queue], &device->memory,
				      device->parts->head);
}

/* Take a buffer from a queue. Return: true if there was one and all is well. */
static bool fisc_device_serve(struct fisc_device *device, unsigned int queue)
{
	enum fisc_ring_error error;

	guard(mutex)(&device->lock);
	if (!fisc_device_runs(device, queue))
		return false;

	error = fisc_ring_next(&device->rings[queue], &device->memory,
			       queue >= FISC_QUEUE_REPORT, device->parts);
	if (!error && !device->parts->nr)
		return false;
	if (!error) {
		fisc_device_count(FISC_DEVICE_BUFFERS, 1);
		error = fisc_device_handle(device, queue);
	}
	if (error)
		fisc_device_fail(device, error);

	return !error;
}

static void fisc_device_signal(struct fisc_device *device, unsigned int queue)
{
	guard(mutex)(&device->lock);
	if (fisc_device_has_queue(device, queue))
		fisc_ring_signal(&device->rings[queue], &device->memory);
}

static void fisc_device_work(struct work_struct *work)
{
	struct fisc_device *device = container_of(work, struct fisc_device,
						  work);
	unsigned int queue, n;

	for (queue = 0; queue < FISC_NR_QUEUES; queue++) {
		if (!test_and_clear_bit(queue, &device->kicked))
			continue;
		for (n = 0; n < FISC_DEVICE_BATCH; n++)
			if (!fisc_device_serve(device, queue))
				break;
		if (n)
			fisc_device_signal(device, queue);
		if (n == FISC_DEVICE_BATCH)
			set_bit(queue, &device->kicked);
	}
	if (READ_ONCE(device->kicked))
		queue_work(fisc_device_queue, &device->work);
}

/* Time for new statistics: give the buffer back. */
static void fisc_device_ask(struct work_struct *work)
{
	struct fisc_device *device = container_of(to_delayed_work(work),
						  struct fisc_device, ask);
	enum fisc_ring_error error;

	guard(mutex)(&device->lock);
	if (!fisc_device_runs(device, FISC_QUEUE_STATS) ||
	    device->stats_head < 0)
		return;
	error = fisc_device_return_stats(device);
	if (error)
		fisc_device_fail(device, error);
	else
		fisc_ring_signal(&device->rings[FISC_QUEUE_STATS],
				 &device->memory);
}

/**
 * fisc_device_kick() - note that a driver has made buffers available
 * @device: the device
 * @queue: the queue
 *
 * Context: any.
 */
void fisc_device_kick(struct fisc_device *device, unsigned int queue)
{
	set_bit(queue, &device->kicked);
	queue_work(fisc_device_queue, &device->work);
}

/**
 * fisc_device_kick_all() - look at all queues
 * @device: the device
 *
 * Context: any.
 */
void fisc_device_kick_all(struct fisc_device *device)
{
	unsigned int queue;

	for (queue = 0; queue < FISC_NR_QUEUES; queue++)
		fisc_device_kick(device, queue);
}

/* Restore the state that a new driver expects. Lock held. */
static void fisc_device_clear(struct fisc_device *device)
{
	unsigned int i;

	WRITE_ONCE(device->status, 0);
	device->features = 0;
	device->suspended = false;
	device->stats_head = -1;
	WRITE_ONCE(device->memory.loopback, false);
	WRITE_ONCE(device->poison, 0);
	for (i = 0; i < FISC_NR_QUEUES; i++)
		fisc_ring_reset(&device->rings[i]);
	/* The callback's owner may be gone before the next one comes. */
	spin_lock(&device->config_lock);
	device->config_cb.callback = NULL;
	spin_unlock(&device->config_lock);
	if (device->vm)
		fisc_balloon_empty(device->vm);
}

/**
 * fisc_device_reset() - end everything that the driver has begun
 * @device: the device
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_device_reset(struct fisc_device *device)
{
	atomic_inc(&device->resets);
	mutex_lock(&device->lock);
	fisc_device_clear(device);
	mutex_unlock(&device->lock);
	atomic_dec(&device->resets);
}

/**
 * fisc_device_bind() - bind a device to the VM whose file is being mapped
 * @device: the device
 * @vm: the VM
 *
 * Context: may sleep; @device->lock held.
 * Return: 0; -EBUSY if the device belongs to another VM, or the VM has another
 * device.
 */
int fisc_device_bind(struct fisc_device *device, struct fisc_vm *vm)
{
	int err;

	if (device->vm)
		return device->vm == vm ? 0 : -EBUSY;

	err = fisc_balloon_attach(vm, &fisc_device_balloon_ops, device);
	if (err)
		return err;
	spin_lock(&device->config_lock);
	device->vm = vm;
	spin_unlock(&device->config_lock);
	fisc_device_config_changed(device);

	return 0;
}

/**
 * fisc_device_unbind() - undo fisc_device_bind(), and empty the balloon
 * @device: the device
 *
 * Context: may sleep; @device->lock held.
 */
void fisc_device_unbind(struct fisc_device *device)
{
	struct fisc_vm *vm = device->vm;

	if (!vm)
		return;
	spin_lock(&device->config_lock);
	device->vm = NULL;
	spin_unlock(&device->config_lock);
	fisc_balloon_empty(vm);
	fisc_balloon_detach(vm);
}

/**
 * fisc_device_init() - initialize a new device
 * @device: the device, all zero except for vDPA's part
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_device_init(struct fisc_device *device)
{
	mutex_init(&device->lock);
	spin_lock_init(&device->config_lock);
	INIT_WORK(&device->work, fisc_device_work);
	INIT_DELAYED_WORK(&device->ask, fisc_device_ask);
	fisc_memory_init(&device->memory);
	fisc_device_reset(device);
	fisc_device_count(FISC_DEVICE_DEVICES, 1);
	device->buffer = kvmalloc(FISC_BALLOON_BUFFER_MAX, GFP_KERNEL);
	device->parts = kvmalloc(sizeof(*device->parts), GFP_KERNEL);

	return device->buffer && device->parts ? 0 : -ENOMEM;
}

/**
 * fisc_device_exit() - undo fisc_device_init()
 * @device: the device, no longer in use
 *
 * Context: may sleep; no lock held.
 */
void fisc_device_exit(struct fisc_device *device)
{
	fisc_device_reset(device);
	scoped_guard(mutex, &device->lock) {
		fisc_device_unbind(device);
		fisc_memory_exit(&device->memory);
	}
	cancel_work_sync(&device->work);
	cancel_delayed_work_sync(&device->ask);
	kvfree(device->parts);
	kvfree(device->buffer);
	fisc_device_count(FISC_DEVICE_DEVICES, -1);
}

/**
 * fisc_device_module_init() - set up what all devices share
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_device_module_init(void)
{
	/* The work frees memory, so it must not wait for any. */
	fisc_device_queue = alloc_workqueue("fisc_vdpa",
					    WQ_UNBOUND | WQ_FREEZABLE |
					    WQ_MEM_RECLAIM, 0);
	if (!fisc_device_queue)
		return -ENOMEM;
	fisc_device_debugfs_init();

	return 0;
}

/**
 * fisc_device_module_exit() - undo fisc_device_module_init()
 *
 * Context: may sleep; no device exists any more.
 */
void fisc_device_module_exit(void)
{
	fisc_device_debugfs_exit();
	destroy_workqueue(fisc_device_queue);
}
