// SPDX-License-Identifier: GPL-2.0
/*
 * Balloon devices bound to the kernel's own driver: they are taken over when
 * this driver is loaded, and given back when it is unloaded. Either driver
 * leaves a device with an empty balloon. A device that appears later goes to
 * the driver that was loaded first.
 *
 * The kernel's driver waits for the host without limit, and lets go of a device
 * only when it has its answer. So a thread waits for that. Who loads the module
 * waits for the thread, but not for ever: after that, the thread holds the
 * module.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/device.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <uapi/linux/virtio_ids.h>

#include "balloon/guest/takeover.h"
#include "uapi/fisc_balloon.h"

static bool any_device;
module_param(any_device, bool, 0444);
MODULE_PARM_DESC(any_device,
		 "also drive balloon devices that are not fisc's, such as QEMU's own");

/* How long who loads the module waits for the kernel's driver to let go. */
#define FISC_GUEST_TAKE_WAIT	(30 * HZ)

struct fisc_guest_device {
	struct list_head list;
	struct device *dev;
};

struct fisc_guest_devices {
	struct list_head list;
	struct device_driver *ours;
	bool bound;
};

/**
 * struct fisc_guest_takeover - devices being taken over
 * @devices: the devices
 * @lock: protects the flags below
 * @done: the thread has finished
 * @alone: nobody waits for the thread: it frees this, and holds the module
 * @finished: for who waits
 */
struct fisc_guest_takeover {
	struct fisc_guest_devices devices;
	spinlock_t lock;	/* see above */
	bool done;
	bool alone;
	struct completion finished;
};

/**
 * fisc_guest_wants() - test whether a balloon device is one for this driver
 * @vdev: the device; only its driver, or nobody, uses its configuration
 *
 * Context: may sleep.
 * Return: true if the device is fisc's, or if any will do.
 */
bool fisc_guest_wants(struct virtio_device *vdev)
{
	return any_device || vdev->config->get_features(vdev) &
			     BIT_ULL(FISC_BALLOON_F_PAIRED);
}

/* Drivers cannot be changed while walking the bus, so remember the device. */
static int fisc_guest_collect(struct device *dev, void *data)
{
	struct fisc_guest_devices *devices = data;
	struct fisc_guest_device *device;

	if (dev_to_virtio(dev)->id.device != VIRTIO_ID_BALLOON ||
	    (READ_ONCE(dev->driver) == devices->ours) != devices->bound)
		return 0;

	device = kmalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return -ENOMEM;
	device->dev = get_device(dev);
	list_add_tail(&device->list, &devices->list);

	return 0;
}

static void fisc_guest_forget(struct fisc_guest_device *device)
{
	list_del(&device->list);
	put_device(device->dev);
	kfree(device);
}

static void fisc_guest_forget_all(struct fisc_guest_devices *devices)
{
	struct fisc_guest_device *device, *next;

	list_for_each_entry_safe(device, next, &devices->list, list)
		fisc_guest_forget(device);
}

static void fisc_guest_take(struct device_driver *ours, struct device *dev)
{
	bool wanted;
	int err;

	device_lock(dev);
	wanted = dev->driver != ours && fisc_guest_wants(dev_to_virtio(dev));
	device_unlock(dev);
	if (!wanted)
		return;

	device_release_driver(dev);
	err = device_driver_attach(ours, dev);
	if (!err)
		return;
	dev_warn(dev, "could not take over the device: %pe\n", ERR_PTR(err));
	if (device_attach(dev) < 0)
		dev_warn(dev, "without a driver\n");
}

static int fisc_guest_take_all(void *data)
{
	struct fisc_guest_takeover *takeover = data;
	struct fisc_guest_device *device, *next;
	bool alone;

	list_for_each_entry_safe(device, next, &takeover->devices.list, list) {
		fisc_guest_take(takeover->devices.ours, device->dev);
		fisc_guest_forget(device);
	}

	spin_lock(&takeover->lock);
	takeover->done = true;
	alone = takeover->alone;
	if (!alone)
		complete(&takeover->finished);
	spin_unlock(&takeover->lock);
	if (!alone)
		return 0;

	kfree(takeover);
	module_put_and_kthread_exit(0);
}

/* Leave the thread alone, unless it has just finished. */
static bool fisc_guest_leave_alone(struct fisc_guest_takeover *takeover)
{
	bool alone;

	spin_lock(&takeover->lock);
	alone = !takeover->done;
	if (alone) {
		takeover->alone = true;
		__module_get(THIS_MODULE);
	}
	spin_unlock(&takeover->lock);

	return alone;
}

/* Have a thread take the devices over. Return: 0, or -errno without one. */
static int fisc_guest_start_taking(struct fisc_guest_takeover *takeover)
{
	struct task_struct *thread;

	thread = kthread_create(fisc_guest_take_all, takeover, "%s",
				KBUILD_MODNAME);
	if (IS_ERR(thread))
		return PTR_ERR(thread);

	get_task_struct(thread);
	wake_up_process(thread);
	if (wait_for_completion_killable_timeout(&takeover->finished,
						 FISC_GUEST_TAKE_WAIT) <= 0 &&
	    fisc_guest_leave_alone(takeover)) {
		pr_warn("a balloon's driver waits for its host; the device is taken over, and this module can be unloaded, when the host has answered\n");
	} else {
		/* It has finished, and is gone after this. */
		kthread_stop(thread);
		kfree(takeover);
	}
	put_task_struct(thread);

	return 0;
}

/**
 * fisc_guest_register() - register the driver and take over devices
 * @driver: the driver
 *
 * Context: may sleep.
 * Return: 0, or -errno with nothing changed.
 */
int fisc_guest_register(struct virtio_driver *driver)
{
	struct fisc_guest_takeover *takeover;
	int err;

	takeover = kzalloc(sizeof(*takeover), GFP_KERNEL);
	if (!takeover)
		return -ENOMEM;
	INIT_LIST_HEAD(&takeover->devices.list);
	takeover->devices.ours = &driver->driver;
	spin_lock_init(&takeover->lock);
	init_completion(&takeover->finished);

	err = register_virtio_driver(driver);
	if (err)
		goto free;
	err = bus_for_each_dev(driver->driver.bus, NULL, &takeover->devices,
			       fisc_guest_collect);
	if (!err)
		err = fisc_guest_start_taking(takeover);
	if (!err)
		return 0;

	unregister_virtio_driver(driver);
	fisc_guest_forget_all(&takeover->devices);
free:
	kfree(takeover);

	return err;
}

/**
 * fisc_guest_unregister() - unregister the driver and give devices back
 * @driver: the driver
 *
 * Context: may sleep.
 */
void fisc_guest_unregister(struct virtio_driver *driver)
{
	struct fisc_guest_devices own = {
		.list = LIST_HEAD_INIT(own.list),
		.ours = &driver->driver,
		.bound = true,
	};
	struct fisc_guest_device *device, *next;

	if (bus_for_each_dev(driver->driver.bus, NULL, &own,
			     fisc_guest_collect))
		pr_warn("some balloons may be left without a driver\n");
	unregister_virtio_driver(driver);
	list_for_each_entry_safe(device, next, &own.list, list) {
		if (device_attach(device->dev) < 0)
			dev_warn(device->dev, "without a driver\n");
		fisc_guest_forget(device);
	}
}
