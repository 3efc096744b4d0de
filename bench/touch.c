// SPDX-License-Identifier: GPL-2.0
/*
 * touch memfd|PATH PAGES read|write: map that many pages of a new memfd or of
 * the file PATH (made if need be), touch each once, in order, and print the
 * nanoseconds a page took.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);

	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	volatile char *memory;
	unsigned long pages, i;
	double start;
	int fd;

	if (argc != 4)
		errx(2, "usage: touch memfd|PATH PAGES read|write");
	pages = strtoul(argv[2], NULL, 0);

	if (!strcmp(argv[1], "memfd"))
		fd = memfd_create("touch", 0);
	else
		fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		err(1, "%s", argv[1]);
	if (ftruncate(fd, pages * PAGE))
		err(1, "ftruncate");
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      fd, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");

	start = now_ns();
	for (i = 0; i < pages; i++) {
		if (argv[3][0] == 'w')
			memory[i * PAGE] = 1;
		else
			(void)memory[i * PAGE];
	}
	printf("%.1f\n", (now_ns() - start) / pages);

	return 0;
}
