// SPDX-License-Identifier: GPL-2.0
/*
 * What reclaim takes from VMs: how much at a time, which pages, down to where,
 * and of whom nothing.
 */
#include <fcntl.h>

#include "swap.h"
#include "toucher.h"
#include "waiter.h"

#define VM(name, file)	FISC_SYSFS "/vms/st-" name "/" file
#define SENSITIVE	VM("a", "latency_sensitive")

/* A VM that is larger than that of the fixture. */
#define BIG_PAGES	16384UL

static char *make_big(struct __test_metadata *_metadata)
{
	char *map = fisc_map(fisc_create(ST "b", BIG_PAGES), BIG_PAGES);

	ASSERT_NE(NULL, map);
	fisc_fill_pages(map, BIG_PAGES, 1);
	return map;
}

static void set_capacity(struct __test_metadata *_metadata, long pages)
{
	char value[32];

	snprintf(value, sizeof(value), "%ld", pages * (long)PAGE_SIZE);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, value));
}

/* Set the capacity so that @percent of it is free. */
static void leave_free(struct __test_metadata *_metadata, int percent)
{
	/* Ample, so that what is free tells what is in use. */
	set_capacity(_metadata, 4 * BIG_PAGES);
	ASSERT_TRUE(fisc_wait("reclaim", "pool_total", 4 * BIG_PAGES));
	set_capacity(_metadata,
		     (4 * BIG_PAGES - fisc_reclaim("pool_free")) * 100 /
		     (100 - percent));
}

/* Let memory be short, and wait until that has passed. */
static bool get_over_shortage(void)
{
	long changes = fisc_reclaim("changes");

	return !fisc_short_of_memory(true) &&
	       fisc_wait_above("reclaim", "changes", changes) &&
	       waiter_word(RECLAIM_STATE, "high");
}

/* Read the state that the latest "low" changed to. */
static void read_state_after_low(char *state, size_t size)
{
	FILE *f = fopen(FISC_DEBUGFS "/reclaim", "re");
	char line[256], name[32];
	bool low = false;

	*state = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "at_ms_%*u: %31s", name) != 1)
			continue;
		if (low)
			snprintf(state, size, "%s", name);
		low = !strcmp(name, "low");
	}
	if (f)
		fclose(f);
}

TEST_F(swap, few_chunks_are_armed_at_a_time)
{
	long armed;

	make_big(_metadata);
	/* Nothing gets cold. */
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "600000"));
	leave_free(_metadata, 3);
	armed = fisc_reclaim("armed");
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(fisc_wait_above("reclaim", "armed", armed));
	fisc_sleep_ms(3000);
	armed = fisc_reclaim("armed") - armed;
	EXPECT_LT(0, armed);
	EXPECT_GT((long)(BIG_PAGES / CHUNK_PAGES / 2), armed);
}

/* Whoever unmaps them: here it is the scanner, before pages go out. */
TEST_F(swap, pages_that_are_touched_stay)
{
	static struct toucher t;
	unsigned int i;
	long armed, in;

	fisc_fill_pages(self->map, PAGES, 1);
	t.map = self->map;
	t.nr = PAGES / 4;
	t.order = malloc(t.nr * sizeof(*t.order));
	ASSERT_NE(NULL, t.order);
	for (i = 0; i < t.nr; i++)
		t.order[i] = 4 * i;
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, toucher_thread, &t));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "3000"));
	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, "1"));
	in = fisc_reclaim("swap_in");
	armed = fisc_reclaim("armed");
	ASSERT_EQ(0, fisc_short_of_memory(true));
	ASSERT_TRUE(fisc_wait_above("reclaim", "armed", armed));
	fisc_sleep_ms(500);
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", PAGES / 4));
	fisc_sleep_ms(500);
	WRITE_ONCE(t.stop, true);
	pthread_join(t.thread, NULL);
	in = fisc_reclaim("swap_in") - in;
	TH_LOG("%ld pages came back", in);
	EXPECT_GT((long)t.nr / 16, in);
	ASSERT_EQ(0, fisc_short_of_memory(false));
	ASSERT_EQ(0, fisc_scan_off());
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

/* A file of which one chunk in SPARSE has content: chance rarely finds it. */
#define SPARSE		4
#define SPARSE_PAGES	(BIG_PAGES * SPARSE)

/* The page that is the @i-th of those with content. */
static size_t sparse_page(size_t i)
{
	return i / CHUNK_PAGES * CHUNK_PAGES * SPARSE + i % CHUNK_PAGES;
}

