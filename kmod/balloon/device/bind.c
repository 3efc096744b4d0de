// SPDX-License-Identifier: GPL-2.0
/*
 * Which VM a device belongs to. See DOC: The balloon device in device.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/sched.h>

#include "balloon/balloon.h"
#include "balloon/device/bind.h"
#include "balloon/device/device.h"
#include "kvm/kvm.h"
#include "vm/vm.h"

static void fisc_device_retarget(void *device)
{
	fisc_device_config_changed(device);
}

/**
 * fisc_device_ask_later() - ask the guest for statistics after the period
 * @device: the device
 *
 * Context: any.
 */
void fisc_device_ask_later(struct fisc_device *device)
{
	mod_delayed_work(system_wq, &device->ask,
			 msecs_to_jiffies(fisc_balloon_stats_period()));
}

static void fisc_device_ask(void *device)
{
	fisc_device_ask_later(device);
}

static void fisc_device_look_soon(void *device)
{
	fisc_device_kick(device, FISC_KICK_LOOK);
}

static const struct fisc_balloon_ops fisc_device_balloon_ops = {
	.retarget = fisc_device_retarget,
	.ask = fisc_device_ask,
	.look = fisc_device_look_soon,
};

/* Empty the balloon in which pages have been left. Lock held. */
static void fisc_device_forget(struct fisc_device *device)
{
	if (device->kept)
		fisc_balloon_empty_id(device->kept);
	device->kept = 0;
}

/* Lock held. @keep: leave pages in the balloon for a driver that goes on. */
static void fisc_device_unbind(struct fisc_device *device, bool keep)
{
	struct fisc_vm *vm = device->vm;

	if (!vm)
		return;
	spin_lock(&device->config_lock);
	device->vm = NULL;
	spin_unlock(&device->config_lock);
	if (keep)
		device->kept = vm->id;
	else
		fisc_balloon_empty(vm);
	fisc_balloon_detach(vm);
	fisc_device_config_changed(device);
}

/* Lock held. Return: 0, or -EBUSY if the VM has another device. */
static int fisc_device_bind(struct fisc_device *device, struct fisc_vm *vm)
{
	int err;

	err = fisc_balloon_attach(vm, &device->plug);
	if (err)
		return err;
	if (device->kept != vm->id) {
		fisc_device_forget(device);
		fisc_balloon_empty(vm);
	}
	device->kept = 0;
	spin_lock(&device->config_lock);
	device->vm = vm;
	spin_unlock(&device->config_lock);
	fisc_device_config_changed(device);

	return 0;
}

/**
 * fisc_device_lose() - see memory being unmapped from a device
 * @device: the device
 *
 * Without any memory left, it has no VM, but a driver may go on later. Else it
 * is found out soon whether what is left is that of the VM.
 *
 * Context: may sleep; the device's lock held.
 */
void fisc_device_lose(struct fisc_device *device)
{
	if (fisc_memory_is_empty(&device->memory))
		fisc_device_unbind(device, true);
	else if (device->vm)
		fisc_device_kick(device, FISC_KICK_LOOK);
}

/* Add a memslot to the table, unless it overlaps another VM's. */
static int fisc_device_add_slot(void *arg, int as_id,
				const struct kvm_memory_slot *memslot)
{
	struct vhost_iotlb *slots = arg;
	u64 start = memslot->base_gfn << PAGE_SHIFT;
	u64 last = start + (memslot->npages << PAGE_SHIFT) - 1;

	if (as_id || !memslot->npages || memslot->flags & KVM_MEM_READONLY)
		return 0;
	if (vhost_iotlb_itree_first(slots, start, last))
		return -ENOTUNIQ;

	return vhost_iotlb_add_range(slots, start, last,
				     memslot->userspace_addr, VHOST_MAP_RW);
}

/* The VMM's memslots, by guest physical address; NULL if that is not clear. */
static struct vhost_iotlb *fisc_device_slots(struct fisc_device *device)
{
	struct vhost_iotlb *slots;

	/* Only the VMM's own threads can look at the VMM's descriptors. */
	if (!current->mm || current->mm != device->plug.mm)
		return NULL;
	slots = vhost_iotlb_alloc(FISC_MEMORY_MAX_MAPS, 0);
	if (slots && fisc_kvm_each_memslot(current->group_leader,
					   fisc_device_add_slot, slots)) {
		vhost_iotlb_free(slots);
		slots = NULL;
	}

