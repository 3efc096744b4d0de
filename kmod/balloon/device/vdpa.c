// SPDX-License-Identifier: GPL-2.0
/*
 * Balloon devices on the vDPA bus. See DOC: The balloon device in device.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/vdpa.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ids.h>

#include "balloon/balloon.h"
#include "balloon/device/bind.h"
#include "balloon/device/count.h"
#include "balloon/device/device.h"
#include "balloon/device/serve.h"
#include "memory/region.h"
#include "uapi/fisc_balloon.h"
#include "vm/vm.h"

#define FISC_VDPA_FEATURES						\
	(BIT_ULL(VIRTIO_F_VERSION_1) |					\
	 BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) |				\
	 BIT_ULL(VIRTIO_BALLOON_F_MUST_TELL_HOST) |			\
	 BIT_ULL(VIRTIO_BALLOON_F_STATS_VQ) |				\
	 BIT_ULL(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |			\
	 BIT_ULL(VIRTIO_BALLOON_F_PAGE_POISON) |			\
	 BIT_ULL(VIRTIO_BALLOON_F_REPORTING) |				\
	 BIT_ULL(FISC_BALLOON_F_PAIRED))

/* Like other software devices of the kernel: no vendor. */
#define FISC_VDPA_VENDOR	0

static struct device *fisc_vdpa_parent;

/* With loop-back there is no VM to have a target. */
static unsigned int loopback_pages;
module_param(loopback_pages, uint, 0644);
MODULE_PARM_DESC(loopback_pages,
		 "Target, in pages, of balloons whose driver is on this kernel (virtio_vdpa)");

static struct fisc_ring *fisc_vdpa_ring(struct vdpa_device *vdpa, u16 idx)
{
	return &to_fisc_device(vdpa)->rings[idx];
}

static int fisc_vdpa_set_vq_address(struct vdpa_device *vdpa, u16 idx,
				    u64 desc, u64 driver, u64 device)
{
	struct fisc_ring *ring = fisc_vdpa_ring(vdpa, idx);

	guard(mutex)(&to_fisc_device(vdpa)->lock);
	ring->desc = desc;
	ring->avail = driver;
	ring->used = device;
	ring->placed = true;

	return 0;
}

static void fisc_vdpa_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num)
{
	guard(mutex)(&to_fisc_device(vdpa)->lock);
	if (num <= FISC_RING_MAX && is_power_of_2(num))
		fisc_vdpa_ring(vdpa, idx)->num = num;
}

static void fisc_vdpa_kick_vq(struct vdpa_device *vdpa, u16 idx)
{
	fisc_device_count(FISC_DEVICE_KICKS, 1);
	fisc_device_kick(to_fisc_device(vdpa), idx);
}

static void fisc_vdpa_set_vq_cb(struct vdpa_device *vdpa, u16 idx,
				struct vdpa_callback *cb)
{
	guard(mutex)(&to_fisc_device(vdpa)->lock);
	fisc_vdpa_ring(vdpa, idx)->cb = *cb;
}

static void fisc_vdpa_set_vq_ready(struct vdpa_device *vdpa, u16 idx,
				   bool ready)
{
	guard(mutex)(&to_fisc_device(vdpa)->lock);
	fisc_vdpa_ring(vdpa, idx)->ready = ready;
	/* Buffers made available earlier come without a kick. */
	if (ready)
		fisc_device_kick(to_fisc_device(vdpa), idx);
	else
		fisc_device_drop(to_fisc_device(vdpa), idx);
}

static bool fisc_vdpa_get_vq_ready(struct vdpa_device *vdpa, u16 idx)
{
	guard(mutex)(&to_fisc_device(vdpa)->lock);

	return fisc_vdpa_ring(vdpa, idx)->ready;
}

static int fisc_vdpa_set_vq_state(struct vdpa_device *vdpa, u16 idx,
				  const struct vdpa_vq_state *state)
{
	struct fisc_ring *ring = fisc_vdpa_ring(vdpa, idx);

	guard(mutex)(&to_fisc_device(vdpa)->lock);
	ring->last_avail = state->split.avail_index;
	ring->last_used = state->split.avail_index;

	return 0;
}

/* A buffer that the device keeps is not used yet, so it must be taken again. */
static int fisc_vdpa_get_vq_state(struct vdpa_device *vdpa, u16 idx,
				  struct vdpa_vq_state *state)
{
	guard(mutex)(&to_fisc_device(vdpa)->lock);
	state->split.avail_index = fisc_vdpa_ring(vdpa, idx)->last_used;

