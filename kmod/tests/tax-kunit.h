/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: shares, idle memory tax, min-funding revocation.
 */
#include <kunit/test.h>
#include <linux/prandom.h>

#define FISC_TEST_MIB		256ULL	/* pages */
#define FISC_TEST_NR_MAX	24
#define FISC_TEST_NR_ROUNDS	4000

struct fisc_test_vms {
	struct rnd_state rnd;
	size_t nr;
	u64 capacity;
	struct fisc_claim claims[FISC_TEST_NR_MAX];
	struct fisc_claim other[FISC_TEST_NR_MAX];
};

static struct fisc_test_vms *fisc_test_vms(struct kunit *test)
{
	struct fisc_test_vms *vms = kunit_kzalloc(test, sizeof(*vms), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, vms);
	prandom_seed_state(&vms->rnd, 20021209);

	return vms;
}

/* Return: 0 to @most, small numbers as likely as large ones. */
static u64 fisc_test_random(struct fisc_test_vms *vms, u64 most)
{
	u64 r = (u64)prandom_u32_state(&vms->rnd) << 32 |
		prandom_u32_state(&vms->rnd);

	r >>= prandom_u32_state(&vms->rnd) % 64;

	return r <= most ? r : r % (most + 1);
}

/* Random VMs of up to 1 TiB each, and memory for some of it. */
static void fisc_test_any_vms(struct fisc_test_vms *vms)
{
	u64 min = 0, max = 0;
	size_t i;

	vms->nr = 1 + prandom_u32_state(&vms->rnd) % FISC_TEST_NR_MAX;
	for (i = 0; i < vms->nr; i++) {
		struct fisc_claim *claim = &vms->claims[i];

		claim->shares = 1 + fisc_test_random(vms, 999999999);
		claim->max = 1 + fisc_test_random(vms, (1 << 28) - 1);
		claim->min = fisc_test_random(vms, claim->max);
		claim->active = fisc_test_random(vms, claim->max);
		claim->tax_rate = prandom_u32_state(&vms->rnd) % 100;
		min += claim->min;
		max += claim->max;
	}
	vms->capacity = min + fisc_test_random(vms, max - min);
}

/* VMs limited by neither min nor max. */
static void fisc_test_free_vms(struct fisc_test_vms *vms)
{
	size_t i;

	fisc_test_any_vms(vms);
	for (i = 0; i < vms->nr; i++) {
		vms->claims[i].min = 0;
		vms->claims[i].max = vms->capacity + 1;
	}
}

static u64 fisc_test_sum(const struct fisc_test_vms *vms)
{
	u64 sum = 0;
	size_t i;

	for (i = 0; i < vms->nr; i++)
		sum += vms->claims[i].target;

	return sum;
}

/* Expect the targets of two VMs with 256 MiB and 2560 shares each. */
static void fisc_test_pair(struct kunit *test, unsigned int tax_rate,
			   u64 capacity, u64 active_a, u64 active_b,
			   u64 target_a, u64 target_b)
{
	struct fisc_claim claims[2] = {
		{ .shares = 2560, .max = 256 * FISC_TEST_MIB,
		  .active = active_a, .tax_rate = tax_rate },
		{ .shares = 2560, .max = 256 * FISC_TEST_MIB,
		  .active = active_b, .tax_rate = tax_rate },
	};

	fisc_tax_targets(claims, 2, capacity);
	KUNIT_EXPECT_EQ_MSG(test, claims[0].target, target_a, "at %u %%",
			    tax_rate);
	KUNIT_EXPECT_EQ_MSG(test, claims[1].target, target_b, "at %u %%",
			    tax_rate);
}

/*
 * Figure 7: 358 MiB for two VMs of 256 MiB. Without a tax each gets half. At
 * 75 % the busy one is entitled to four times what the idle one has, 286 MiB,
 * and has all of its 256: 43 % more.
 */
static void figure_7_of_the_paper(struct kunit *test)
{
	fisc_test_pair(test, 0, 358 * FISC_TEST_MIB, 0, 256 * FISC_TEST_MIB,
		       179 * FISC_TEST_MIB, 179 * FISC_TEST_MIB);
	fisc_test_pair(test, 75, 358 * FISC_TEST_MIB, 0, 256 * FISC_TEST_MIB,
		       102 * FISC_TEST_MIB, 256 * FISC_TEST_MIB);
}

