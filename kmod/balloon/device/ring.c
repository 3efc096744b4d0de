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

/**
 * fisc_ring_untake() - have the buffer that was taken last taken again
 * @ring: the ring
 *
 * Context: any; the device's lock held.
 */
void fisc_ring_untake(struct fisc_ring *ring)
{
	ring->last_avail--;
}

static enum fisc_ring_error fisc_ring_error_of(int err)
{
	if (!err)
		return FISC_RING_OK;

	return err == -EAGAIN ? FISC_RING_AGAIN : FISC_RING_BAD_RING;
}

static enum fisc_ring_error fisc_ring_read(struct fisc_memory *memory, u64 addr,
					   void *buf, size_t len)
{
	return fisc_ring_error_of(fisc_memory_read(memory, addr, buf, len));
}

static enum fisc_ring_error fisc_ring_write(struct fisc_memory *memory,
					    u64 addr, const void *buf,
					    size_t len)
{
	return fisc_ring_error_of(fisc_memory_write(memory, addr, buf, len));
}

static enum fisc_ring_error fisc_ring_read16(struct fisc_memory *memory,
					     u64 addr, u16 *value)
{
	enum fisc_ring_error error;
	__le16 raw = 0;

	error = fisc_ring_read(memory, addr, &raw, sizeof(raw));
	*value = le16_to_cpu(raw);

	return error;
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
	enum fisc_ring_error error;
	struct vring_desc desc;
	u16 flags;
	u64 addr;
	u32 len;

	if (buffer->nr == ring->num)
		return FISC_RING_BAD_LOOP;
	error = fisc_ring_read(memory, ring->desc + i * sizeof(desc), &desc,
			       sizeof(desc));
	if (error)
		return error;

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
 * Return: FISC_RING_OK, FISC_RING_AGAIN, or what is wrong with the ring.
 */
enum fisc_ring_error fisc_ring_next(struct fisc_ring *ring,
				    struct fisc_memory *memory, bool writable,
				    struct fisc_ring_buffer *buffer)
{
	enum fisc_ring_error error;
	int next;
	u16 idx;

	buffer->nr = 0;
	error = fisc_ring_read16(memory, ring->avail +
				 offsetof(struct vring_avail, idx), &idx);
	if (error)
		return error;
	if (idx == ring->last_avail)
		return FISC_RING_OK;
	if ((u16)(idx - ring->last_avail) > ring->num)
		return FISC_RING_BAD_AVAIL;
	/* The entry and the descriptors were written before the index. */
	smp_rmb();
	error = fisc_ring_read16(memory,
				 fisc_ring_avail_entry(ring, ring->last_avail),
				 &buffer->head);
	if (error)
		return error;
	if (buffer->head >= ring->num)
		return FISC_RING_BAD_HEAD;

	next = buffer->head;
	do {
		error = fisc_ring_add(ring, memory, next, writable, buffer,
				      &next);
	} while (!error && next >= 0);
	if (!error)
		ring->last_avail++;

	return error;
}

/**
 * fisc_ring_use() - give a buffer back to the driver
 * @ring: the ring, ready
 * @memory: the memory that it lies in
 * @head: the buffer's first descriptor
 *
 * Context: may sleep; the device's lock held.
 * Return: FISC_RING_OK, FISC_RING_AGAIN, or what is wrong with the ring.
 */
enum fisc_ring_error fisc_ring_use(struct fisc_ring *ring,
				   struct fisc_memory *memory, u16 head)
{
	const struct {
		__le32 id;
		__le32 len;
	} entry = { .id = cpu_to_le32(head) };
	enum fisc_ring_error error;
	__le16 idx;

	error = fisc_ring_write(memory,
				fisc_ring_used_entry(ring, ring->last_used),
				&entry, sizeof(entry));
	if (error)
		return error;
	/*
	 * A driver that sees the index sees the entry and all writes before it.
	 */
	smp_wmb();
	idx = cpu_to_le16(ring->last_used + 1);
	error = fisc_ring_write(memory,
				ring->used + offsetof(struct vring_used, idx),
				&idx, sizeof(idx));
	if (!error)
		ring->last_used++;

	return error;
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
	 * It gets one too many if what it wants cannot be read.
	 */
	smp_mb();
	if (!fisc_ring_read16(memory, ring->avail +
			      offsetof(struct vring_avail, flags), &flags) &&
	    flags & VRING_AVAIL_F_NO_INTERRUPT)
		return;
	if (ring->cb.callback)
		ring->cb.callback(ring->cb.private);
}
