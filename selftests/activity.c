// SPDX-License-Identifier: GPL-2.0
/* Estimates of active memory: what counts, and how it is followed. */
#include <sys/mman.h>
#include <sys/prctl.h>

#include "tax.h"
#include "toucher.h"

TEST_F(fisc, reads_count_as_activity)
{
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 30);
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
	EXPECT_TRUE(fisc_wait_active("st-a", "active_slow", 30));
	EXPECT_TRUE(fisc_wait_active("st-a", "active_fast", 30));
}

TEST_F(fisc, writes_count_as_activity)
{
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 30);
	WRITE_ONCE(t.write, true);
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
}

TEST_F(fisc, all_that_map_the_memory_count)
{
	static struct toucher t;
	size_t third;
	pid_t pid;

	open_toucher(_metadata, &t, ST "a", 30);
	third = t.nr;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		t.order += third;
		toucher_thread(&t);
	}
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 60));
	kill(pid, SIGKILL);
	fisc_wait_child(pid);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
}

TEST_F(fisc, vm_that_nobody_touches_is_idle)
{
	static struct toucher t;
	long sampled, touched;

	/* A VM without a page, and a full one that was touched long ago. */
	ASSERT_LE(0, fisc_create(ST "empty", TOUCHED_PAGES));
	open_toucher(_metadata, &t, ST "a", 0);
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 0));
	EXPECT_EQ(0, fisc_vm("st-empty", "active"));
	EXPECT_EQ(0, fisc_vm("st-empty", "active_slow"));
	EXPECT_EQ(0, fisc_vm("st-empty", "active_fast"));
	/* The scanner's reads are not the guest's. */
	ASSERT_EQ(0, fisc_write_str(SHARE_RECHECK, "10"));
	ASSERT_EQ(0, fisc_scan_on());
	touched = fisc_sample("touched");
	sampled = fisc_sample("sampled");
	EXPECT_TRUE(wait_periods(10));
	EXPECT_LE(sampled + 3000, fisc_sample("sampled"));
	EXPECT_EQ(touched, fisc_sample("touched"));
	/* Sampling has not filled the holes. */
	EXPECT_EQ(TOUCHED_PAGES, fisc_core("frames"));
	EXPECT_EQ(0, fisc_vm("st-empty", "present_pages"));
}

/*
 * Return the most that a VM is seen to use until the end of the first whole
 * period in which the thread touches all of its pages: a slow host may not let
 * it do so in each.
 */
static long most_in_a_period(const struct toucher *t)
{
	long period = fisc_sample("periods"), most = 0;
	double end = fisc_now() + WAIT_S;
	unsigned long rounds = 0;
	bool begun = false;

	while (fisc_now() < end) {
		long now = fisc_vm("st-a", "active");

		most = now > most ? now : most;
		fisc_sleep_ms(10);
		now = fisc_sample("periods");
		if (now == period)
			continue;
		/* Of two rounds that end in it, the second begins in it. */
		if (begun && now == period + 1 &&
		    READ_ONCE(t->rounds) >= rounds + 2)
			break;
		begun = true;
		period = now;
		rounds = READ_ONCE(t->rounds);
	}
	return most;
}

TEST_F(fisc, growth_is_seen_within_a_period)
{
	long size = TOUCHED_PAGES * PAGE_SIZE;
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 30);
	sample_much(_metadata, "1000");
	ASSERT_TRUE(fisc_wait_active("st-a", "active", 30));
	touch_percent(&t, 80);
	/* Three standard errors below it. */
	EXPECT_LE(size / 100 * 76, most_in_a_period(&t));
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 80));
}

TEST_F(fisc, decline_is_followed_slowly)
{
	long size = TOUCHED_PAGES * PAGE_SIZE, slow, fast, active;
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 80);
	sample_much(_metadata, "500");
	ASSERT_TRUE(fisc_wait_active("st-a", "active_slow", 80));
	touch_percent(&t, 10);
	ASSERT_TRUE(wait_periods(3));
	slow = fisc_vm("st-a", "active_slow");
	fast = fisc_vm("st-a", "active_fast");
	active = fisc_vm("st-a", "active");
	/*
	 * 70 points lose a fifth with each of these and perhaps one more, but
	 * for the first, which has seen the old.
	 */
	EXPECT_LE(size / 100 * (38 - 4), slow);
	EXPECT_GT(size / 100 * 70, slow);
	EXPECT_LT(fast, slow);
	EXPECT_LE(size / 100 * (38 - 4), active);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 10));
}