/*
 * One VM is idle, one busy: k P1 = P2, so P1 = M / (k + 1). Of 65,536 pages:
 *
 *	tau	k	P1		P2
 *	25 %	4/3	28086.86	37449.14
 *	50 %	2	21845.33	43690.67
 *	75 %	4	13107.20	52428.80
 *	99 %	100	648.87		64887.13
 *
 * P2 takes the page that is left when P1 has not reached its next one. Rates
 * above 99 % count as 99 %.
 */
static void idle_pays_k_times_as_much(struct kunit *test)
{
	u64 busy = 256 * FISC_TEST_MIB;

	fisc_test_pair(test, 25, 65536, 0, busy, 28086, 37449);
	fisc_test_pair(test, 50, 65536, 0, busy, 21845, 43691);
	fisc_test_pair(test, 75, 65536, 0, busy, 13107, 52429);
	fisc_test_pair(test, 99, 65536, 0, busy, 648, 64888);
	fisc_test_pair(test, 100, 65536, 0, busy, 648, 64888);
	fisc_test_pair(test, UINT_MAX, 65536, 0, busy, 648, 64888);
}

/*
 * One VM has 16,384 active pages, the other 49,152; there are 91,648 pages.
 * With C taxed pages each, both have more than their active pages:
 *
 *	P = A + (C - A) (1 - tau), so P = tau A + (1 - tau) C
 *	91648 = tau 65536 + 2 (1 - tau) C
 *
 *	tau	C		P1		P2
 *	0	45824		45824		45824
 *	25 %	50176		41728		49920
 *	50 %	58880		37632		54016
 *	75 %	84992		33536		58112
 *	99 %	1338368		29603.84	62044.16
 */
static void partly_active_pays_for_the_idle_part(struct kunit *test)
{
	fisc_test_pair(test, 0, 91648, 16384, 49152, 45824, 45824);
	fisc_test_pair(test, 25, 91648, 16384, 49152, 41728, 49920);
	fisc_test_pair(test, 50, 91648, 16384, 49152, 37632, 54016);
	fisc_test_pair(test, 75, 91648, 16384, 49152, 33536, 58112);
	fisc_test_pair(test, 99, 91648, 16384, 49152, 29604, 62044);
}

/* 100 pages, 40 active, at 75 %: 40 + 4 * 60 = 280 taxed pages, 560 shares. */
static void rho_is_shares_per_taxed_page(struct kunit *test)
{
	struct fisc_claim claim = { .shares = 560, .active = 40, .tax_rate = 75 };

	KUNIT_EXPECT_EQ(test, fisc_tax_rho(&claim, 100), 2ULL << 32);
	KUNIT_EXPECT_EQ(test, fisc_tax_rho(&claim, 40), 14ULL << 32);
	KUNIT_EXPECT_EQ(test, fisc_tax_rho(&claim, 20), 28ULL << 32);
	claim.tax_rate = 0;
	KUNIT_EXPECT_EQ(test, fisc_tax_rho(&claim, 112), 5ULL << 32);
	claim.active = 60;
	claim.tax_rate = 99;
	KUNIT_EXPECT_EQ(test, fisc_tax_rho(&claim, 65), 1ULL << 32);
}

static void rho_saturates(struct kunit *test)
{
	struct fisc_claim claim = { .shares = 1000000000, .tax_rate = 99 };

	KUNIT_EXPECT_EQ(test, fisc_tax_rho(&claim, 0), U64_MAX);
	KUNIT_EXPECT_EQ(test, fisc_tax_rho(&claim, 1), 10000000ULL << 32);
	KUNIT_EXPECT_EQ(test, fisc_tax_rho(&claim, U64_MAX), 0);
	claim.shares = U64_MAX;
	KUNIT_EXPECT_EQ(test, fisc_tax_rho(&claim, 1), U64_MAX);
	claim.active = U64_MAX;
	KUNIT_EXPECT_EQ(test, fisc_tax_rho(&claim, U64_MAX), 1ULL << 32);
}

