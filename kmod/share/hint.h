/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SHARE_HINT_H
#define _FISC_SHARE_HINT_H

#include <linux/types.h>

#include "memory/map.h"

/**
 * DOC: Hints
 *
 * A hint says that a private page had content of this hash (Waldspurger, OSDI
 * 2002, section 4.1). Each page of guest memory has room for one, its *slot*: a
 * hash of 8 bytes and a link of 4, in two arrays of the page's chunk, which come
 * with the first hint. A slot has a number, 512 times the number of its chunk's
 * arrays and the page's place in the chunk; links are such numbers.
 *
 * There is one bucket for two pages that have a slot (DOC: Growing tables).
 *
 * A hint is true if its page is private, clean and hashed. That is looked at
 * when it is found, with nothing but the bucket's lock held; leaves of frame
 * maps are freed by RCU for this. Hints that are not true are unlinked when they
 * are met, so nobody who writes to a page or frees it has to care.
 *
 * A page of a large frame can be pointed at but not shared. When a page is found
 * to be its equal, its duplicate mark is set and counted in the chunk.
 */

/**
 * struct fisc_peer - a page that had content of a hash
 * @region: its region, held
 * @chunk: its chunk
 * @i: its place in the chunk
 * @e: its entry
 */
struct fisc_peer {
	struct fisc_region *region;
	struct fisc_chunk *chunk;
	unsigned int i;
	unsigned long e;
};

/**
 * enum fisc_met - what fisc_hint_meet() found
 * @FISC_MET_NOBODY: no equal; the page has left its hint
 * @FISC_MET_LARGE: equals in large frames only; a small page has left its hint
 * @FISC_MET_SMALL: a page that can be made a shared frame
 */
enum fisc_met {
	FISC_MET_NOBODY,
	FISC_MET_LARGE,
	FISC_MET_SMALL,
};

int fisc_hints_alloc(struct fisc_chunk *chunk);
void fisc_hints_free(struct fisc_chunk *chunk);
enum fisc_met fisc_hint_meet(struct fisc_chunk *chunk, unsigned int i, u64 hash,
			     u64 domain, int nid, bool large,
			     struct fisc_peer *peer);
void fisc_hint_remove(struct fisc_chunk *chunk, unsigned int i);
void fisc_hint_set_duplicate(struct fisc_chunk *chunk, unsigned int i);
void fisc_hints_clear_duplicates(struct fisc_chunk *chunk);

int fisc_hint_init(void);
void fisc_hint_exit(void);

#endif /* _FISC_SHARE_HINT_H */
