// SPDX-License-Identifier: GPL-2.0
/*
 * reader PATH SEED MIB: in a guest, a job that depends on the page cache. It
 * reads the first MIB MiB of a file or disk once, prints "ready", and then
 * reads nothing. A number on its standard input says how many of the MiB, from
 * the start, it reads from then on: random blocks of 64 KiB, as fast as it
 * can, one in COLD_ONE_IN from the last part, the others from the first
 * HOT_PERCENT. One word in every 64 bytes is checked. It ends if a block is
 * not what was written.
 *
 * Prints a line per second: seconds on the guest's clock, MiB it reads from,
 * blocks read in that second, and how many milliseconds the longest read took.
 *
 * reader PATH SEED MIB write: write the data to be read; the content differs
 * for each page and each seed.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/types.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MIB		0x100000UL
#define BLOCK		0x10000UL
#define WORDS		(BLOCK / sizeof(__u64))
#define CHECKED		8
#define HOT_PERCENT	45
#define COLD_ONE_IN	8
#define SECOND_NS	1000000000UL

static int fd;
static __u64 buffer[WORDS];
static __u64 seed;
/* How many blocks to read from. */
static unsigned long blocks;

static unsigned long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);

	return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static __u64 next(__u64 x)
{
	return x * 6364136223846793005ULL + 1442695040888963407ULL;
}

static __u64 content(unsigned long block, unsigned int i)
{
	return (seed + block + 1) * 6364136223846793005ULL + i;
}

static void write_block(unsigned long block)
{
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		buffer[i] = content(block, i);
	if (pwrite(fd, buffer, BLOCK, block * BLOCK) != BLOCK)
		err(1, "write");
}

static void read_block(unsigned long block)
{
	unsigned int i;

	if (pread(fd, buffer, BLOCK, block * BLOCK) != BLOCK)
		err(1, "read");
	for (i = 0; i < WORDS; i += CHECKED)
		if (buffer[i] != content(block, i))
			errx(1, "block %lu is not what was written", block);
}

static void read_random(__u64 *x)
{
	unsigned long hot = blocks * HOT_PERCENT / 100, random;

	*x = next(*x);
	random = *x >> 32;
	*x = next(*x);
	if (*x >> 32 < (1UL << 32) / COLD_ONE_IN)
		read_block(hot + random % (blocks - hot));
	else
		read_block(random % hot);
}

/* Change the number of blocks if the standard input says so; wait for that. */
static void listen(unsigned long most, int wait_ms)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[80];

	if (poll(&in, 1, wait_ms) != 1)
		return;
	if (!fgets(line, sizeof(line), stdin))
		exit(0);
	blocks = strtoul(line, NULL, 0) * MIB / BLOCK;
	if (blocks > most)
		blocks = most;
}

/* Read for a second, or do nothing if there is nothing to read. */
static void second(unsigned long end, __u64 *x)
{
	unsigned long before = now_ns(), now = before, longest = 0, nr = 0;

	for (; blocks && now < end; nr++, before = now) {
		read_random(x);
		now = now_ns();
		if (now - before > longest)
			longest = now - before;
	}
	if (nr)
		printf("%.2f %lu %lu %.1f\n", now / 1e9, blocks * BLOCK / MIB, nr,
		       longest / 1e6);
}

static void write_all(unsigned long most)
{
	unsigned long block;

	for (block = 0; block < most; block++)
		write_block(block);
	if (fsync(fd))
		err(1, "fsync");
}

static void read_all(unsigned long most)
{
	unsigned long block;

	for (block = 0; block < most; block++)
		read_block(block);
}

int main(int argc, char **argv)
{
	unsigned long most;
	__u64 x = 1;

	if (argc < 4)
		errx(2, "usage: reader PATH SEED MIB [write]");
	seed = strtoull(argv[2], NULL, 0) << 32;
	most = strtoul(argv[3], NULL, 0) * MIB / BLOCK;
	fd = open(argv[1], argc > 4 ? O_WRONLY | O_CREAT : O_RDONLY, 0600);
	if (fd < 0)
		err(1, "%s", argv[1]);
	if (argc > 4) {
		write_all(most);
		return 0;
	}
	read_all(most);
	/* No readahead: blocks that are not asked for are useless here. */
	if (posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM))
		errx(1, "POSIX_FADV_RANDOM");
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	for (;;) {
		listen(most, blocks ? 0 : -1);
		second(now_ns() + SECOND_NS, &x);
	}
}
