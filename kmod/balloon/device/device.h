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
 * A virtio balloon (id 5) behind vDPA. It serves a guest through a VMM that
 * supports vhost-vdpa, or a driver on the same kernel through virtio_vdpa.
 * fisc_vdpa.ko is a separate module so that fisc.ko does not depend on vDPA.
 *
 * The device belongs to the VM whose file is mapped to it first, until the VMM
 * closes it; after that it belongs to no VM. Files of other VMs are not mapped,
 * and a VM that has a device does not get a second one.
 *
 * Kicks come in any context and only queue the device's work. The work takes up
 * to FISC_DEVICE_BATCH buffers from a queue, then looks at the other queues,
 * then lets other work run, and continues. Between buffers it releases the
 * device's lock, and a reset need not even wait for the end of a buffer
 * (fisc_device.resets). Any error in a ring ends its service: the device asks
 * for a reset (VIRTIO_CONFIG_S_NEEDS_RESET) and touches no ring until then. A
 * meaningless page number in an otherwise valid buffer is only counted.
 *
 * Queues: inflate, deflate, statistics, and free page reports twice: the
 * position of that queue depends on whether the driver leaves a gap for the
 * queue of free page hints, which are not offered.
 *
 * A reset by either side, and the end of a VMM, empty the balloon: its pages
 * are ordinary holes from then on.
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
 * The configuration space is read without the device's lock, because a guest's
 * CPU waits for it.
 */

/* Most buffers taken from one queue before the others get a turn. */
#define FISC_DEVICE_BATCH	64

/**
 * enum fisc_device_queue - queues of the device
 * @FISC_QUEUE_INFLATE: pages that enter the balloon
 * @FISC_QUEUE_DEFLATE: pages that leave it
 * @FISC_QUEUE_STATS: statistics of the guest
 * @FISC_QUEUE_REPORT: free page reports, without a gap for hints
 * @FISC_QUEUE_REPORT_LATE: free page reports, after a gap for hints
 * @FISC_NR_QUEUES: number of queues
 */
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
 * @vdpa: vDPA's part; first, since vDPA frees it
 * @lock: see the lock order above
 * @memory: the guest memory that it sees
 * @rings: the queues
 * @resets: resets waiting for @lock; while not 0, work on pages is pointless
 * @features: features that the driver has accepted
 * @status: virtio status; written under @lock
 * @suspended: looks at no queue until it is resumed
 * @kicked: bits of the queues to look at
 * @work: looks at them
 * @ask: asks for statistics
 * @stats_head: statistics buffer that the device keeps, or -1
 * @buffer: content of the current buffer, FISC_BALLOON_BUFFER_MAX bytes
 * @parts: parts of the current buffer
 * @config_lock: protects the fields below
 * @vm: the VM, or NULL; written under @lock as well
 * @config_cb: tells the driver that the configuration has changed
 * @poison: value that the guest fills free pages with
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

/**
 * to_fisc_device() - return the balloon device of a vDPA device
 * @vdpa: the vDPA device
 *
 * Context: any.
 * Return: the device.
 */
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
