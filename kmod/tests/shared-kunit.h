/* SPDX-License-Identifier: GPL-2.0 */
/* KUnit: the table of shared frames, and reference counts. */
#include <kunit/test.h>

#define FISC_TEST_HASH		0x0123456789abcdefULL
#define FISC_TEST_DOMAIN	0xabcdef0123ULL

static struct folio *fisc_test_frame(struct kunit *test)
{
	struct folio *folio = fisc_frame_alloc(NULL, 0, __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, folio);
	/* One reference for the table, one to look at the frame afterwards. */
	folio_get(folio);

	return folio;
}

static struct folio *fisc_test_find(u64 hash)
{
	return fisc_shared_find(FISC_TEST_DOMAIN, NUMA_NO_NODE, hash);
}

static void nothing_is_found_in_an_empty_table(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, fisc_test_find(FISC_TEST_HASH));
	KUNIT_EXPECT_FALSE(test, fisc_shared_exists(FISC_TEST_DOMAIN,
						    NUMA_NO_NODE,
						    FISC_TEST_HASH));
}

static void finding_adds_a_user(struct kunit *test)
{
	struct folio *folio = fisc_test_frame(test);
	long shared = fisc_total_sum(FISC_SHARED);

	fisc_shared_add(folio, FISC_TEST_DOMAIN, FISC_TEST_HASH, 1);
	KUNIT_EXPECT_EQ(test, fisc_shared_users(folio), 1);
	KUNIT_EXPECT_EQ(test, folio->index, 0);
	KUNIT_EXPECT_EQ(test, fisc_total_sum(FISC_SHARED), shared + 1);
	KUNIT_EXPECT_PTR_EQ(test, fisc_test_find(FISC_TEST_HASH), folio);
	KUNIT_EXPECT_EQ(test, fisc_shared_users(folio), 2);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	KUNIT_EXPECT_TRUE(test, fisc_shared_exists(FISC_TEST_DOMAIN,
						   NUMA_NO_NODE,
						   FISC_TEST_HASH));
	KUNIT_EXPECT_EQ(test, fisc_shared_users(folio), 2);

	fisc_shared_put(folio);
	KUNIT_EXPECT_EQ(test, fisc_shared_users(folio), 1);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	fisc_shared_put(folio);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	KUNIT_EXPECT_EQ(test, fisc_total_sum(FISC_SHARED), shared);
	KUNIT_EXPECT_NULL(test, fisc_test_find(FISC_TEST_HASH));
	folio_put(folio);
}

static void hashes_of_one_bucket_are_told_apart(struct kunit *test)
{
	struct folio *frames[8];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(frames); i++) {
		frames[i] = fisc_test_frame(test);
		fisc_shared_add(frames[i], FISC_TEST_DOMAIN, FISC_TEST_HASH +
				((u64)i << 40), 1);
	}
	/* From the middle, the front and the back of the chain. */
	fisc_shared_put(frames[3]);
	fisc_shared_put(frames[7]);
	fisc_shared_put(frames[0]);
	for (i = 0; i < ARRAY_SIZE(frames); i++) {
		bool gone = i == 0 || i == 3 || i == 7;
		struct folio *found;

		found = fisc_test_find(FISC_TEST_HASH +
				       ((u64)i << 40));
		KUNIT_EXPECT_PTR_EQ(test, found, gone ? NULL : frames[i]);
		if (found) {
			fisc_shared_put(found);
			fisc_shared_put(found);
		}
		KUNIT_EXPECT_EQ(test, folio_ref_count(frames[i]), 1);
		folio_put(frames[i]);
	}
}

#define FISC_TEST_MANY	3000

static u64 fisc_test_many_hash(unsigned int i)
{
	return i * 0x9e3779b97f4a7c15ULL;
}

