// SPDX-License-Identifier: GPL-2.0
/*
 * The driver of virtio balloon devices: probe and remove, suspend and resume.
 * See guest.h.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/oom.h>
#include <linux/pm.h>
#include <linux/poison.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <uapi/linux/virtio_ids.h>
#include <uapi/linux/virtio_ring.h>

#include "balloon/guest/balloon.h"
#include "balloon/guest/guest.h"
#include "balloon/guest/pace.h"
#include "balloon/guest/queue.h"
#include "balloon/guest/recover.h"
#include "balloon/guest/report.h"
#include "balloon/guest/takeover.h"

/* Before drivers that have no memory to give. */
#define FISC_GUEST_OOM_PRIORITY	80

/*
 * Set what the host must write into pages that it gives back. A guest that does
 * not care does not accept the feature.
 */
static void fisc_guest_write_poison(struct fisc_guest *g)
{
	u32 poison = 0;

	if (!fisc_guest_has(g, VIRTIO_BALLOON_F_PAGE_POISON))
		return;

	if (!want_init_on_free())
		memset(&poison, PAGE_POISON, sizeof(poison));
	virtio_cwrite_le(g->vdev, struct virtio_balloon_config, poison_val,
			 &poison);
}

static int fisc_guest_up(struct fisc_guest *g)
{
	unsigned long flags;
	int err;

	err = fisc_guest_find_queues(g, fisc_guest_stats_request);
	if (err)
		return err;

	WRITE_ONCE(g->lost, false);
	g->up = true;
	fisc_guest_write_poison(g);
	fisc_guest_init_pace(g);
	virtio_device_ready(g->vdev);
	fisc_guest_stats_start(g);
	fisc_guest_start_reporting(g);
	spin_lock_irqsave(&g->stop_lock, flags);
	WRITE_ONCE(g->stop, false);
	spin_unlock_irqrestore(&g->stop_lock, flags);
	/* The device may have asked meanwhile. */
	if (g->stats_vq)
		fisc_guest_stats_request(g->stats_vq);
	fisc_guest_poke(g);

	return 0;
}

static void fisc_guest_down(struct fisc_guest *g)
{
	unsigned long flags;

	if (!g->up)
		return;

	spin_lock_irqsave(&g->stop_lock, flags);
	WRITE_ONCE(g->stop, true);
	spin_unlock_irqrestore(&g->stop_lock, flags);
	cancel_delayed_work_sync(&g->work);
	cancel_work_sync(&g->oom_work);
	cancel_work_sync(&g->stats_work);
	fisc_guest_stop_reporting(g);
	fisc_guest_drop(g);
	fisc_guest_reset(g);
	g->vdev->config->del_vqs(g->vdev);
	g->up = false;
}

static int fisc_guest_freeze(struct virtio_device *vdev)
{
	fisc_guest_down(vdev->priv);

	return 0;
}

static int fisc_guest_restore(struct virtio_device *vdev)
{
	return fisc_guest_up(vdev->priv);
}

static int fisc_guest_probe(struct virtio_device *vdev)
{
	struct fisc_guest *g;
	int err;

	if (!vdev->config->get)
		return -EINVAL;

	g = kzalloc(sizeof(*g), GFP_KERNEL);
	if (!g)
		return -ENOMEM;

	vdev->priv = g;
	g->vdev = vdev;
	g->stop = true;
	spin_lock_init(&g->stop_lock);
	mutex_init(&g->lost_lock);
	g->recover_delay = FISC_GUEST_RECOVER;
	init_completion(&g->oom_done);
	init_waitqueue_head(&g->acked);
	INIT_DELAYED_WORK(&g->work, fisc_guest_work);
	INIT_WORK(&g->oom_work, fisc_guest_oom_work);
	INIT_WORK(&g->stats_work, fisc_guest_stats_work);
	INIT_DELAYED_WORK(&g->recover_work, fisc_guest_recover_work);
	fisc_guest_init_pages(g);

	/* Not ordered: memory may be given back while some is being taken. */
	g->wq = alloc_workqueue("%s", WQ_UNBOUND | WQ_FREEZABLE |
				WQ_MEM_RECLAIM, 0, dev_name(&vdev->dev));
	if (!g->wq) {
		err = -ENOMEM;
		goto free;
	}
	if (fisc_guest_has(g, VIRTIO_BALLOON_F_DEFLATE_ON_OOM)) {
		g->oom_nb.notifier_call = fisc_guest_oom;
		g->oom_nb.priority = FISC_GUEST_OOM_PRIORITY;
		err = register_oom_notifier(&g->oom_nb);
		if (err)
			goto destroy;
	}
	err = fisc_guest_up(g);
	if (err)
		goto unregister;

	return 0;

unregister:
	if (fisc_guest_has(g, VIRTIO_BALLOON_F_DEFLATE_ON_OOM))
		unregister_oom_notifier(&g->oom_nb);
destroy:
	destroy_workqueue(g->wq);
free:
	kfree(g);

	return err;
}