TEST_F(fisc, averages_have_the_weights_they_were_given)
{
	long size = TOUCHED_PAGES * PAGE_SIZE;
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 80);
	sample_much(_metadata, "500");
	ASSERT_TRUE(fisc_wait_active("st-a", "active_slow", 80));
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_slow_percent", "1"));
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_fast_percent", "100"));
	touch_percent(&t, 10);
	ASSERT_TRUE(wait_periods(3));
	EXPECT_LE(size / 100 * 70, fisc_vm("st-a", "active_slow"));
	EXPECT_TRUE(fisc_wait_active("st-a", "active_fast", 10));
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_slow_percent", "100"));
	EXPECT_TRUE(fisc_wait_active("st-a", "active_slow", 10));
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 10));
}

TEST_F(fisc, error_is_that_of_the_sample)
{
	/* The root of 0.3 * 0.7 / 1000, in hundredths of a percent. */
	long size = TOUCHED_PAGES * PAGE_SIZE, error = size / 10000 * 145;
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 30);
	sample_much(_metadata, "500");
	ASSERT_TRUE(fisc_wait_active("st-a", "active", 30));
	EXPECT_LE(error / 4, fisc_vm("st-a", "active_error"));
	EXPECT_GE(error * 2, fisc_vm("st-a", "active_error"));
	/* A tenth of the sample, three times the error, by the next period. */
	error = fisc_vm("st-a", "active_error");
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_pages", "100"));
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "active_error", error * 2,
					 error * 6));
}

TEST_F(fisc, period_of_a_vm_is_its_own)
{
	static struct toucher t;
	long periods;

	open_toucher(_metadata, &t, ST "a", 50);
	ASSERT_LE(0, fisc_create(ST "b", TOUCHED_PAGES));
	sample_much(_metadata, "3600000");
	periods = fisc_sample("periods");
	fisc_sleep_ms(1000);
	/* A period that was under way may have ended. */
	EXPECT_GE(periods + 2, fisc_sample("periods"));
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_period_ms", "200"));
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 50));
	periods = fisc_sample("periods");
	EXPECT_TRUE(wait_periods(10));
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_period_ms", "3600000"));
	fisc_sleep_ms(300);
	periods = fisc_sample("periods");
	fisc_sleep_ms(1000);
	EXPECT_EQ(periods, fisc_sample("periods"));
}

TEST_F(fisc, pages_of_any_state_are_sampled)
{
	long present, frames, cow_breaks = fisc_share("cow_breaks");
	static struct toucher t;
	size_t i;

	t.map = fisc_map(fisc_create(ST "a", TOUCHED_PAGES), TOUCHED_PAGES);
	ASSERT_NE(NULL, t.map);
	shuffle(_metadata, &t, TOUCHED_PAGES, 1);
	/* Pages that are zero, shared, unique and absent. */
	for (i = 0; i < TOUCHED_PAGES; i++) {
		char *page = t.map + i * PAGE_SIZE;

		if (i % 4 == 1)
			memset(page, 0, PAGE_SIZE);
		else if (i % 4 > 1)
			fisc_fill(page, i % 4 == 2 ? i % 64 : i);
	}
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", TOUCHED_PAGES / 4 + 16));
	ASSERT_EQ(0, fisc_scan_off());
	start_toucher(_metadata, &t, 30);
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
	/* Everything has been read by now: sampling itself makes no page. */
	present = fisc_core("present");
	frames = fisc_core("frames");
	EXPECT_TRUE(wait_periods(5));
	EXPECT_EQ(present, fisc_core("present"));
	EXPECT_EQ(frames, fisc_core("frames"));
	/* Shared and zero pages stay as they are. */
	EXPECT_EQ(TOUCHED_PAGES / 4 + 16, frames);
	EXPECT_EQ(cow_breaks, fisc_share("cow_breaks"));
	for (i = 0; i < TOUCHED_PAGES; i++) {
		char *page = t.map + i * PAGE_SIZE;
		long bad = i % 4 < 2 ? fisc_check_zero(page, PAGE_SIZE) :
			   fisc_check(page, i % 4 == 2 ? i % 64 : i);

		ASSERT_EQ(-1, bad);
	}
}