	return 0;
}

static u32 fisc_vdpa_get_vq_align(struct vdpa_device *vdpa)
{
	return PAGE_SIZE;
}

static u64 fisc_vdpa_get_device_features(struct vdpa_device *vdpa)
{
	return FISC_VDPA_FEATURES;
}

static int fisc_vdpa_set_driver_features(struct vdpa_device *vdpa, u64 features)
{
	if (features & ~FISC_VDPA_FEATURES ||
	    !(features & BIT_ULL(VIRTIO_F_VERSION_1)))
		return -EINVAL;

	guard(mutex)(&to_fisc_device(vdpa)->lock);
	to_fisc_device(vdpa)->features = features;

	return 0;
}

static u64 fisc_vdpa_get_driver_features(struct vdpa_device *vdpa)
{
	guard(mutex)(&to_fisc_device(vdpa)->lock);

	return to_fisc_device(vdpa)->features;
}

static void fisc_vdpa_set_config_cb(struct vdpa_device *vdpa,
				    struct vdpa_callback *cb)
{
	struct fisc_device *device = to_fisc_device(vdpa);

	spin_lock(&device->config_lock);
	device->config_cb = *cb;
	spin_unlock(&device->config_lock);
}

static u16 fisc_vdpa_get_vq_num_max(struct vdpa_device *vdpa)
{
	return FISC_RING_MAX;
}

static u32 fisc_vdpa_get_device_id(struct vdpa_device *vdpa)
{
	return VIRTIO_ID_BALLOON;
}

static u32 fisc_vdpa_get_vendor_id(struct vdpa_device *vdpa)
{
	return FISC_VDPA_VENDOR;
}

static u8 fisc_vdpa_get_status(struct vdpa_device *vdpa)
{
	return READ_ONCE(to_fisc_device(vdpa)->status);
}

static bool fisc_vdpa_is_driven_by(struct vdpa_device *vdpa, const char *name)
{
	return vdpa->dev.driver && !strcmp(vdpa->dev.driver->name, name);
}

static void fisc_vdpa_set_status(struct vdpa_device *vdpa, u8 status)
{
	struct fisc_device *device = to_fisc_device(vdpa);
	bool starts;

	guard(mutex)(&device->lock);
	starts = status & ~device->status & VIRTIO_CONFIG_S_DRIVER_OK;
	/* Only the device decides whether it needs a reset. */
	status &= ~VIRTIO_CONFIG_S_NEEDS_RESET;
	status |= device->status & VIRTIO_CONFIG_S_NEEDS_RESET;
	WRITE_ONCE(device->status, status);
	if (!starts)
		return;
	WRITE_ONCE(device->memory.loopback,
		   fisc_vdpa_is_driven_by(vdpa, "virtio_vdpa"));
	fisc_device_start(device);
}

/*
 * vhost resets a device first of all when a VMM opens it, and says when it is
 * closed (unbind_mm).
 */
static int fisc_vdpa_open(struct fisc_device *device)
{
	if (!fisc_vdpa_is_driven_by(&device->vdpa, "vhost_vdpa"))
		return 0;

	guard(mutex)(&device->lock);
	if (device->opened)
		return 0;
	if (device->deleted || !try_module_get(THIS_MODULE))
		return -ENODEV;
	device->opened = true;

	return 0;
}

static int fisc_vdpa_reset(struct vdpa_device *vdpa)
{
	int err = fisc_vdpa_open(to_fisc_device(vdpa));

	if (!err)
		fisc_device_reset(to_fisc_device(vdpa));

	return err;
}

static int fisc_vdpa_suspend(struct vdpa_device *vdpa)
{
	guard(mutex)(&to_fisc_device(vdpa)->lock);
	to_fisc_device(vdpa)->suspended = true;

	return 0;
}

static int fisc_vdpa_resume(struct vdpa_device *vdpa)
{
	struct fisc_device *device = to_fisc_device(vdpa);

	guard(mutex)(&device->lock);
	device->suspended = false;
	fisc_device_kick_all(device);

	return 0;
}

static size_t fisc_vdpa_get_config_size(struct vdpa_device *vdpa)
{
	return sizeof(struct virtio_balloon_config);
}

