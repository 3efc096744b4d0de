// SPDX-License-Identifier: GPL-2.0
/*
 * frames FILE FILE: print how many pages of the first have a frame that also
 * serves a page of the second, zero frames apart. What counts is the frames in
 * page tables. As pages come and go meanwhile, one counts if both files had the
 * frame in the same place twice, in turn.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fisc.h"

#define LOOKS	2

/**
 * struct file - the pages of a file
 * @fd: the file
 * @map: a mapping of it
 * @nr_pages: its size
 * @pfns: frames of its pages, 0 for holes and zero pages
 */
struct file {
	int fd;
	char *map;
	size_t nr_pages;
	__u64 *pfns[LOOKS];
};

static void open_file(struct file *file, const char *path)
{
	size_t i;

	file->fd = open(path, O_RDWR | O_CLOEXEC);
	if (file->fd < 0)
		err(2, "%s", path);
	file->nr_pages = fisc_size(file->fd) / PAGE_SIZE;
	file->map = fisc_map(file->fd, file->nr_pages);
	if (!file->map)
		err(2, "mmap of %s", path);
	for (i = 0; i < LOOKS; i++) {
		file->pfns[i] = calloc(file->nr_pages, sizeof(__u64));
		if (!file->pfns[i])
			err(2, "calloc");
	}
}

/* Do not touch holes: that would fill them. */
static void look(struct file *file, int i)
{
	off_t start = 0, end;

	memset(file->pfns[i], 0, file->nr_pages * sizeof(__u64));
	while ((start = lseek(file->fd, start, SEEK_DATA)) >= 0) {
		size_t first = start / PAGE_SIZE;

		end = lseek(file->fd, start, SEEK_HOLE);
		if (end < 0)
			break;
		if (fisc_read_pfns(file->map + first * PAGE_SIZE,
				   end / PAGE_SIZE - first,
				   file->pfns[i] + first))
			errx(2, "no frame numbers");
		start = end;
	}
}

static bool steady(const struct file *file, size_t page)
{
	return file->pfns[0][page] &&
	       file->pfns[0][page] == file->pfns[1][page] &&
	       fisc_check_zero(file->map + page * PAGE_SIZE, PAGE_SIZE) >= 0;
}

static int compare(const void *a, const void *b)
{
	const __u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	struct file a, b;
	size_t i, nr = 0, common = 0;
	__u64 *frames;

	if (argc != 3)
		errx(2, "usage: frames FILE FILE");
	open_file(&a, argv[1]);
	open_file(&b, argv[2]);
	for (i = 0; i < LOOKS; i++) {
		look(&a, i);
		look(&b, i);
	}
	frames = calloc(b.nr_pages, sizeof(*frames));
	if (!frames)
		err(2, "calloc");
	for (i = 0; i < b.nr_pages; i++)
		if (steady(&b, i))
			frames[nr++] = b.pfns[0][i];
	qsort(frames, nr, sizeof(*frames), compare);
	for (i = 0; i < a.nr_pages; i++)
		common += steady(&a, i) && bsearch(&a.pfns[0][i], frames, nr,
						   sizeof(*frames), compare);
	printf("%zu\n", common);
	return 0;
}
