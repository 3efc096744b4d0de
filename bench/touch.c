// SPDX-License-Identifier: GPL-2.0
/*
 * touch BACKING PAGES STEP...: map that many pages and go over them, page by
 * page, once for each STEP.
 *
 * BACKING: memfd, anon (memory that KSM may merge) or the path of a file,
 * which is created if it does not exist.
 *
 * STEP: read or write (one byte of each page, timed), fill (one of CONTENTS
 * contents, so that pages have equals), forget (unmap them, to be faulted in
 * again), wait (print a line, then wait for one on the standard input).
 *
 * For each timed step, prints its name, the mean number of nanoseconds per
 * page, and for each i how many pages took less than 2^i ns, but not less than
 * 2^(i - 1): i is 0 to BUCKETS - 1, and the last includes all slower ones.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE		4096UL
#define CONTENTS	64
#define BUCKETS		32

static char *memory;
static unsigned long pages;

static unsigned long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);

	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

static void map(const char *backing)
{
	bool anonymous = !strcmp(backing, "anon");
	int fd = -1;

	if (!strcmp(backing, "memfd"))
		fd = memfd_create("touch", 0);
	else if (!anonymous)
		fd = open(backing, O_RDWR | O_CREAT, 0600);
	if (fd < 0 && !anonymous)
		err(1, "%s", backing);
	if (fd >= 0 && ftruncate(fd, pages * PAGE))
		err(1, "ftruncate");
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		      anonymous ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	if (anonymous && madvise(memory, pages * PAGE, MADV_MERGEABLE))
		err(1, "MADV_MERGEABLE");
}

static void fill(void)
{
	unsigned long i;

	for (i = 0; i < pages; i++)
		memset(memory + i * PAGE, i % CONTENTS + 1, PAGE);
}

static void touch(const char *step)
{
	bool is_write = !strcmp(step, "write");
	unsigned long histogram[BUCKETS] = { 0 };
	unsigned long first = now_ns(), last = first, now, i;

	for (i = 0; i < pages; i++) {
		unsigned int bucket = 0;

		if (is_write)
			__atomic_store_n(&memory[i * PAGE], i, __ATOMIC_RELAXED);
		else
			__atomic_load_n(&memory[i * PAGE], __ATOMIC_RELAXED);
		now = now_ns();
		while (bucket < BUCKETS - 1 && now - last >= 1UL << bucket)
			bucket++;
		histogram[bucket]++;
		last = now;
	}
	printf("%s %.1f", step, (double)(last - first) / pages);
	for (i = 0; i < BUCKETS; i++)
		printf(" %lu", histogram[i]);
	printf("\n");
}

static void wait_for_line(void)
{
	char line[80];

	printf("waiting\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		errx(1, "no line to wait for");
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 4)
		errx(2, "usage: touch memfd|anon|PATH PAGES read|write|fill|forget|wait...");
	pages = strtoul(argv[2], NULL, 0);
	map(argv[1]);
	for (i = 3; i < argc; i++) {
		if (!strcmp(argv[i], "fill"))
			fill();
		else if (!strcmp(argv[i], "forget"))
			madvise(memory, pages * PAGE, MADV_DONTNEED);
		else if (!strcmp(argv[i], "wait"))
			wait_for_line();
		else
			touch(argv[i]);
	}

	return 0;
}