	return slots;
}

/**
 * fisc_device_look() - find out whose memory is the device's
 * @device: the device
 *
 * Context: the VMM, or its worker; no lock of this module held.
 * Return: 0, or -EAGAIN if that cannot be found out now.
 */
int fisc_device_look(struct fisc_device *device)
{
	struct vhost_iotlb *slots = fisc_device_slots(device);
	struct fisc_vm *vm;
	int err;

	guard(mutex)(&device->lock);
	fisc_memory_set_slots(&device->memory, slots);
	if (fisc_memory_is_empty(&device->memory)) {
		fisc_device_lose(device);
		return 0;
	}
	err = fisc_memory_enter(&device->memory);
	if (err)
		return err == -EAGAIN ? err : 0;
	vm = fisc_memory_vm(&device->memory, device->vm);
	if (vm != device->vm)
		fisc_device_unbind(device, false);
	if (vm && !device->vm)
		fisc_device_bind(device, vm);
	fisc_memory_leave(&device->memory);

	return 0;
}

/**
 * fisc_device_plug() - give a device to the VMM that opens it
 * @device: the device
 * @mm: memory of the VMM, which is the current process
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0; -EBUSY if its VM has a device already; -EAGAIN, -ENOMEM, -EINTR.
 */
int fisc_device_plug(struct fisc_device *device, struct mm_struct *mm)
{
	int err;

	device->plug.ops = &fisc_device_balloon_ops;
	device->plug.device = device;
	err = fisc_balloon_plug(&device->plug, mm);
	if (err == -EBUSY)
		dev_warn_ratelimited(&device->vdpa.dev,
				     "refused: the VM has a balloon device; unplug that first\n");
	if (err)
		return err;
	scoped_guard(mutex, &device->lock)
		fisc_memory_set_mm(&device->memory, mm);
	err = fisc_worker_hire(&device->worker);
	if (err) {
		fisc_device_unplug(device);
		return err;
	}
	/* The next one that this VMM opens is to see that the VM has one. */
	if (fisc_device_look(device))
		fisc_device_kick(device, FISC_KICK_LOOK);

	return 0;
}

/**
 * fisc_device_unplug() - undo fisc_device_plug(), and empty the balloon
 * @device: the device, which need not be anyone's
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_device_unplug(struct fisc_device *device)
{
	fisc_worker_dismiss(&device->worker);
	scoped_guard(mutex, &device->lock) {
		fisc_device_unbind(device, false);
		fisc_device_forget(device);
		/* Addresses of the VMM mean nothing to the next one. */
		fisc_memory_set_slots(&device->memory, NULL);
		fisc_memory_set_mm(&device->memory, NULL);
	}
	fisc_balloon_unplug(&device->plug);
}

/**
 * fisc_device_meet() - see memory of a VM being mapped to a device
 * @device: the device
 * @vm: the VM
 *
 * Context: may sleep; the device's lock held, and mmap_lock of the VMM.
 * Return: 0; -EBUSY if the VM has another device.
 */
int fisc_device_meet(struct fisc_device *device, struct fisc_vm *vm)
{
	int err;

	if (device->vm == vm)
		return 0;
	if (device->vm &&
	    fisc_memory_vm(&device->memory, device->vm) == device->vm) {
		guard(rcu)();
		dev_warn_ratelimited(&device->vdpa.dev,
				     "nothing of %s can be ballooned: a balloon has one VM, this one has %s\n",
				     fisc_vm_name(vm),
				     fisc_vm_name(device->vm));
		return 0;
	}
	fisc_device_unbind(device, false);
	err = fisc_device_bind(device, vm);
	if (!err)
		return 0;
	guard(rcu)();
	dev_warn_ratelimited(&device->vdpa.dev,
			     "refused: %s has a balloon device; unplug that first\n",
			     fisc_vm_name(vm));

	return err;
}

/**
 * fisc_device_start_over() - begin with an empty balloon
 * @device: the device, whose driver has just started
 *
 * Context: may sleep; the device's lock held.
 */
void fisc_device_start_over(struct fisc_device *device)
{
	if (device->vm)
		fisc_balloon_empty(device->vm);
	fisc_device_forget(device);
}
