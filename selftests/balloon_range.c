// SPDX-License-Identifier: GPL-2.0
/* Ranges of pages, which the paired format has. */
#include <pthread.h>

#include "balloon.h"

TEST_F(balloon, ranges_of_every_order)
{
	static struct guest guest;
	unsigned int order;
	long frames, total = 0;

	boot(_metadata, &guest, 4 * CHUNK_PAGES, VDPA_PAIRED);
	fill(&guest, FIRST, 4 * CHUNK_PAGES - FIRST);
	ASSERT_TRUE(inflate(&guest, FIRST, 1));
	ASSERT_TRUE(deflate(&guest, FIRST, 1));
	frames = fisc_core("frames");
	/* Each at the first place for it after the last. */
	for (order = 0; order <= FISC_BALLOON_MAX_ORDER; order++) {
		ASSERT_TRUE(inflate_range(&guest,
					  gfn(CHUNK_PAGES + (1 << order)),
					  order));
		total += 1 << order;
		EXPECT_EQ(total, actual(&guest));
		EXPECT_EQ(frames - total, fisc_core("frames"));
	}
	EXPECT_EQ(-1, damaged(&guest, CHUNK_PAGES, 1));
	EXPECT_EQ(-1, damaged(&guest, 3 * CHUNK_PAGES, CHUNK_PAGES));
	EXPECT_EQ(-1, not_zero(&guest, CHUNK_PAGES + 1, 2 * CHUNK_PAGES - 1));
	EXPECT_EQ(0, actual(&guest));
}

TEST_F(balloon, parts_of_ranges_can_be_deflated)
{
	long duplicate = fisc_balloon("duplicate");
	static struct guest guest;

	boot(_metadata, &guest, 2 * CHUNK_PAGES, VDPA_PAIRED);
	fill(&guest, CHUNK_PAGES, CHUNK_PAGES);
	ASSERT_TRUE(inflate_range(&guest, gfn(CHUNK_PAGES), 9));
	ASSERT_EQ(CHUNK_PAGES, actual(&guest));
	ASSERT_TRUE(deflate(&guest, CHUNK_PAGES + 100, 100));
	EXPECT_EQ(CHUNK_PAGES - 100, actual(&guest));
	fill(&guest, CHUNK_PAGES + 100, 100);
	EXPECT_EQ(duplicate, fisc_balloon("duplicate"));
	/* The whole range again, some of which is in the balloon already. */
	ASSERT_TRUE(inflate_range(&guest, gfn(CHUNK_PAGES), 9));
	EXPECT_EQ(CHUNK_PAGES, actual(&guest));
	EXPECT_EQ(duplicate + CHUNK_PAGES - 100, fisc_balloon("duplicate"));
	EXPECT_EQ(-1, not_zero(&guest, CHUNK_PAGES, CHUNK_PAGES));
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/actual"));
}

TEST_F(balloon, whole_large_page_goes_in_one)
{
	static struct guest guest;
	long frames, large;

	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "1"));
	boot(_metadata, &guest, 4 * CHUNK_PAGES, VDPA_PAIRED);
	fill(&guest, CHUNK_PAGES, 3 * CHUNK_PAGES);
	ASSERT_TRUE(inflate(&guest, FIRST, 1));
	ASSERT_TRUE(deflate(&guest, FIRST, 1));
	frames = fisc_core("frames");
	large = fisc_core("large");
	ASSERT_LE(3, large);
	ASSERT_TRUE(inflate_range(&guest, gfn(2 * CHUNK_PAGES), 9));
	EXPECT_EQ(CHUNK_PAGES, actual(&guest));
	EXPECT_EQ(large - 1, fisc_core("large"));
	EXPECT_EQ(frames - CHUNK_PAGES, fisc_core("frames"));
	EXPECT_EQ(-1, damaged(&guest, CHUNK_PAGES, CHUNK_PAGES));
	EXPECT_EQ(-1, damaged(&guest, 3 * CHUNK_PAGES, CHUNK_PAGES));
	/* Once deflated, it may be large again. */
	{
		const __u64 range = FISC_BALLOON_RANGE(gfn(2 * CHUNK_PAGES), 9);

		ASSERT_TRUE(tell(&guest, VDPA_DEFLATE, &range, 1));
	}
	EXPECT_EQ(0, actual(&guest));
	EXPECT_EQ(-1, not_zero(&guest, 2 * CHUNK_PAGES, CHUNK_PAGES));
	EXPECT_EQ(large, fisc_core("large"));
}

