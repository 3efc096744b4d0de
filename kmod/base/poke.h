/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BASE_POKE_H
#define _FISC_BASE_POKE_H

#include <linux/workqueue.h>

void fisc_policy_poke(void);
bool fisc_policy_take_poke(void);
void fisc_policy_again(unsigned long delay);
int fisc_policy_init(void (*run)(struct work_struct *work));
void fisc_policy_exit(void);

#endif /* _FISC_BASE_POKE_H */
