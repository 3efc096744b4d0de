/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: valid and stale hints, and the buckets of their table.
 */
#include <linux/prandom.h>

#include "tests/unit.h"

#define FISC_TEST_CHUNKS	16
#define FISC_TEST_HASH		0x0123456789abcdefULL

static int fisc_hint_test_init(struct kunit *test)
{
	test->priv = fisc_unit_begin(test, "kunit",
				     FISC_TEST_CHUNKS * FISC_CHUNK_PAGES, 0);

	return 0;
}

static void fisc_hint_test_exit(struct kunit *test)
{
	struct fisc_unit *unit = test->priv;
	struct fisc_chunk *chunk;
	unsigned long nr;

	if (!unit)
		return;
	xa_for_each(&unit->region->chunks, nr, chunk)
		fisc_hints_free(chunk);
	fisc_unit_end(unit);
}

/* Make a page clean and hashed. Return: its chunk, with room for hints. */
static struct fisc_chunk *fisc_test_known(struct kunit *test, pgoff_t index)
{
	struct fisc_unit *unit = test->priv;
	struct fisc_chunk *chunk;

	fisc_unit_write(test, unit->region, index, 1);
	chunk = fisc_region_find_chunk(unit->region, index);
	KUNIT_ASSERT_EQ(test, fisc_hints_alloc(chunk), 0);
	chunk->leaf[index & (FISC_CHUNK_PAGES - 1)] |= FISC_ENTRY_KNOWN;

	return chunk;
}

/* Return: index of the page met, -1 if none, -2 if only in large frames. */
static int fisc_test_meet(struct kunit *test, struct fisc_chunk *chunk,
			  unsigned int i, u64 hash)
{
	struct fisc_unit *unit = test->priv;
	struct fisc_peer peer;

	switch (fisc_hint_meet(chunk, i, hash, unit->vm->key.domain,
			       NUMA_NO_NODE, chunk->large, &peer)) {
	case FISC_MET_NOBODY:
		return -1;
	case FISC_MET_LARGE:
		return -2;
	case FISC_MET_SMALL:
		break;
	}
	KUNIT_EXPECT_PTR_EQ(test, peer.region, unit->region);
	KUNIT_EXPECT_EQ(test, peer.e, peer.chunk->leaf[peer.i]);
	fisc_region_put(peer.region);

	return fisc_chunk_start(peer.chunk) + peer.i;
}

static void the_second_meets_the_first(struct kunit *test)
{
	struct fisc_chunk *chunk = fisc_test_known(test, 3);

	fisc_test_known(test, 4);
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, chunk, 3, FISC_TEST_HASH), -1);
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, chunk, 3, FISC_TEST_HASH), -1);
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, chunk, 4, FISC_TEST_HASH), 3);
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, chunk, 4, ~FISC_TEST_HASH), -1);
	fisc_hint_remove(chunk, 3);
	fisc_hint_remove(chunk, 3);
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, chunk, 4, FISC_TEST_HASH), -1);
}

static void stale_hints_are_unlinked(struct kunit *test)
{
	struct fisc_chunk *chunk = fisc_test_known(test, 3);

	fisc_test_known(test, 4);
	fisc_test_meet(test, chunk, 3, FISC_TEST_HASH);
	fisc_unit_write(test, chunk->region, 3, 2);
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, chunk, 4, FISC_TEST_HASH), -1);
	KUNIT_EXPECT_EQ(test, chunk->hints->link[3] & FISC_LINK_MASK,
			FISC_LINK_NONE);
	KUNIT_EXPECT_NE(test, chunk->hints->link[4] & FISC_LINK_MASK,
			FISC_LINK_NONE);
}

/* A page being hashed has an outdated hint, which may soon be valid again. */
static void page_not_hashed_is_passed_over(struct kunit *test)
{
	struct fisc_chunk *chunk = fisc_test_known(test, 3);

	fisc_test_known(test, 4);
	fisc_test_meet(test, chunk, 3, FISC_TEST_HASH);
	chunk->leaf[3] &= ~FISC_ENTRY_HASHED;
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, chunk, 4, FISC_TEST_HASH), -1);
	KUNIT_EXPECT_NE(test, chunk->hints->link[3] & FISC_LINK_MASK,
			FISC_LINK_NONE);
}

static void other_domain_is_not_met(struct kunit *test)
{
	struct fisc_chunk *chunk = fisc_test_known(test, 3);
	struct fisc_unit *unit = test->priv;
	struct fisc_peer peer;

	fisc_test_known(test, 4);
	fisc_test_meet(test, chunk, 3, FISC_TEST_HASH);
	KUNIT_EXPECT_EQ(test, fisc_hint_meet(chunk, 4, FISC_TEST_HASH,
					     unit->vm->key.domain + 1,
					     NUMA_NO_NODE, false, &peer),
			FISC_MET_NOBODY);
}

