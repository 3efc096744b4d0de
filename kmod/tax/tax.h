/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_TAX_TAX_H
#define _FISC_TAX_TAX_H

#include <linux/types.h>

/**
 * DOC: Idle memory tax
 *
 * Shares say what a VM may claim of memory that does not suffice for all. With
 * shares alone, a VM that leaves its memory idle keeps as much as one that
 * needs it. So idle memory is taxed: a page that is not in active use costs k
 * times as much as one that is. A VM with S shares, P pages and the active
 * fraction f has this ratio of shares to taxed pages::
 *
 *	rho = S / (P (f + k (1 - f)))		k = 1 / (1 - tau)
 *
 * where tau is the tax rate: 0 is plain shares; 75 % makes an idle page cost
 * four times an active one. Min-funding revocation takes the next page from the
 * VM with the lowest rho, unless that VM is at its min already. The result is
 * one rho for all VMs that neither min nor max limits. (C. Waldspurger, Memory
 * Resource Management in VMware ESX Server, OSDI 2002, sections 5.1 to 5.3.)
 *
 * The targets are computed from that result rather than page by page. At rho =
 * 1/x a VM can pay for S x taxed pages; its target is the number of real pages
 * that these amount to, limited by min and max. Every target grows with x. The
 * solution is the largest x at which the sum of the targets is within the
 * capacity.
 *
 * f is the active fraction of the P pages being priced, min(1, A / P) if A
 * pages are active: a VM gives up its active pages last. P pages cost::
 *
 *	P		if P <= A
 *	A + k (P - A)	if P > A
 *
 * The alternative is to take f as measured, A / P of the pages that the VM has
 * now, and to keep it while searching for P. For f of 0 or 1 that is the same.
 * In between, the target would depend on the allocation, which follows the
 * target: at the fixed point the derivative of that iteration is -A (k - 1) /
 * (A + k (P - A)), down to -3 at 75 %, and where it is below -1 targets
 * oscillate forever. With the definition used here, targets do not depend on
 * the allocation and stay constant as long as shares, bounds and A do. The
 * price is that memory not known to be active counts as idle: a VM that uses
 * all it has, and cannot show that it would use more, gets 1 - tau of what it
 * lacks, and the same of the rest once that is in use.
 *
 * x needs a wide range: an idle page costs up to 100, a VM has 1 to 10^9 shares
 * and up to 2^32 pages. So x is 64 significant bits and a shift, and one step
 * of x is never worth more than one taxed page to a VM that is not at its max.
 * Pages left over by rounding down therefore go to the VM that reaches its next
 * page first as x grows. What still remains, always less than one page per VM
 * unless max limits them all, is what several VMs would reach at the same x:
 * equal claims get equal targets, regardless of their order.
 *
 * x is found by bisection, bit by bit: at most 72 passes over the claims, with
 * no sorting and no allocation. The number of passes depends on the length of x
 * and not on the number of VMs. So the cost is O(N), less than sorting the
 * points where targets meet a bound, O(N log N), and less than going page by
 * page.
 */

/**
 * struct fisc_claim - a VM's claim to memory, and its target
 * @shares: its shares, at least 1
 * @min: pages guaranteed
 * @max: most pages it may have, at least @min
 * @active: pages in active use; may exceed @max
 * @tax_rate: tax on idle pages in percent, 0 to 99
 * @target: pages it should have; result of fisc_tax_targets()
 *
 * If @min exceeds @max, @max applies; a @tax_rate above 99 counts as 99.
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
