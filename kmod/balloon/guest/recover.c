// SPDX-License-Identifier: GPL-2.0
/*
 * Recovery of a device that needs a reset. See guest.h.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

#include "balloon/guest/guest.h"
#include "balloon/guest/recover.h"

/* Delay before a reset: the device might need another one soon. */
#define FISC_GUEST_RECOVER	(5 * HZ)

/**
 * fisc_guest_poke() - adjust the balloon now
 * @g: the balloon
 *
 * Context: any.
 */
void fisc_guest_poke(struct fisc_guest *g)
{
	unsigned long flags;

	spin_lock_irqsave(&g->stop_lock, flags);
	if (!g->stop)
		mod_delayed_work(g->wq, &g->work, 0);
	spin_unlock_irqrestore(&g->stop_lock, flags);
}

/**
 * fisc_guest_recover_work() - reset a device, like suspend and resume would
 * @work: fisc_guest.recover_work
 *
 * Context: may sleep.
 */
void fisc_guest_recover_work(struct work_struct *work)
{
	struct fisc_guest *g = container_of(to_delayed_work(work),
					    struct fisc_guest, recover_work);
	int err;

	/* The status is all ones if the device is gone. */
	if (!fisc_guest_needs_reset(g) ||
	    g->vdev->config->get_status(g->vdev) & VIRTIO_CONFIG_S_FAILED)
		return;

	dev_warn(&g->vdev->dev, "device needs a reset\n");
	err = virtio_device_freeze(g->vdev);
	if (!err)
		err = virtio_device_restore(g->vdev);
	if (err)
		dev_err(&g->vdev->dev, "reset failed: %pe\n", ERR_PTR(err));
}

/**
 * fisc_guest_recover() - schedule the reset of a device that needs one
 * @g: the balloon
 *
 * The reset comes after FISC_GUEST_RECOVER, as the device might need another
 * one.
 *
 * Context: process context.
 */
void fisc_guest_recover(struct fisc_guest *g)
{
	unsigned long flags;

	virtio_break_device(g->vdev);
	wake_up(&g->acked);
	spin_lock_irqsave(&g->stop_lock, flags);
	if (!g->removed)
		queue_delayed_work(system_freezable_wq, &g->recover_work,
				   FISC_GUEST_RECOVER);
	spin_unlock_irqrestore(&g->stop_lock, flags);
}
