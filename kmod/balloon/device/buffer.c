// SPDX-License-Identifier: GPL-2.0
/*
 * Handling of the buffers that a balloon device is given. See DOC: The balloon
 * device in device.h.
 */
#include <linux/slab.h>
#include <linux/sort.h>

#include "balloon/balloon.h"
#include "balloon/device/bind.h"
#include "balloon/device/buffer.h"
#include "balloon/device/count.h"
#include "balloon/device/device.h"
#include "memory/balloon.h"
#include "memory/hole.h"
#include "memory/map.h"
#include "uapi/fisc_balloon.h"

/**
 * fisc_buffer_init() - initialize a device's current buffer, with none taken
 * @buffer: the buffer
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_buffer_init(struct fisc_buffer *buffer)
{
	buffer->queue = -1;
	buffer->data = kvmalloc(FISC_BALLOON_BUFFER_MAX, GFP_KERNEL);
	buffer->parts = kvmalloc(sizeof(*buffer->parts), GFP_KERNEL);

	return buffer->data && buffer->parts ? 0 : -ENOMEM;
}

/**
 * fisc_buffer_exit() - undo fisc_buffer_init()
 * @buffer: the buffer
 *
 * Context: may sleep.
 */
void fisc_buffer_exit(struct fisc_buffer *buffer)
{
	kvfree(buffer->parts);
	kvfree(buffer->data);
}

/* Read all of a device-readable buffer. */
static enum fisc_ring_error fisc_buffer_read(struct fisc_device *device)
{
	const struct fisc_ring_buffer *parts = device->buffer.parts;
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < parts->nr; i++) {
		u32 part = parts->parts[i].len;
		int err;

		if (part > FISC_BALLOON_BUFFER_MAX - len)
			return FISC_RING_BAD_LENGTH;
		err = fisc_memory_read(&device->memory, parts->parts[i].addr,
				       device->buffer.data + len, part);
		if (err)
			return err == -EAGAIN ? FISC_RING_AGAIN :
						FISC_RING_BAD_ADDRESS;
		len += part;
	}
	device->buffer.len = len;

	return FISC_RING_OK;
}

/* Deals with pages of a chunk. Return: 0, or -ENOMEM to be called again. */
typedef int (*fisc_buffer_fn)(struct fisc_region *region, pgoff_t first,
			      pgoff_t last);

static int fisc_buffer_deflate(struct fisc_region *region, pgoff_t first,
			       pgoff_t last)
{
	long nr = last - first + 1;

	fisc_device_count(FISC_DEVICE_ABSENT,
			  nr - fisc_region_deflate(region, first, last));

	return 0;
}

/* Reported as free: the content may be lost. */
static int fisc_buffer_free(struct fisc_region *region, pgoff_t first,
			    pgoff_t last)
{
	fisc_region_remove(region, first, last);
	fisc_device_count(FISC_DEVICE_REPORTED, last - first + 1);

	return 0;
}

/*
 * Call @fn for some of the pages that page numbers stand for. @done: number of
 * page numbers dealt with.
 */
static enum fisc_ring_error fisc_buffer_some(struct fisc_device *device,
					     u64 pfn, u64 nr, u64 *done,
					     fisc_buffer_fn fn)
{
	struct fisc_memory_range range;
	int err;

	*done = 0;
	err = fisc_memory_enter(&device->memory);
	if (err)
		return err == -EAGAIN ? FISC_RING_AGAIN : FISC_RING_BAD_RING;
	*done = fisc_memory_find(&device->memory, pfn, nr, &range);
	/* Other VMs' files, or those of a VM that has another device. */
	if (range.nr && range.region->vm != device->vm)
		range.nr = 0;
	if (range.nr)
		err = fn(range.region, range.first, range.first + range.nr - 1);
	fisc_memory_leave(&device->memory);
	if (err)
		*done = 0;
	else if (*done != range.nr)
		fisc_device_count(FISC_DEVICE_UNMAPPED, *done - range.nr);
	device->budget -= range.nr + 1;

	return *done ? FISC_RING_OK : FISC_RING_AGAIN;
}

/*
 * Find the page numbers that an entry of a buffer stands for. Return: the
 * number of entries that they stand in, at least 1.
 */
typedef size_t (*fisc_buffer_entry)(struct fisc_device *device, size_t entry,
				    size_t nr_entries, u64 *pfn, u64 *nr);

