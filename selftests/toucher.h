/* SPDX-License-Identifier: GPL-2.0 */
/* VMs of which a known part is touched, for estimates of active memory. */
#ifndef FISC_SELFTESTS_TOUCHER_H
#define FISC_SELFTESTS_TOUCHER_H

#include <pthread.h>

#include "fixture.h"

/**
 * struct toucher - a thread that touches some pages of a VM, over and over
 * @thread: the thread
 * @map: the VM's memory
 * @order: all pages of @map, in the order in which @nr selects them
 * @nr: number of pages that the thread touches
 * @rounds: how often it has touched them all
 * @write: write to the pages instead of reading them
 * @stop: tells the thread to end
 */
struct toucher {
	pthread_t thread;
	char *map;
	unsigned int *order;
	size_t nr;
	unsigned long rounds;
	bool write;
	bool stop;
};

/* Much shorter than a sampling period, yet leaves the CPU to others. */
#define TOUCH_MS	10

static inline void touch_once(const struct toucher *t)
{
	size_t nr = READ_ONCE(t->nr), i;

	for (i = 0; i < nr; i++) {
		char *page = t->map + t->order[i] * PAGE_SIZE;

		if (t->write)
			WRITE_ONCE(*page, (char)i);
		else
			(void)READ_ONCE(*page);
	}
}

static inline void *toucher_thread(void *arg)
{
	struct toucher *t = arg;

	while (!READ_ONCE(t->stop)) {
		touch_once(t);
		WRITE_ONCE(t->rounds, t->rounds + 1);
		fisc_sleep_ms(TOUCH_MS);
	}
	return NULL;
}

/* Put the pages in random order, in runs of @step that are mapped together. */
static inline void shuffle(struct __test_metadata *_metadata, struct toucher *t,
			   size_t nr_pages, size_t step)
{
	size_t groups = nr_pages / step, i, j;
	__u64 rnd = 42;

	t->order = malloc(nr_pages * sizeof(*t->order));
	ASSERT_NE(NULL, t->order);
	for (i = 0; i < groups; i++) {
		size_t other = fisc_rand(&rnd) % (i + 1);

		t->order[i * step] = t->order[other * step];
		t->order[other * step] = i * step;
	}
	for (i = 0; i < groups; i++)
		for (j = 1; j < step; j++)
			t->order[i * step + j] = t->order[i * step] + j;
}

#define TOUCHED_PAGES	4096

static inline void start_toucher(struct __test_metadata *_metadata,
				 struct toucher *t, int percent)
{
	t->nr = TOUCHED_PAGES * percent / 100;
	ASSERT_EQ(0, pthread_create(&t->thread, NULL, toucher_thread, t));
}

/* Make a VM whose pages all differ, and touch @percent of them. */
static inline void open_toucher(struct __test_metadata *_metadata,
				struct toucher *t, const char *path,
				int percent)
{
	memset(t, 0, sizeof(*t));
	t->map = fisc_map(fisc_create(path, TOUCHED_PAGES), TOUCHED_PAGES);
	ASSERT_NE(NULL, t->map);
	fisc_fill_pages(t->map, TOUCHED_PAGES, 1);
	shuffle(_metadata, t, TOUCHED_PAGES, 1);
	start_toucher(_metadata, t, percent);
}

static inline void touch_percent(struct toucher *t, int percent)
{
	WRITE_ONCE(t->nr, TOUCHED_PAGES * percent / 100);
}

static inline void sample_much(struct __test_metadata *_metadata,
			       const char *period_ms)
{
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PAGES, "1000"));
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, period_ms));
}

/* Wait for @periods sampling periods to end from now on. */
static inline bool wait_periods(long periods)
{
	double end = fisc_now() + WAIT_S;
	long last = fisc_sample("periods") + periods;

	while (fisc_sample("periods") < last) {
		if (fisc_now() > end)
			return false;
		fisc_sleep_ms(10);
	}
	return true;
}

#endif /* FISC_SELFTESTS_TOUCHER_H */
