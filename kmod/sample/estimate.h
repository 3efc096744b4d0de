/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ESTIMATE_H
#define _FISC_ESTIMATE_H

#include <linux/bits.h>
#include <linux/types.h>

/**
 * DOC: Estimates
 *
 * The active fraction of a VM's memory is estimated as in ESX (Waldspurger, OSDI
 * 2002, section 5.3): by a slow and a fast exponentially weighted moving average
 * of its samples, and a running one, the sample under way. The largest is the
 * estimate, so growth is seen at once and decline slowly.
 *
 * Fractions have 16 fractional bits. The error shown is the standard error of a
 * sample whose fraction is the estimate, sqrt(p (1 - p) / n), with two touched
 * and two untouched pages added, so that a sample without a touched page is not
 * taken for certainty (Agresti and Coull, 1998).
 */

#define FISC_FRACTION_SHIFT	16
#define FISC_FRACTION_ONE	BIT(FISC_FRACTION_SHIFT)

/**
 * struct fisc_estimate - what earlier samples said
 * @slow: slow moving average
 * @fast: fast moving average
 * @valid: there was a sample
 *
 * Fractions, of FISC_FRACTION_ONE.
 */
struct fisc_estimate {
	u32 slow;
	u32 fast;
	bool valid;
};

u32 fisc_fraction(unsigned int touched, unsigned int nr);
void fisc_estimate_add(struct fisc_estimate *estimate, u32 fraction,
		       unsigned int slow_percent, unsigned int fast_percent);
u32 fisc_estimate_active(const struct fisc_estimate *estimate, u32 running);
u32 fisc_estimate_error(u32 fraction, unsigned int nr);

/**
 * fisc_fraction_of() - so much of something
 * @whole: all of it
 * @fraction: the part
 *
 * Context: any.
 * Return: the product, rounded down.
 */
static inline u64 fisc_fraction_of(u64 whole, u32 fraction)
{
	return (whole >> FISC_FRACTION_SHIFT) * fraction +
	       (((whole & (FISC_FRACTION_ONE - 1)) * fraction) >>
		FISC_FRACTION_SHIFT);
}

#endif /* _FISC_ESTIMATE_H */
