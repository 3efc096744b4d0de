/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_BIND_H
#define _FISC_BALLOON_DEVICE_BIND_H

#include <linux/types.h>

struct fisc_device;
struct fisc_vm;
struct mm_struct;

int fisc_device_plug(struct fisc_device *device, struct mm_struct *mm);
void fisc_device_unplug(struct fisc_device *device);
int fisc_device_meet(struct fisc_device *device, struct fisc_vm *vm);
int fisc_device_look(struct fisc_device *device);
void fisc_device_lose(struct fisc_device *device);
void fisc_device_start_over(struct fisc_device *device);
void fisc_device_ask_later(struct fisc_device *device);

#endif /* _FISC_BALLOON_DEVICE_BIND_H */
