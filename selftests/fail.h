/* SPDX-License-Identifier: GPL-2.0 */
/* Allocations that fail, on a kernel that can do so. */
#ifndef FISC_SELFTESTS_FAIL_H
#define FISC_SELFTESTS_FAIL_H

#include <stdbool.h>

/* Is it such a kernel? Allocations that may sleep fail then, too. */
bool fail_possible(void);

/* Have so many percent of a process's allocations fail; 0: none. */
int fail_process(int pid, unsigned int percent);

/* A thread of the kernel whose name begins like this; 0 if there is none. */
int fail_kthread(const char *name);

#endif /* FISC_SELFTESTS_FAIL_H */
