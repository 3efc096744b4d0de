/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_QUEUE_H
#define _FISC_BALLOON_GUEST_QUEUE_H

#include "balloon/guest/guest.h"

int fisc_guest_find_queues(struct fisc_guest *g, vq_callback_t *stats_request);
void fisc_guest_tell(struct fisc_guest *g, struct virtqueue *vq,
		     struct page *page, unsigned int order);
void fisc_guest_flush(struct fisc_guest *g, struct virtqueue *vq);
void fisc_guest_reset(struct fisc_guest *g);
void fisc_guest_give_up(struct fisc_guest *g);
void fisc_guest_start_reporting(struct fisc_guest *g);
void fisc_guest_stop_reporting(struct fisc_guest *g);

#endif /* _FISC_BALLOON_GUEST_QUEUE_H */
