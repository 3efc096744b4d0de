/* SPDX-License-Identifier: GPL-2.0 */
/* A process that wants a page, and may have to wait for it. */
#ifndef FISC_SELFTESTS_WAITER_H
#define FISC_SELFTESTS_WAITER_H

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fisc.h"

/* Where the kernel waits for memory */
#define WAITS		"fisc_reclaim_block"

/* What is done about a VM */
#define RECLAIM_A	FISC_SYSFS "/vms/st-a/reclaim"

/*
 * Is a thread in @function in the kernel, and further out in @caller, unless
 * that is NULL?
 */
static inline bool waiter_is_in(pid_t tid, const char *function,
				const char *caller)
{
	char path[64], stack[4096] = "";

	snprintf(path, sizeof(path), "/proc/%d/stack", tid);
	return !fisc_read_str(path, stack, sizeof(stack)) &&
	       strstr(stack, function) && (!caller || strstr(stack, caller));
}

/* Wait until a thread is in @function in the kernel. */
static inline bool waiter_gets_in(pid_t tid, const char *function)
{
	double end = fisc_now() + WAIT_S;

	while (!waiter_is_in(tid, function, NULL)) {
		if (fisc_now() > end)
			return false;
		fisc_sleep_ms(1);
	}
	return true;
}

/* Wait for a file to read @word. */
static inline bool waiter_word(const char *path, const char *word)
{
	double end = fisc_now() + WAIT_S;
	char buf[80] = "";

	while ((fisc_read_str(path, buf, sizeof(buf)) || strcmp(buf, word)) &&
	       fisc_now() < end)
		fisc_sleep_ms(5);
	if (!strcmp(buf, word))
		return true;
	printf("# %s is %s, not %s\n", path, buf, word);
	return false;
}

/**
 * struct waiter - a process that writes a page
 * @pid: the process
 * @go: lets it do so; in shared memory
 */
struct waiter {
	pid_t pid;
	bool *go;
};

/* Make a process that writes @page as soon as waiter_go() is called. */
static inline bool waiter_start(struct waiter *waiter, char *page)
{
	waiter->go = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (waiter->go == MAP_FAILED)
		return false;
	*waiter->go = false;
	waiter->pid = fork();
	if (!waiter->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (!READ_ONCE(*waiter->go))
			fisc_sleep_ms(1);
		WRITE_ONCE(*page, 1);
		_exit(0);
	}
	return waiter->pid > 0;
}

static inline void waiter_go(struct waiter *waiter)
{
	WRITE_ONCE(*waiter->go, true);
}

/* Return whether it still waits. */
static inline bool waiter_waits(struct waiter *waiter)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, waiter->pid, &info,
		       WEXITED | WNOHANG | WNOWAIT) && !info.si_pid;
}

/*
 * Return whether it has its page within @seconds. It is gone afterwards. @busy,
 * if any, is called all the time.
 */
static inline bool waiter_end(struct waiter *waiter, int seconds,
			      void (*busy)(void *arg), void *arg)
{
	double end = fisc_now() + seconds;
	bool waits;
	int status;

	while ((waits = waiter_waits(waiter)) && fisc_now() < end) {
		if (busy)
			busy(arg);
		fisc_sleep_ms(20);
	}
	if (waits)
		kill(waiter->pid, SIGKILL);
	return waitpid(waiter->pid, &status, 0) == waiter->pid && !waits &&
	       WIFEXITED(status) && !WEXITSTATUS(status);
}

#endif /* FISC_SELFTESTS_WAITER_H */
