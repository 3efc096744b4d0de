// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "fisc.h"

static const char * const kinds[] = {
	"/sys/kernel/debug/fail_page_alloc", "/sys/kernel/debug/failslab",
};

static int set(int kind, const char *name, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", kinds[kind], name);
	return fisc_write_str(path, value);
}

bool fail_possible(void)
{
	if (access("/proc/thread-self/fail-nth", W_OK) ||
	    access(kinds[0], F_OK) || access(kinds[1], F_OK))
		return false;
	/* Do not log to the console. */
	return !set(0, "min-order", "0") && !set(0, "ignore-gfp-wait", "N") &&
	       !set(0, "ignore-gfp-highmem", "N") && !set(0, "verbose", "0") &&
	       !set(1, "ignore-gfp-wait", "N") && !set(1, "verbose", "0");
}

int fail_process(int pid, unsigned int percent)
{
	char path[64], value[16];
	int err, i;

	/* Without the filter, the allocations of all processes would fail. */
	for (i = 0; i < 2 && !percent; i++)
		set(i, "probability", "0");
	snprintf(path, sizeof(path), "/proc/%d/make-it-fail", pid);
	err = fisc_write_str(path, percent ? "1" : "0");
	snprintf(value, sizeof(value), "%u", percent);
	for (i = 0; i < 2; i++) {
		err = err ?: set(i, "task-filter", percent ? "Y" : "N");
		err = err ?: set(i, "times", "-1");
		err = err ?: set(i, "probability", value);
	}
	return err;
}

/* Find where a function of the kernel is: from *@start up to *@end. */
static int find_function(const char *function, unsigned long *start,
			 unsigned long *end)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long address;
	char name[128];
	int found = 0;

	/* In the order of addresses, those of modules last. */
	while (f && found < 2 &&
	       fscanf(f, "%lx %*c %127s%*[^\n]", &address, name) == 2) {
		if (!found && !strcmp(name, function)) {
			*start = address;
			found = address != 0;
		} else if (found && address > *start) {
			*end = address;
			found = 2;
		}
	}
	if (f)
		fclose(f);
	return found == 2 ? 0 : -ENOENT;
}

int fail_within(const char *function)
{
	unsigned long start = 0, end = ~0UL;
	char from[32], to[32];
	int err = function ? find_function(function, &start, &end) : 0;
	int i;

	snprintf(from, sizeof(from), "0x%lx", start);
	snprintf(to, sizeof(to), "0x%lx", end);
	for (i = 0; i < 2; i++) {
		err = err ?: set(i, "require-start", from);
		err = err ?: set(i, "require-end", to);
	}
	return err;
}

#define FAIL_NTH	"/proc/thread-self/fail-nth"

int fail_nth(unsigned int nth)
{
	char value[16];

	snprintf(value, sizeof(value), "%u", nth);
	return fisc_write_str(FAIL_NTH, value);
}

long fail_left(void)
{
	return fisc_read_long(FAIL_NTH);
}

int fail_kthread(const char *name)
{
	char path[64], comm[32];
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	int pid = 0;

	while (dir && !pid && (entry = readdir(dir))) {
		if (atoi(entry->d_name) <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/comm",
			 atoi(entry->d_name));
		if (!fisc_read_str(path, comm, sizeof(comm)) &&
		    !strncmp(comm, name, strlen(name)))
			pid = atoi(entry->d_name);
	}
	if (dir)
		closedir(dir);
	return pid;
}
