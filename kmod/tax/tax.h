/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_TAX_TAX_H
#define _FISC_TAX_TAX_H

#include <linux/types.h>

/**
 * DOC: Idle memory tax
 *
 * Shares say what a VM may claim of memory that does not suffice for all. With
 * shares alone a VM that leaves its memory idle keeps it as well as one that
 * needs it, so idle memory is taxed: a page that is not in active use costs k
 * times as much as one that is. A VM with S shares, P pages and the active
 * fraction f pays at the ratio of shares to taxed pages::
 *
 *	rho = S / (P (f + k (1 - f)))		k = 1 / (1 - tau)
 *
 * where tau is the tax rate: 0 is plain shares, 75 % makes an idle page cost
 * four times an active one. Min-funding revocation takes the next page from
 * the VM with the lowest rho, unless it is at its min already. What it comes to
 * is one rho for every VM that neither min nor max binds. (C. Waldspurger,
 * Memory Resource Management in VMware ESX Server, OSDI 2002, sections 5.1 to
 * 5.3.)
 *
 * The targets are computed from that end, rather than page by page. At
 * rho = 1/x a VM can pay for S x taxed pages, and its target is what these come
 * to in real ones, between min and max. Every target grows with x. The result
 * is that of the largest x at which the sum of the targets is within capacity.
 *
 * f is the active fraction of the P pages that are priced, min(1, A / P) if A
 * pages are active: these are the last that a VM parts with. P pages cost::
 *
 *	P		if P <= A
 *	A + k (P - A)	if P > A
 *
 * The other way to read the formula is to take f as measured, A / P of the
 * pages the VM has now, and to keep it while P is sought. For f of 0 or 1 that
 * is the same. In between the target would depend on the allocation, which
 * follows the target: at the fixed point the derivative of that iteration is
 * -A (k - 1) / (A + k (P - A)), down to -3 at 75 %, and where it is below -1
 * targets swing for ever. As it is, they depend on no allocation and stay where
 * they are as long as shares, bounds and A do. The price is that what is not
 * known to be active counts as idle: a VM that uses all it has, and cannot show
 * that it would use more, gets 1 - tau of what it lacks, and the same of the rest
 * once that is in use.
 *
 * x has to span much: an idle page costs up to 100, a VM has 1 to 10^9 shares
 * and up to 2^32 pages. So it is 64 significant bits and a shift, and one step
 * of x is never worth more than one taxed page to a VM that is not at its max.
 * What rounding down leaves over therefore goes to whichever VM comes first to
 * its next page as x grows. What remains, always less than a page a VM unless
 * max binds them all, is what several would reach at the same x: equal claims
 * get equal targets, in whatever order they come.
 *
 * x is bisected, bit by bit: at most 72 passes over the claims, nothing sorted,
 * nothing allocated. The number of passes is the length of x and does not grow
 * with the number of VMs, so the cost is O(N), and stays below that of
 * sorting the points where targets meet a bound, O(N log N), and of one page
 * after the other.
 */

/**
 * struct fisc_claim - what a VM claims, and what it is to have
 * @shares: its shares, at least 1
 * @min: pages it has for certain
 * @max: pages it has at most, at least @min
 * @active: pages in active use; may be more than @max
 * @tax_rate: tax on idle pages in percent, 0 to 99
 * @target: the result of fisc_tax_targets(), in pages
 *
 * If @min is above @max, @max counts; a @tax_rate above 99 is 99.
 */
struct fisc_claim {
	u64 shares;
	u64 min;
	u64 max;
	u64 active;
	unsigned int tax_rate;
	u64 target;
};

void fisc_tax_targets(struct fisc_claim *claims, size_t nr, u64 capacity);
u64 fisc_tax_rho(const struct fisc_claim *claim, u64 pages);

#endif /* _FISC_TAX_TAX_H */
