/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SHARE_MERGE_H
#define _FISC_SHARE_MERGE_H

#include <linux/types.h>

#include "memory/domain.h"
#include "memory/map.h"

/**
 * struct fisc_visit_page - a page of a visit
 * @page: the page, with a reference
 * @hash: hash of its content, unless @zero
 * @target: entry that will replace the page's, 0 if there is none; that of a
 *	shared frame has a user already
 * @i: the page's place in the chunk
 * @zero: the page is all zeroes
 * @skip: the page was written during the visit, or its equal could not be
 *	used; look again later
 */
struct fisc_visit_page {
	struct page *page;
	u64 hash;
	unsigned long target;
	u16 i;
	bool zero;
	bool skip;
};

/**
 * struct fisc_visit - one visit of the scanner to a chunk
 * @region: the chunk's region; held by the caller
 * @chunk: the chunk
 * @key: the domain it is in
 * @epoch: the current epoch
 * @large: its large frame, with a reference, or NULL
 * @nr: number of pages in @pages
 * @pages: the pages that are read, in ascending order
 * @wanted: argument of fisc_large_break()
 */
struct fisc_visit {
	struct fisc_region *region;
	struct fisc_chunk *chunk;
	struct fisc_key key;
	u16 epoch;
	struct folio *large;
	unsigned int nr;
	struct fisc_visit_page pages[FISC_CHUNK_PAGES];
	unsigned long wanted[FISC_CHUNK_PAGES];
};

/* Knob: pages on different nodes may share a frame. */
extern unsigned int fisc_share_across_nodes;

bool fisc_share_under_pressure(void);
void fisc_share_set_pressure(bool pressure);
unsigned int fisc_merge_chunk(struct fisc_visit *visit,
			      struct fisc_region *region,
			      struct fisc_chunk *chunk, unsigned int max);

#endif /* _FISC_SHARE_MERGE_H */
