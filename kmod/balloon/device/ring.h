/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_RING_H
#define _FISC_BALLOON_DEVICE_RING_H

#include <linux/types.h>
#include <linux/vdpa.h>

struct fisc_memory;

/**
 * DOC: The device side of a split virtqueue
 *
 * Implements section 2.7 of the virtio standard, version 1.2, without indirect
 * descriptors and event indices. (Distributions do not build the kernel's
 * vringh.) The ring lies in guest memory, which may change while it is read:
 * each field is read once, checked, and then used.
 *
 * Nothing is consumed by half: a buffer counts as taken once all of its
 * descriptors have been read, and as used once the used ring has it. Where
 * memory is not there to read or write, the same is tried again later
 * (FISC_RING_AGAIN).
 *
 * A guest that breaks the standard is no longer served: the ring says what was
 * wrong (enum fisc_ring_error), and the device asks for a reset.
 */

/* QEMU makes queues as large as it can, regardless of what a device says. */
#define FISC_RING_MAX	1024

/**
 * enum fisc_ring_error - what is wrong with a ring
 * @FISC_RING_OK: nothing
 * @FISC_RING_BAD_RING: the ring is not in guest memory
 * @FISC_RING_BAD_AVAIL: more buffers are available than the ring has entries
 * @FISC_RING_BAD_HEAD: a buffer starts with an invalid descriptor number
 * @FISC_RING_BAD_NEXT: a buffer continues with an invalid descriptor number
 * @FISC_RING_BAD_LOOP: a buffer has more descriptors than the ring
 * @FISC_RING_BAD_INDIRECT: a buffer has indirect descriptors
 * @FISC_RING_BAD_LENGTH: part of a buffer has no length, or all of it is too
 *	long
 * @FISC_RING_BAD_ADDRESS: part of a buffer is not in guest memory
 * @FISC_RING_BAD_DIRECTION: part of a buffer is device-writable where it should
 *	be device-readable, or the reverse
 * @FISC_NR_RING_ERRORS: number of errors
 * @FISC_RING_AGAIN: no error, but memory that is not there now; nothing has
 *	been consumed
 * @FISC_RING_MORE: no error, but it has taken long enough; to be continued
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
	FISC_RING_AGAIN = FISC_NR_RING_ERRORS,
	FISC_RING_MORE,
};

/**
 * struct fisc_ring - a virtqueue
 * @num: its size, a power of two up to FISC_RING_MAX
 * @desc: address of the descriptors
 * @avail: address of the available ring
 * @used: address of the used ring
 * @last_avail: next entry of the available ring to look at
 * @last_used: next entry of the used ring to write
 * @placed: its addresses have been set; QEMU also makes rings ready whose
 *	addresses were not
 * @ready: the driver has finished setting it up
 * @cb: tells the driver about used buffers
 *
 * The device's lock protects all fields.
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
 * struct fisc_ring_part - part of a buffer
 * @addr: its address
 * @len: its length in bytes, not 0
 */
struct fisc_ring_part {
	u64 addr;
	u32 len;
};

/**
 * struct fisc_ring_buffer - an available buffer
 * @head: its first descriptor, for fisc_ring_use()
 * @nr: number of parts
 * @parts: the parts
 */
struct fisc_ring_buffer {
	u16 head;
	unsigned int nr;
	struct fisc_ring_part parts[FISC_RING_MAX];
};

void fisc_ring_reset(struct fisc_ring *ring);
void fisc_ring_untake(struct fisc_ring *ring);
enum fisc_ring_error fisc_ring_next(struct fisc_ring *ring,
				    struct fisc_memory *memory, bool writable,
				    struct fisc_ring_buffer *buffer);
enum fisc_ring_error fisc_ring_use(struct fisc_ring *ring,
				   struct fisc_memory *memory, u16 head);
void fisc_ring_signal(struct fisc_ring *ring, struct fisc_memory *memory);

#endif /* _FISC_BALLOON_DEVICE_RING_H */
