/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_COW_H
#define _FISC_MEMORY_COW_H

#include <linux/mm.h>

#include "memory/map.h"

int fisc_chunk_own(struct fisc_region *region, struct fisc_chunk *chunk,
		   pgoff_t index, struct vm_fault *vmf, gfp_t gfp,
		   struct page **frame);
int fisc_region_unshare(struct fisc_region *region);

#endif /* _FISC_MEMORY_COW_H */
