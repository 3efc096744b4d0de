/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_PAGEOUT_H
#define _FISC_RECLAIM_PAGEOUT_H

#include <linux/mm_types.h>
#include <linux/types.h>

#include "memory/map.h"
#include "memory/write.h"

/**
 * struct fisc_swap_candidate - a page that is being paged out
 * @page: its frame, with a reference
 * @slot: its slot of the paging device, or 0
 * @request: the request that writes it there
 * @i: its index in the chunk
 * @zero: it contains only zeroes
 * @copied: the backing has a copy
 * @gone: its entry has been replaced
 */
struct fisc_swap_candidate {
	struct page *page;
	u32 slot;
	int request;
	u16 i;
	bool zero;
	bool copied;
	bool gone;
};

/**
 * struct fisc_swap_batch - working memory of a pager
 * @nr: number of candidates
 * @looked: private pages looked at, since the caller last cleared this
 * @cold: candidates among them, likewise
 * @pages: the candidates
 * @keep: entries for fisc_large_break(), all 0
 * @write: the way of the candidates to the paging device
 * @failed: the last batch could not be written there
 * @again: when to try again then, in jiffies
 * @vm: while that has taken so long that the pager has gone on: the VM, held.
 *	Nothing else goes out meanwhile
 * @region: the candidates' region then; compared only
 * @chunk: the number of their chunk
 */
struct fisc_swap_batch {
	unsigned int nr;
	unsigned int looked;
	unsigned int cold;
	struct fisc_swap_candidate pages[FISC_CHUNK_PAGES];
	unsigned long keep[FISC_CHUNK_PAGES];
	struct fisc_write write;
	bool failed;
	unsigned long again;
	struct fisc_vm *vm;
	const struct fisc_region *region;
	u32 chunk;
};

unsigned int fisc_swap_out(struct fisc_swap_batch *batch,
			   struct fisc_region *region,
			   struct fisc_chunk *chunk, unsigned int max,
			   bool any);
void fisc_swap_settle(struct fisc_swap_batch *batch, unsigned long timeout);

#endif /* _FISC_RECLAIM_PAGEOUT_H */
