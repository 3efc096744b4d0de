/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_DEVICE_H
#define _FISC_BALLOON_DEVICE_DEVICE_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/vdpa.h>
#include <linux/workqueue.h>
#include <uapi/linux/virtio_balloon.h>

#include "balloon/device/memory.h"
#include "balloon/device/ring.h"

struct fisc_vm;

/**
 * DOC: The balloon device
 *
 * A virtio balloon (id 5) behind vDPA: to a guest through a VMM that has
 * vhost-vdpa, or to a driver on the same kernel through virtio_vdpa. fisc_vdpa.ko
 * is a module of its own so that fisc.ko needs none of vDPA.
 *
 * The device belongs to the VM whose file is the first to be mapped to it, until
 * the VMM closes it, and then to none. Other VMs' files are not mapped, and a
 * VM that has a device already gets no second one.
 *
 * Kicks come in any context and only queue the device's work. It takes up to
 * FISC_DEVICE_BATCH buffers of one queue, then looks at the others, then lets other
 * work have the CPU, and goes on. Between buffers it lets go of the device's lock, and
 * a reset need not even wait for the end of one (fisc_device.resets). Whatever is
 * wrong with a ring ends its service: the device wants to be reset
 * (VIRTIO_CONFIG_S_NEEDS_RESET), and touches no ring until it is. A page number in a
 * sound buffer that means nothing is just counted.
 *
 * Queues: inflate, deflate, statistics, and free page reports twice: where that
 * queue is depends on whether a driver leaves a gap for the queue of free page
 * hints, which are not offered.
 *
 * A reset, by whomever, and the end of a VMM empty the balloon: the pages are holes
 * like others from then on.
 *
 * Locks, outermost first::
 *
 *	vhost's lock of the device, vdpa_device.cf_lock
 *	  mmap_lock (mapping only)
 *	    fisc_device.lock
 *	      fisc_balloon_mutex
 *	        fisc_device.config_lock
 *	      fisc_chunk.lock
 *	      fisc_device.config_lock
 *
 * The configuration space is read without the device's lock: a guest's CPU waits
 * for it.
 */

#define FISC_DEVICE_BATCH	64

enum fisc_device_queue {
	FISC_QUEUE_INFLATE,
	FISC_QUEUE_DEFLATE,
	FISC_QUEUE_STATS,
	FISC_QUEUE_REPORT,
	FISC_QUEUE_REPORT_LATE,
	FISC_NR_QUEUES,
};

/**
 * struct fisc_device - a balloon device
 * @vdpa: what vDPA knows of it; first, since vDPA frees it
 * @lock: see above
 * @memory: what it sees of the guest
 * @rings: the queues
 * @resets: resets that wait for @lock: no page need be looked at any more
 * @features: those that the driver has accepted
 * @status: of virtio; written under @lock
 * @suspended: looks at no queue, until it is resumed
 * @kicked: bits of queues to be looked at
 * @work: looks at them
 * @ask: asks for statistics
 * @stats_head: buffer of statistics that the device keeps, or -1
 * @buffer: what a buffer says, FISC_BALLOON_BUFFER_MAX bytes
 * @parts: parts of the buffer in work
 * @config_lock: protects what follows
 * @vm: the VM, or NULL; written under @lock, too
 * @config_cb: how the driver is told that the configuration has changed
 * @poison: what the guest fills free pages with
 */
struct fisc_device {
	struct vdpa_device vdpa;
	struct mutex lock;	/* see above */
	struct fisc_memory memory;
	struct fisc_ring rings[FISC_NR_QUEUES];
	atomic_t resets;
	u64 features;
	u8 status;
	bool suspended;
	unsigned long kicked;
	struct work_struct work;
	struct delayed_work ask;
	int stats_head;
	void *buffer;
	struct fisc_ring_buffer *parts;
	spinlock_t config_lock;	/* see above */
	struct fisc_vm *vm;
	struct vdpa_callback config_cb;
	u32 poison;
};

static inline struct fisc_device *to_fisc_device(struct vdpa_device *vdpa)
{
	return container_of(vdpa, struct fisc_device, vdpa);
}

int fisc_device_init(struct fisc_device *device);
void fisc_device_exit(struct fisc_device *device);
void fisc_device_reset(struct fisc_device *device);
int fisc_device_bind(struct fisc_device *device, struct fisc_vm *vm);
void fisc_device_unbind(struct fisc_device *device);
void fisc_device_kick(struct fisc_device *device, unsigned int queue);
void fisc_device_kick_all(struct fisc_device *device);

int fisc_device_module_init(void);
void fisc_device_module_exit(void);

#endif /* _FISC_BALLOON_DEVICE_DEVICE_H */
