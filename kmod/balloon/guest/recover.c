// SPDX-License-Identifier: GPL-2.0
/*
 * Recovery of a device that needs a reset, or does not answer. See guest.h.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

#include "balloon/guest/guest.h"
#include "balloon/guest/queue.h"
#include "balloon/guest/recover.h"

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
 * fisc_guest_recover_work() - start a device again, as suspend and resume would
 * @work: fisc_guest.recover_work
 *
 * Context: may sleep.
 */
void fisc_guest_recover_work(struct work_struct *work)
{
	struct fisc_guest *g = container_of(to_delayed_work(work),
					    struct fisc_guest, recover_work);
	int err;

	/*
	 * It may have been started meanwhile, by a resume. The status is all
	 * ones if it is gone.
	 */
	if (!fisc_guest_needs_reset(g) ||
	    g->vdev->config->get_status(g->vdev) == U8_MAX)
		return;

	err = virtio_device_freeze(g->vdev);
	if (!err)
		err = virtio_device_restore(g->vdev);
	if (err)
		dev_err(&g->vdev->dev, "reset failed: %pe\n", ERR_PTR(err));
}

/**
 * fisc_guest_recover() - have a device that needs a reset started again
 * @g: the balloon
 *
 * It is given up at once, and started after a pause: it might need another
 * reset soon.
 *
 * Context: @g->work; may sleep.
 */
void fisc_guest_recover(struct fisc_guest *g)
{
	unsigned long delay = READ_ONCE(g->recover_delay);
	unsigned long flags;

	fisc_guest_give_up(g);
	dev_warn_ratelimited(&g->vdev->dev,
			     "the device needed a reset; starting it again in %lu s\n",
			     delay / HZ);
	WRITE_ONCE(g->recover_delay, min(delay * 2, FISC_GUEST_RECOVER_MAX));
	spin_lock_irqsave(&g->stop_lock, flags);
	if (!g->removed)
		queue_delayed_work(system_freezable_wq, &g->recover_work,
				   delay);
	spin_unlock_irqrestore(&g->stop_lock, flags);
}