static void targets_are_within_bounds_and_capacity(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round;
	size_t i;

	for (round = 0; round < FISC_TEST_NR_ROUNDS; round++) {
		fisc_test_any_vms(vms);
		fisc_tax_targets(vms->claims, vms->nr, vms->capacity);
		for (i = 0; i < vms->nr; i++) {
			struct fisc_claim *claim = &vms->claims[i];

			KUNIT_ASSERT_GE(test, claim->target, claim->min);
			KUNIT_ASSERT_LE(test, claim->target, claim->max);
		}
		KUNIT_ASSERT_LE(test, fisc_test_sum(vms), vms->capacity);
	}
}

static void min_is_certain_and_max_is_enough(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round;
	size_t i;

	for (round = 0; round < FISC_TEST_NR_ROUNDS; round++) {
		u64 min = 0, max = 0;

		fisc_test_any_vms(vms);
		for (i = 0; i < vms->nr; i++) {
			min += vms->claims[i].min;
			max += vms->claims[i].max;
		}
		fisc_tax_targets(vms->claims, vms->nr, fisc_test_random(vms, min));
		for (i = 0; i < vms->nr; i++)
			KUNIT_ASSERT_EQ(test, vms->claims[i].target,
					vms->claims[i].min);
		fisc_tax_targets(vms->claims, vms->nr, max);
		for (i = 0; i < vms->nr; i++)
			KUNIT_ASSERT_EQ(test, vms->claims[i].target,
					vms->claims[i].max);
	}
}

static void less_than_a_page_each_is_left(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round;

	for (round = 0; round < FISC_TEST_NR_ROUNDS; round++) {
		fisc_test_free_vms(vms);
		fisc_tax_targets(vms->claims, vms->nr, vms->capacity);
		KUNIT_ASSERT_LE(test, fisc_test_sum(vms), vms->capacity);
		KUNIT_ASSERT_LT(test, vms->capacity - fisc_test_sum(vms),
				vms->nr);
	}
}

/*
 * A VM above its min pays no more than any VM below its max would pay for more
 * memory. Rounding down allows for one page of cost and one of memory.
 */
static void fisc_test_level(struct kunit *test, struct fisc_test_vms *vms)
{
	u64 lowest = U64_MAX, highest = 0;
	size_t i;

	fisc_tax_targets(vms->claims, vms->nr, vms->capacity);
	for (i = 0; i < vms->nr; i++) {
		struct fisc_claim *claim = &vms->claims[i];

		if (claim->target > claim->min)
			lowest = min(lowest, fisc_tax_rho(claim, claim->target));
		if (claim->target < claim->max)
			highest = max(highest, fisc_tax_rho(claim,
							    claim->target + 2));
	}
	KUNIT_ASSERT_GE(test, lowest, highest);
}

static void rho_is_equal_where_nothing_binds(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round;

	for (round = 0; round < FISC_TEST_NR_ROUNDS; round++) {
		fisc_test_free_vms(vms);
		fisc_test_level(test, vms);
	}
}

static void lowest_rho_pays_unless_at_its_min(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round;

	for (round = 0; round < FISC_TEST_NR_ROUNDS; round++) {
		fisc_test_any_vms(vms);
		fisc_test_level(test, vms);
	}
}

/* A VM with more shares gets no less, up to a page; others get no more. */
static void more_shares_do_not_get_less(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round;
	size_t i;

	for (round = 0; round < FISC_TEST_NR_ROUNDS; round++) {
		struct fisc_claim *richer = vms->other;

		fisc_test_any_vms(vms);
		memcpy(vms->other, vms->claims, sizeof(vms->other));
		richer->shares += 1 + fisc_test_random(vms, richer->shares);
		fisc_tax_targets(vms->claims, vms->nr, vms->capacity);
		fisc_tax_targets(vms->other, vms->nr, vms->capacity);
		KUNIT_ASSERT_GE(test, richer->target + 1, vms->claims[0].target);
		for (i = 1; i < vms->nr; i++)
			KUNIT_ASSERT_LE(test, vms->other[i].target,
					vms->claims[i].target);
	}
}

static void order_does_not_matter(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round;
	size_t i;

	for (round = 0; round < FISC_TEST_NR_ROUNDS; round++) {
		fisc_test_any_vms(vms);
		for (i = 0; i < vms->nr; i++)
			vms->other[vms->nr - 1 - i] = vms->claims[i];
		fisc_tax_targets(vms->claims, vms->nr, vms->capacity);
		fisc_tax_targets(vms->other, vms->nr, vms->capacity);
		for (i = 0; i < vms->nr; i++)
			KUNIT_ASSERT_EQ(test, vms->claims[i].target,
					vms->other[vms->nr - 1 - i].target);
	}
}

