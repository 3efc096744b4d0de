/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: the table of hints.
 */
#include <kunit/test.h>
#include <linux/prandom.h>

static int fisc_hints_test_init(struct kunit *test)
{
	struct fisc_hints *hints = kunit_kzalloc(test, sizeof(*hints),
						 GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, hints);
	KUNIT_ASSERT_EQ(test, fisc_hints_init(hints, 0), 0);
	test->priv = hints;

	return 0;
}

static void fisc_hints_test_exit(struct kunit *test)
{
	fisc_hints_exit(test->priv);
}

static void a_hint_takes_16_bytes(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, sizeof(struct fisc_hint), 16);
}

static void unknown_hash_is_nowhere(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, fisc_hints_find(test->priv, 42), 0);
	fisc_hints_del(test->priv, 42);
	KUNIT_EXPECT_EQ(test, fisc_hints_find(test->priv, 0), 0);
}

static void last_place_wins(struct kunit *test)
{
	struct fisc_hints *hints = test->priv;

	KUNIT_EXPECT_TRUE(test, fisc_hints_set(hints, 42, 1));
	KUNIT_EXPECT_TRUE(test, fisc_hints_set(hints, 42, 2));
	KUNIT_EXPECT_EQ(test, fisc_hints_find(hints, 42), 2);
	KUNIT_EXPECT_EQ(test, hints->used, 1);
}

static void full_table_refuses_new_hashes_only(struct kunit *test)
{
	struct fisc_hints *hints = test->priv;
	u64 hash;

	for (hash = 1; !fisc_hints_full(hints); hash++)
		KUNIT_ASSERT_TRUE(test, fisc_hints_set(hints, hash, hash));
	KUNIT_EXPECT_EQ(test, hints->used, hints->nr_slots / 4 * 3);
	KUNIT_EXPECT_FALSE(test, fisc_hints_set(hints, hash, hash));
	KUNIT_EXPECT_EQ(test, fisc_hints_find(hints, hash), 0);
	KUNIT_EXPECT_TRUE(test, fisc_hints_set(hints, 1, 7));
	KUNIT_EXPECT_EQ(test, fisc_hints_find(hints, 1), 7);
}

static void size_asked_for_fits(struct kunit *test)
{
	static const unsigned long sizes[] = { 191, 192, 193, 1000, 3072, 3073 };
	struct fisc_hints hints;
	unsigned long i, n;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		KUNIT_ASSERT_EQ(test, fisc_hints_init(&hints, sizes[i]), 0);
		for (n = 1; n <= sizes[i]; n++)
			KUNIT_EXPECT_TRUE(test, fisc_hints_set(&hints, n, n));
		fisc_hints_exit(&hints);
	}
}

/* A run that wraps at the end of the table, deleted in every order of two. */
static void deleting_keeps_runs_that_wrap(struct kunit *test)
{
	struct fisc_hints *hints = test->priv;
	u64 size = hints->nr_slots;
	u64 hashes[] = { size - 2, 2 * size - 2, size - 1, 3 * size - 2, 0, 1 };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(hashes); i++) {
		for (j = 0; j < ARRAY_SIZE(hashes); j++)
			fisc_hints_set(hints, hashes[j], j + 1);
		fisc_hints_del(hints, hashes[i]);
		for (j = 0; j < ARRAY_SIZE(hashes); j++)
			KUNIT_EXPECT_EQ(test, fisc_hints_find(hints, hashes[j]),
					i == j ? 0 : j + 1);
	}
}

static void agrees_with_a_model(struct kunit *test)
{
	struct fisc_hints *hints = test->priv;
	struct rnd_state rnd;
	u64 model[64] = {};
	unsigned long used = 0;
	unsigned int i, n;

	prandom_seed_state(&rnd, 1);
	for (i = 0; i < 20000; i++) {
		/* Few home slots, so that runs are long and mixed. */
		u32 key = prandom_u32_state(&rnd) % ARRAY_SIZE(model);
		u64 hash = (key % 8) * 3 + (u64)key * hints->nr_slots;

		if (prandom_u32_state(&rnd) & 1) {
			fisc_hints_set(hints, hash, i + 1);
			used += !model[key];
			model[key] = i + 1;
		} else {
			fisc_hints_del(hints, hash);
			used -= !!model[key];
			model[key] = 0;
		}
		KUNIT_ASSERT_EQ(test, hints->used, used);
		for (n = 0; n < ARRAY_SIZE(model); n++)
			if (fisc_hints_find(hints, (n % 8) * 3 +
					    (u64)n * hints->nr_slots) !=
			    model[n])
				KUNIT_FAIL_AND_ABORT(test, "step %u key %u", i,
						     n);
	}
}

static struct kunit_case fisc_hints_cases[] = {
	KUNIT_CASE(a_hint_takes_16_bytes),
	KUNIT_CASE(unknown_hash_is_nowhere),
	KUNIT_CASE(last_place_wins),
	KUNIT_CASE(full_table_refuses_new_hashes_only),
	KUNIT_CASE(size_asked_for_fits),
	KUNIT_CASE(deleting_keeps_runs_that_wrap),
	KUNIT_CASE(agrees_with_a_model),
	{}
};

static struct kunit_suite fisc_hints_suite = {
	.name = "fisc_hints",
	.init = fisc_hints_test_init,
	.exit = fisc_hints_test_exit,
	.test_cases = fisc_hints_cases,
};

kunit_test_suite(fisc_hints_suite);
