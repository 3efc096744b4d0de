// SPDX-License-Identifier: GPL-2.0
/*
 * Which state follows from how much memory is free: arithmetic only.
 */
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "state.h"

const char * const fisc_reclaim_names[FISC_RECLAIM_STATES] = {
	"high", "clear", "soft", "hard", "low",
};

/* ESXi's sliding scale: so many percent of the next so many bytes. */
static const struct {
	u64 bytes;
	unsigned int percent;
} fisc_scale[] = {
	{ 4ULL * SZ_1G, 6 },
	{ 8ULL * SZ_1G, 4 },
	{ 16ULL * SZ_1G, 2 },
	{ U64_MAX, 1 },
};

/**
 * fisc_levels_scale() - memory that is to be free, by the sliding scale
 * @total: pages in all
 *
 * 6 % of the first 4 GiB, 4 % of the next 8, 2 % of the next 16, 1 % of the rest: a
 * large host need not keep as large a part free as a small one.
 *
 * Context: any.
 * Return: pages.
 */
u64 fisc_levels_scale(u64 total)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fisc_scale); i++) {
		u64 part = min(total, fisc_scale[i].bytes >> PAGE_SHIFT);

		sum += part * fisc_scale[i].percent;
		total -= part;
	}

	return div_u64(sum, 100);
}

/**
 * fisc_levels_set() - say at how many free pages states begin
 * @levels: the result
 * @total: pages in all
 * @percent: of them, for each state; never more than for the state before
 * @sliding: 6 % become what the sliding scale says, others in proportion
 *
 * Context: any.
 */
void fisc_levels_set(struct fisc_levels *levels, u64 total,
		     const unsigned int *percent, bool sliding)
{
	unsigned int i;

	levels->below[FISC_RECLAIM_HIGH] = U64_MAX;
	for (i = FISC_RECLAIM_CLEAR; i < FISC_RECLAIM_STATES; i++)
		levels->below[i] = sliding ?
			div_u64(fisc_levels_scale(total) * percent[i], 6) :
			div_u64(total * percent[i], 100);
}

/**
 * fisc_levels_leave() - memory that has to be free for a state to end
 * @levels: where states begin
 * @state: not the first one
 *
 * A quarter of the way from where it began to where the one before began, or of as
 * much again for the one after "high": a state does not end as soon as it has begun.
 *
 * Context: any.
 * Return: pages.
 */
u64 fisc_levels_leave(const struct fisc_levels *levels,
		      enum fisc_reclaim_state state)
{
	u64 begin = levels->below[state];
	u64 next = state == FISC_RECLAIM_CLEAR ? begin + begin / 2 :
						 levels->below[state - 1];

	return begin + DIV_ROUND_UP_ULL(next - begin, 4);
}

/**
 * fisc_levels_state() - the state that follows
 * @levels: where states begin
 * @before: the state up to now
 * @free: free pages
 *
 * Context: any.
 * Return: the state.
 */
enum fisc_reclaim_state fisc_levels_state(const struct fisc_levels *levels,
					  enum fisc_reclaim_state before,
					  u64 free)
{
	enum fisc_reclaim_state state = before;

	while (state < FISC_RECLAIM_LOW && free < levels->below[state + 1])
		state++;
	while (state > FISC_RECLAIM_HIGH &&
	       free >= fisc_levels_leave(levels, state))
		state--;

	return state;
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "../tests/state-kunit.h"
#endif
