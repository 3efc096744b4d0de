// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: the frame map.
 */
#include "fs/page.h"
#include "memory/due.h"
#include "memory/shared.h"
#include "tests/unit.h"

#define FISC_TEST_PAGES		(4 * FISC_CHUNK_PAGES)

static int fisc_region_test_init(struct kunit *test)
{
	test->priv = fisc_unit_begin(test, "kunit", FISC_TEST_PAGES, 0);

	return 0;
}

static void fisc_region_test_exit(struct kunit *test)
{
	if (test->priv)
		fisc_unit_end(test->priv);
}

static struct fisc_region *fisc_test_region(struct kunit *test)
{
	return ((struct fisc_unit *)test->priv)->region;
}

/* Own a page, set its first byte. Return: the frame, with a reference. */
static struct folio *fisc_test_write(struct kunit *test, pgoff_t index, u8 byte)
{
	struct page *page = fisc_unit_write(test, fisc_test_region(test), index,
					    byte);

	get_page(page);

	return page_folio(page);
}

static void fisc_test_make_shared(struct kunit *test, pgoff_t index, u64 hash)
{
	struct fisc_region *region = fisc_test_region(test);
	struct fisc_chunk *chunk = fisc_region_find_chunk(region, index);

	KUNIT_ASSERT_NOT_NULL(test, chunk);
	down_write(&chunk->lock);
	fisc_shared_add(page_folio(fisc_entry_page(fisc_chunk_entry(chunk, index))),
			1, hash, 1);
	fisc_region_make_shared(region, chunk, index);
	up_write(&chunk->lock);
}

static void new_region_is_all_holes(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);

	KUNIT_EXPECT_EQ(test, fisc_region_look(region, 0), FISC_ENTRY_HOLE);
	KUNIT_EXPECT_EQ(test, fisc_region_look(region, FISC_TEST_PAGES - 1),
			FISC_ENTRY_HOLE);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_MAP_BYTES), 0);
}

static void owned_hole_is_a_zeroed_private_frame(struct kunit *test)
{
	static const pgoff_t indices[] = {
		0, 1, FISC_CHUNK_PAGES - 1, FISC_CHUNK_PAGES,
		(FISC_REGION_MAX_BYTES >> PAGE_SHIFT) - 1,
	};
	struct fisc_region *region = fisc_test_region(test);
	struct folio *folio;
	struct page *page;
	unsigned int i;

	fisc_region_set_end(region, FISC_REGION_MAX_BYTES >> PAGE_SHIFT);
	for (i = 0; i < ARRAY_SIZE(indices); i++) {
		KUNIT_ASSERT_EQ(test, fisc_region_own(region, indices[i], NULL,
						      0, &page), 0);
		folio = page_folio(page);
		KUNIT_EXPECT_NULL(test, memchr_inv(folio_address(folio), 0,
						   PAGE_SIZE));
		KUNIT_EXPECT_EQ(test, folio->index, indices[i]);
		KUNIT_EXPECT_PTR_EQ(test, folio->mapping,
				    region->inode->i_mapping);
		KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
		folio_unlock(folio);
		folio_put(folio);
		KUNIT_EXPECT_EQ(test, fisc_region_look(region, indices[i]),
				FISC_ENTRY_PRIVATE);
	}
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE),
			ARRAY_SIZE(indices));
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_COW_BREAKS), 0);
}

static void owning_twice_gives_the_same_frame(struct kunit *test)
{
	struct folio *first = fisc_test_write(test, 7, 1);
	struct folio *second = fisc_test_write(test, 7, 2);

	KUNIT_EXPECT_PTR_EQ(test, first, second);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(fisc_test_region(test),
					      FISC_PRIVATE), 1);
	folio_put(first);
	folio_put(second);
}

static void fault_beyond_the_end_is_refused(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct vm_fault vmf = {};
	struct page *page;

	KUNIT_EXPECT_EQ(test, fisc_region_own(region, FISC_TEST_PAGES, &vmf, 0,
					      &page), -ENXIO);
	KUNIT_EXPECT_EQ(test, fisc_region_look(region, FISC_TEST_PAGES),
			FISC_ENTRY_HOLE);
	KUNIT_ASSERT_EQ(test, fisc_region_own(region, FISC_TEST_PAGES - 1, &vmf,
					      0, &page), 0);
	unlock_page(page);
	put_page(page);
}

static void owned_shared_page_is_a_copy(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct folio *shared = fisc_test_write(test, 3, 0x5a);
	struct page *page;
	struct folio *copy;

	fisc_test_make_shared(test, 3, 1);
	KUNIT_EXPECT_EQ(test, fisc_region_look(region, 3), FISC_ENTRY_SHARED);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE), 0);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_SHARING), 1);
	KUNIT_EXPECT_NULL(test, shared->mapping);
	KUNIT_EXPECT_PTR_EQ(test, fisc_shared_find(1, NUMA_NO_NODE, 1), shared);

	KUNIT_ASSERT_EQ(test, fisc_region_own(region, 3, NULL, 0, &page), 0);
	copy = page_folio(page);
	KUNIT_EXPECT_PTR_NE(test, copy, shared);
	KUNIT_EXPECT_EQ(test, *(u8 *)folio_address(copy), 0x5a);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE), 1);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_SHARING), 0);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_COW_BREAKS), 1);
	folio_unlock(copy);
	folio_put(copy);

	/* The user that fisc_shared_find() added is the last one. */
	fisc_shared_put(shared);
	KUNIT_EXPECT_FALSE(test, fisc_shared_exists(1, NUMA_NO_NODE, 1));
	KUNIT_EXPECT_EQ(test, folio_ref_count(shared), 1);
	folio_put(shared);
}

