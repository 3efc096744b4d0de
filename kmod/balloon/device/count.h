/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_COUNT_H
#define _FISC_BALLOON_DEVICE_COUNT_H

#include "balloon/device/ring.h"

/**
 * enum fisc_device_count - events counted by all devices together
 * @FISC_DEVICE_DEVICES: devices that exist
 * @FISC_DEVICE_KICKS: kicks
 * @FISC_DEVICE_BUFFERS: buffers taken
 * @FISC_DEVICE_ENTRIES: page numbers and ranges in them
 * @FISC_DEVICE_ABSENT: pages to deflate that were not in the balloon
 * @FISC_DEVICE_REPORTED: pages reported free
 * @FISC_DEVICE_UNMAPPED: page numbers that match no page of the VM
 * @FISC_DEVICE_MALFORMED: invalid ranges
 * @FISC_DEVICE_NEEDS_RESET: times that a device asked for a reset
 * @FISC_DEVICE_RETRIES: times that something could not be done at once
 * @FISC_NR_DEVICE_COUNTS: number of counters
 */
enum fisc_device_count {
	FISC_DEVICE_DEVICES,
	FISC_DEVICE_KICKS,
	FISC_DEVICE_BUFFERS,
	FISC_DEVICE_ENTRIES,
	FISC_DEVICE_ABSENT,
	FISC_DEVICE_REPORTED,
	FISC_DEVICE_UNMAPPED,
	FISC_DEVICE_MALFORMED,
	FISC_DEVICE_NEEDS_RESET,
	FISC_DEVICE_RETRIES,
	FISC_NR_DEVICE_COUNTS,
};

void fisc_device_count(enum fisc_device_count c, long n);
void fisc_device_count_error(enum fisc_ring_error error);
const char *fisc_device_error_name(enum fisc_ring_error error);
void fisc_device_debugfs_init(void);
void fisc_device_debugfs_exit(void);

#endif /* _FISC_BALLOON_DEVICE_COUNT_H */
