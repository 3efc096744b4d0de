// SPDX-License-Identifier: GPL-2.0
/*
 * Host memory for guests, one page at a time.
 */
#include <linux/gfp.h>

#include "frame.h"

struct folio *fisc_zero_frame;

/**
 * fisc_frame_alloc() - allocate a frame
 * @vma: mapping through which the frame is wanted, or NULL
 * @addr: address of the fault in @vma
 * @gfp: %__GFP_ZERO unless the caller writes all of it, and anything else
 *	that modifies GFP_HIGHUSER
 *
 * A fault gets a frame where the VMM's memory policy wants it, by default on
 * the faulting CPU's node.
 *
 * Context: may sleep.
 * Return: the frame with one reference, NULL if there is no memory.
 */
struct folio *fisc_frame_alloc(struct vm_area_struct *vma, unsigned long addr,
			       gfp_t gfp)
{
	gfp |= GFP_HIGHUSER;

	if (vma)
		return vma_alloc_folio(gfp, 0, vma, addr, false);

	return folio_alloc(gfp, 0);
}

int fisc_frame_init(void)
{
	fisc_zero_frame = fisc_frame_alloc(NULL, 0, __GFP_ZERO);

	return fisc_zero_frame ? 0 : -ENOMEM;
}

void fisc_frame_exit(void)
{
	folio_put(fisc_zero_frame);
}
