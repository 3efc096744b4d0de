// SPDX-License-Identifier: GPL-2.0
/*
 * swap anon|FILE MIB COMMAND...: what it takes to page memory out and in again.
 * The memory is anonymous, or that of a file of fisc, which is created.
 *
 * COMMAND: fill (each page with a content of its own, not timed), out (all of
 * it leaves memory), in (read in order), random (read each page once, in an
 * order of its own), write (as in, but written).
 *
 * "out" ends when the frames are free, swap cache included. Anonymous memory
 * goes by memory.reclaim of the cgroup CGROUP, in which this program runs
 * alone; that of a file when the capacity for all VMs becomes CAPACITY bytes
 * (both are environment variables).
 *
 * For each timed command, prints its name, how many ns it took, how many ns of
 * CPU time all of the host spent, and how many MiB went out or came in. There
 * must be a single CPU.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE		4096UL
#define MIB		0x100000UL
#define WORDS		(PAGE / sizeof(__u64))

/* What may be left in memory when the rest has gone. */
#define LEFT_PART	64
#define OTHER_BYTES	(2 * MIB)
#define TRIES		1000
#define POLL_US		2000

#define ROOT		"/sys/fs/cgroup"
#define CAPACITY	"/sys/kernel/fisc/tax/capacity"
#define RECLAIM		"/sys/kernel/debug/fisc/reclaim"

static __u64 *memory;
static size_t pages;
static bool anonymous;
static const char *cgroup, *capacity;

static unsigned long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);

	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

/* Read the number that follows @name in a file, or the first one. */
static unsigned long read_number(const char *path, const char *name)
{
	char line[512];
	unsigned long value = 0;
	size_t len = strlen(name);
	FILE *file = fopen(path, "re");

	if (!file)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, len)) {
			value = strtoul(line + len, NULL, 10);
			break;
		}
	fclose(file);

	return value;
}

static int write_string(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		err(1, "%s", path);
	if (write(fd, value, strlen(value)) < 0)
		error = errno;
	close(fd);

	return error;
}

/* Time that the CPU was not idle: up to the last time it changed tasks. */
static unsigned long busy_ns(void)
{
	unsigned long busy = 0;
	char line[512];
	FILE *file;

	usleep(1);
	file = fopen("/proc/schedstat", "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "cpu0 %*u %*u %*u %*u %*u %*u %lu", &busy) == 1)
			break;
	if (!busy)
		errx(1, "no CPU time in /proc/schedstat");
	fclose(file);

	return busy;
}

/* The kernel may free less than it is asked to, and returns an error then. */
static void free_some(const char *group, unsigned long bytes)
{
	char path[300], amount[64];

	snprintf(path, sizeof(path), "%s/memory.reclaim", group);
	snprintf(amount, sizeof(amount), "%lu swappiness=200", bytes);
	write_string(path, amount);
}

static void anonymous_out(void)
{
	unsigned long left = pages * PAGE / LEFT_PART + OTHER_BYTES, now;
	char current[300];
	unsigned int i;

	snprintf(current, sizeof(current), "%s/memory.current", cgroup);
	for (i = 0; i < TRIES; i++) {
		now = read_number(current, "");
		if (now <= left)
			return;
		free_some(cgroup, now - left + OTHER_BYTES);
	}
	errx(1, "%lu bytes do not leave memory", now);
}

static void file_out(void)
{
	unsigned long left = pages / LEFT_PART, cached;
	unsigned int i;

	write_string(CAPACITY, capacity);
	for (i = 0; read_number(RECLAIM, "swapped: ") < pages - left; i++) {
		if (i == 10 * TRIES)
			errx(1, "only %lu of %zu pages go out",
			     read_number(RECLAIM, "swapped: "), pages);
		usleep(POLL_US);
	}
	write_string(CAPACITY, "0");
	for (i = 0; i < TRIES; i++) {
		cached = read_number("/proc/meminfo", "SwapCached:") * 1024;
		if (cached <= left * PAGE)
			return;
		free_some(ROOT, cached);
	}
	errx(1, "%lu bytes stay in the swap cache", cached);
}

static void out(void)
{
	if (anonymous)
		anonymous_out();
	else
		file_out();
}

/* What a page contains, which no other one does. */
static __u64 content(size_t page)
{
	return (page + 1) * 0x9e3779b97f4a7c15UL;
}

static void fill(void)
{
	size_t i, k;

	for (i = 0; i < pages; i++)
		for (k = 0; k < WORDS; k++)
			memory[i * WORDS + k] = content(i) + k;
}

static void look(size_t page)
{
	__u64 found = __atomic_load_n(&memory[page * WORDS + page % WORDS],
				      __ATOMIC_RELAXED);

	if (found != content(page) + page % WORDS)
		errx(1, "page %zu contains %llx", page, found);
}

static void in_order(void)
{
	size_t i;

	for (i = 0; i < pages; i++)
		look(i);
}

static void write_in_order(void)
{
	size_t i;

	for (i = 0; i < pages; i++)
		__atomic_store_n(&memory[i * WORDS], content(i),
				 __ATOMIC_RELAXED);
}

static void at_random(void)
{
	static unsigned int *order;
	size_t i, other;

	if (!order)
		order = calloc(pages, sizeof(*order));
	if (!order)
		err(1, "calloc");
	for (i = 0; i < pages; i++) {
		other = rand() % (i + 1);
		order[i] = order[other];
		order[other] = i;
	}
	for (i = 0; i < pages; i++)
		look(order[i]);
}

static void run(const char *name)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} commands[] = {
		{ "out", out }, { "in", in_order }, { "random", at_random },
		{ "write", write_in_order },
	};
	unsigned long busy, begin;
	unsigned int i;

	if (!strcmp(name, "fill")) {
		fill();
		return;
	}
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(name, commands[i].name))
			continue;
		busy = busy_ns();
		begin = now_ns();
		commands[i].run();
		begin = now_ns() - begin;
		printf("%s %lu %lu %lu\n", name, begin, busy_ns() - busy,
		       pages * PAGE / MIB);
		fflush(stdout);
		return;
	}
	errx(2, "%s: not a command", name);
}

int main(int argc, char **argv)
{
	int fd = -1, i;

	if (argc < 4)
		errx(2, "usage: swap anon|FILE MIB fill|out|in|random|write...");
	cgroup = getenv("CGROUP");
	capacity = getenv("CAPACITY");
	anonymous = !strcmp(argv[1], "anon");
	pages = strtoul(argv[2], NULL, 0) * MIB / PAGE;
	if (!(anonymous ? cgroup : capacity))
		errx(2, "CGROUP or CAPACITY is missing");
	if (!anonymous) {
		fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, pages * PAGE))
			err(1, "%s", argv[1]);
	}
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		      anonymous ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	for (i = 3; i < argc; i++)
		run(argv[i]);

	return 0;
}
