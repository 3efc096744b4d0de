// SPDX-License-Identifier: GPL-2.0
/* No write is lost while the scanner shares and breaks up pages. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "fixture.h"

/*
 * Writers at full speed against the scanner. Each thread owns its pages, whose
 * content is the common pattern of the thread's generation, so that the pages
 * of all threads keep being shared, with a counter that runs in some word of
 * each. A write that is lost, or lands in another page, shows at once.
 */
#define WRITERS		4
#define WRITER_PAGES	24
#define WRITER_SECONDS	6

struct writer {
	pthread_t thread;
	char *map;
	char *view;
	int fd;
	size_t first;
	__u64 rnd;
	unsigned long rounds;
	char error[120];
};

static bool stop_writers;

static bool writer_check(struct writer *w, int i, __u64 seed, const char *what)
{
	char page[PAGE_SIZE];
	long bad = fisc_check(page_of(w->map, w->first + i), seed);

	if (bad < 0)
		bad = fisc_check(page_of(w->view, w->first + i), seed);
	if (bad < 0 && pread(w->fd, page, PAGE_SIZE,
			     (w->first + i) * PAGE_SIZE) == (ssize_t)PAGE_SIZE)
		bad = fisc_check(page, seed);
	if (bad >= 0)
		snprintf(w->error, sizeof(w->error), "page %d offset %ld, %s",
			 i, bad, what);
	return bad < 0;
}

static void *write_pages(void *arg)
{
	struct writer *w = arg;
	__u64 seed[WRITER_PAGES];
	char want[PAGE_SIZE];
	int i, k;

	for (i = 0; i < WRITER_PAGES; i++) {
		seed[i] = 1;
		fisc_fill(page_of(w->map, w->first + i), 1);
	}
	while (!READ_ONCE(stop_writers)) {
		__u64 r = fisc_rand(&w->rnd), old, n, *word, *seen;

		i = r % WRITER_PAGES;
		if (!writer_check(w, i, seed[i],
				  "changed since the last write"))
			return NULL;
		switch ((r >> 16) % 4) {
		case 0:
			/* Change to another common pattern, word by word. */
			seed[i] = 1 + (r >> 24) % 3;
			fisc_fill(page_of(w->map, w->first + i), seed[i]);
			break;
		case 1:
			/* The same by write(), while it is mapped. */
			seed[i] = 1 + (r >> 24) % 3;
			fisc_fill(want, seed[i]);
			if (pwrite(w->fd, want, PAGE_SIZE,
				   (w->first + i) * PAGE_SIZE) !=
			    (ssize_t)PAGE_SIZE)
				return NULL;
			break;
		default:
			/* Count a word up, check the other view, restore. */
			k = (r >> 24) % 512;
			word = (__u64 *)page_of(w->map, w->first + i) + k;
			seen = (__u64 *)page_of(w->view, w->first + i) + k;
			old = READ_ONCE(*word);
			for (n = 1; n < 300; n++) {
				WRITE_ONCE(*word, n);
				if (READ_ONCE(*word) != n ||
				    READ_ONCE(*seen) != n) {
					snprintf(w->error, sizeof(w->error),
						 "page %d word %d: write %llu lost",
						 i, k, n);
					return NULL;
				}
			}
			WRITE_ONCE(*word, old);
		}
		w->rounds++;
		/* Give the scanner time to find pages unchanged. */
		if (w->rounds % 8 == 0)
			fisc_sleep_ms(w->rounds % 64 ? 1 : 50);
	}
	for (i = 0; i < WRITER_PAGES; i++)
		if (!writer_check(w, i, seed[i], "at the end"))
			return NULL;
	return w;
}