TEST_F(balloon, malformed_ranges_are_ignored)
{
	const __u64 ranges[] = {
		FISC_BALLOON_RANGE(gfn(FIRST | 1), 1),
		FISC_BALLOON_RANGE(gfn(CHUNK_PAGES + 256), 9),
		FISC_BALLOON_RANGE(gfn(CHUNK_PAGES), 10),
		FISC_BALLOON_RANGE(gfn(CHUNK_PAGES), 31),
		FISC_BALLOON_RANGE(gfn(0), 18), ~0ULL,
		~0ULL << FISC_BALLOON_ORDER_BITS | 9,
	};
	long malformed = fisc_balloon("malformed"), frames;
	static struct guest guest;
	size_t i;

	boot(_metadata, &guest, 2 * CHUNK_PAGES, VDPA_PAIRED);
	fill(&guest, FIRST, 2 * CHUNK_PAGES - FIRST);
	ASSERT_TRUE(inflate(&guest, FIRST, 1));
	ASSERT_TRUE(deflate(&guest, FIRST, 1));
	fill(&guest, FIRST, 1);
	frames = fisc_core("frames");
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		ASSERT_TRUE(tell(&guest, VDPA_INFLATE, &ranges[i], 1));
		EXPECT_EQ(malformed + 1, fisc_balloon("malformed"))
			TH_LOG("range %#llx", ranges[i]);
		malformed = fisc_balloon("malformed");
	}
	ASSERT_TRUE(tell(&guest, VDPA_DEFLATE, ranges, ARRAY_SIZE(ranges)));
	EXPECT_EQ(malformed + (long)ARRAY_SIZE(ranges),
		  fisc_balloon("malformed"));
	EXPECT_EQ(0, actual(&guest));
	EXPECT_EQ(frames, fisc_core("frames"));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 2 * CHUNK_PAGES - FIRST));
	EXPECT_TRUE(works(&guest));
}

TEST_F(balloon, range_may_be_in_the_file_in_part)
{
	static struct guest guest;
	long unmapped;

	/* The file and its mapping end in the middle of the range. */
	boot(_metadata, &guest, 3 * CHUNK_PAGES + 200, VDPA_PAIRED);
	fill(&guest, CHUNK_PAGES, 2 * CHUNK_PAGES + 200);
	unmapped = fisc_balloon("unmapped");
	ASSERT_TRUE(inflate_range(&guest, gfn(3 * CHUNK_PAGES), 9));
	EXPECT_LT(unmapped, fisc_balloon("unmapped"));
	EXPECT_GE(200, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, CHUNK_PAGES, 2 * CHUNK_PAGES));
	EXPECT_TRUE(works(&guest));
}

struct toucher {
	char *map;
	size_t first;
	size_t nr;
	pthread_t thread;
	bool stop;
};

static void *toucher_thread(void *argument)
{
	struct toucher *toucher = argument;
	__u64 state = 1;

	while (!READ_ONCE(toucher->stop)) {
		size_t page = toucher->first + fisc_rand(&state) % toucher->nr;
		char *at = toucher->map + page * PAGE_SIZE;

		if (fisc_rand(&state) & 1)
			WRITE_ONCE(*at, 1);
		else
			(void)READ_ONCE(*at);
	}
	return NULL;
}

TEST_F(balloon, nothing_is_lost_when_pages_are_touched_meanwhile)
{
	long inflated = fisc_balloon("inflated");
	long deflated = fisc_balloon("deflated");
	long popped = fisc_balloon("popped"), balance;
	static struct toucher toucher;
	static struct guest guest;
	double end;

	boot(_metadata, &guest, 4 * CHUNK_PAGES, VDPA_PAIRED);
	toucher.map = guest.map;
	toucher.first = CHUNK_PAGES;
	toucher.nr = CHUNK_PAGES;
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_EQ(0, pthread_create(&toucher.thread, NULL, toucher_thread,
				    &toucher));
	for (end = fisc_now() + 3; fisc_now() < end; ) {
		ASSERT_TRUE(inflate_range(&guest, gfn(CHUNK_PAGES), 9));
		ASSERT_TRUE(inflate(&guest, CHUNK_PAGES, 100));
		ASSERT_TRUE(deflate(&guest, CHUNK_PAGES + 50, 300));
	}
	WRITE_ONCE(toucher.stop, true);
	pthread_join(toucher.thread, NULL);
	balance = fisc_balloon("inflated") - inflated -
		  (fisc_balloon("deflated") - deflated) -
		  (fisc_balloon("popped") - popped);
	EXPECT_EQ(balance, actual(&guest));
	EXPECT_EQ(balance, fisc_balloon("ballooned"));
	EXPECT_LT(popped, fisc_balloon("popped"));
	ASSERT_TRUE(inflate_range(&guest, gfn(CHUNK_PAGES), 9));
	EXPECT_EQ(CHUNK_PAGES, actual(&guest));
	EXPECT_EQ(-1, not_zero(&guest, CHUNK_PAGES, CHUNK_PAGES));
	EXPECT_EQ(0, actual(&guest));
}

TEST_HARNESS_MAIN