static void equal_claims_get_equal_targets(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round;
	size_t i;

	for (round = 0; round < FISC_TEST_NR_ROUNDS; round++) {
		fisc_test_any_vms(vms);
		for (i = 1; i < vms->nr; i++)
			vms->claims[i] = vms->claims[i / 2 * 2];
		fisc_tax_targets(vms->claims, vms->nr, vms->capacity);
		for (i = 1; i < vms->nr; i += 2)
			KUNIT_ASSERT_EQ(test, vms->claims[i].target,
					vms->claims[i - 1].target);
	}
}

/* Rounding may give away one page per VM, to the VM with the most shares. */
static void without_tax_memory_is_shared_by_shares(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round;
	size_t i;

	for (round = 0; round < FISC_TEST_NR_ROUNDS; round++) {
		u64 shares = 0;

		fisc_test_free_vms(vms);
		for (i = 0; i < vms->nr; i++) {
			vms->claims[i].tax_rate = 0;
			shares += vms->claims[i].shares;
		}
		memcpy(vms->other, vms->claims, sizeof(vms->other));
		for (i = 0; i < vms->nr; i++)
			vms->other[i].active = fisc_test_random(vms, U64_MAX - 1);
		fisc_tax_targets(vms->claims, vms->nr, vms->capacity);
		fisc_tax_targets(vms->other, vms->nr, vms->capacity);
		for (i = 0; i < vms->nr; i++) {
			u64 share = vms->claims[i].shares;
			u64 target = vms->claims[i].target;

			KUNIT_ASSERT_EQ(test, target, vms->other[i].target);
			KUNIT_ASSERT_GE(test, target + 1,
					mul_u64_u64_div_u64(share, vms->capacity,
							    shares));
			KUNIT_ASSERT_LE(test, target,
					mul_u64_u64_div_u64(share,
							    vms->capacity + vms->nr,
							    shares));
		}
	}
}

/*
 * A VM that has as much as its target cannot use more than that. If this moved
 * targets by more than what rounding left over, they would oscillate.
 */
static void targets_that_are_reached_stay(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round, again;
	size_t i;

	for (round = 0; round < FISC_TEST_NR_ROUNDS; round++) {
		u64 left;

		fisc_test_free_vms(vms);
		memcpy(vms->other, vms->claims, sizeof(vms->other));
		fisc_tax_targets(vms->claims, vms->nr, vms->capacity);
		left = vms->capacity - fisc_test_sum(vms);
		for (again = 0; again < 3; again++) {
			for (i = 0; i < vms->nr; i++) {
				vms->other[i].target = vms->claims[i].target;
				vms->claims[i].active = min(vms->other[i].active,
							    vms->other[i].target);
			}
			fisc_tax_targets(vms->claims, vms->nr, vms->capacity);
			for (i = 0; i < vms->nr; i++) {
				KUNIT_ASSERT_GE(test, vms->claims[i].target + left,
						vms->other[i].target);
				KUNIT_ASSERT_LE(test, vms->claims[i].target,
						vms->other[i].target + left);
			}
		}
	}
}

/*
 * A VM cannot show more active memory than it has. While all of it is active,
 * each step takes it 1 - tau of the way to its final target: from 2^28 pages
 * away to less than one takes 68 steps at 75 %.
 */
static void targets_settle_from_any_allocation(struct kunit *test)
{
	struct fisc_test_vms *vms = fisc_test_vms(test);
	int round, step;
	size_t i;

	for (round = 0; round < FISC_TEST_NR_ROUNDS / 20; round++) {
		bool settled = false;

		fisc_test_any_vms(vms);
		memcpy(vms->other, vms->claims, sizeof(vms->other));
		for (i = 0; i < vms->nr; i++) {
			struct fisc_claim *claim = &vms->claims[i];

			claim->tax_rate %= 76;
			claim->target = fisc_test_random(vms, claim->max);
		}
		for (step = 0; step < 80 && !settled; step++) {
			settled = true;
			for (i = 0; i < vms->nr; i++) {
				vms->claims[i].active = min(vms->other[i].active,
							    vms->claims[i].target);
				vms->other[i].target = vms->claims[i].target;
			}
			fisc_tax_targets(vms->claims, vms->nr, vms->capacity);
			for (i = 0; i < vms->nr; i++)
				if (vms->claims[i].target != vms->other[i].target)
					settled = false;
		}
		KUNIT_ASSERT_TRUE(test, settled);
	}
}

