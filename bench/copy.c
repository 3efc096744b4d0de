// SPDX-License-Identifier: GPL-2.0
/*
 * copy: on the host, print how long it takes to copy 2 MiB on large pages, and
 * how long a page fault takes that copies a page, in microseconds: the median
 * of many, each between different memory; of page faults also what 99.9 % take
 * at most.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CHUNK	0x200000UL
#define CHUNKS	32UL
#define ROUNDS	8
#define PAGE	4096UL
#define PAGES	8192UL

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);

	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static char *memory(void)
{
	char *area = mmap(NULL, (CHUNKS + 1) * CHUNK, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		err(1, "mmap");
	area += -(unsigned long)area % CHUNK;
	madvise(area, CHUNKS * CHUNK, MADV_HUGEPAGE);
	memset(area, 1, CHUNKS * CHUNK);
	return area;
}

static void copy_chunk(void)
{
	static double us[ROUNDS * CHUNKS];
	char *from = memory(), *to = memory();
	size_t i;

	for (i = 0; i < ROUNDS * CHUNKS; i++) {
		size_t at = i % CHUNKS * CHUNK;
		double begin = now_us();

		memcpy(to + at, from + at, CHUNK);
		us[i] = now_us() - begin;
	}
	qsort(us, ROUNDS * CHUNKS, sizeof(*us), compare);
	printf("%.1f\n", us[ROUNDS * CHUNKS / 2]);
}

/* Write to a private mapping of a file whose pages are there. */
static void copy_page(void)
{
	static double us[PAGES];
	int fd = memfd_create("copy", 0);
	char *map;
	size_t i;

	if (fd < 0 || ftruncate(fd, PAGES * PAGE))
		err(1, "memfd");
	map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		err(1, "mmap");
	for (i = 0; i < PAGES; i++)
		map[i * PAGE] = 1;
	map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
		   0);
	if (map == MAP_FAILED)
		err(1, "mmap");
	for (i = 0; i < PAGES; i++) {
		double begin = now_us();

		__atomic_store_n(&map[i * PAGE], 2, __ATOMIC_RELAXED);
		us[i] = now_us() - begin;
	}
	close(fd);
	qsort(us, PAGES, sizeof(*us), compare);
	printf("%.1f %.1f\n", us[PAGES / 2], us[PAGES * 999 / 1000]);
}

int main(void)
{
	copy_chunk();
	copy_page();
	return 0;
}
