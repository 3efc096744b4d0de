/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_TAKEOVER_H
#define _FISC_BALLOON_GUEST_TAKEOVER_H

#include <linux/types.h>

struct virtio_device;
struct virtio_driver;

bool fisc_guest_wants(struct virtio_device *vdev);
int fisc_guest_register(struct virtio_driver *driver);
void fisc_guest_unregister(struct virtio_driver *driver);

#endif /* _FISC_BALLOON_GUEST_TAKEOVER_H */
