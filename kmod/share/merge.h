/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SHARE_MERGE_H
#define _FISC_SHARE_MERGE_H

#include <linux/types.h>

#include "memory/domain.h"
#include "memory/map.h"

/**
 * struct fisc_visit_page - a page that is looked at
 * @page: the page, with a reference
 * @hash: hash of its content
 * @target: entry it is to become, with a user if it is a shared frame; 0 if
 *	there is none of its content
 * @i: its place in the chunk
 * @zero: it is all zeroes
 * @skip: it was written meanwhile, or cannot be read
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
 * struct fisc_visit - the scanner looks at a chunk
 * @region: its region; held by the caller
 * @chunk: the chunk
 * @key: the domain it is in
 * @epoch: the time
 * @large: its large frame, with a reference, or NULL
 * @nr: pages in @pages
 * @pages: in ascending order
 * @wanted: for fisc_large_break()
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

extern unsigned int fisc_share_across_nodes;

bool fisc_share_under_pressure(void);
void fisc_share_set_pressure(bool pressure);
unsigned int fisc_merge_chunk(struct fisc_visit *visit,
			      struct fisc_region *region,
			      struct fisc_chunk *chunk, unsigned int max);

#endif /* _FISC_SHARE_MERGE_H */