static void owned_zero_page_is_a_zeroed_frame(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct fisc_chunk *chunk = fisc_region_make_chunk(region, 9);
	struct page *page;

	KUNIT_ASSERT_NOT_NULL(test, chunk);
	down_read(&chunk->lock);
	KUNIT_EXPECT_EQ(test, fisc_region_fill_zero(region, chunk, 9), -EAGAIN);
	up_read(&chunk->lock);
	KUNIT_ASSERT_EQ(test, fisc_chunk_make_leaf(region, chunk), 0);
	down_read(&chunk->lock);
	KUNIT_EXPECT_EQ(test, fisc_region_fill_zero(region, chunk, 9), 0);
	KUNIT_EXPECT_EQ(test, fisc_region_fill_zero(region, chunk, 9), -EAGAIN);
	up_read(&chunk->lock);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_ZERO), 1);

	KUNIT_ASSERT_EQ(test, fisc_region_own(region, 9, NULL, 0, &page), 0);
	KUNIT_EXPECT_PTR_NE(test, page, fisc_zero_page((unsigned long)chunk));
	KUNIT_EXPECT_NULL(test, memchr_inv(page_address(page), 0, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_ZERO), 0);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE), 1);
	unlock_page(page);
	put_page(page);
}

/* A clean page cannot be written, so owning it clears the flag. */
static void owning_a_clean_page_ends_that(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct fisc_chunk *chunk;

	folio_put(fisc_test_write(test, 2, 1));
	chunk = fisc_region_find_chunk(region, 2);
	KUNIT_EXPECT_TRUE(test, test_bit(FISC_CHUNK_DUE, &chunk->flags));
	down_write(&chunk->lock);
	fisc_chunk_clear_marks(chunk);
	up_write(&chunk->lock);
	chunk->leaf[2] |= FISC_ENTRY_KNOWN;

	folio_put(fisc_test_write(test, 2, 2));
	KUNIT_EXPECT_EQ(test, chunk->leaf[2] & FISC_ENTRY_KNOWN, 0);
	KUNIT_EXPECT_EQ(test, fisc_entry_level(chunk->leaf[2]), 1);
	KUNIT_EXPECT_TRUE(test, test_bit(FISC_CHUNK_LATER, &chunk->flags));
	KUNIT_EXPECT_TRUE(test, xa_marked(&region->chunks, FISC_MARK_LATER));
	KUNIT_EXPECT_FALSE(test, xa_marked(&region->chunks, FISC_MARK_DUE));
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_WRITTEN), 1);
}

static void unshared_region_has_frames_of_its_own(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct folio *shared = fisc_test_write(test, 3, 0x5a);

	fisc_test_make_shared(test, 3, 2);
	KUNIT_EXPECT_EQ(test, fisc_region_unshare(region), 0);
	KUNIT_EXPECT_EQ(test, fisc_region_look(region, 3), FISC_ENTRY_PRIVATE);
	KUNIT_EXPECT_FALSE(test, fisc_shared_exists(1, NUMA_NO_NODE, 2));
	KUNIT_EXPECT_EQ(test, folio_ref_count(shared), 1);
	folio_put(shared);
}

static void removed_page_loses_its_frame(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct folio *folio = fisc_test_write(test, 5, 1);

	folio_put(fisc_test_write(test, 4, 1));
	folio_put(fisc_test_write(test, 6, 1));
	fisc_region_remove(region, 5, 5);
	KUNIT_EXPECT_EQ(test, fisc_region_look(region, 4), FISC_ENTRY_PRIVATE);
	KUNIT_EXPECT_EQ(test, fisc_region_look(region, 5), FISC_ENTRY_HOLE);
	KUNIT_EXPECT_EQ(test, fisc_region_look(region, 6), FISC_ENTRY_PRIVATE);
	KUNIT_EXPECT_NULL(test, folio->mapping);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	folio_put(folio);
}

static void leaf_goes_with_the_whole_chunk_only(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	struct fisc_chunk *chunk;

	folio_put(fisc_test_write(test, FISC_CHUNK_PAGES, 1));
	chunk = fisc_region_find_chunk(region, FISC_CHUNK_PAGES);
	KUNIT_ASSERT_NOT_NULL(test, chunk);
	fisc_region_remove(region, FISC_CHUNK_PAGES, 2 * FISC_CHUNK_PAGES - 2);
	KUNIT_EXPECT_NOT_NULL(test, chunk->leaf);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_PRIVATE), 0);
	fisc_region_remove(region, 0, ULONG_MAX);
	KUNIT_EXPECT_NULL(test, chunk->leaf);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_MAP_BYTES),
			FISC_CHUNK_BYTES);
}