TEST_F(fisc, no_write_is_lost_to_the_scanner)
{
	long merged = fisc_share("merged"), breaks = fisc_share("cow_breaks");
	struct writer w[WRITERS];
	char path[64];
	void *ok;
	int i;

	memset(w, 0, sizeof(w));
	for (i = 0; i < WRITERS; i++) {
		/* Two threads in each file. */
		snprintf(path, sizeof(path), ST "%d", i / 2);
		w[i].fd = open(path, O_RDWR | O_CREAT, 0600);
		ASSERT_LE(0, w[i].fd);
		ASSERT_EQ(0, ftruncate(w[i].fd, 2 * WRITER_PAGES * PAGE_SIZE));
		w[i].map = fisc_map(w[i].fd, 2 * WRITER_PAGES);
		w[i].view = fisc_map(w[i].fd, 2 * WRITER_PAGES);
		ASSERT_NE(NULL, w[i].map);
		ASSERT_NE(NULL, w[i].view);
		w[i].rnd = i;
		w[i].first = i & 1 ? WRITER_PAGES : 0;
	}
	ASSERT_EQ(0, fisc_scan_on());
	for (i = 0; i < WRITERS; i++)
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, write_pages,
					    &w[i]));
	fisc_sleep_ms(WRITER_SECONDS * 1000);
	WRITE_ONCE(stop_writers, true);
	for (i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, &ok);
		EXPECT_EQ(&w[i], ok)
			TH_LOG("writer %d: %s", i, w[i].error);
		EXPECT_LT(0, w[i].rounds);
	}
	/* It was a race indeed: pages were shared and copied all the time. */
	EXPECT_LT(merged + 20, fisc_share("merged"));
	EXPECT_LT(breaks + 20, fisc_share("cow_breaks"));
}

/*
 * Atomic increments of the same words by several threads through several
 * mappings; the pages are equal again whenever the counters happen to be.
 */
#define ADDERS		3
#define ADDER_PAGES	16

struct adder {
	pthread_t thread;
	__u64 *map;
	__u64 rnd;
	__u64 sum[ADDER_PAGES];
};

static void *add(void *arg)
{
	struct adder *a = arg;
	int i, n;

	while (!READ_ONCE(stop_writers)) {
		for (n = 0; n < 200; n++) {
			i = fisc_rand(&a->rnd) % ADDER_PAGES;
			__atomic_fetch_add(&a->map[i * 512], 1,
					   __ATOMIC_RELAXED);
			/* Up and down: the page often is unchanged. */
			__atomic_fetch_add(&a->map[i * 512 + 64], 1,
					   __ATOMIC_RELAXED);
			__atomic_fetch_sub(&a->map[i * 512 + 64], 1,
					   __ATOMIC_RELAXED);
			a->sum[i]++;
		}
		fisc_sleep_ms(20 + fisc_rand(&a->rnd) % 60);
	}
	return NULL;
}

TEST_F(fisc, no_increment_is_lost_to_the_scanner)
{
	int fd = fisc_create(ST "a", 2 * ADDER_PAGES), i, j;
	struct adder a[ADDERS];
	__u64 *map;

	map = (__u64 *)fisc_map(fd, 2 * ADDER_PAGES);
	ASSERT_NE(NULL, map);
	memset(a, 0, sizeof(a));
	ASSERT_EQ(0, fisc_scan_on());
	for (i = 0; i < ADDERS; i++) {
		a[i].rnd = i;
		a[i].map = (__u64 *)fisc_map(fd, 2 * ADDER_PAGES);
		ASSERT_NE(NULL, a[i].map);
		ASSERT_EQ(0, pthread_create(&a[i].thread, NULL, add, &a[i]));
	}
	/* Copies of the counting pages, so that they have equals. */
	for (i = 0; i < 40; i++) {
		for (j = 0; j < ADDER_PAGES; j++)
			WRITE_ONCE(map[(ADDER_PAGES + j) * 512],
				   READ_ONCE(map[j * 512]));
		fisc_sleep_ms(100);
	}
	WRITE_ONCE(stop_writers, true);
	for (i = 0; i < ADDERS; i++)
		pthread_join(a[i].thread, NULL);
	for (j = 0; j < ADDER_PAGES; j++) {
		__u64 sum = 0;

		for (i = 0; i < ADDERS; i++)
			sum += a[i].sum[j];
		EXPECT_EQ(sum, map[j * 512]);
		EXPECT_EQ(0, map[j * 512 + 64]);
	}
}

TEST_HARNESS_MAIN
