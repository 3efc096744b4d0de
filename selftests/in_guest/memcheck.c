// SPDX-License-Identifier: GPL-2.0
/*
 * Run inside a guest whose memory may be shared, copied and taken away below
 * it: own a buffer, keep changing it, and know what each byte should be.
 *
 * A page is a pattern made from its seed, with some words changed since. Seeds
 * of one small set are the same in all guests, so that guests have pages in
 * common; seed 0 is a page of zeros; others are a page of its own. The model is
 * kept twice, once inverted, as it lies in the memory under test itself.
 *
 * Each thread owns every n-th page, writes to it and checks it, all without a
 * lock. With --corrupt one bit is flipped without their knowledge, to show that
 * it would be found.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/types.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#define PAGE_SIZE	4096UL
#define WORDS		(PAGE_SIZE / 8)
#define COMMON_SEEDS	2048
#define UNIQUE		0x80000000U
#define MAX_CHANGES	16
#define MAX_THREADS	32
#define MAX_REPORTS	20

#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value)	\
	__atomic_store_n(&(x), (value), __ATOMIC_RELAXED)

/**
 * struct state - what a page should hold
 * @seed: of its pattern
 * @generation: counts writes; the changed words are made from it
 * @first: the first changed word; the others follow in steps
 * @changes: number of changed words
 */
struct state {
	__u32 seed;
	__u32 generation;
	__u16 first;
	__u16 changes;
};

struct model {
	struct state is;
	struct state inverted;
};

struct worker {
	pthread_t thread;
	unsigned int nr;
	__u64 rnd;
	unsigned long passes;
	unsigned long checked;
	unsigned long written;
};

static unsigned long option_mb = 32;
static unsigned long option_seconds = 10;
static unsigned long option_rate = 1000;
static unsigned int option_threads = 1;
static unsigned int option_dup = 40;
static unsigned int option_zero = 20;
static bool option_corrupt;

static __u64 *buffer;
static struct model *models;
static size_t nr_pages;
static unsigned long mismatches, wrong_bytes;
static bool stopping;
static struct worker workers[MAX_THREADS];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static __u64 mix(__u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static __u64 next_random(__u64 *state)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return mix(*state);
}

/* The nth changed word, and where it is: an odd step visits no word twice. */
static size_t changed_word(const struct state *s, unsigned int n)
{
	return (s->first + 37 * n) % WORDS;
}

static __u64 changed_value(const struct state *s, unsigned int n)
{
	return mix(((__u64)s->generation << 32 | s->seed) + n);
}

static void expected_page(const struct state *s, __u64 *page)
{
	unsigned int n;
	size_t i;

	for (i = 0; i < WORDS; i++)
		page[i] = s->seed ? mix(((__u64)s->seed << 16) + i) : 0;
	for (n = 0; n < s->changes; n++)
		page[changed_word(s, n)] = changed_value(s, n);
}

static void remember(size_t page, const struct state *s)
{
	struct model *m = &models[page];

	m->is = *s;
	m->inverted = (struct state){
		.seed = ~s->seed,
		.generation = ~s->generation,
		.first = ~s->first,
		.changes = ~s->changes,
	};
}

static bool recall(size_t page, struct state *s)
{
	const struct model *m = &models[page];

	*s = m->is;
	return !(s->seed ^ m->inverted.seed ^ -1U) &&
	       !(s->generation ^ m->inverted.generation ^ -1U) &&
	       !(s->first ^ m->inverted.first ^ 0xffff) &&
	       !(s->changes ^ m->inverted.changes ^ 0xffff);
}

static unsigned int differing_bytes(__u64 a, __u64 b)
{
	unsigned int nr = 0;
	__u64 x;

	for (x = a ^ b; x; x >>= 8)
		nr += !!(x & 0xff);
	return nr;
}

static void report_word(size_t page, size_t word, __u64 expected, __u64 got,
			const struct state *s)
{
	__u64 again = READ_ONCE(buffer[page * WORDS + word]);

	__atomic_add_fetch(&wrong_bytes, differing_bytes(expected, got),
			   __ATOMIC_RELAXED);
	if (__atomic_add_fetch(&mismatches, 1, __ATOMIC_RELAXED) > MAX_REPORTS)
		return;
	printf("memcheck: mismatch page %zu offset %zu expected %#llx got %#llx, again %#llx\n",
	       page, word * 8, expected, got, again);
	printf("memcheck: seed %#x generation %u changes %u from word %u\n",
	       s->seed, s->generation, s->changes, s->first);
}

static void check_page(struct worker *w, size_t page)
{
	const __u64 *at = buffer + page * WORDS;
	__u64 expected[WORDS];
	struct state s;
	size_t i;

	if (!recall(page, &s)) {
		__atomic_add_fetch(&mismatches, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&wrong_bytes, 1, __ATOMIC_RELAXED);
		printf("memcheck: mismatch in the model of page %zu\n", page);
		return;
	}
	expected_page(&s, expected);
	for (i = 0; i < WORDS; i++) {
		__u64 got = READ_ONCE(at[i]);

		if (got != expected[i])
			report_word(page, i, expected[i], got, &s);
	}
	w->checked++;
}

static __u32 new_seed(struct worker *w)
{
	unsigned int percent = next_random(&w->rnd) % 100;

	if (percent < option_zero)
		return 0;
	if (percent < option_zero + option_dup)
		return 1 + next_random(&w->rnd) % COMMON_SEEDS;
	return UNIQUE | next_random(&w->rnd);
}

static void store_page(size_t page, const struct state *s)
{
	__u64 content[WORDS], *at = buffer + page * WORDS;
	size_t i;

	expected_page(s, content);
	for (i = 0; i < WORDS; i++)
		WRITE_ONCE(at[i], content[i]);
	remember(page, s);
}