TEST_F(fisc, large_pages_are_sampled)
{
	static struct toucher t;
	size_t chunks = 20, pages = chunks * CHUNK_PAGES;
	int i;

	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "1"));
	t.map = fisc_map(fisc_create(ST "a", pages), pages);
	ASSERT_NE(NULL, t.map);
	fisc_fill_pages(t.map, pages, 1);
	ASSERT_EQ((long)chunks, fisc_core("large"));
	/* Whole chunks: the same fraction by large and by small pages. */
	shuffle(_metadata, &t, pages, CHUNK_PAGES);
	t.nr = 6 * CHUNK_PAGES;
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, toucher_thread, &t));
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
	EXPECT_EQ((long)chunks, fisc_core("large"));
	for (i = 0; i < (int)pages; i++)
		ASSERT_EQ(-1, fisc_check(t.map + i * PAGE_SIZE, 1 + i));
}

TEST_F(fisc, empty_files_need_no_memory_to_be_sampled)
{
	long map_bytes = fisc_core("map_bytes");

	ASSERT_LE(0, fisc_create(ST "a", 16 * GIB / PAGE_SIZE));
	sample_much(_metadata, "100");
	EXPECT_TRUE(wait_periods(5));
	EXPECT_EQ(map_bytes, fisc_core("map_bytes"));
	EXPECT_EQ(0, fisc_vm("st-a", "active"));
}

TEST_F(fisc, first_touches_of_a_file_count)
{
	long sampled = fisc_sample("sampled"), touched;
	double end = fisc_now() + WAIT_S;
	size_t i;
	char *map;

	map = fisc_map(fisc_create(ST "a", TOUCHED_PAGES), TOUCHED_PAGES);
	ASSERT_NE(NULL, map);
	sample_much(_metadata, "500");
	while (fisc_sample("sampled") < sampled + 1000 && fisc_now() < end)
		fisc_sleep_ms(10);
	/* From now on there is one sample. */
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "3600000"));
	touched = fisc_sample("touched");
	for (i = 0; i < TOUCHED_PAGES; i++)
		(void)READ_ONCE(*page_of(map, i));
	EXPECT_EQ(touched + 1000, fisc_sample("touched"));
}

TEST_F(fisc, vm_may_be_smaller_than_the_sample)
{
	static struct toucher t = { .nr = 4 };
	int fd;

	fd = fisc_create(ST "a", 8);
	t.map = fisc_map(fd, 8);
	ASSERT_NE(NULL, t.map);
	shuffle(_metadata, &t, 8, 1);
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, toucher_thread, &t));
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "200"));
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "active", 3 * PAGE_SIZE,
					 5 * PAGE_SIZE));
	/* Down to no page, and back. */
	WRITE_ONCE(t.nr, 0);
	fisc_sleep_ms(50);
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_TRUE(soon_between("st-a", "active", 0, 0));
	EXPECT_TRUE(soon_between("st-a", "target", 0, 0));
	ASSERT_EQ(0, ftruncate(fd, 8 * PAGE_SIZE));
	WRITE_ONCE(t.nr, 8);
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "active", 7 * PAGE_SIZE,
					 8 * PAGE_SIZE));
}

TEST_F(fisc, sampling_is_counted)
{
	long periods, sampled, touched, faults, cpu_us, runs = fisc_tax("runs");
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 50);
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "500"));
	ASSERT_TRUE(fisc_wait_active("st-a", "active", 50));
	periods = fisc_sample("periods");
	sampled = fisc_sample("sampled");
	touched = fisc_sample("touched");
	faults = fisc_sample("faults");
	cpu_us = fisc_sample("cpu_us");
	ASSERT_LE(0, faults);
	ASSERT_TRUE(wait_periods(10));
	periods = fisc_sample("periods") - periods;
	sampled = fisc_sample("sampled") - sampled;
	touched = fisc_sample("touched") - touched;
	faults = fisc_sample("faults") - faults;
	cpu_us = fisc_sample("cpu_us") - cpu_us;
	/* A hundred each; a period under way may be counted already. */
	EXPECT_LE((periods - 1) * 100, sampled);
	EXPECT_GE((periods + 2) * 100, sampled);
	EXPECT_LE(sampled * 30 / 100, touched);
	EXPECT_GE(sampled * 70 / 100, touched);
	/* At most one for each page, and only for pages that were touched. */
	EXPECT_GE(touched + 200, faults);
	EXPECT_LT(0, cpu_us);
	EXPECT_GE(periods * 500000, cpu_us);
	/* Every period ends with new targets. */
	EXPECT_LE(runs + 10, fisc_tax("runs"));
	EXPECT_LE(0, fisc_tax("cpu_us"));
}

TEST_HARNESS_MAIN
