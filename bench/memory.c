// SPDX-License-Identifier: GPL-2.0
/*
 * memory MIB SECONDS: in a guest, measure how fast memory is. Fills MIB MiB
 * (pages of CONTENTS different contents, so that the host can share them),
 * prints "ready", and for each line on its standard input measures, for
 * SECONDS seconds each: sequential reads, dependent random reads, and
 * sequential writes.
 *
 * Prints MiB/s, nanoseconds per access, MiB/s. After a line "read", it does
 * not write.
 */
#define _GNU_SOURCE
#include <err.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MIB		0x100000UL
#define PAGE		4096UL
#define CONTENTS	64
#define ACCESSES	100000UL

static __u64 *memory;
static size_t words;
/* Make the compiler believe that the value is used. */
static void use(__u64 value)
{
	asm volatile("" : : "r" (value));
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);

	return t.tv_sec + t.tv_nsec / 1e9;
}

static void read_in_order(void)
{
	__u64 sum = 0;
	size_t i;

	for (i = 0; i < words; i += 4)
		sum += memory[i] + memory[i + 1] + memory[i + 2] + memory[i + 3];
	use(sum);
}

/* All words of a page are equal, so this changes nothing. */
static void write_in_order(void)
{
	size_t i, page;

	for (page = 0; page < words; page += PAGE / sizeof(*memory)) {
		__u64 word = memory[page];

		for (i = page; i < page + PAGE / sizeof(*memory); i++)
			memory[i] = word;
	}
}

/* Each address depends on what was read before. */
static void read_at_random(void)
{
	static __u64 x = 1;
	size_t i;

	for (i = 0; i < ACCESSES; i++)
		x = x * 6364136223846793005ULL + 1442695040888963407ULL +
		    memory[(x >> 32) % words];
	use(x);
}

/* Return how many times per second the work is done. */
static double rate(void (*work)(void), double seconds)
{
	double begin = now(), spent;
	unsigned long n = 0;

	do {
		work();
		n++;
		spent = now() - begin;
	} while (spent < seconds);

	return n / spent;
}

int main(int argc, char **argv)
{
	char line[80];
	double seconds;
	size_t mib, i;

	if (argc != 3)
		errx(2, "usage: memory MIB SECONDS");
	mib = strtoul(argv[1], NULL, 0);
	seconds = strtod(argv[2], NULL);
	words = mib * MIB / sizeof(*memory);
	memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	madvise(memory, mib * MIB, MADV_HUGEPAGE);
	for (i = 0; i < mib * MIB; i += PAGE)
		memset((char *)memory + i, i / PAGE % CONTENTS + 1, PAGE);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		printf("%.2f", rate(read_in_order, seconds) * mib);
		printf(" %.2f", 1e9 / (rate(read_at_random, seconds) * ACCESSES));
		printf(" %.2f\n", strcmp(line, "read\n") ?
		       rate(write_in_order, seconds) * mib : 0);
		fflush(stdout);
	}

	return 0;
}
