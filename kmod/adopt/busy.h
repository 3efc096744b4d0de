/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_BUSY_H
#define _FISC_ADOPT_BUSY_H

#include <linux/types.h>

struct fisc_adoption;

bool fisc_busy_rests(struct fisc_adoption *adoption, unsigned long addr);
void fisc_busy_set(struct fisc_adoption *adoption, unsigned long addr);
void fisc_busy_clear(struct fisc_adoption *adoption, unsigned long addr);

#endif /* _FISC_ADOPT_BUSY_H */