/* Change a page: all of it, some words, or back to its pattern. */
static void write_page(struct worker *w, size_t page)
{
	__u64 r = next_random(&w->rnd);
	struct state s;
	unsigned int n;

	if (!recall(page, &s))
		return;
	s.generation++;
	switch (r % 4) {
	case 0:
		s.seed = new_seed(w);
		s.changes = 0;
		store_page(page, &s);
		break;
	case 1:
		s.changes = 0;
		store_page(page, &s);
		break;
	default:
		/* Restore the words changed before: the model stays small. */
		if (s.changes) {
			s.changes = 0;
			store_page(page, &s);
		}
		s.first = (r >> 8) % WORDS;
		s.changes = 1 + (r >> 32) % MAX_CHANGES;
		for (n = 0; n < s.changes; n++)
			WRITE_ONCE(buffer[page * WORDS + changed_word(&s, n)],
				   changed_value(&s, n));
		remember(page, &s);
	}
	w->written++;
}

static size_t own_pages(const struct worker *w)
{
	return (nr_pages - w->nr + option_threads - 1) / option_threads;
}

static size_t own_page(const struct worker *w, size_t i)
{
	return i * option_threads + w->nr;
}

static void check_all(struct worker *w)
{
	size_t i;

	for (i = 0; i < own_pages(w); i++)
		check_page(w, own_page(w, i));
	w->passes++;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	double rate = (double)option_rate / option_threads, start = now();
	size_t next = 0, i;

	while (!READ_ONCE(stopping) && !READ_ONCE(mismatches)) {
		unsigned long due = (now() - start) * rate;

		/* Writes that a slow machine was late for are skipped. */
		if (due > w->written + 64)
			start += (due - w->written - 64) / rate;
		for (i = 0; i < 64 && w->written < due; i++)
			write_page(w, own_page(w, next_random(&w->rnd) %
							  own_pages(w)));
		for (i = 0; i < 64; i++) {
			check_page(w, own_page(w, next));
			if (++next == own_pages(w)) {
				next = 0;
				w->passes++;
			}
		}
	}
	check_all(w);
	return NULL;
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 0);
	if (errno || *end || end == text || value > max) {
		fprintf(stderr, "memcheck: cannot use %s\n", text);
		exit(2);
	}
	return value;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mb", required_argument, NULL, 'm' },
		{ "threads", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 's' },
		{ "write-rate", required_argument, NULL, 'w' },
		{ "dup", required_argument, NULL, 'd' },
		{ "zero", required_argument, NULL, 'z' },
		{ "corrupt", no_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'm':
			option_mb = number(optarg, 1UL << 20);
			break;
		case 't':
			option_threads = number(optarg, MAX_THREADS);
			break;
		case 's':
			option_seconds = number(optarg, 1UL << 30);
			break;
		case 'w':
			option_rate = number(optarg, 1UL << 30);
			break;
		case 'd':
			option_dup = number(optarg, 100);
			break;
		case 'z':
			option_zero = number(optarg, 100);
			break;
		case 'c':
			option_corrupt = true;
			break;
		default:
			goto usage;
		}
	}
	if (optind == argc && option_mb && option_threads &&
	    option_dup + option_zero <= 100)
		return;
usage:
	fprintf(stderr,
		"usage: memcheck [--mb N] [--threads T] [--seconds S] [--write-rate PAGES/S]\n"
		"                [--dup PERCENT] [--zero PERCENT] [--corrupt]\n");
	exit(2);
}

static void *map_memory(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED) {
		perror("memcheck: mmap");
		exit(2);
	}
	return mem;
}

static void report(const char *what)
{
	unsigned long passes = -1UL, checked = 0, written = 0;
	unsigned int i;

	for (i = 0; i < option_threads; i++) {
		if (READ_ONCE(workers[i].passes) < passes)
			passes = READ_ONCE(workers[i].passes);
		checked += READ_ONCE(workers[i].checked);
		written += READ_ONCE(workers[i].written);
	}
	printf("memcheck: %s %lu pages %lu writes %lu bytes %lu mismatches %lu\n",
	       what, passes, checked, written, READ_ONCE(wrong_bytes),
	       READ_ONCE(mismatches));
}

int main(int argc, char **argv)
{
	struct timespec second = { 1, 0 };
	unsigned int i;
	size_t page;
	double end;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv);
	nr_pages = option_mb * 256;
	buffer = map_memory(nr_pages * PAGE_SIZE);
	models = map_memory(nr_pages * sizeof(*models));
	for (i = 0; i < option_threads; i++) {
		workers[i].nr = i;
		if (getrandom(&workers[i].rnd, sizeof(__u64), 0) !=
		    sizeof(__u64))
			workers[i].rnd = time(NULL) + i;
	}
	for (page = 0; page < nr_pages; page++) {
		struct worker *owner = &workers[page % option_threads];
		struct state s = { .seed = new_seed(owner) };

		store_page(page, &s);
	}
	end = now() + option_seconds;
	for (i = 0; i < option_threads; i++) {
		errno = pthread_create(&workers[i].thread, NULL, work,
				       &workers[i]);
		if (errno) {
			perror("memcheck: pthread_create");
			return 2;
		}
	}
	while (now() < end && !READ_ONCE(mismatches)) {
		nanosleep(&second, NULL);
		report("pass");
		if (option_corrupt)
			__atomic_fetch_xor(&buffer[nr_pages / 2 * WORDS + 77],
					   1, __ATOMIC_RELAXED);
	}
	WRITE_ONCE(stopping, true);
	for (i = 0; i < option_threads; i++)
		pthread_join(workers[i].thread, NULL);
	report("end after pass");
	return mismatches ? 1 : 0;
}
