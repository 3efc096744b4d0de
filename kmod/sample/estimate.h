/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SAMPLE_ESTIMATE_H
#define _FISC_SAMPLE_ESTIMATE_H

#include <linux/types.h>

#include "base/fraction.h"

/**
 * DOC: Estimates
 *
 * The active fraction of a VM's memory is estimated as in ESX (Waldspurger,
 * OSDI 2002, section 5.3): by a slow and a fast exponentially weighted moving
 * average of the VM's samples, and a running one, the current sample. The
 * estimate is the largest of the three, so it follows growth at once and
 * decline slowly.
 *
 * Fractions have 16 fractional bits. The error shown is the standard error of a
 * sample whose fraction is the estimate, sqrt(p (1 - p) / n), with two touched
 * and two untouched pages added, so that the error of a sample without a
 * touched page is not zero (Agresti and Coull, 1998).
 */

/**
 * struct fisc_estimate - averages of a VM's complete samples
 * @slow: slow moving average
 * @fast: fast moving average
 * @valid: there was at least one sample
 *
 * The averages are fractions of FISC_FRACTION_ONE.
 */
struct fisc_estimate {
	u32 slow;
	u32 fast;
	bool valid;
};

/**
 * struct fisc_activity - how active a VM is
 * @active: the estimate
 * @slow: slow moving average
 * @fast: fast moving average
 * @error: standard error of a sample
 *
 * All are fractions of the VM's memory, of FISC_FRACTION_ONE.
 */
struct fisc_activity {
	u32 active;
	u32 slow;
	u32 fast;
	u32 error;
};

u32 fisc_fraction(unsigned int touched, unsigned int nr);
void fisc_estimate_add(struct fisc_estimate *estimate, u32 fraction,
		       unsigned int slow_percent, unsigned int fast_percent);
u32 fisc_estimate_active(const struct fisc_estimate *estimate, u32 running);
u32 fisc_estimate_error(u32 fraction, unsigned int nr);

#endif /* _FISC_SAMPLE_ESTIMATE_H */
