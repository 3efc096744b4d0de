/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_DEVICE_H
#define _FISC_BALLOON_DEVICE_DEVICE_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/vdpa.h>
#include <linux/workqueue.h>
#include <uapi/linux/virtio_balloon.h>

#include "balloon/balloon.h"
#include "balloon/device/memory.h"
#include "balloon/device/ring.h"
#include "balloon/device/worker.h"

struct fisc_vm;

/**
 * DOC: The balloon device
 *
 * A virtio balloon (id 5) behind vDPA. It serves a guest through a VMM that
 * supports vhost-vdpa, or a driver on the same kernel through virtio_vdpa.
 * fisc_vdpa.ko is a separate module so that fisc.ko does not depend on vDPA.
 *
 * *Its VM* is the one whose files the VMM has behind the device's addresses. It
 * is looked for when memory is mapped to the device, when memory of the VMM has
 * changed hands by adoption or release, and when a VM has lost its device (see
 * bind.c). So a VMM may be adopted, released and adopted again while it has the
 * device open; without a VM, the device serves its rings, and nothing is in the
 * balloon. The device lets go of the VM with the last of the VM's memory that
 * it sees. A VM that has a device does not get a second one: a VMM is refused
 * one (EBUSY) when it opens it.
 *
 * Kicks come in any context and only wake the device's worker (DOC: Who does a
 * device's work). A turn of the worker takes up to FISC_DEVICE_BATCH buffers
 * from a queue, then looks at the other queues; it ends after
 * FISC_DEVICE_TURN_PAGES pages, be it within a buffer. Between these steps it
 * releases the device's lock, and a reset need not even wait for the end of a
 * buffer (fisc_device.resets). What cannot be done now, for lack of memory or
 * because somebody holds mmap_lock, is tried again after FISC_DEVICE_RETRY_MS;
 * until then the buffer stays where it is. Any error in a ring ends its
 * service: the device asks for a reset (VIRTIO_CONFIG_S_NEEDS_RESET) and
 * touches no ring until then. A meaningless page number in an otherwise valid
 * buffer is only counted.
 *
 * Queues: inflate, deflate, statistics, and free page reports twice: the
 * position of that queue depends on whether the driver leaves a gap for the
 * queue of free page hints, which are not offered.
 *
 * A VMM resets the device when the guest does, but also when it stops the guest
 * for a while. The guest's driver knows nothing of the latter, and still holds
 * its pages. So these stay in the balloon until a driver starts: one that goes
 * on with rings that have been used (VHOST_SET_VRING_BASE) holds them, any
 * other has an empty balloon. The VM gets all pages back when the VMM closes
 * the device. Whatever happens, a page that is touched leaves the balloon.
 *
 * *In use* is a device from when a VMM opens it until it is closed. Meanwhile
 * the module cannot be unloaded, and the device cannot be deleted: to wait for
 * the VMM would keep all of vDPA waiting.
 *
 * Locks, outermost first::
 *
 *	vhost's lock of the device, vdpa_device.cf_lock
 *	  mmap_lock (mapping only)
 *	    fisc_device.lock
 *	      mmap_lock (tried for, never waited for)
 *	      fisc_balloon_mutex
 *	        fisc_device.config_lock
 *	        fisc_worker.lock
 *	      fisc_chunk.lock
 *	      fisc_device.config_lock
 *
 * The configuration space is read without the device's lock, because a guest's
 * CPU waits for it.
 */

/* Most buffers taken from one queue before the others get a turn. */
#define FISC_DEVICE_BATCH	64

/* Most pages dealt with before the device's worker looks around. */
#define FISC_DEVICE_TURN_PAGES	(16 * 4096)

/* When to try again what could not be done. */
#define FISC_DEVICE_RETRY_MS	10

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

/* Bits of fisc_device.kicked that are not those of a queue */
#define FISC_KICK_LOOK		FISC_NR_QUEUES
#define FISC_KICK_ASK		(FISC_NR_QUEUES + 1)

/**
 * struct fisc_buffer - the buffer that a device is dealing with
 * @data: content, FISC_BALLOON_BUFFER_MAX bytes
 * @parts: parts of the buffer
 * @queue: the queue that it was taken from, or -1 if there is none
 * @loaded: @data has been read
 * @len: length of the content
 * @entry: the next entry to deal with: a page number, a range, a part
 * @done: pages of that entry dealt with so far
 */
struct fisc_buffer {
	void *data;
	struct fisc_ring_buffer *parts;
	int queue;
	bool loaded;
	size_t len;
	size_t entry;
	u64 done;
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
 * @opened: a VMM has it open, and the module is held
 * @deleted: it is being deleted, and must not be opened any more
 * @kept: id of the VM in whose balloon pages have been left for a driver that
 *	goes on, or 0
 * @plug: the device in the list of those that VMMs have
 * @worker: does the work
 * @kicked: bits of the queues to look at, and FISC_KICK_*
 * @later: bits to be set in @kicked by @retry
 * @retry: tries again
 * @ask: asks for statistics
 * @stats_head: statistics buffer that the device keeps, or -1
 * @budget: pages to be dealt with in this turn
 * @next: queue to look at first in the next turn
 * @buffer: the current buffer
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
	bool opened;
	bool deleted;
	u64 kept;
	struct fisc_balloon_plug plug;
	struct fisc_worker worker;
	unsigned long kicked;
	unsigned long later;
	struct delayed_work retry;
	struct delayed_work ask;
	int stats_head;
	long budget;
	unsigned int next;
	struct fisc_buffer buffer;
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

/**
 * fisc_device_has() - tell whether the driver has accepted a feature
 * @device: the device
 * @f: number of the feature
 *
 * Context: any; the device's lock held.
 * Return: true if it has.
 */
static inline bool fisc_device_has(const struct fisc_device *device,
				   unsigned int f)
{
	return device->features & BIT_ULL(f);
}

/**
 * fisc_device_kick() - have the device's worker look at something
 * @device: the device
 * @what: the queue in which a driver has made buffers available, or FISC_KICK_*
 *
 * Context: any.
 */
static inline void fisc_device_kick(struct fisc_device *device,
				    unsigned int what)
{
	set_bit(what, &device->kicked);
	fisc_worker_wake(&device->worker);
}

/**
 * fisc_device_config_changed() - tell the driver to read the configuration
 * @device: the device
 *
 * Context: any but an interrupt.
 */
static inline void fisc_device_config_changed(struct fisc_device *device)
{
	spin_lock(&device->config_lock);
	if (device->config_cb.callback)
		device->config_cb.callback(device->config_cb.private);
	spin_unlock(&device->config_lock);
}

#endif /* _FISC_BALLOON_DEVICE_DEVICE_H */
