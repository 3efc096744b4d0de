/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SHARE_HINT_H
#define _FISC_SHARE_HINT_H

#include <linux/types.h>

#include "memory/map.h"

/**
 * DOC: Hints
 *
 * A hint says that a private page had content with a given hash (Waldspurger,
 * OSDI 2002, section 4.1). Each page of guest memory has room for one hint, its
 * *slot*: a hash of 8 bytes and a link of 4 bytes, in two arrays of the page's
 * chunk. The arrays are allocated before the chunk is scanned for the first
 * time. The number of a slot is 512 times the id of its chunk's arrays, plus
 * the page's place in the chunk. Links are slot numbers.
 *
 * There is one bucket for every two slots (DOC: Growing tables).
 *
 * A hint is valid if its page is private, clean and hashed. This is checked
 * when the hint is found, with only the bucket's lock held; therefore leaves of
 * frame maps are freed by RCU. A hint whose page is not private and clean is
 * unlinked when it is met, so code that writes to pages or frees them need not
 * know about hints. A page that is clean but not hashed is being hashed; its
 * hint is ignored and stays.
 *
 * A hint may name a page of a large frame, but such a page cannot be shared.
 * When an equal of it is found, its duplicate mark is set and counted in the
 * chunk.
 */

/**
 * struct fisc_peer - a page whose hint has the hash that was looked for
 * @region: its region, held
 * @chunk: its chunk
 * @i: its place in the chunk
 * @e: its entry when the hint was found
 */
struct fisc_peer {
	struct fisc_region *region;
	struct fisc_chunk *chunk;
	unsigned int i;
	unsigned long e;
};

/**
 * enum fisc_met - what fisc_hint_meet() found
 * @FISC_MET_NOBODY: no equal; the page has left a hint
 * @FISC_MET_LARGE: equals in large frames only; a small page has left a hint
 * @FISC_MET_SMALL: a page whose frame can be made shared
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
