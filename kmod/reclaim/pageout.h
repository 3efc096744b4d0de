/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_PAGEOUT_H
#define _FISC_RECLAIM_PAGEOUT_H

#include <linux/mm_types.h>
#include <linux/types.h>

#include "memory/map.h"

/**
 * struct fisc_swap_candidate - a page that is being paged out
 * @page: its frame, with a reference
 * @i: its index in the chunk
 * @zero: it contains only zeroes
 * @copied: the backing has a copy
 * @gone: its entry has been replaced
 */
struct fisc_swap_candidate {
	struct page *page;
	u16 i;
	bool zero;
	bool copied;
	bool gone;
};

/**
 * struct fisc_swap_batch - working memory of the thread that pages out
 * @nr: number of candidates
 * @looked: private pages looked at, since the caller last cleared this
 * @cold: candidates among them, likewise
 * @pages: the candidates
 * @keep: entries for fisc_large_break(), all 0
 */
struct fisc_swap_batch {
	unsigned int nr;
	unsigned int looked;
	unsigned int cold;
	struct fisc_swap_candidate pages[FISC_CHUNK_PAGES];
	unsigned long keep[FISC_CHUNK_PAGES];
};

unsigned int fisc_swap_out(struct fisc_swap_batch *batch,
			   struct fisc_region *region,
			   struct fisc_chunk *chunk, unsigned int max,
			   bool any);

#endif /* _FISC_RECLAIM_PAGEOUT_H */
