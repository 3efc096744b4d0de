/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_READ_H
#define _FISC_MEMORY_READ_H

#include <linux/mm.h>

#include "memory/map.h"

struct vm_area_struct;

/**
 * DOC: Read-ahead
 *
 * Pages of a chunk that went out together lie side by side on the paging
 * device. A fault on one of them reads its neighbours in the same request, as
 * many as the file's *window* says: those that are in the aligned block of so
 * many pages around the page, and whose slots follow each other without a gap.
 * All get frames of their own, which the fault puts in place together. The
 * wanted page waits for the whole request; but one request for 32 pages takes
 * hardly longer than one for a single page, and all that it costs to get there
 * (to let go of locks, to sleep, to fault again) is paid once.
 *
 * The frame of a neighbour is marked as read ahead until its page is touched,
 * which is a hit. The window doubles, up to FISC_READ_MAX, when at least half
 * of the pages read ahead lately have been hit, and is halved when less than a
 * quarter have. What is touched late counts when it is touched. A window of one
 * page has no hits, so every FISC_READ_PROBE faults it tries two.
 *
 * In "low", nothing is read ahead. Nor does anybody wait for memory to read
 * ahead: the request ends where there is no free frame. A request that fails is
 * repeated for the wanted page alone, so that a page is lost only if it cannot
 * be read itself.
 *
 * A request lives as long as its reader waits, or the device works on it. So a
 * reader that is killed leaves at once; whoever ends the request frees its
 * frames.
 */

/* Pages of a request at most, and of a new file's first ones. */
#define FISC_READ_MAX		32
#define FISC_READ_FIRST		8
#define FISC_READ_PROBE		16

struct fisc_read;

struct fisc_read *fisc_read_begin(struct fisc_region *region,
				  struct fisc_chunk *chunk, pgoff_t index,
				  const struct vm_fault *vmf, gfp_t gfp,
				  unsigned int window);
bool fisc_read_is_done(struct fisc_read *read);
int fisc_read_end(struct fisc_region *region, struct fisc_chunk *chunk,
		  struct fisc_read *read);
void __fisc_read_touch(struct fisc_region *region, struct folio *folio);

/**
 * fisc_read_touch() - note that a page is touched that may have been read ahead
 * @region: the region
 * @page: the page that serves it
 *
 * Context: any; the caller keeps @page.
 */
static inline void fisc_read_touch(struct fisc_region *region,
				   struct page *page)
{
	struct folio *folio = page_folio(page);

	if (unlikely(folio_test_readahead(folio)))
		__fisc_read_touch(region, folio);
}

#endif /* _FISC_MEMORY_READ_H */
