/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_BACKING_H
#define _FISC_MEMORY_BACKING_H

#include <linux/types.h>

struct fisc_region;
struct folio;
struct page;

int fisc_backing_write(struct fisc_region *region, pgoff_t index,
		       struct page *page);
void fisc_backing_send(struct fisc_region *region, pgoff_t index);
struct page *fisc_backing_read(struct fisc_region *region, pgoff_t index);
bool fisc_backing_is_present(struct fisc_region *region, pgoff_t index);
unsigned long fisc_backing_pages(const struct fisc_region *region);
bool fisc_backing_holds(struct fisc_region *region, pgoff_t index,
			struct page *page);
void fisc_backing_drop(struct fisc_region *region, pgoff_t first, pgoff_t last);
void fisc_backing_free(struct fisc_region *region);
int fisc_backing_init(void);
void fisc_backing_exit(void);

#endif /* _FISC_MEMORY_BACKING_H */
