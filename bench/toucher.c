// SPDX-License-Identifier: GPL-2.0
/*
 * toucher MIB: in a guest, memory of which a known part is in use. Fills MIB
 * MiB of small pages, each with different content, prints "ready", and touches
 * nothing. A number on its standard input says how many of the MiB, from the
 * start, it touches from then on: each page once every SWEEP_NS, evenly spread
 * over that time, one word of it, alternately read and written.
 *
 * Prints a line per second: seconds since it was ready, MiB it touches, pages
 * touched in that second, and the longest time between two ticks in
 * milliseconds. No page was left untouched for longer than that time plus
 * SWEEP_NS.
 */
#define _GNU_SOURCE
#include <err.h>
#include <linux/types.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB		0x100000UL
#define PAGE		4096UL
#define SECOND_NS	1000000000UL
#define SWEEP_NS	800000000UL
#define TICK_NS		20000000UL

static __u64 *memory;
/* Pages to touch, since when, and touches since then. */
static unsigned long pages, since, touches;

static unsigned long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);

	return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static void sleep_until(unsigned long ns)
{
	struct timespec t = {
		.tv_sec = ns / SECOND_NS,
		.tv_nsec = ns % SECOND_NS,
	};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* Pseudorandom: no two pages are equal. */
static void fill(unsigned long words)
{
	__u64 x = 1;
	unsigned long i;

	for (i = 0; i < words; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		memory[i] = x;
	}
}

static void touch(unsigned long page, bool is_write)
{
	__u64 *word = memory + page * (PAGE / sizeof(*memory));

	if (is_write)
		__atomic_store_n(word, page, __ATOMIC_RELAXED);
	else
		__atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Touch what is due, no page twice, however late. Return how many pages. */
static unsigned long touch_due(unsigned long now)
{
	unsigned long due = (now - since) * pages / SWEEP_NS, touched = 0;

	if (due - touches > pages)
		touches = due - pages;
	for (; touches < due; touches++, touched++)
		touch(touches % pages, (touches / pages + touches % pages) % 2);

	return touched;
}

/* Change the number of pages if the standard input says so. */
static void listen(unsigned long most, unsigned long now)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[80];

	if (poll(&in, 1, 0) != 1)
		return;
	if (!fgets(line, sizeof(line), stdin))
		exit(0);
	pages = strtoul(line, NULL, 0) * MIB / PAGE;
	if (pages > most)
		pages = most;
	since = now;
	touches = 0;
}

int main(int argc, char **argv)
{
	unsigned long start, tick, second, now, last, most;
	unsigned long touched = 0, pause = 0;

	if (argc != 2)
		errx(2, "usage: toucher MIB");
	most = strtoul(argv[1], NULL, 0) * MIB / PAGE;
	memory = mmap(NULL, most * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	if (madvise(memory, most * PAGE, MADV_NOHUGEPAGE))
		err(1, "MADV_NOHUGEPAGE");
	fill(most * PAGE / sizeof(*memory));
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	start = now_ns();
	last = start;
	second = start + SECOND_NS;
	for (tick = start; ; tick += TICK_NS) {
		sleep_until(tick);
		now = now_ns();
		if (now - last > pause)
			pause = now - last;
		last = now;
		listen(most, now);
		touched += touch_due(now);
		if (now < second)
			continue;
		printf("%.1f %lu %lu %.0f\n", (now - start) / 1e9,
		       pages * PAGE / MIB, touched, pause / 1e6);
		touched = 0;
		pause = 0;
		second += SECOND_NS;
	}
}