static void data_and_holes_are_found(struct kunit *test)
{
	struct fisc_region *region = fisc_test_region(test);
	const pgoff_t end = FISC_TEST_PAGES;
	const pgoff_t at = 2 * FISC_CHUNK_PAGES - 1;

	KUNIT_EXPECT_EQ(test, fisc_region_next_data(region, 0, end, true), end);
	KUNIT_EXPECT_EQ(test, fisc_region_next_data(region, 0, end, false), 0);

	folio_put(fisc_test_write(test, at, 1));
	folio_put(fisc_test_write(test, at + 1, 1));
	KUNIT_EXPECT_EQ(test, fisc_region_next_data(region, 0, end, true), at);
	KUNIT_EXPECT_EQ(test, fisc_region_next_data(region, at, end, false),
			at + 2);
	KUNIT_EXPECT_EQ(test, fisc_region_next_data(region, at + 2, end, true),
			end);
	KUNIT_EXPECT_EQ(test, fisc_region_next_data(region, at, at + 1, false),
			at + 1);
}

/* Choose often enough to see all chunks that can be. Return: those seen. */
static unsigned int fisc_test_choose(struct kunit *test, pgoff_t first,
				     pgoff_t second)
{
	struct fisc_region *region;
	unsigned int seen = 0, i;
	struct fisc_chunk *chunk;

	for (i = 0; i < 64; i++) {
		region = fisc_vm_random_chunk(fisc_test_region(test)->vm,
					      &chunk);
		if (!region)
			continue;
		seen |= chunk->nr == first >> FISC_CHUNK_SHIFT ? 1 :
			chunk->nr == second >> FISC_CHUNK_SHIFT ? 2 : 4;
		fisc_region_put(region);
	}

	return seen;
}

static void chunks_are_chosen_where_memory_is(struct kunit *test)
{
	const pgoff_t last = (FISC_REGION_MAX_BYTES >> PAGE_SHIFT) - 1;
	struct fisc_region *region = fisc_test_region(test);

	i_size_write(region->inode, FISC_REGION_MAX_BYTES);
	fisc_region_set_end(region, FISC_REGION_MAX_BYTES >> PAGE_SHIFT);
	KUNIT_ASSERT_NOT_NULL(test, fisc_region_make_chunk(region, 1 << 20));
	KUNIT_EXPECT_EQ(test, fisc_test_choose(test, 7, last), 0);
	folio_put(fisc_test_write(test, 7, 1));
	folio_put(fisc_test_write(test, 8, 1));
	KUNIT_EXPECT_EQ(test, fisc_test_choose(test, 7, last), 1);
	folio_put(fisc_test_write(test, last, 1));
	KUNIT_EXPECT_EQ(test, fisc_test_choose(test, 7, last), 3);

	/* The last page of a chunk goes: by removal, or by being shared. */
	fisc_region_remove(region, 7, 7);
	KUNIT_EXPECT_EQ(test, fisc_test_choose(test, 7, last), 3);
	fisc_region_remove(region, 8, 8);
	KUNIT_EXPECT_EQ(test, fisc_test_choose(test, 7, last), 2);
	folio_put(fisc_test_write(test, 7, 1));
	KUNIT_EXPECT_EQ(test, fisc_test_choose(test, 7, last), 3);
	fisc_test_make_shared(test, last, 3);
	KUNIT_EXPECT_EQ(test, fisc_test_choose(test, 7, last), 1);
	fisc_region_remove(region, 0, ULONG_MAX);
	KUNIT_EXPECT_EQ(test, fisc_test_choose(test, 7, last), 0);
}

static struct kunit_case fisc_region_cases[] = {
	KUNIT_CASE(new_region_is_all_holes),
	KUNIT_CASE(owned_hole_is_a_zeroed_private_frame),
	KUNIT_CASE(owning_twice_gives_the_same_frame),
	KUNIT_CASE(fault_beyond_the_end_is_refused),
	KUNIT_CASE(owned_shared_page_is_a_copy),
	KUNIT_CASE(owned_zero_page_is_a_zeroed_frame),
	KUNIT_CASE(owning_a_clean_page_ends_that),
	KUNIT_CASE(unshared_region_has_frames_of_its_own),
	KUNIT_CASE(removed_page_loses_its_frame),
	KUNIT_CASE(leaf_goes_with_the_whole_chunk_only),
	KUNIT_CASE(data_and_holes_are_found),
	KUNIT_CASE(chunks_are_chosen_where_memory_is),
	{}
};

static struct kunit_suite fisc_region_suite = {
	.name = "fisc_region",
	.init = fisc_region_test_init,
	.exit = fisc_region_test_exit,
	.test_cases = fisc_region_cases,
};

kunit_test_suite(fisc_region_suite);