/* One page in ten is cold, which suffices, however long it takes to find. */
TEST_F(swap, pages_in_use_stay_while_others_are_cold)
{
	char *map = fisc_map(fisc_create(ST "b", SPARSE_PAGES), SPARSE_PAGES);
	static struct toucher t;
	long in;
	size_t i;

	ASSERT_NE(NULL, map);
	t.map = map;
	t.order = malloc(BIG_PAGES * sizeof(*t.order));
	ASSERT_NE(NULL, t.order);
	for (i = 0; i < BIG_PAGES; i++) {
		fisc_fill(page_of(map, sparse_page(i)), i);
		if (i % 10)
			t.order[t.nr++] = sparse_page(i);
	}
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, toucher_thread, &t));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "3000"));
	in = fisc_reclaim("swap_in");
	/* With what is kept free, less than one page in ten is too much. */
	leave_free(_metadata, -1);
	EXPECT_TRUE(get_over_shortage());
	fisc_sleep_ms(1000);
	WRITE_ONCE(t.stop, true);
	pthread_join(t.thread, NULL);
	in = fisc_reclaim("swap_in") - in;
	TH_LOG("%ld pages came back", in);
	EXPECT_GT((long)t.nr / 100, in);
	ASSERT_EQ(0, fisc_short_of_memory(false));
	for (i = 0; i < BIG_PAGES; i++)
		ASSERT_EQ(-1, fisc_check(page_of(map, sparse_page(i)), i));
}

/* Those who wait go on when "low" ends, not when all is well again. */
TEST_F(swap, memory_is_taken_in_slices)
{
	char *map = make_big(_metadata), state[32];

	leave_free(_metadata, 0);
	ASSERT_TRUE(get_over_shortage());
	read_state_after_low(state, sizeof(state));
	EXPECT_STREQ("hard", state);
	ASSERT_EQ(0, fisc_short_of_memory(false));
	EXPECT_EQ(-1, fisc_check_pages(map, BIG_PAGES, 1));
}

TEST_F(swap, vms_within_their_targets_leave_enough)
{
	fisc_fill_pages(self->map, PAGES, 1);
	EXPECT_TRUE(get_over_shortage());
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", OUT_PAGES));
	fisc_sleep_ms(1000);
	EXPECT_TRUE(waiter_word(RECLAIM_STATE, "high"));
	EXPECT_GE(fisc_vm("st-a", "target") + 64 * (long)PAGE_SIZE,
		  fisc_vm("st-a", "allocated"));
}

TEST_F(swap, memory_does_not_rest_in_clear)
{
	make_big(_metadata);
	leave_free(_metadata, 5);
	ASSERT_EQ(0, fisc_short_of_memory(true));
	ASSERT_TRUE(waiter_word(RECLAIM_STATE, "clear"));
	EXPECT_TRUE(waiter_word(RECLAIM_STATE, "high"));
	EXPECT_LT(0, fisc_vm("st-b", "swapped"));
}

static bool is_above_max(void)
{
	return fisc_vm("st-b", "allocated") > fisc_vm("st-b", "max");
}

TEST_F(swap, max_is_a_limit_in_every_state)
{
	static struct toucher t;
	double end = fisc_now() + WAIT_S;
	char *map = make_big(_metadata);
	long swapped;
	size_t i;

	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, "0"));
	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_EQ(0, fisc_vm_set("st-b", "max", "32M"));
	EXPECT_TRUE(fisc_wait_vm_between("st-b", "allocated", 0, 32 * MIB));
	EXPECT_TRUE(waiter_word(RECLAIM_STATE, "high"));
	/* Pages in use, too. */
	t.map = map;
	t.nr = BIG_PAGES;
	t.order = malloc(t.nr * sizeof(*t.order));
	ASSERT_NE(NULL, t.order);
	for (i = 0; i < t.nr; i++)
		t.order[i] = i;
	touch_once(&t);
	swapped = fisc_vm("st-b", "swapped");
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, toucher_thread, &t));
	while (fisc_vm("st-b", "swapped") <= swapped && fisc_now() < end)
		fisc_sleep_ms(10);
	EXPECT_LT(swapped, fisc_vm("st-b", "swapped"));
	WRITE_ONCE(t.stop, true);
	pthread_join(t.thread, NULL);
	end = fisc_now() + WAIT_S;
	while (is_above_max() && fisc_now() < end)
		fisc_sleep_ms(10);
	EXPECT_FALSE(is_above_max());
	/* Without it, all that comes back may stay. Others kept theirs. */
	ASSERT_EQ(0, fisc_vm_set("st-b", "max", "0"));
	EXPECT_EQ(-1, fisc_check_pages(map, BIG_PAGES, 1));
	fisc_sleep_ms(1000);
	EXPECT_EQ(0, fisc_vm("st-b", "swapped"));
	EXPECT_EQ(0, fisc_vm("st-a", "swap_out"));
}

