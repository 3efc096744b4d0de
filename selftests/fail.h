/* SPDX-License-Identifier: GPL-2.0 */
/* Injected failures of allocations, if the kernel supports them. */
#ifndef FISC_SELFTESTS_FAIL_H
#define FISC_SELFTESTS_FAIL_H

#include <stdbool.h>

/* Return whether it does, and make allocations that may sleep fail, too. */
bool fail_possible(void);

/* Make @percent of the allocations of a process fail. */
int fail_process(int pid, unsigned int percent);

/*
 * Let only allocations on behalf of a function of the kernel fail, and count,
 * NULL: all. Return 0 or -errno.
 */
int fail_within(const char *function);

/* Make the @nth allocation of this thread fail, from 1 on; 0: none. */
int fail_nth(unsigned int nth);

/* Return how many allocations are left until then: 0 if it has failed. */
long fail_left(void);

/* Find a kernel thread by the beginning of its name; 0 if there is none. */
int fail_kthread(const char *name);

#endif /* FISC_SELFTESTS_FAIL_H */
