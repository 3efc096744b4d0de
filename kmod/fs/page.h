/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FS_PAGE_H
#define _FISC_FS_PAGE_H

#include <linux/mm.h>

#include "memory/map.h"

int fisc_page_in(struct fisc_region *region, struct fisc_chunk *chunk,
		 pgoff_t index, unsigned long e, struct vm_fault *vmf, gfp_t gfp);
int fisc_region_own(struct fisc_region *region, pgoff_t index,
		    struct vm_fault *vmf, gfp_t gfp, struct page **frame);
int fisc_region_read(struct fisc_region *region, pgoff_t index,
		     struct page **page);

#endif /* _FISC_FS_PAGE_H */
