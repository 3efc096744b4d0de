// SPDX-License-Identifier: GPL-2.0
/*
 * The device side of a virtqueue. See DOC: The device side of a split virtqueue
 * in ring.h.
 */
#include <uapi/linux/virtio_ring.h>

#include "balloon/device/memory.h"
#include "balloon/device/ring.h"

/**
 * fisc_ring_reset() - restore the state that a new driver expects
 * @ring: the ring
 *
 * Context: any; the device's lock held.
 */
void fisc_ring_reset(struct fisc_ring *ring)
{
	*ring = (struct fisc_ring) { .num = FISC_RING_MAX };
}

static int fisc_ring_read16(struct fisc_memory *memory, u64 addr, u16 *value)
{
	__le16 raw;
	int err;

	err = fisc_memory_read(memory, addr, &raw, sizeof(raw));
	*value = le16_to_cpu(raw);

	return err;
}

static u64 fisc_ring_avail_entry(const struct fisc_ring *ring, u16 i)
{
	return ring->avail + offsetof(struct vring_avail, ring) +
	       (i & (ring->num - 1)) * sizeof(__le16);
}

static u64 fisc_ring_used_entry(const struct fisc_ring *ring, u16 i)
{
	return ring->used + offsetof(struct vring_used, ring) +
	       (i & (ring->num - 1)) * sizeof(struct vring_used_elem);
}

/*
 * Add descriptor @i to the buffer. @next: the descriptor that follows, or -1.
 */
static enum fisc_ring_error fisc_ring_add(struct fisc_ring *ring,
					  struct fisc_memory *memory, u16 i,
					  bool writable,
					  struct fisc_ring_buffer *buffer,
					  int *next)
{
	struct vring_desc desc;
	u16 flags;
	u64 addr;
	u32 len;

	if (buffer->nr == ring->num)
		return FISC_RING_BAD_LOOP;
	if (fisc_memory_read(memory, ring->desc + i * sizeof(desc), &desc,
			     sizeof(desc)))
		return FISC_RING_BAD_RING;

	flags = le16_to_cpu((__force __le16)desc.flags);
	addr = le64_to_cpu((__force __le64)desc.addr);
	len = le32_to_cpu((__force __le32)desc.len);
	if (flags & VRING_DESC_F_INDIRECT)
		return FISC_RING_BAD_INDIRECT;
	if (!(flags & VRING_DESC_F_WRITE) == writable)
		return FISC_RING_BAD_DIRECTION;
	if (!len)
		return FISC_RING_BAD_LENGTH;
	if (addr + len - 1 < addr)
		return FISC_RING_BAD_ADDRESS;

	buffer->parts[buffer->nr].addr = addr;
	buffer->parts[buffer->nr].len = len;
	buffer->nr++;
	*next = -1;
	if (!(flags & VRING_DESC_F_NEXT))
		return FISC_RING_OK;
	*next = le16_to_cpu((__force __le16)desc.next);

	return *next < ring->num ? FISC_RING_OK : FISC_RING_BAD_NEXT;
}

/**
 * fisc_ring_next() - take the next available buffer
 * @ring: the ring, ready
 * @memory: the memory that it lies in
 * @writable: buffers of this queue must be device-writable, else
 *	device-readable
 * @buffer: the buffer; without parts if none is available
 *
 * Context: may sleep; the device's lock held.
 * Return: FISC_RING_OK, or what is wrong with the ring.
 */
enum fisc_ring_error fisc_ring_next(struct fisc_ring *ring,
				    struct fisc_memory *memory, bool writable,
				    struct fisc_ring_buffer *buffer)
{
	enum fisc_ring_error error;
	int next;
	u16 idx;

	buffer->nr = 0;
	if (fisc_ring_read16(memory,
			     ring->avail + offsetof(struct vring_avail, idx),
			     &idx))
		return FISC_RING_BAD_RING;
	if (idx == ring->last_avail)
		return FISC_RING_OK;
	if ((u16)(idx - ring->last_avail) > ring->num)
		return FISC_RING_BAD_AVAIL;
	/* The entry and the descriptors were written before the index. */
	smp_rmb();
	if (fisc_ring_read16(memory,
			     fisc_ring_avail_entry(ring, ring->last_avail),
			     &buffer->head))
		return FISC_RING_BAD_RING;
	if (buffer->head >= ring->num)
		return FISC_RING_BAD_HEAD;
	ring->last_avail++;

	next = buffer->head;
	do {
		error = fisc_ring_add(ring, memory, next, writable, buffer,
				      &next);
	} while (!error && next >= 0);

	return error;
}

/**
 * fisc_ring_use() - give a buffer back to the driver
 * @ring: the ring, ready
 * @memory: the memory that it lies in
 * @head: the buffer's first descriptor
 *
 * Context: may sleep; the device's lock held.
 * Return: FISC_RING_OK, or what is wrong with the ring.
 */
enum fisc_ring_error fisc_ring_use(struct fisc_ring *ring,
				   struct fisc_memory *memory, u16 head)
{
	const struct {
		__le32 id;
		__le32 len;
	} entry = { .id = cpu_to_le32(head) };
	__le16 idx;

	if (fisc_memory_write(memory,
			      fisc_ring_used_entry(ring, ring->last_used),
			      &entry, sizeof(entry)))
		return FISC_RING_BAD_RING;
	/*
	 * A driver that sees the index sees the entry and all writes before it.
	 */
	smp_wmb();
	idx = cpu_to_le16(ring->last_used + 1);
	if (fisc_memory_write(memory,
			      ring->used + offsetof(struct vring_used, idx),
			      &idx, sizeof(idx)))
		return FISC_RING_BAD_RING;
	ring->last_used++;

	return FISC_RING_OK;
}

/**
 * fisc_ring_signal() - tell the driver that buffers have been used
 * @ring: the ring
 * @memory: the memory that it lies in
 *
 * Context: may sleep; the device's lock held.
 */
void fisc_ring_signal(struct fisc_ring *ring, struct fisc_memory *memory)
{
	u16 flags;

	/*
	 * Either the driver sees the index, or we see that it wants a signal.
	 */
	smp_mb();
	if (fisc_ring_read16(memory,
			     ring->avail + offsetof(struct vring_avail, flags),
			     &flags) ||
	    flags & VRING_AVAIL_F_NO_INTERRUPT || !ring->cb.callback)
		return;
	ring->cb.callback(ring->cb.private);
}