/* The standard's page numbers, sorted: neighbours are taken together. */
static size_t fisc_buffer_pfns(struct fisc_device *device, size_t entry,
			       size_t nr_entries, u64 *pfn, u64 *nr)
{
	const u32 *pfns = device->buffer.data;
	size_t i;

	for (i = entry + 1; i < nr_entries && pfns[i] == pfns[i - 1] + 1; i++)
		;
	*pfn = pfns[entry];
	*nr = i - entry;

	return *nr;
}

/* A range from a paired driver. */
static size_t fisc_buffer_range(struct fisc_device *device, size_t entry,
				size_t nr_entries, u64 *pfn, u64 *nr)
{
	u64 range = le64_to_cpu(((__le64 *)device->buffer.data)[entry]);
	unsigned int order = FISC_BALLOON_RANGE_ORDER(range);

	*pfn = FISC_BALLOON_RANGE_PFN(range);
	if (order > FISC_BALLOON_MAX_ORDER || *pfn & (BIT_ULL(order) - 1)) {
		fisc_device_count(FISC_DEVICE_MALFORMED, 1);
		*nr = 0;
	} else {
		*nr = BIT_ULL(order);
	}

	return 1;
}

/* Reported memory; only whole pages count. */
static size_t fisc_buffer_part(struct fisc_device *device, size_t entry,
			       size_t nr_entries, u64 *pfn, u64 *nr)
{
	const struct fisc_ring_part *part =
		&device->buffer.parts->parts[entry];
	u64 end = fisc_memory_end_pfn(part->addr + part->len - 1);

	*pfn = fisc_memory_first_pfn(part->addr);
	*nr = end - min(end, *pfn);

	return 1;
}

/* Call @fn for the pages of all entries, from where the last call ended. */
static enum fisc_ring_error fisc_buffer_each(struct fisc_device *device,
					     size_t nr_entries,
					     fisc_buffer_entry entry,
					     fisc_buffer_fn fn)
{
	struct fisc_buffer *buffer = &device->buffer;

	while (buffer->entry < nr_entries) {
		size_t taken;
		u64 pfn, nr;

		taken = entry(device, buffer->entry, nr_entries, &pfn, &nr);
		/* Entries that say nothing cost something, too. */
		device->budget--;
		while (buffer->done < nr) {
			enum fisc_ring_error error;
			u64 done;

			if (device->budget <= 0 || atomic_read(&device->resets))
				return FISC_RING_MORE;
			error = fisc_buffer_some(device, pfn + buffer->done,
						 nr - buffer->done, &done, fn);
			if (error)
				return error;
			buffer->done += done;
			cond_resched();
		}
		buffer->entry += taken;
		buffer->done = 0;
	}

	return FISC_RING_OK;
}

