/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_RECOVER_H
#define _FISC_BALLOON_GUEST_RECOVER_H

#include "balloon/guest/guest.h"

void fisc_guest_poke(struct fisc_guest *g);
void fisc_guest_recover(struct fisc_guest *g);
void fisc_guest_recover_work(struct work_struct *work);

#endif /* _FISC_BALLOON_GUEST_RECOVER_H */
