// SPDX-License-Identifier: GPL-2.0
/*
 * stress SECONDS FILE...: for each FILE of guest memory, a process that is its
 * only user writes, checks, punches, truncates and remaps it at random. Pages
 * have few contents, so that they are shared, and then each its own, so that
 * large pages are rebuilt, in turn. What is in the file is known to the byte.
 *
 * Prints how much was done; exits with 1 if anything was wrong.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fisc.h"

#define PAGES		1536UL
#define CONTENTS	32
#define PHASE_S		10

static int fd;
static char *map;
static size_t size;			/* of the file, in pages */
static __u64 seeds[PAGES];		/* 0: zeroes */
static bool unique;
static __u64 rnd;

static void check(size_t i)
{
	char *page = map + i * PAGE_SIZE;
	long at = fisc_check_or_zero(page, seeds[i]);

	if (at >= 0)
		errx(1, "page %zu offset %ld is not of seed %#llx", i, at,
		     seeds[i]);
}

static void write_pages(size_t first, size_t last)
{
	for (; first < last; first++) {
		check(first);
		seeds[first] = unique ? fisc_rand(&rnd) | 1 :
					fisc_rand(&rnd) % CONTENTS + 1;
		fisc_fill(map + first * PAGE_SIZE, seeds[first]);
	}
}

static void punch(size_t first, size_t last)
{
	if (fallocate(fd, PUNCH, first * PAGE_SIZE, (last - first) * PAGE_SIZE))
		err(1, "punch");
	memset(seeds + first, 0, (last - first) * sizeof(*seeds));
}

static void resize(size_t nr_pages)
{
	if (ftruncate(fd, nr_pages * PAGE_SIZE))
		err(1, "ftruncate");
	if (nr_pages < size)
		memset(seeds + nr_pages, 0, (size - nr_pages) * sizeof(*seeds));
	size = nr_pages;
}

static void map_anew(void)
{
	if (map)
		munmap(map, PAGES * PAGE_SIZE);
	map = fisc_map(fd, PAGES);
	if (!map)
		err(1, "mmap");
}

static void step(void)
{
	size_t first = fisc_rand(&rnd) % size;
	size_t len = fisc_rand(&rnd) % (fisc_rand(&rnd) % 8 ? 16 : 700) + 1;
	size_t last = first + len < size ? first + len : size;
	size_t i;

	switch (fisc_rand(&rnd) % (unique ? 400 : 100)) {
	case 0 ... 3:
		punch(first, last);
		break;
	case 4:
		resize(fisc_rand(&rnd) % PAGES + 1);
		break;
	case 5:
		resize(PAGES);
		break;
	case 6:
		map_anew();
		break;
	case 7 ... 30:
		for (i = first; i < last; i++)
			check(i);
		break;
	default:
		write_pages(first, last);
	}
}

static int stress(const char *path, double seconds)
{
	double begin = fisc_now(), end = begin + seconds;
	unsigned long steps = 0;
	size_t i;

	rnd = fisc_mix((unsigned long)getpid());
	fd = fisc_create(path, PAGES);
	if (fd < 0)
		err(1, "%s", path);
	map_anew();
	size = PAGES;
	while (fisc_now() < end) {
		unique = (unsigned long)((fisc_now() - begin) / PHASE_S) & 1;
		step();
		steps++;
	}
	for (i = 0; i < size; i++)
		check(i);
	printf("%s: %lu steps\n", path, steps);
	return 0;
}

int main(int argc, char **argv)
{
	int i, status, failed = 0;

	if (argc < 3)
		errx(2, "usage: stress SECONDS FILE...");
	for (i = 2; i < argc; i++)
		if (!fork())
			exit(stress(argv[i], atof(argv[1])));
	while (wait(&status) > 0)
		failed |= status != 0;
	return failed;
}
