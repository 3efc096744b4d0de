/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MERGE_H
#define _FISC_MERGE_H

#include <linux/types.h>

#include "../region.h"
#include "hint.h"

/* Pages that are unmapped, compared and shared under one hold of a lock. */
#define FISC_BATCH_PAGES	64

/**
 * struct fisc_share_stats - what the scanner has done since the module loaded
 * @scanned: pages read and hashed
 * @merged: pages that became users of a shared frame
 * @merged_zero: pages that the zero frame took over
 * @pinned: times a page was passed over because somebody held a reference
 * @changed: times a page changed between being hashed and being compared
 * @full_scans: passes over all guest memory
 *
 * Written by the scanner only.
 */
struct fisc_share_stats {
	u64 scanned;
	u64 merged;
	u64 merged_zero;
	u64 pinned;
	u64 changed;
	u64 full_scans;
};

/**
 * struct fisc_candidate - a page to be shared
 * @index: the page
 * @folio: its private frame, with a reference
 * @target: entry it is to become, with a user if it is a shared frame; 0 while
 *	no frame of that content is known
 */
struct fisc_candidate {
	pgoff_t index;
	struct folio *folio;
	unsigned long target;
};

/**
 * struct fisc_batch - pages of one chunk that are looked at together
 * @region: the region; held by the caller
 * @chunk: the chunk
 * @nr: pages in @pages
 * @pages: in ascending order of their index
 */
struct fisc_batch {
	struct fisc_region *region;
	struct fisc_chunk *chunk;
	unsigned int nr;
	struct fisc_candidate pages[FISC_BATCH_PAGES];
};

/**
 * struct fisc_merger - what finding equal pages needs to know
 * @hints: where content that is not shared was seen
 * @pass: number of the pass under way; ages hints
 * @batch: the pages under way
 * @stats: what was done
 */
struct fisc_merger {
	struct fisc_hints hints;
	u8 pass;
	struct fisc_batch batch;
	struct fisc_share_stats stats;
};

void fisc_merge_batch(struct fisc_merger *merger);

#endif /* _FISC_MERGE_H */