static void fisc_guest_remove(struct virtio_device *vdev)
{
	struct fisc_guest *g = vdev->priv;

	spin_lock_irq(&g->stop_lock);
	g->removed = true;
	spin_unlock_irq(&g->stop_lock);
	cancel_delayed_work_sync(&g->recover_work);
	fisc_guest_down(g);
	if (fisc_guest_has(g, VIRTIO_BALLOON_F_DEFLATE_ON_OOM))
		unregister_oom_notifier(&g->oom_nb);
	destroy_workqueue(g->wq);
	kfree(g);
}

/*
 * A driver that failed on the device may have left queues behind, which nothing
 * but a reset removes.
 */
static void fisc_guest_start_afresh(struct virtio_device *vdev)
{
	virtio_reset_device(vdev);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);
}

/*
 * Reported free pages lose their content, so reporting is off if the guest
 * relies on that content and cannot say so. Descriptors are never indirect, so
 * that telling pages allocates nothing. Page numbers are physical addresses.
 */
static int fisc_guest_validate(struct virtio_device *vdev)
{
	if (!fisc_guest_wants(vdev))
		return -ENODEV;

	fisc_guest_start_afresh(vdev);
	if (!want_init_on_free() && !page_poisoning_enabled_static())
		__virtio_clear_bit(vdev, VIRTIO_BALLOON_F_PAGE_POISON);
	else if (!virtio_has_feature(vdev, VIRTIO_BALLOON_F_PAGE_POISON))
		__virtio_clear_bit(vdev, VIRTIO_BALLOON_F_REPORTING);
	__virtio_clear_bit(vdev, VIRTIO_RING_F_INDIRECT_DESC);
	__virtio_clear_bit(vdev, VIRTIO_F_ACCESS_PLATFORM);

	return vdev->config->finalize_features(vdev);
}

static void fisc_guest_config_changed(struct virtio_device *vdev)
{
	fisc_guest_poke(vdev->priv);
}

static const struct virtio_device_id fisc_guest_ids[] = {
	{ VIRTIO_ID_BALLOON, VIRTIO_DEV_ANY_ID },
	{ }
};
MODULE_DEVICE_TABLE(virtio, fisc_guest_ids);

static const unsigned int fisc_guest_features[] = {
	VIRTIO_BALLOON_F_MUST_TELL_HOST,
	VIRTIO_BALLOON_F_STATS_VQ,
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_REPORTING,
	FISC_BALLOON_F_PAIRED,
};

static struct virtio_driver fisc_guest_driver = {
	.driver.name = KBUILD_MODNAME,
	.id_table = fisc_guest_ids,
	.feature_table = fisc_guest_features,
	.feature_table_size = ARRAY_SIZE(fisc_guest_features),
	.validate = fisc_guest_validate,
	.probe = fisc_guest_probe,
	.remove = fisc_guest_remove,
	.config_changed = fisc_guest_config_changed,
	.freeze = pm_sleep_ptr(fisc_guest_freeze),
	.restore = pm_sleep_ptr(fisc_guest_restore),
};

static int __init fisc_guest_init(void)
{
	return fisc_guest_register(&fisc_guest_driver);
}
module_init(fisc_guest_init);

static void __exit fisc_guest_exit(void)
{
	fisc_guest_unregister(&fisc_guest_driver);
}
module_exit(fisc_guest_exit);

MODULE_DESCRIPTION("Paired virtio balloon");
MODULE_LICENSE("GPL");
