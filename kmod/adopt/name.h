/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_NAME_H
#define _FISC_ADOPT_NAME_H

#include <linux/types.h>

struct task_struct;

/* Room for a VM's name or a pattern, including the final 0. */
#define FISC_NAME_MAX	64

int fisc_name_of_task(struct task_struct *task, char *name);
bool fisc_name_is_listed(const char *name);
int fisc_names_set(const char *words);
ssize_t fisc_names_get(char *buf);
void fisc_names_exit(void);

#endif /* _FISC_ADOPT_NAME_H */
