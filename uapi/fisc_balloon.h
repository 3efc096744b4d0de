/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_FISC_BALLOON_H
#define _UAPI_FISC_BALLOON_H

/**
 * DOC: The paired balloon
 *
 * fisc's balloon is a virtio balloon device (id 5) as the standard defines it,
 * and a driver that knows only the standard can use all of it. A device that
 * offers FISC_BALLOON_F_PAIRED differs in the following, once a driver accepts
 * it:
 *
 * 1. The buffers of the inflate and deflate queues hold 64-bit little-endian
 *    *ranges* (FISC_BALLOON_RANGE()) instead of 32-bit page numbers. A range is
 *    2^order pages of 4 KiB, aligned to its size, with an order of at most
 *    FISC_BALLOON_MAX_ORDER. A buffer is at most FISC_BALLOON_BUFFER_MAX bytes
 *    long, a multiple of 8.
 * 2. *actual* in the configuration space reads as the number of pages that the
 *    device has in the balloon. A driver that holds more may tell the device
 *    about its pages again (the device may have been reset without the driver's
 *    knowledge, or pages may have been touched); the device ignores those that
 *    it knows already.
 * 3. Statistics may have the tags FISC_BALLOON_S_* in addition to those of the
 *    standard.
 *
 * Everything else is as in the standard: the driver follows num_pages, writes
 * actual, and must tell the device before it uses a page again if it accepted
 * VIRTIO_BALLOON_F_MUST_TELL_HOST. Pages that are in no fisc file are ignored.
 */

/* A feature bit from the device-specific range added in virtio 1.1. */
#define FISC_BALLOON_F_PAIRED		56

#define FISC_BALLOON_MAX_ORDER		9
#define FISC_BALLOON_ORDER_BITS		5
#define FISC_BALLOON_RANGE(pfn, order)	((pfn) << FISC_BALLOON_ORDER_BITS | (order))
#define FISC_BALLOON_RANGE_ORDER(range)	((range) & ((1U << FISC_BALLOON_ORDER_BITS) - 1))
#define FISC_BALLOON_RANGE_PFN(range)	((range) >> FISC_BALLOON_ORDER_BITS)

/* Most bytes of a buffer, in either format. */
#define FISC_BALLOON_BUFFER_MAX		65536

/*
 * Tags of statistics. All values are 64-bit numbers.
 *
 * PSI_SOME, PSI_FULL	memory stall in the last ten seconds, in 1/100 %
 * REFAULTS		pages read again soon after they were reclaimed, since
 *			boot
 * SMALL, LARGE		single pages, and ranges of FISC_BALLOON_MAX_ORDER, that
 *			the driver has in the balloon
 * FLOOR		memory that the driver leaves to the guest, in bytes
 * SHORT		why the balloon is smaller than it should be: a set of
 *			FISC_BALLOON_SHORT_*; 0 if it is not
 */
#define FISC_BALLOON_S_PSI_SOME		0x4600
#define FISC_BALLOON_S_PSI_FULL		0x4601
#define FISC_BALLOON_S_REFAULTS		0x4602
#define FISC_BALLOON_S_SMALL		0x4603
#define FISC_BALLOON_S_LARGE		0x4604
#define FISC_BALLOON_S_FLOOR		0x4605
#define FISC_BALLOON_S_SHORT		0x4606

#define FISC_BALLOON_SHORT_FLOOR	0x01	/* the floor is reached */
#define FISC_BALLOON_SHORT_PRESSURE	0x02	/* the guest reclaims hard */
#define FISC_BALLOON_SHORT_MEMORY	0x04	/* no pages available */
#define FISC_BALLOON_SHORT_OOM		0x08	/* pages averted an OOM kill */
#define FISC_BALLOON_SHORT_RATE		0x10	/* it is still growing */

#endif /* _UAPI_FISC_BALLOON_H */
