// SPDX-License-Identifier: GPL-2.0
/*
 * Serving the queues of a balloon device. See DOC: The balloon device in
 * device.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <uapi/linux/virtio_config.h>

#include "balloon/balloon.h"
#include "balloon/device/bind.h"
#include "balloon/device/buffer.h"
#include "balloon/device/count.h"
#include "balloon/device/device.h"
#include "balloon/device/serve.h"

/**
 * enum fisc_served - what came of looking at a queue
 * @FISC_SERVED: a buffer has been dealt with
 * @FISC_SERVED_NONE: there is nothing to do
 * @FISC_SERVED_MORE: there is more to do
 * @FISC_SERVED_LATER: there is more, but it cannot be done now
 */
enum fisc_served {
	FISC_SERVED,
	FISC_SERVED_NONE,
	FISC_SERVED_MORE,
	FISC_SERVED_LATER,
};

static bool fisc_device_has_queue(const struct fisc_device *device,
				  unsigned int queue)
{
	return device->status & VIRTIO_CONFIG_S_DRIVER_OK &&
	       !device->suspended && device->rings[queue].placed &&
	       device->rings[queue].ready;
}

static bool fisc_device_runs(const struct fisc_device *device,
			     unsigned int queue)
{
	return fisc_device_has_queue(device, queue) &&
	       !(device->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Stop service after an error in a ring, until the device is reset. */
static void fisc_device_fail(struct fisc_device *device,
			     enum fisc_ring_error error)
{
	WRITE_ONCE(device->status,
		   device->status | VIRTIO_CONFIG_S_NEEDS_RESET);
	fisc_device_count_error(error);
	fisc_device_count(FISC_DEVICE_NEEDS_RESET, 1);
	dev_warn_ratelimited(&device->vdpa.dev,
			     "a ring is broken (%s); reset the guest's balloon driver, or check which driver it runs%s\n",
			     fisc_device_error_name(error),
			     error == FISC_RING_BAD_RING ?
			     ", and whether the VMM has told where that memory is" :
			     "");
	fisc_device_config_changed(device);
}

/* Try again later what @what stands for in fisc_device.kicked. */
static void fisc_device_later(struct fisc_device *device, unsigned int what)
{
	fisc_device_count(FISC_DEVICE_RETRIES, 1);
	set_bit(what, &device->later);
	queue_delayed_work(system_wq, &device->retry,
			   msecs_to_jiffies(FISC_DEVICE_RETRY_MS));
}

static void fisc_device_retry(struct work_struct *work)
{
	struct fisc_device *device = container_of(to_delayed_work(work),
						  struct fisc_device, retry);
	unsigned long later = xchg(&device->later, 0);
	unsigned int what;

	for_each_set_bit(what, &later, BITS_PER_LONG)
		fisc_device_kick(device, what);
}

/* Deal with a buffer of a queue: the current one, or the next. */
static enum fisc_served fisc_device_serve(struct fisc_device *device,
					  unsigned int queue)
{
	enum fisc_ring_error error = FISC_RING_OK;

	guard(mutex)(&device->lock);
	if (!fisc_device_runs(device, queue))
		return FISC_SERVED_NONE;

	if (device->buffer.queue < 0)
		error = fisc_buffer_take(device, queue);
	if (!error && device->buffer.queue < 0)
		return FISC_SERVED_NONE;
	if (!error)
		error = fisc_buffer_handle(device);
	switch (error) {
	case FISC_RING_OK:
		return FISC_SERVED;
	case FISC_RING_MORE:
		return FISC_SERVED_MORE;
	case FISC_RING_AGAIN:
		/* Unless it helps to look where the memory is. */
		if (!device->memory.look)
			return FISC_SERVED_LATER;
		set_bit(FISC_KICK_LOOK, &device->kicked);
		return FISC_SERVED_MORE;
	default:
		fisc_device_fail(device, error);
		return FISC_SERVED_NONE;
	}
}

static void fisc_device_signal(struct fisc_device *device, unsigned int queue)
{
	guard(mutex)(&device->lock);
	if (fisc_device_has_queue(device, queue))
		fisc_ring_signal(&device->rings[queue], &device->memory);
}

/* Look at a queue. @most: number of buffers to deal with, at most. */
static enum fisc_served fisc_device_visit(struct fisc_device *device,
					  unsigned int queue, unsigned int most)
{
	enum fisc_served served = FISC_SERVED;
	unsigned int n = 0;

	while (n < most && served == FISC_SERVED) {
		served = fisc_device_serve(device, queue);
		if (served == FISC_SERVED)
			n++;
	}
	if (n)
		fisc_device_signal(device, queue);
	if (served == FISC_SERVED || served == FISC_SERVED_MORE)
		set_bit(queue, &device->kicked);
	else if (served == FISC_SERVED_LATER)
		fisc_device_later(device, queue);

	return served;
}

/* Time for new statistics: give the buffer back. */
static void fisc_device_want_stats(struct fisc_device *device)
{
	enum fisc_ring_error error;

	guard(mutex)(&device->lock);
	if (!fisc_device_runs(device, FISC_QUEUE_STATS) ||
	    device->stats_head < 0)
		return;
	error = fisc_buffer_return_stats(device);
	if (error == FISC_RING_AGAIN)
		fisc_device_later(device, FISC_KICK_ASK);
	else if (error)
		fisc_device_fail(device, error);
	else
		fisc_ring_signal(&device->rings[FISC_QUEUE_STATS],
				 &device->memory);
}

/*
 * Finish the current buffer, as there is room for one only. Return: true unless
 * that takes longer.
 */
static bool fisc_device_finish(struct fisc_device *device)
{
	int queue = READ_ONCE(device->buffer.queue);
	enum fisc_served served;

	if (queue < 0)
		return true;
	served = fisc_device_visit(device, queue, 1);

	return served == FISC_SERVED ||
	       (served == FISC_SERVED_NONE &&
		READ_ONCE(device->buffer.queue) < 0);
}

/* Return: true if there is more that can be done now. */
static bool fisc_device_turn(void *arg)
{
	struct fisc_device *device = arg;
	unsigned int i, queue;

	device->budget = FISC_DEVICE_TURN_PAGES;
	if (test_and_clear_bit(FISC_KICK_LOOK, &device->kicked) &&
	    fisc_device_look(device))
		fisc_device_later(device, FISC_KICK_LOOK);
	if (test_and_clear_bit(FISC_KICK_ASK, &device->kicked))
		fisc_device_want_stats(device);
	queue = READ_ONCE(device->buffer.queue);
	if (!fisc_device_finish(device))
		return test_bit(queue, &device->kicked) ||
		       test_bit(FISC_KICK_LOOK, &device->kicked);

	for (i = 0; i < FISC_NR_QUEUES; i++) {
		queue = device->next;
		device->next = (queue + 1) % FISC_NR_QUEUES;
		if (test_and_clear_bit(queue, &device->kicked) &&
		    fisc_device_visit(device, queue, FISC_DEVICE_BATCH) >=
		    FISC_SERVED_MORE)
			break;
	}

	return READ_ONCE(device->kicked);
}

static void fisc_device_ask(struct work_struct *work)
{
	struct fisc_device *device = container_of(to_delayed_work(work),
						  struct fisc_device, ask);

	fisc_device_kick(device, FISC_KICK_ASK);
}

/**
 * fisc_device_kick_all() - look at all queues
 * @device: the device
 *
 * Context: any.
 */
void fisc_device_kick_all(struct fisc_device *device)
{
	unsigned int queue;

	for (queue = 0; queue < FISC_NR_QUEUES; queue++)
		fisc_device_kick(device, queue);
}

/**
 * fisc_device_drop() - have a queue's current buffer taken again
 * @device: the device
 * @queue: the queue; it need not have one
 *
 * Context: any; the device's lock held.
 */
void fisc_device_drop(struct fisc_device *device, unsigned int queue)
{
	if (device->buffer.queue != queue)
		return;
	fisc_ring_untake(&device->rings[queue]);
	WRITE_ONCE(device->buffer.queue, -1);
}

/**
 * fisc_device_start() - begin to serve a driver
 * @device: the device, whose status has just become DRIVER_OK
 *
 * Context: may sleep; the device's lock held.
 */
void fisc_device_start(struct fisc_device *device)
{
	bool goes_on = false;
	unsigned int i;

	for (i = 0; i < FISC_NR_QUEUES; i++)
		goes_on = goes_on || device->rings[i].last_used;
	if (!goes_on)
		fisc_device_start_over(device);
	fisc_device_kick(device, FISC_KICK_LOOK);
	fisc_device_kick_all(device);
}

/* Restore the state that a new driver expects. Lock held. */
static void fisc_device_clear(struct fisc_device *device)
{
	unsigned int i;

	WRITE_ONCE(device->status, 0);
	device->features = 0;
	device->suspended = false;
	device->stats_head = -1;
	WRITE_ONCE(device->buffer.queue, -1);
	WRITE_ONCE(device->memory.loopback, false);
	WRITE_ONCE(device->poison, 0);
	for (i = 0; i < FISC_NR_QUEUES; i++)
		fisc_ring_reset(&device->rings[i]);
	/* The callback's owner may be gone before the next one comes. */
	spin_lock(&device->config_lock);
	device->config_cb.callback = NULL;
	spin_unlock(&device->config_lock);
	if (device->vm)
		fisc_balloon_forget_stats(device->vm);
}

/**
 * fisc_device_reset() - end everything that the driver has begun
 * @device: the device
 *
 * Its pages stay in the balloon until the next driver starts.
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_device_reset(struct fisc_device *device)
{
	atomic_inc(&device->resets);
	mutex_lock(&device->lock);
	fisc_device_clear(device);
	mutex_unlock(&device->lock);
	atomic_dec(&device->resets);
}

/**
 * fisc_device_init() - initialize a new device
 * @device: the device, all zero except for vDPA's part
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_device_init(struct fisc_device *device)
{
	mutex_init(&device->lock);
	spin_lock_init(&device->config_lock);
	INIT_DELAYED_WORK(&device->retry, fisc_device_retry);
	INIT_DELAYED_WORK(&device->ask, fisc_device_ask);
	INIT_LIST_HEAD(&device->plug.node);
	fisc_worker_init(&device->worker, fisc_device_turn, device);
	fisc_memory_init(&device->memory);
	fisc_device_reset(device);
	fisc_device_count(FISC_DEVICE_DEVICES, 1);

	return fisc_buffer_init(&device->buffer);
}

/**
 * fisc_device_exit() - undo fisc_device_init()
 * @device: the device, no longer in use
 *
 * Context: may sleep; no lock held.
 */
void fisc_device_exit(struct fisc_device *device)
{
	fisc_device_reset(device);
	fisc_device_unplug(device);
	scoped_guard(mutex, &device->lock)
		fisc_memory_exit(&device->memory);
	cancel_delayed_work_sync(&device->ask);
	cancel_delayed_work_sync(&device->retry);
	fisc_worker_exit(&device->worker);
	fisc_buffer_exit(&device->buffer);
	fisc_device_count(FISC_DEVICE_DEVICES, -1);
}
