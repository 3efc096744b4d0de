// SPDX-License-Identifier: GPL-2.0
/*
 * From samples to estimates. See DOC: Estimates in estimate.h.
 */
#include <linux/kernel.h>
#include <linux/math64.h>

#include "sample/estimate.h"

/**
 * fisc_fraction() - fraction of a sample
 * @touched: pages touched
 * @nr: pages in the sample
 *
 * Context: any.
 * Return: the fraction, 0 of no pages.
 */
u32 fisc_fraction(unsigned int touched, unsigned int nr)
{
	return nr ? div_u64((u64)touched << FISC_FRACTION_SHIFT, nr) : 0;
}

static u32 fisc_average(u32 average, u32 fraction, unsigned int percent)
{
	s64 step = ((s64)fraction - average) * percent;

	/* Away from zero, so that it gets there. */
	step += step < 0 ? -99 : 99;

	return average + div_s64(step, 100);
}

/**
 * fisc_estimate_add() - a sample is complete
 * @estimate: what earlier ones said
 * @fraction: what it says
 * @slow_percent: its weight in the slow average
 * @fast_percent: its weight in the fast average
 *
 * The first one is all that is known, so both averages are what it says.
 *
 * Context: any.
 */
void fisc_estimate_add(struct fisc_estimate *estimate, u32 fraction,
		       unsigned int slow_percent, unsigned int fast_percent)
{
	if (!estimate->valid) {
		slow_percent = 100;
		fast_percent = 100;
	}
	estimate->slow = fisc_average(estimate->slow, fraction, slow_percent);
	estimate->fast = fisc_average(estimate->fast, fraction, fast_percent);
	estimate->valid = true;
}

/**
 * fisc_estimate_active() - the active fraction
 * @estimate: what earlier samples say
 * @running: what the sample under way says so far
 *
 * A VM of which nothing is known yet is active: it is booting.
 *
 * Context: any.
 * Return: the fraction.
 */
u32 fisc_estimate_active(const struct fisc_estimate *estimate, u32 running)
{
	if (!estimate->valid)
		return FISC_FRACTION_ONE;

	return max3(estimate->slow, estimate->fast, running);
}

/**
 * fisc_estimate_error() - standard error of a sample
 * @fraction: the fraction estimated
 * @nr: pages in the sample
 *
 * Context: any.
 * Return: the error, a fraction; all if there is no sample.
 */
u32 fisc_estimate_error(u32 fraction, unsigned int nr)
{
	u64 p;

	if (!nr)
		return FISC_FRACTION_ONE;

	/* Two of each more. */
	p = div_u64((u64)fraction * nr + 2 * FISC_FRACTION_ONE, nr + 4);

	return int_sqrt64(div_u64(p * (FISC_FRACTION_ONE - p), nr + 4));
}

#ifdef FISC_KUNIT
#include "tests/estimate-kunit.h"
#endif
