// SPDX-License-Identifier: GPL-2.0
/*
 * Shares, idle memory tax and min-funding revocation: pure arithmetic, without
 * locks and without allocating memory. See DOC: Idle memory tax in tax.h.
 */
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>

#include "tax/tax.h"

/* More than any number of pages, even at 100 times the price, or of shares. */
#define FISC_TAX_LIMIT	(U64_MAX / 100)
#define FISC_RHO_SHIFT	32

/* Worth of one share in taxed pages: significand / 2^shift. */
struct fisc_worth {
	u64 significand;
	unsigned int shift;
};

/* At these, any number of shares buys every claim its max, or no taxed page. */
static const struct fisc_worth fisc_worth_most = { U64_MAX, 0 };
static const struct fisc_worth fisc_worth_least = { BIT_ULL(63), 127 };

/* Fraction of a taxed page that an idle page gets, in percent. */
static u64 fisc_tax_untaxed(const struct fisc_claim *claim)
{
	return 100 - min(claim->tax_rate, 99U);
}

static u64 fisc_tax_target(const struct fisc_claim *claim,
			   struct fisc_worth worth)
{
	u128 taxed = (u128)claim->shares * worth.significand >> worth.shift;
	u64 pages = taxed;

	if (taxed >= FISC_TAX_LIMIT)
		return claim->max;
	if (pages > claim->active)
		pages = claim->active + (pages - claim->active) *
					fisc_tax_untaxed(claim) / 100;

	/* Unlike clamp(), grows with pages even if min is above max. */
	return min(max(pages, claim->min), claim->max);
}

/*
 * Return: true if the targets fit into @capacity; @left is what remains then.
 */
static bool fisc_tax_fits(const struct fisc_claim *claims, size_t nr,
			  u64 capacity, struct fisc_worth worth, u64 *left)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		u64 target = fisc_tax_target(&claims[i], worth);

		if (target > capacity)
			return false;
		capacity -= target;
	}
	*left = capacity;

	return true;
}

/*
 * Find the largest worth at which the targets fit: first the power of two, then
 * the bits below. Once nothing is left, a larger worth that fits gives the same
 * targets.
 */
static struct fisc_worth fisc_tax_search(const struct fisc_claim *claims,
					 size_t nr, u64 capacity)
{
	struct fisc_worth worth = fisc_worth_least;
	unsigned int step;
	u64 bit, left;

	if (!fisc_tax_fits(claims, nr, capacity, worth, &left))
		return worth;

	for (step = 64; step && left; step >>= 1) {
		worth.shift -= step;
		if (!fisc_tax_fits(claims, nr, capacity, worth, &left))
			worth.shift += step;
	}
	for (bit = BIT_ULL(62); bit && left; bit >>= 1) {
		worth.significand |= bit;
		if (!fisc_tax_fits(claims, nr, capacity, worth, &left))
			worth.significand &= ~bit;
	}

	return worth;
}

/**
 * fisc_tax_targets() - divide memory among VMs
 * @claims: the claims of all VMs; sets their targets
 * @nr: number of claims
 * @capacity: pages to divide
 *
 * Each target is within min and max, and the sum of the targets is within
 * @capacity unless the mins alone exceed it. VMs that no bound limits have the
 * same rho, except for rounding. The order of @claims does not matter.
 *
 * Context: any. Takes time proportional to @nr.
 */
void fisc_tax_targets(struct fisc_claim *claims, size_t nr, u64 capacity)
{
	struct fisc_worth worth = fisc_worth_most;
	u64 left;
	size_t i;

	if (!fisc_tax_fits(claims, nr, capacity, worth, &left))
		worth = fisc_tax_search(claims, nr, capacity);
	for (i = 0; i < nr; i++)
		claims[i].target = fisc_tax_target(&claims[i], worth);
}

/**
 * fisc_tax_rho() - return a VM's shares per taxed page
 * @claim: shares, active pages and tax rate
 * @pages: the allocation to price
 *
 * Context: any.
 * Return: rho with 32 fractional bits, rounded down; U64_MAX if it does not fit
 * or @pages is 0.
 */
u64 fisc_tax_rho(const struct fisc_claim *claim, u64 pages)
{
	u64 untaxed = fisc_tax_untaxed(claim);
	u64 shares = min(claim->shares, FISC_TAX_LIMIT) * untaxed;
	u64 active, taxed;

	pages = min(pages, FISC_TAX_LIMIT);
	active = min(claim->active, pages);
	taxed = active * untaxed + (pages - active) * 100;
	if (shares >> (64 - FISC_RHO_SHIFT) >= taxed)
		return U64_MAX;

	/*
	 * x86's mul_u64_u64_div_u64() divides by the product if the compiler
	 * puts factor and divisor into one register, as it may when it knows
	 * that they are equal.
	 */
	OPTIMIZER_HIDE_VAR(taxed);

	return mul_u64_u64_div_u64(shares, BIT_ULL(FISC_RHO_SHIFT), taxed);
}

#ifdef FISC_KUNIT
#include "tests/tax-kunit.h"
#endif
