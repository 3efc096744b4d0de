/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_PRESSURE_H
#define _FISC_BALLOON_GUEST_PRESSURE_H

#include "balloon/guest/guest.h"

void fisc_guest_pressure(struct fisc_guest_pressure *now);
bool fisc_guest_pressed(const struct fisc_guest_pressure *last,
			const struct fisc_guest_pressure *now,
			unsigned int elapsed_ms);

#endif /* _FISC_BALLOON_GUEST_PRESSURE_H */
