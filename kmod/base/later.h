/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BASE_LATER_H
#define _FISC_BASE_LATER_H

#include <linux/types.h>

struct work_struct;

bool fisc_later(struct work_struct *work);
void fisc_later_flush(void);
int fisc_later_init(void);
void fisc_later_exit(void);

#endif /* _FISC_BASE_LATER_H */
