/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: conversion between guest frame numbers and pages of files.
 */
#include "tests/unit.h"

#define FISC_TEST_SLOT_PAGES	64

struct fisc_slot_test {
	struct fisc_unit *unit;
	struct file file;
	struct fisc_slot slot;
};

static int fisc_slot_test_init(struct kunit *test)
{
	struct fisc_slot_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->unit = fisc_unit_begin(test, "kunit-kvm", FISC_TEST_SLOT_PAGES, 0);
	t->file.f_inode = &t->unit->inode;
	t->unit->inode.i_private = t->unit->region;
	t->slot = (struct fisc_slot) {
		.file = &t->file,
		.index = 16,
		.nr_pages = 32,
		.gfn = 0x100000,
	};
	test->priv = t;

	return 0;
}

static void fisc_slot_test_exit(struct kunit *test)
{
	struct fisc_slot_test *t = test->priv;

	if (t)
		fisc_unit_end(t->unit);
}

static void gfns_and_pages_of_files_go_both_ways(struct kunit *test)
{
	struct fisc_slot_test *t = test->priv;
	pgoff_t index, back;
	u64 gfn;

	for (index = 16; index < 48; index++) {
		KUNIT_ASSERT_TRUE(test, fisc_slot_gfn(&t->slot, t->unit->region,
						      index, &gfn));
		KUNIT_EXPECT_EQ(test, gfn, 0x100000 + index - 16);
		KUNIT_ASSERT_TRUE(test, fisc_slot_index(&t->slot, gfn, &back));
		KUNIT_EXPECT_EQ(test, back, index);
	}
}

static void slot_has_nothing_beyond_its_ends(struct kunit *test)
{
	struct fisc_slot_test *t = test->priv;
	struct fisc_region *region = t->unit->region;
	pgoff_t index;
	u64 gfn;

	KUNIT_EXPECT_FALSE(test, fisc_slot_gfn(&t->slot, region, 0, &gfn));
	KUNIT_EXPECT_FALSE(test, fisc_slot_gfn(&t->slot, region, 15, &gfn));
	KUNIT_EXPECT_FALSE(test, fisc_slot_gfn(&t->slot, region, 48, &gfn));
	KUNIT_EXPECT_FALSE(test, fisc_slot_gfn(&t->slot, region, ULONG_MAX, &gfn));
	KUNIT_EXPECT_FALSE(test, fisc_slot_index(&t->slot, 0, &index));
	KUNIT_EXPECT_FALSE(test, fisc_slot_index(&t->slot, 0xfffff, &index));
	KUNIT_EXPECT_FALSE(test, fisc_slot_index(&t->slot, 0x100020, &index));
	KUNIT_EXPECT_FALSE(test, fisc_slot_index(&t->slot, U64_MAX, &index));
}

static void slot_has_nothing_of_other_files(struct kunit *test)
{
	struct fisc_slot_test *t = test->priv;
	u64 gfn;

	KUNIT_EXPECT_FALSE(test, fisc_slot_gfn(&t->slot, NULL, 16, &gfn));
}

static void address_is_covered_by_earlier_slots_only(struct kunit *test)
{
	struct fisc_slot slots[] = {
		{ .hva = 0x10000, .nr_pages = 4 },
		{ .hva = 0x20000, .nr_pages = 1 },
	};
	const struct fisc_slots list = { .nr = 2, .slots = slots };

	KUNIT_EXPECT_TRUE(test, fisc_slots_cover(&list, 2, 0x10000));
	KUNIT_EXPECT_TRUE(test, fisc_slots_cover(&list, 2, 0x13fff));
	KUNIT_EXPECT_FALSE(test, fisc_slots_cover(&list, 2, 0x14000));
	KUNIT_EXPECT_FALSE(test, fisc_slots_cover(&list, 2, 0xffff));
	KUNIT_EXPECT_TRUE(test, fisc_slots_cover(&list, 2, 0x20000));
	KUNIT_EXPECT_FALSE(test, fisc_slots_cover(&list, 1, 0x20000));
	KUNIT_EXPECT_FALSE(test, fisc_slots_cover(&list, 0, 0x10000));
}

static struct kunit_case fisc_slot_cases[] = {
	KUNIT_CASE(gfns_and_pages_of_files_go_both_ways),
	KUNIT_CASE(slot_has_nothing_beyond_its_ends),
	KUNIT_CASE(slot_has_nothing_of_other_files),
	KUNIT_CASE(address_is_covered_by_earlier_slots_only),
	{}
};

static struct kunit_suite fisc_slot_suite = {
	.name = "fisc_slot",
	.init = fisc_slot_test_init,
	.exit = fisc_slot_test_exit,
	.test_cases = fisc_slot_cases,
};

kunit_test_suite(fisc_slot_suite);
