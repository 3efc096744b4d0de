// SPDX-License-Identifier: GPL-2.0
/*
 * hold fresh|again MIB: in a guest, measure how long accesses to memory take.
 *
 * Writes a byte of each page, in order, and times each access: once to memory
 * that the guest has not had before ("fresh"); or to memory that it has had,
 * after printing "ready", over and over until a file /run/hold.stop exists.
 *
 * Prints how many accesses took less than 1, 2, 4 ... microseconds, and how
 * long the longest took.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB	0x100000UL
#define PAGE	4096UL
#define BUCKETS	28

static unsigned long counts[BUCKETS];
static double longest_us;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);

	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void touch(char *memory, size_t size)
{
	size_t at;

	for (at = 0; at < size; at += PAGE) {
		double begin = now_us(), us;
		unsigned int bucket = 0;

		__atomic_fetch_add(&memory[at], 1, __ATOMIC_RELAXED);
		us = now_us() - begin;
		while (bucket < BUCKETS - 1 && us >= 1UL << bucket)
			bucket++;
		counts[bucket]++;
		if (us > longest_us)
			longest_us = us;
	}
}

int main(int argc, char **argv)
{
	unsigned int i;
	char *memory;
	size_t size;

	if (argc != 3)
		errx(2, "usage: hold fresh|again MIB");
	size = strtoul(argv[2], NULL, 10) * MIB;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	/* The guest's own large pages would be zeroed in one go. */
	madvise(memory, size, MADV_NOHUGEPAGE);
	touch(memory, size);
	if (!strcmp(argv[1], "again")) {
		memset(counts, 0, sizeof(counts));
		longest_us = 0;
		puts("ready");
		fflush(stdout);
		while (access("/run/hold.stop", F_OK))
			touch(memory, size);
	}
	for (i = 0; i < BUCKETS; i++)
		printf("us_%lu %lu\n", 1UL << i, counts[i]);
	printf("max_us %.1f\n", longest_us);
	return 0;
}
