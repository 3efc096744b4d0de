/* SPDX-License-Identifier: GPL-2.0 */
/* Injected failures of allocations, if the kernel supports them. */
#ifndef FISC_SELFTESTS_FAIL_H
#define FISC_SELFTESTS_FAIL_H

#include <stdbool.h>

/* Return whether it does, and make allocations that may sleep fail, too. */
bool fail_possible(void);

/* Make @percent of the allocations of a process fail. */
int fail_process(int pid, unsigned int percent);

/* Find a kernel thread by the beginning of its name; 0 if there is none. */
int fail_kthread(const char *name);

#endif /* FISC_SELFTESTS_FAIL_H */
