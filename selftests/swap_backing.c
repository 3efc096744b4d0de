// SPDX-License-Identifier: GPL-2.0
/*
 * Shared memory through which pages go to the kernel's swap: what of it counts
 * as free, and how much there is of it. Needs root, and null_blk.
 */
#include "swap.h"

/* Return how many pages the kernel counts under @name. */
static long meminfo_pages(const char *name)
{
	return meminfo_kb(name) * 1024 / (long)PAGE_SIZE;
}

/* What is being written to swap is not free yet. */
TEST_F(swap, pages_under_writeback_are_not_free)
{
	double end = fisc_now() + WAIT_S;
	int seen = 0, wrong = 0;
	long capacity;
	char value[32];

	/* The device takes five seconds for a request. */
	swap_stop();
	ASSERT_EQ(0, swap_start_slow(5000000));
	fisc_fill_pages(self->map, PAGES, 1);
	/* Some chunks go, in few requests, so that nobody waits for one. */
	capacity = (PAGES - 2 * CHUNK_PAGES) * PAGE_SIZE;
	snprintf(value, sizeof(value), "%ld", capacity);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, value));
	ASSERT_EQ(0, fisc_short_of_memory(true));
	while (seen < 10 && fisc_now() < end) {
		long writing = meminfo_pages("Writeback"), free, rest;

		fisc_sleep_ms(50);
		rest = meminfo_pages("MemAvailable") +
		       meminfo_pages("SwapCached");
		free = fisc_reclaim("host_free");
		if (writing < CHUNK_PAGES ||
		    meminfo_pages("Writeback") != writing)
			continue;
		seen++;
		wrong += free > rest - writing / 2;
	}
	EXPECT_LE(3, seen);
	EXPECT_GE(seen / 3, wrong);
	ASSERT_EQ(0, fisc_short_of_memory(false));
}

#define SHMEM_HUGE	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define SPARSE_CHUNKS	512
#define SPARSE_PAGES	8		/* that are touched of each chunk */

static size_t sparse_page(size_t i)
{
	return i / SPARSE_PAGES * CHUNK_PAGES + i % SPARSE_PAGES;
}

static void sparse_file(struct __test_metadata *_metadata, const char *huge)
{
	size_t nr = SPARSE_CHUNKS * SPARSE_PAGES, i;
	long room = fisc_reclaim("swap_room"), shmem = meminfo_kb("Shmem");
	char *map = fisc_map(fisc_create(ST "b", SPARSE_CHUNKS * CHUNK_PAGES),
			     SPARSE_CHUNKS * CHUNK_PAGES);
	long swapped;

	ASSERT_NE(NULL, map);
	if (fisc_write_str(SHMEM_HUGE, huge))
		SKIP(return, "no huge pages");
	for (i = 0; i < nr; i++)
		fisc_fill(page_of(map, sparse_page(i)), i + 1);
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", nr - POOL_PAGES));
	swapped = fisc_reclaim("swapped");
	/* Swap, and memory that is on its way there. */
	EXPECT_GT(2 * swapped + SLOT_CACHE, room - fisc_reclaim("swap_room"));
	EXPECT_GT(2 * swapped, (meminfo_kb("Shmem") - shmem) / 4);
	/* There may be one for a moment, while pages go out. */
	for (i = 0; meminfo_kb("ShmemHugePages") && i < WAIT_S * 100; i++)
		fisc_sleep_ms(10);
	EXPECT_EQ(0, meminfo_kb("ShmemHugePages"));
	ASSERT_EQ(0, fisc_write_str(SHMEM_HUGE, "never"));
	ASSERT_EQ(0, fisc_short_of_memory(false));
	for (i = 0; i < nr; i++)
		ASSERT_EQ(-1, fisc_check(page_of(map, sparse_page(i)), i + 1));
}

/* Whatever the host does with its shared memory, a page takes a page. */
TEST_F(swap, huge_shared_memory_is_not_inherited)
{
	sparse_file(_metadata, "always");
}

TEST_F(swap, forced_huge_shared_memory_is_given_back)
{
	sparse_file(_metadata, "force");
}

TEST_HARNESS_MAIN
