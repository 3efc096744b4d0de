/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_BALLOON_H
#define _FISC_BALLOON_GUEST_BALLOON_H

#include "balloon/guest/guest.h"

unsigned long fisc_guest_size(const struct fisc_guest *g);
unsigned long fisc_guest_inflate(struct fisc_guest *g, unsigned long wanted,
				 unsigned long *credit);
unsigned long fisc_guest_deflate(struct fisc_guest *g, unsigned long wanted);
void fisc_guest_drop(struct fisc_guest *g);
void fisc_guest_retell(struct fisc_guest *g);
void fisc_guest_settle(struct fisc_guest *g);
void fisc_guest_oom_work(struct work_struct *work);
int fisc_guest_oom(struct notifier_block *nb, unsigned long unused,
		   void *freed);
void fisc_guest_init_pages(struct fisc_guest *g);

#endif /* _FISC_BALLOON_GUEST_BALLOON_H */
