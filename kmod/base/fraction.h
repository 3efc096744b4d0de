/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BASE_FRACTION_H
#define _FISC_BASE_FRACTION_H

#include <linux/bits.h>
#include <linux/types.h>

/* Fractions have 16 fractional bits. */
#define FISC_FRACTION_SHIFT	16
#define FISC_FRACTION_ONE	BIT(FISC_FRACTION_SHIFT)

/**
 * fisc_fraction_of() - return a fraction of a number
 * @whole: the number
 * @fraction: the fraction, with FISC_FRACTION_SHIFT fractional bits
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

#endif /* _FISC_BASE_FRACTION_H */