static void fisc_vdpa_get_config(struct vdpa_device *vdpa, unsigned int offset,
				 void *buf, unsigned int len)
{
	struct fisc_device *device = to_fisc_device(vdpa);
	struct virtio_balloon_config config = {};
	u64 wanted = 0, actual = 0;

	if (offset > sizeof(config) || len > sizeof(config) - offset)
		return;

	spin_lock(&device->config_lock);
	if (READ_ONCE(device->memory.loopback)) {
		wanted = READ_ONCE(loopback_pages);
	} else if (device->vm) {
		wanted = READ_ONCE(device->vm->balloon->wanted);
		actual = fisc_balloon_actual(device->vm);
	}
	spin_unlock(&device->config_lock);
	config.num_pages = cpu_to_le32(min(wanted, U32_MAX));
	config.actual = cpu_to_le32(min(actual, U32_MAX));
	config.poison_val = cpu_to_le32(READ_ONCE(device->poison));
	memcpy(buf, (void *)&config + offset, len);
}

/* Ignore the guest's idea of what is in the balloon; the device knows. */
static void fisc_vdpa_set_config(struct vdpa_device *vdpa, unsigned int offset,
				 const void *buf, unsigned int len)
{
	struct fisc_device *device = to_fisc_device(vdpa);
	struct virtio_balloon_config config = {
		.poison_val = cpu_to_le32(READ_ONCE(device->poison)),
	};

	if (offset > sizeof(config) || len > sizeof(config) - offset)
		return;

	memcpy((void *)&config + offset, buf, len);
	WRITE_ONCE(device->poison, le32_to_cpu(config.poison_val));
}

/* Called by vhost with mmap_lock held; @pa is an address of the VMM. */
static int fisc_vdpa_dma_map(struct vdpa_device *vdpa, unsigned int asid,
			     u64 iova, u64 size, u64 pa, u32 perm,
			     void *opaque)
{
	struct fisc_device *device = to_fisc_device(vdpa);
	const struct vdpa_map_file *map = opaque;
	struct fisc_region *region;
	int err;

	if (!map || !size)
		return 0;

	guard(mutex)(&device->lock);
	err = fisc_memory_map(&device->memory, iova, size, perm, pa);
	if (err)
		return err;
	region = fisc_region_of_file(map->file);
	err = region ? fisc_device_meet(device, region->vm) : 0;
	if (err)
		fisc_memory_unmap(&device->memory, iova, size);

	return err;
}

static int fisc_vdpa_dma_unmap(struct vdpa_device *vdpa, unsigned int asid,
			       u64 iova, u64 size)
{
	struct fisc_device *device = to_fisc_device(vdpa);

	guard(mutex)(&device->lock);
	if (size)
		fisc_memory_unmap(&device->memory, iova, size);
	fisc_device_lose(device);

	return 0;
}

/*
 * vhost removes maps. This callback's existence tells it that a reset does not.
 */
static int fisc_vdpa_reset_map(struct vdpa_device *vdpa, unsigned int asid)
{
	struct fisc_device *device = to_fisc_device(vdpa);

	guard(mutex)(&device->lock);
	fisc_memory_exit(&device->memory);
	fisc_device_lose(device);

	return 0;
}

/* The VMM has opened the device, and says that it is its own. */
static int fisc_vdpa_bind_mm(struct vdpa_device *vdpa, struct mm_struct *mm)
{
	return fisc_device_plug(to_fisc_device(vdpa), mm);
}

/* The VMM has closed the device. vhost waits for us before it lets go of it. */
static void fisc_vdpa_unbind_mm(struct vdpa_device *vdpa)
{
	struct fisc_device *device = to_fisc_device(vdpa);

	fisc_device_unplug(device);
	scoped_guard(mutex, &device->lock) {
		if (!device->opened)
			return;
		device->opened = false;
	}
	module_put(THIS_MODULE);
}

static void fisc_vdpa_free(struct vdpa_device *vdpa)
{
	fisc_device_exit(to_fisc_device(vdpa));
}

