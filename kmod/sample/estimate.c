// SPDX-License-Identifier: GPL-2.0
/*
 * Estimates computed from samples. See DOC: Estimates in estimate.h.
 */
#include <linux/kernel.h>
#include <linux/math64.h>

#include "sample/estimate.h"

/**
 * fisc_fraction() - return the fraction of a sample that was touched
 * @touched: number of pages touched
 * @nr: number of pages in the sample
 *
 * Context: any.
 * Return: the fraction, of FISC_FRACTION_ONE; 0 if the sample is empty.
 */
u32 fisc_fraction(unsigned int touched, unsigned int nr)
{
	return nr ? div_u64((u64)touched << FISC_FRACTION_SHIFT, nr) : 0;
}

static u32 fisc_average(u32 average, u32 fraction, unsigned int percent)
{
	s64 step = ((s64)fraction - average) * percent;

	/* Round away from zero, so that the average reaches the fraction. */
	step += step < 0 ? -99 : 99;

	return average + div_s64(step, 100);
}

/**
 * fisc_estimate_add() - add a complete sample to an estimate
 * @estimate: the estimate
 * @fraction: fraction of the sample that was touched
 * @slow_percent: weight of the sample in the slow average
 * @fast_percent: weight of the sample in the fast average
 *
 * The first sample sets both averages, as nothing else is known.
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
 * fisc_estimate_active() - return the active fraction of a VM's memory
 * @estimate: the estimate from complete samples
 * @running: fraction of the current sample touched so far
 *
 * Without a complete sample, all memory counts as active: the VM is booting.
 *
 * Context: any.
 * Return: the fraction, of FISC_FRACTION_ONE.
 */
u32 fisc_estimate_active(const struct fisc_estimate *estimate, u32 running)
{
	if (!estimate->valid)
		return FISC_FRACTION_ONE;

	return max3(estimate->slow, estimate->fast, running);
}

/**
 * fisc_estimate_error() - return the standard error of a sample
 * @fraction: the estimated fraction
 * @nr: number of pages in the sample
 *
 * Context: any.
 * Return: the error, as a fraction of FISC_FRACTION_ONE, which is returned for
 * an empty sample.
 */
u32 fisc_estimate_error(u32 fraction, unsigned int nr)
{
	u64 p;

	if (!nr)
		return FISC_FRACTION_ONE;

	/* Add two touched and two untouched pages; see DOC: Estimates. */
	p = div_u64((u64)fraction * nr + 2 * FISC_FRACTION_ONE, nr + 4);

	return int_sqrt64(div_u64(p * (FISC_FRACTION_ONE - p), nr + 4));
}

#ifdef FISC_KUNIT
#include "tests/estimate-kunit.h"
#endif
