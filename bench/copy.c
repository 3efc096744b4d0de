// SPDX-License-Identifier: GPL-2.0
/*
 * copy: on the host, print how long it takes to copy 2 MiB on large pages, in
 * microseconds: the median of many copies, each between different memory.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define CHUNK	0x200000UL
#define CHUNKS	32UL
#define ROUNDS	8

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

int main(void)
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
	return 0;
}
