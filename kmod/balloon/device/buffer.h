/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_BUFFER_H
#define _FISC_BALLOON_DEVICE_BUFFER_H

#include "balloon/device/ring.h"

struct fisc_buffer;
struct fisc_device;

int fisc_buffer_init(struct fisc_buffer *buffer);
void fisc_buffer_exit(struct fisc_buffer *buffer);
enum fisc_ring_error fisc_buffer_take(struct fisc_device *device,
				      unsigned int queue);
enum fisc_ring_error fisc_buffer_handle(struct fisc_device *device);
enum fisc_ring_error fisc_buffer_return_stats(struct fisc_device *device);

#endif /* _FISC_BALLOON_DEVICE_BUFFER_H */
