/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_RING_H
#define _FISC_BALLOON_DEVICE_RING_H

#include <linux/types.h>
#include <linux/vdpa.h>

struct fisc_memory;

/**
 * DOC: The device side of a split virtqueue
 *
 * As in section 2.7 of the virtio standard, version 1.2, without indirect
 * descriptors and event indices. (The kernel's vringh is not built by
 * distributions.) The ring lies in guest memory, which somebody may change
 * while it is read: each field is read once, checked, and then used.
 *
 * A guest that does not keep to the standard is not served any more: the ring
 * says what was wrong (enum fisc_ring_error), and the device wants to be reset.
 */

/* QEMU makes queues as large as it can, whatever a device says. */
#define FISC_RING_MAX	1024

/**
 * enum fisc_ring_error - what is wrong with a ring
 * @FISC_RING_OK: nothing
 * @FISC_RING_BAD_RING: it is not in guest memory
 * @FISC_RING_BAD_AVAIL: more buffers available than it has entries
 * @FISC_RING_BAD_HEAD: a buffer begins with a descriptor that is none
 * @FISC_RING_BAD_NEXT: it goes on with a descriptor that is none
 * @FISC_RING_BAD_LOOP: it has more descriptors than there are
 * @FISC_RING_BAD_INDIRECT: it has indirect descriptors
 * @FISC_RING_BAD_LENGTH: a part of it has no length, or all of it is too long
 * @FISC_RING_BAD_ADDRESS: a part of it is not in guest memory
 * @FISC_RING_BAD_DIRECTION: the device may not read, or write, a part of it
 * @FISC_NR_RING_ERRORS: number of them
 */
enum fisc_ring_error {
	FISC_RING_OK,
	FISC_RING_BAD_RING,
	FISC_RING_BAD_AVAIL,
	FISC_RING_BAD_HEAD,
	FISC_RING_BAD_NEXT,
	FISC_RING_BAD_LOOP,
	FISC_RING_BAD_INDIRECT,
	FISC_RING_BAD_LENGTH,
	FISC_RING_BAD_ADDRESS,
	FISC_RING_BAD_DIRECTION,
	FISC_NR_RING_ERRORS,
};

/**
 * struct fisc_ring - a virtqueue
 * @num: its size, a power of two up to FISC_RING_MAX
 * @desc: address of its descriptors
 * @avail: address of the available ring
 * @used: address of the used ring
 * @last_avail: next entry of the available ring that is to be looked at
 * @last_used: next entry of the used ring that is to be written
 * @placed: it has been said where it lies; QEMU makes those ready, too, that were
 *	not
 * @ready: the driver has said that it is complete
 * @cb: how the driver is told
 *
 * All under the device's lock.
 */
struct fisc_ring {
	u32 num;
	u64 desc;
	u64 avail;
	u64 used;
	u16 last_avail;
	u16 last_used;
	bool placed;
	bool ready;
	struct vdpa_callback cb;
};

/**
 * struct fisc_ring_part - a part of a buffer
 * @addr: its address
 * @len: its length, not 0
 */
struct fisc_ring_part {
	u64 addr;
	u32 len;
};

/**
 * struct fisc_ring_buffer - a buffer that is available
 * @head: its first descriptor, for fisc_ring_use()
 * @nr: number of its parts
 * @parts: the parts
 */
struct fisc_ring_buffer {
	u16 head;
	unsigned int nr;
	struct fisc_ring_part parts[FISC_RING_MAX];
};

void fisc_ring_reset(struct fisc_ring *ring);
enum fisc_ring_error fisc_ring_next(struct fisc_ring *ring,
				    struct fisc_memory *memory, bool writable,
				    struct fisc_ring_buffer *buffer);
enum fisc_ring_error fisc_ring_use(struct fisc_ring *ring,
				   struct fisc_memory *memory, u16 head);
void fisc_ring_signal(struct fisc_ring *ring, struct fisc_memory *memory);

#endif /* _FISC_BALLOON_DEVICE_RING_H */