TEST_F(swap, latency_sensitive_needs_all_of_its_memory)
{
	long reserved = fisc_read_long(TAX_RESERVED);

	fisc_refuse(_metadata, SENSITIVE, "2", -EINVAL);
	fisc_refuse(_metadata, SENSITIVE, "-1", -EINVAL);
	fisc_refuse(_metadata, SENSITIVE, "x", -EINVAL);
	fisc_refuse(_metadata, SENSITIVE, "\n", -EINVAL);
	/* The pool is half its size. */
	fisc_refuse(_metadata, SENSITIVE, "1", -ENOSPC);
	EXPECT_EQ(reserved, fisc_read_long(TAX_RESERVED));
	set_capacity(_metadata, 2 * PAGES);
	fisc_take(_metadata, VM("a", "max"), "8M", "8388608");
	fisc_refuse(_metadata, SENSITIVE, "1", -EINVAL);
	fisc_take(_metadata, VM("a", "max"), "0", "16777216");
	fisc_take(_metadata, VM("a", "min"), "4M", "4194304");
	fisc_take(_metadata, SENSITIVE, "1", "1");
	EXPECT_EQ(16 * MIB, fisc_vm("st-a", "min"));
	EXPECT_EQ(reserved + 16 * MIB, fisc_read_long(TAX_RESERVED));
	fisc_refuse(_metadata, VM("a", "min"), "1M", -EBUSY);
	fisc_refuse(_metadata, VM("a", "max"), "15M", -EBUSY);
	/* It grows with its size, as far as that can be guaranteed. */
	EXPECT_EQ(0, ftruncate(self->fd, 24 * MIB));
	EXPECT_EQ(24 * MIB, fisc_vm("st-a", "min"));
	EXPECT_EQ(-1, ftruncate(self->fd, 64 * MIB));
	EXPECT_EQ(ENOSPC, errno);
	fisc_take(_metadata, VM("a", "max"), "24M", "25165824");
	EXPECT_EQ(-1, ftruncate(self->fd, 25 * MIB));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, ftruncate(self->fd, 16 * MIB));
	/* Then it has the min that was chosen. */
	fisc_take(_metadata, SENSITIVE, "0", "0");
	EXPECT_EQ(4 * MIB, fisc_vm("st-a", "min"));
	EXPECT_EQ(reserved + 4 * MIB, fisc_read_long(TAX_RESERVED));
}

TEST_F(swap, latency_sensitive_is_left_alone)
{
	char *map;
	long sampled;

	set_capacity(_metadata, 2 * BIG_PAGES);
	fisc_take(_metadata, SENSITIVE, "1", "1");
	sampled = fisc_sample("sampled");
	sample_much(_metadata, "100");
	fisc_fill_pages(self->map, PAGES, 1);
	fisc_sleep_ms(1000);
	EXPECT_EQ(sampled, fisc_sample("sampled"));
	EXPECT_EQ((long)(PAGES * PAGE_SIZE), fisc_vm("st-a", "active"));

	/* Its pages are like the first ones of this VM. */
	map = make_big(_metadata);
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_passes(5));
	EXPECT_EQ((long)PAGES, fisc_vm("st-a", "private_pages"));
	EXPECT_EQ((long)BIG_PAGES, fisc_vm("st-b", "private_pages"));
	ASSERT_EQ(0, fisc_scan_off());

	leave_free(_metadata, 0);
	EXPECT_TRUE(get_over_shortage());
	EXPECT_LT(0, fisc_vm("st-b", "swapped"));
	EXPECT_EQ(0, fisc_vm("st-a", "swap_out"));
	ASSERT_EQ(0, fisc_short_of_memory(false));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	EXPECT_EQ(-1, fisc_check_pages(map, BIG_PAGES, 1));

	/* Without it, it shares. */
	fisc_take(_metadata, SENSITIVE, "0", "0");
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_vm("st-a", "private_pages", 0));
	/* It gets its own pages back, whether they are shared or in swap. */
	set_capacity(_metadata, 4 * BIG_PAGES);
	fisc_take(_metadata, SENSITIVE, "1", "1");
	EXPECT_EQ((long)PAGES, fisc_vm("st-a", "private_pages"));
	ASSERT_EQ(0, fisc_scan_off());
	fisc_take(_metadata, SENSITIVE, "0", "0");
	ASSERT_EQ(0, munmap(map, BIG_PAGES * PAGE_SIZE));
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, POOL_BYTES));
	ASSERT_TRUE(squeeze());
	ASSERT_EQ(0, fisc_short_of_memory(false));
	set_capacity(_metadata, 4 * BIG_PAGES);
	fisc_take(_metadata, SENSITIVE, "1", "1");
	EXPECT_EQ(0, fisc_vm("st-a", "swapped"));
	EXPECT_EQ((long)PAGES, fisc_vm("st-a", "private_pages"));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

TEST_HARNESS_MAIN
