// SPDX-License-Identifier: GPL-2.0
/*
 * A device that needs a reset gets one. See guest.h.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

#include "balloon/guest/guest.h"
#include "balloon/guest/recover.h"

#define FISC_GUEST_RECOVER	(5 * HZ)

/**
 * fisc_guest_poke() - have the balloon adjusted now
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
 * fisc_guest_recover_work() - reset a device, as a suspend and a resume would
 * @work: fisc_guest.recover_work
 *
 * Context: may sleep.
 */
void fisc_guest_recover_work(struct work_struct *work)
{
	struct fisc_guest *g = container_of(to_delayed_work(work),
					    struct fisc_guest, recover_work);
	int err;

	/* All ones if it is no longer there. */
	if (!fisc_guest_needs_reset(g) ||
	    g->vdev->config->get_status(g->vdev) & VIRTIO_CONFIG_S_FAILED)
		return;

	dev_warn(&g->vdev->dev, "device needs a reset\n");
	err = virtio_device_freeze(g->vdev);
	if (!err)
		err = virtio_device_restore(g->vdev);
	if (err)
		dev_err(&g->vdev->dev, "it did not help: %pe\n", ERR_PTR(err));
}

/**
 * fisc_guest_recover() - have a device reset that needs it
 * @g: the balloon
 *
 * Not at once: it might need it again.
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
