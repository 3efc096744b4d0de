// SPDX-License-Identifier: GPL-2.0
/*
 * oracle [-a] PATH...: read files of guest memory and count their pages, those
 * that are all zero, and the distinct contents of the others, which is what
 * perfect sharing would keep of them. -a: consider each file alone, as if VMs
 * did not share with each other.
 *
 * Prints "pages N", "zero N", "distinct N". Contents are compared by two
 * independent 64-bit hashes. Stop the guests first.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE	4096UL
#define BATCH	256
#define WORDS	(PAGE / sizeof(__u64))

struct digest {
	__u64 a;
	__u64 b;
};

static struct digest *digests;
static size_t nr_digests, room;
static size_t nr_pages, nr_zero, nr_distinct;

static __u64 mix(__u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;

	return x ^ x >> 31;
}

static struct digest hash(const __u64 *words)
{
	struct digest d = { 1, 2 };
	size_t i;

	for (i = 0; i < WORDS; i++) {
		d.a = mix(d.a ^ words[i]);
		d.b = (d.b ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		d.b ^= d.b >> 29;
	}

	return d;
}

static bool is_zero(const __u64 *words)
{
	return !words[0] && !memcmp(words, words + 1, PAGE - sizeof(*words));
}

static void add_page(const __u64 *words)
{
	nr_pages++;
	if (is_zero(words)) {
		nr_zero++;
		return;
	}
	if (nr_digests == room) {
		room = room ? 2 * room : 65536;
		digests = realloc(digests, room * sizeof(*digests));
		if (!digests)
			err(1, "realloc");
	}
	digests[nr_digests++] = hash(words);
}

static void add_file(const char *path)
{
	static __u64 buffer[BATCH * WORDS];
	int fd = open(path, O_RDONLY);
	ssize_t done;
	size_t i;

	if (fd < 0)
		err(1, "%s", path);
	while ((done = read(fd, buffer, sizeof(buffer))) > 0) {
		memset((char *)buffer + done, 0, -done & (PAGE - 1));
		for (i = 0; i * PAGE < (size_t)done; i++)
			add_page(buffer + i * WORDS);
	}
	if (done < 0)
		err(1, "%s", path);
	close(fd);
}

static int compare(const void *x, const void *y)
{
	return memcmp(x, y, sizeof(struct digest));
}

/* Count the distinct digests and forget them. */
static void count_distinct(void)
{
	size_t i;

	qsort(digests, nr_digests, sizeof(*digests), compare);
	for (i = 0; i < nr_digests; i++)
		nr_distinct += !i || compare(&digests[i - 1], &digests[i]);
	nr_digests = 0;
}

int main(int argc, char **argv)
{
	bool alone = argc > 1 && !strcmp(argv[1], "-a");
	int i;

	if (argc < 2 + alone)
		errx(2, "usage: oracle [-a] PATH...");
	for (i = 1 + alone; i < argc; i++) {
		add_file(argv[i]);
		if (alone)
			count_distinct();
	}
	count_distinct();
	printf("pages %zu\nzero %zu\ndistinct %zu\n", nr_pages, nr_zero, nr_distinct);

	return 0;
}
