/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_SERVE_H
#define _FISC_BALLOON_DEVICE_SERVE_H

struct fisc_device;

int fisc_device_init(struct fisc_device *device);
void fisc_device_exit(struct fisc_device *device);
void fisc_device_reset(struct fisc_device *device);
void fisc_device_start(struct fisc_device *device);
void fisc_device_drop(struct fisc_device *device, unsigned int queue);
void fisc_device_kick_all(struct fisc_device *device);

#endif /* _FISC_BALLOON_DEVICE_SERVE_H */