/* Idle pages cost a hundredfold: 1 share buys 2^31 pages for 100 * 2^31. */
static void extremes_do_not_overflow(struct kunit *test)
{
	struct fisc_claim claims[2] = {
		{ .shares = 1, .max = 1ULL << 32, .tax_rate = 99 },
		{ .shares = 1000000000, .max = 1ULL << 32, .tax_rate = 99 },
	};

	fisc_tax_targets(claims, 2, 0);
	KUNIT_EXPECT_EQ(test, claims[0].target, 0);
	KUNIT_EXPECT_EQ(test, claims[1].target, 0);
	fisc_tax_targets(claims, 2, 1ULL << 32);
	KUNIT_EXPECT_EQ(test, claims[0].target, 4);
	KUNIT_EXPECT_EQ(test, claims[1].target, (1ULL << 32) - 4);
	fisc_tax_targets(claims, 2, 3ULL << 31);
	KUNIT_EXPECT_EQ(test, claims[0].target, 1ULL << 31);
	KUNIT_EXPECT_EQ(test, claims[1].target, 1ULL << 32);
	fisc_tax_targets(claims, 2, U64_MAX);
	KUNIT_EXPECT_EQ(test, claims[0].target, 1ULL << 32);
	KUNIT_EXPECT_EQ(test, claims[1].target, 1ULL << 32);

	claims[0].shares = U64_MAX;
	claims[0].max = U64_MAX;
	claims[0].active = U64_MAX;
	claims[0].tax_rate = UINT_MAX;
	fisc_tax_targets(claims, 1, U64_MAX);
	KUNIT_EXPECT_EQ(test, claims[0].target, U64_MAX);
	claims[1] = claims[0];
	fisc_tax_targets(claims, 2, U64_MAX);
	KUNIT_EXPECT_LE(test, claims[0].target, U64_MAX / 2);
	KUNIT_EXPECT_EQ(test, claims[0].target, claims[1].target);
}

static void max_counts_if_min_is_above(struct kunit *test)
{
	struct fisc_claim claims[2] = {
		{ .shares = 1, .min = 20, .max = 10 },
		{ .shares = 1, .max = 100 },
	};

	fisc_tax_targets(claims, 2, 50);
	KUNIT_EXPECT_EQ(test, claims[0].target, 10);
	KUNIT_EXPECT_EQ(test, claims[1].target, 40);
	fisc_tax_targets(claims, 2, 5);
	KUNIT_EXPECT_EQ(test, claims[0].target, 10);
	KUNIT_EXPECT_EQ(test, claims[1].target, 0);
	fisc_tax_targets(claims, 0, 5);
}

static struct kunit_case fisc_tax_cases[] = {
	KUNIT_CASE(figure_7_of_the_paper),
	KUNIT_CASE(idle_pays_k_times_as_much),
	KUNIT_CASE(partly_active_pays_for_the_idle_part),
	KUNIT_CASE(rho_is_shares_per_taxed_page),
	KUNIT_CASE(rho_saturates),
	KUNIT_CASE(targets_are_within_bounds_and_capacity),
	KUNIT_CASE(min_is_certain_and_max_is_enough),
	KUNIT_CASE(less_than_a_page_each_is_left),
	KUNIT_CASE(rho_is_equal_where_nothing_binds),
	KUNIT_CASE(lowest_rho_pays_unless_at_its_min),
	KUNIT_CASE(more_shares_do_not_get_less),
	KUNIT_CASE(order_does_not_matter),
	KUNIT_CASE(equal_claims_get_equal_targets),
	KUNIT_CASE(without_tax_memory_is_shared_by_shares),
	KUNIT_CASE(targets_that_are_reached_stay),
	KUNIT_CASE(targets_settle_from_any_allocation),
	KUNIT_CASE(extremes_do_not_overflow),
	KUNIT_CASE(max_counts_if_min_is_above),
	{}
};

static struct kunit_suite fisc_tax_suite = {
	.name = "fisc_tax",
	.test_cases = fisc_tax_cases,
};

kunit_test_suite(fisc_tax_suite);