static int fisc_buffer_pfn_cmp(const void *a, const void *b)
{
	const u32 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void fisc_buffer_sort_pfns(struct fisc_buffer *buffer, size_t nr)
{
	u32 *pfns = buffer->data;
	size_t i;

	for (i = 0; i < nr; i++)
		pfns[i] = le32_to_cpu(((__le32 *)buffer->data)[i]);
	sort(pfns, nr, sizeof(*pfns), fisc_buffer_pfn_cmp, NULL);
}

/* Page numbers that enter or leave the balloon. */
static enum fisc_ring_error fisc_buffer_pages(struct fisc_device *device,
					      fisc_buffer_fn fn)
{
	bool paired = fisc_device_has(device, FISC_BALLOON_F_PAIRED);
	size_t size = paired ? sizeof(__le64) : sizeof(__le32);
	struct fisc_buffer *buffer = &device->buffer;

	if (!buffer->loaded) {
		enum fisc_ring_error error = fisc_buffer_read(device);

		if (error)
			return error;
		buffer->loaded = true;
		fisc_device_count(FISC_DEVICE_ENTRIES, buffer->len / size);
		if (!paired)
			fisc_buffer_sort_pfns(buffer, buffer->len / size);
	}

	return fisc_buffer_each(device, buffer->len / size,
				paired ? fisc_buffer_range : fisc_buffer_pfns,
				fn);
}

static enum fisc_ring_error fisc_buffer_report(struct fisc_device *device)
{
	/* The guest expects to find its poison value in free pages. */
	if (fisc_device_has(device, VIRTIO_BALLOON_F_PAGE_POISON) &&
	    READ_ONCE(device->poison))
		return FISC_RING_OK;

	return fisc_buffer_each(device, device->buffer.parts->nr,
				fisc_buffer_part, fisc_buffer_free);
}

static void fisc_buffer_say(struct fisc_device *device, u16 tag, u64 value)
{
	if (tag <= FISC_STAT_DIRECT_RECLAIMED)
		fisc_balloon_say(device->vm, tag, value);
	else if (tag >= FISC_BALLOON_S_PSI_SOME &&
		 tag <= FISC_BALLOON_S_SHORT &&
		 fisc_device_has(device, FISC_BALLOON_F_PAIRED))
		fisc_balloon_say(device->vm, FISC_STAT_PSI_SOME + tag -
				 FISC_BALLOON_S_PSI_SOME, value);
}

/**
 * fisc_buffer_return_stats() - return the statistics buffer that is being kept
 * @device: the device; it need not keep one
 *
 * Context: may sleep; the device's lock held.
 * Return: FISC_RING_OK, FISC_RING_AGAIN, or what is wrong with the ring.
 */
enum fisc_ring_error fisc_buffer_return_stats(struct fisc_device *device)
{
	enum fisc_ring_error error;

	if (device->stats_head < 0)
		return FISC_RING_OK;
	error = fisc_ring_use(&device->rings[FISC_QUEUE_STATS],
			      &device->memory, device->stats_head);
	if (error != FISC_RING_AGAIN)
		device->stats_head = -1;

	return error;
}

/*
 * Statistics: a tag of 16 bits and a value of 64 bits each, packed. The buffer
 * is kept until new statistics are wanted.
 */
static enum fisc_ring_error fisc_buffer_stats(struct fisc_device *device)
{
	const struct virtio_balloon_stat *stats = device->buffer.data;
	enum fisc_ring_error error;
	size_t i;

	error = fisc_buffer_read(device);
	if (error)
		return error;
	for (i = 0; device->vm && i < device->buffer.len / sizeof(*stats); i++)
		fisc_buffer_say(device,
				le16_to_cpu((__force __le16)stats[i].tag),
				le64_to_cpu((__force __le64)stats[i].val));
	error = fisc_buffer_return_stats(device);
	if (error)
		return error;
	device->stats_head = device->buffer.parts->head;
	fisc_device_ask_later(device);

	return FISC_RING_OK;
}

/**
 * fisc_buffer_take() - take a buffer from a queue, to be dealt with
 * @device: the device, which has none
 * @queue: the queue
 *
 * Context: may sleep; the device's lock held.
 * Return: FISC_RING_OK, with or without a buffer; FISC_RING_AGAIN; or what is
 * wrong with the ring.
 */
enum fisc_ring_error fisc_buffer_take(struct fisc_device *device,
				      unsigned int queue)
{
	struct fisc_buffer *buffer = &device->buffer;
	enum fisc_ring_error error;

	error = fisc_ring_next(&device->rings[queue], &device->memory,
			       queue >= FISC_QUEUE_REPORT, buffer->parts);
	if (error || !buffer->parts->nr)
		return error;
	WRITE_ONCE(buffer->queue, queue);
	buffer->loaded = false;
	buffer->entry = 0;
	buffer->done = 0;
	fisc_device_count(FISC_DEVICE_BUFFERS, 1);

	return FISC_RING_OK;
}

/**
 * fisc_buffer_handle() - deal with the buffer that was taken
 * @device: the device
 *
 * Context: may sleep; the device's lock held.
 * Return: FISC_RING_OK if it has been dealt with; FISC_RING_AGAIN or
 * FISC_RING_MORE if this is to be called again, later or soon; or what is wrong
 * with the ring.
 */
enum fisc_ring_error fisc_buffer_handle(struct fisc_device *device)
{
	enum fisc_ring_error error = FISC_RING_OK;
	unsigned int queue = device->buffer.queue;

	switch (queue) {
	case FISC_QUEUE_INFLATE:
		error = fisc_buffer_pages(device, fisc_region_inflate);
		break;
	case FISC_QUEUE_DEFLATE:
		error = fisc_buffer_pages(device, fisc_buffer_deflate);
		break;
	case FISC_QUEUE_STATS:
		error = fisc_buffer_stats(device);
		break;
	case FISC_QUEUE_REPORT:
	case FISC_QUEUE_REPORT_LATE:
		error = fisc_buffer_report(device);
		break;
	}
	if (!error && queue != FISC_QUEUE_STATS)
		error = fisc_ring_use(&device->rings[queue], &device->memory,
				      device->buffer.parts->head);
	if (!error)
		WRITE_ONCE(device->buffer.queue, -1);

	return error;
}
