/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_HOLE_H
#define _FISC_MEMORY_HOLE_H

#include "memory/map.h"

void fisc_region_remove(struct fisc_region *region, pgoff_t first,
			pgoff_t last);
void fisc_region_set_end(struct fisc_region *region, pgoff_t end);
int fisc_region_inflate(struct fisc_region *region, pgoff_t first,
			pgoff_t last);

#endif /* _FISC_MEMORY_HOLE_H */
