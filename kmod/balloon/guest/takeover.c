// SPDX-License-Identifier: GPL-2.0
/*
 * Balloon devices bound to the kernel's own driver: they are taken over when
 * this driver is loaded, and given back when it is unloaded. Either driver
 * leaves a device with an empty balloon. A device that appears later goes to
 * the driver that was loaded first.
 */
#include <linux/device.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <uapi/linux/virtio_ids.h>

#include "balloon/guest/takeover.h"

struct fisc_guest_device {
	struct list_head list;
	struct device *dev;
};

struct fisc_guest_devices {
	struct list_head list;
	struct device_driver *ours;
	bool bound;
};

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

static void fisc_guest_take(struct device_driver *ours, struct device *dev)
{
	int err;

	device_release_driver(dev);
	err = device_driver_attach(ours, dev);
	if (!err)
		return;
	dev_warn(dev, "could not take over the device: %pe\n", ERR_PTR(err));
	if (device_attach(dev) < 0)
		dev_warn(dev, "without a driver\n");
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
	struct fisc_guest_devices others = {
		.list = LIST_HEAD_INIT(others.list),
		.ours = &driver->driver,
		.bound = false,
	};
	struct fisc_guest_device *device, *next;
	int err;

	err = register_virtio_driver(driver);
	if (err)
		return err;

	err = bus_for_each_dev(driver->driver.bus, NULL, &others,
			       fisc_guest_collect);
	list_for_each_entry_safe(device, next, &others.list, list) {
		if (!err)
			fisc_guest_take(others.ours, device->dev);
		fisc_guest_forget(device);
	}
	if (err)
		unregister_virtio_driver(driver);

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