static void table_grows_and_shrinks_with_its_frames(struct kunit *test)
{
	unsigned long nr = fisc_shared_heads.nr;
	struct folio **frames;
	unsigned int i;

	frames = kunit_kcalloc(test, FISC_TEST_MANY, sizeof(*frames),
			       GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, frames);
	for (i = 0; i < FISC_TEST_MANY; i++) {
		frames[i] = fisc_test_frame(test);
		folio_put(frames[i]);
		fisc_shared_add(frames[i], FISC_TEST_DOMAIN,
				fisc_test_many_hash(i), 2);
	}
	fisc_shared_resize();
	KUNIT_EXPECT_GE(test, 2 * fisc_shared_heads.nr,
			(unsigned long)FISC_TEST_MANY);
	for (i = 0; i < FISC_TEST_MANY; i++) {
		KUNIT_EXPECT_PTR_EQ(test, fisc_test_find(fisc_test_many_hash(i)),
				    frames[i]);
		fisc_shared_put(frames[i]);
	}
	/* Most of them leave. */
	for (i = 0; i < FISC_TEST_MANY; i++) {
		if (i % 64) {
			fisc_shared_put(frames[i]);
			fisc_shared_put(frames[i]);
		}
	}
	fisc_shared_resize();
	KUNIT_EXPECT_EQ(test, fisc_shared_heads.nr, nr);
	for (i = 0; i < FISC_TEST_MANY; i += 64) {
		KUNIT_EXPECT_PTR_EQ(test, fisc_test_find(fisc_test_many_hash(i)),
				    frames[i]);
		fisc_shared_put(frames[i]);
		fisc_shared_put(frames[i]);
		fisc_shared_put(frames[i]);
	}
}

static void domains_and_nodes_are_told_apart(struct kunit *test)
{
	struct folio *a = fisc_test_frame(test);
	struct folio *b = fisc_test_frame(test);
	int nid = folio_nid(a);

	fisc_shared_add(a, 1, FISC_TEST_HASH, 1);
	fisc_shared_add(b, 2, FISC_TEST_HASH, 1);
	KUNIT_EXPECT_FALSE(test, fisc_shared_exists(3, NUMA_NO_NODE,
						    FISC_TEST_HASH));
	KUNIT_EXPECT_FALSE(test, fisc_shared_exists(1, nid + 1,
						    FISC_TEST_HASH));
	KUNIT_EXPECT_PTR_EQ(test, fisc_shared_find(1, nid, FISC_TEST_HASH), a);
	KUNIT_EXPECT_PTR_EQ(test, fisc_shared_find(2, NUMA_NO_NODE,
						   FISC_TEST_HASH), b);
	fisc_shared_put(a);
	fisc_shared_put(a);
	fisc_shared_put(b);
	fisc_shared_put(b);
	folio_put(a);
	folio_put(b);
}

static void full_frame_is_not_found(struct kunit *test)
{
	struct folio *folio = fisc_test_frame(test);
	unsigned int max_users = fisc_share_max_users;

	fisc_share_max_users = 2;
	fisc_shared_add(folio, FISC_TEST_DOMAIN, FISC_TEST_HASH, 1);
	KUNIT_EXPECT_PTR_EQ(test, fisc_test_find(FISC_TEST_HASH), folio);
	KUNIT_EXPECT_NULL(test, fisc_test_find(FISC_TEST_HASH));
	fisc_shared_put(folio);
	KUNIT_EXPECT_PTR_EQ(test, fisc_test_find(FISC_TEST_HASH), folio);
	fisc_share_max_users = max_users;
	fisc_shared_put(folio);
	fisc_shared_put(folio);
	folio_put(folio);
}

static struct kunit_case fisc_table_cases[] = {
	KUNIT_CASE(nothing_is_found_in_an_empty_table),
	KUNIT_CASE(finding_adds_a_user),
	KUNIT_CASE(hashes_of_one_bucket_are_told_apart),
	KUNIT_CASE(table_grows_and_shrinks_with_its_frames),
	KUNIT_CASE(domains_and_nodes_are_told_apart),
	KUNIT_CASE(full_frame_is_not_found),
	{}
};

static struct kunit_suite fisc_table_suite = {
	.name = "fisc_table",
	.test_cases = fisc_table_cases,
};

kunit_test_suite(fisc_table_suite);