static void page_of_a_large_frame_is_marked_once(struct kunit *test)
{
	struct fisc_chunk *small = fisc_test_known(test, 3);
	struct fisc_chunk *chunk = fisc_test_known(test, FISC_CHUNK_PAGES);
	unsigned long *leaf = chunk->leaf;
	unsigned int least = fisc_large_break_pages;

	fisc_test_known(test, 4);
	fisc_large_break_pages = 1;
	/* Looks like a large frame to the table of hints. */
	chunk->large = leaf[0];
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, chunk, 0, FISC_TEST_HASH), -1);
	chunk->flags = 0;
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, small, 3, FISC_TEST_HASH), -2);
	KUNIT_EXPECT_TRUE(test, test_bit(FISC_CHUNK_DUE, &chunk->flags));
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, small, 3, FISC_TEST_HASH), -2);
	KUNIT_EXPECT_EQ(test, fisc_test_meet(test, small, 4, FISC_TEST_HASH), 3);
	KUNIT_EXPECT_EQ(test, atomic_read(&chunk->duplicates), 1);
	chunk->large = 0;
	fisc_large_break_pages = least;
}

/* Hashes with few distinct low bits make long chains; no hint may get lost. */
static void buckets_come_and_go_with_chunks(struct kunit *test)
{
	unsigned long buckets = fisc_hint_heads.nr;
	struct fisc_unit *unit = test->priv;
	struct rnd_state rnd;
	unsigned int c, i;
	u64 *hashes;

	hashes = kunit_kcalloc(test, FISC_TEST_CHUNKS * 8, sizeof(*hashes),
			       GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, hashes);
	prandom_seed_state(&rnd, 1);
	for (c = 0; c < FISC_TEST_CHUNKS; c++) {
		for (i = 0; i < 8; i++) {
			u64 hash = (u64)prandom_u32_state(&rnd) << 32 |
				   (prandom_u32_state(&rnd) % 16) << 10 | 5;
			pgoff_t index = c * FISC_CHUNK_PAGES + i;
			struct fisc_chunk *chunk = fisc_test_known(test, index);

			hashes[c * 8 + i] = hash;
			KUNIT_ASSERT_EQ(test, fisc_test_meet(test, chunk, i,
							     hash), -1);
		}
	}
	KUNIT_EXPECT_EQ(test, fisc_hint_heads.nr,
			max(buckets, (unsigned long)FISC_TEST_CHUNKS *
				     FISC_CHUNK_BUCKETS));

	/* Free the hints of every other chunk, then look for the others. */
	for (c = 0; c < FISC_TEST_CHUNKS; c += 2)
		fisc_hints_free(fisc_region_find_chunk(unit->region,
						       c * FISC_CHUNK_PAGES));
	for (c = 1; c < FISC_TEST_CHUNKS; c += 2) {
		for (i = 0; i < 8; i++) {
			pgoff_t index = c * FISC_CHUNK_PAGES + i;
			struct fisc_chunk *chunk;

			/* The same page asks each time, and leaves no hint. */
			chunk = fisc_test_known(test, FISC_CHUNK_PAGES + 100);
			KUNIT_EXPECT_EQ(test, fisc_test_meet(test, chunk, 100,
							     hashes[c * 8 + i]),
					index);
		}
	}
	for (c = 1; c < FISC_TEST_CHUNKS; c += 2)
		fisc_hints_free(fisc_region_find_chunk(unit->region,
						       c * FISC_CHUNK_PAGES));
	KUNIT_EXPECT_EQ(test, fisc_hint_heads.nr, buckets);
	for (i = 0; i < fisc_hint_heads.nr; i++)
		KUNIT_EXPECT_EQ(test, *(u32 *)fisc_heads_bucket(&fisc_hint_heads, i),
				FISC_LINK_END);
}

static struct kunit_case fisc_hint_cases[] = {
	KUNIT_CASE(the_second_meets_the_first),
	KUNIT_CASE(stale_hints_are_unlinked),
	KUNIT_CASE(page_not_hashed_is_passed_over),
	KUNIT_CASE(other_domain_is_not_met),
	KUNIT_CASE(page_of_a_large_frame_is_marked_once),
	KUNIT_CASE(buckets_come_and_go_with_chunks),
	{}
};

static struct kunit_suite fisc_hint_suite = {
	.name = "fisc_hint",
	.init = fisc_hint_test_init,
	.exit = fisc_hint_test_exit,
	.test_cases = fisc_hint_cases,
};

kunit_test_suite(fisc_hint_suite);