static const struct vdpa_config_ops fisc_vdpa_ops = {
	.set_vq_address = fisc_vdpa_set_vq_address,
	.set_vq_num = fisc_vdpa_set_vq_num,
	.kick_vq = fisc_vdpa_kick_vq,
	.set_vq_cb = fisc_vdpa_set_vq_cb,
	.set_vq_ready = fisc_vdpa_set_vq_ready,
	.get_vq_ready = fisc_vdpa_get_vq_ready,
	.set_vq_state = fisc_vdpa_set_vq_state,
	.get_vq_state = fisc_vdpa_get_vq_state,
	.get_vq_align = fisc_vdpa_get_vq_align,
	.get_device_features = fisc_vdpa_get_device_features,
	.set_driver_features = fisc_vdpa_set_driver_features,
	.get_driver_features = fisc_vdpa_get_driver_features,
	.set_config_cb = fisc_vdpa_set_config_cb,
	.get_vq_num_max = fisc_vdpa_get_vq_num_max,
	.get_device_id = fisc_vdpa_get_device_id,
	.get_vendor_id = fisc_vdpa_get_vendor_id,
	.get_status = fisc_vdpa_get_status,
	.set_status = fisc_vdpa_set_status,
	.reset = fisc_vdpa_reset,
	.suspend = fisc_vdpa_suspend,
	.resume = fisc_vdpa_resume,
	.get_config_size = fisc_vdpa_get_config_size,
	.get_config = fisc_vdpa_get_config,
	.set_config = fisc_vdpa_set_config,
	.dma_map = fisc_vdpa_dma_map,
	.dma_unmap = fisc_vdpa_dma_unmap,
	.reset_map = fisc_vdpa_reset_map,
	.bind_mm = fisc_vdpa_bind_mm,
	.unbind_mm = fisc_vdpa_unbind_mm,
	.free = fisc_vdpa_free,
};

static struct vdpa_mgmt_dev fisc_vdpa_mgmtdev;

static int fisc_vdpa_dev_add(struct vdpa_mgmt_dev *mgmtdev, const char *name,
			     const struct vdpa_dev_set_config *config)
{
	struct fisc_device *device;
	struct device *dev;
	int err;

	device = vdpa_alloc_device(struct fisc_device, vdpa, fisc_vdpa_parent,
				   &fisc_vdpa_ops, 1, 1, name, true);
	if (IS_ERR(device))
		return PTR_ERR(device);

	dev = &device->vdpa.dev;
	device->vdpa.mdev = mgmtdev;
	device->vdpa.dma_dev = dev;
	err = fisc_device_init(device);
	if (!err) {
		dev->dma_mask = &dev->coherent_dma_mask;
		err = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	}
	if (!err)
		err = _vdpa_register_device(&device->vdpa, FISC_NR_QUEUES);
	if (err)
		put_device(dev);

	return err;
}

static void fisc_vdpa_dev_del(struct vdpa_mgmt_dev *mgmtdev,
			      struct vdpa_device *vdpa)
{
	struct fisc_device *device = to_fisc_device(vdpa);

	/*
	 * All of vDPA would wait for the VMM. There is no way to return an
	 * error.
	 */
	scoped_guard(mutex, &device->lock) {
		if (device->opened) {
			dev_warn(&vdpa->dev,
				 "not deleted: in use; unplug it from its VM first\n");
			return;
		}
		device->deleted = true;
	}
	_vdpa_unregister_device(vdpa);
}

static const struct vdpa_mgmtdev_ops fisc_vdpa_mgmtdev_ops = {
	.dev_add = fisc_vdpa_dev_add,
	.dev_del = fisc_vdpa_dev_del,
};

static struct virtio_device_id fisc_vdpa_ids[] = {
	{ VIRTIO_ID_BALLOON, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct vdpa_mgmt_dev fisc_vdpa_mgmtdev = {
	.ops = &fisc_vdpa_mgmtdev_ops,
	.id_table = fisc_vdpa_ids,
	.supported_features = FISC_VDPA_FEATURES,
	.max_supported_vqs = FISC_NR_QUEUES,
};

static int __init fisc_vdpa_init(void)
{
	int err;

	err = fisc_worker_module_init();
	if (err)
		return err;
	fisc_vdpa_parent = root_device_register("fisc");
	if (IS_ERR(fisc_vdpa_parent)) {
		err = PTR_ERR(fisc_vdpa_parent);
		goto err_device;
	}
	fisc_device_debugfs_init();
	fisc_vdpa_mgmtdev.device = fisc_vdpa_parent;
	err = vdpa_mgmtdev_register(&fisc_vdpa_mgmtdev);
	if (err)
		goto err_parent;

	return 0;

err_parent:
	fisc_device_debugfs_exit();
	root_device_unregister(fisc_vdpa_parent);
err_device:
	fisc_worker_module_exit();
	return err;
}

static void __exit fisc_vdpa_exit(void)
{
	vdpa_mgmtdev_unregister(&fisc_vdpa_mgmtdev);
	fisc_device_debugfs_exit();
	root_device_unregister(fisc_vdpa_parent);
	fisc_worker_module_exit();
}

module_init(fisc_vdpa_init);
module_exit(fisc_vdpa_exit);

MODULE_DESCRIPTION("Memory overcommit for KVM: balloon devices");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(FISC);
