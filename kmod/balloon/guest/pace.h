/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_PACE_H
#define _FISC_BALLOON_GUEST_PACE_H

#include "balloon/guest/guest.h"

unsigned long fisc_guest_floor(const struct fisc_guest *g);
void fisc_guest_init_pace(struct fisc_guest *g);
void fisc_guest_work(struct work_struct *work);

#endif /* _FISC_BALLOON_GUEST_PACE_H */
