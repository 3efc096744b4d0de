/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_REPORT_H
#define _FISC_BALLOON_GUEST_REPORT_H

#include "balloon/guest/guest.h"

void fisc_guest_stats_start(struct fisc_guest *g);
void fisc_guest_stats_request(struct virtqueue *vq);
void fisc_guest_stats_work(struct work_struct *work);

#endif /* _FISC_BALLOON_GUEST_REPORT_H */
