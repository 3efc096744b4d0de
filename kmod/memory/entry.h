/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_ENTRY_H
#define _FISC_MEMORY_ENTRY_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/mm.h>

/**
 * DOC: Map entries
 *
 * An entry of the frame map is one word: what the page is, which frame holds
 * it, and what the scanner knows about it::
 *
 *	63           25 24        9 8     5    4       3      2    0
 *	frame number    stamp       level   hashed   clean   state
 *
 * *State* is one of enum fisc_state. *Clean* says that the page cannot have
 * been written since it was set: it was unmapped from every page table and
 * nobody else held a reference, and since then it has been mapped read-only at
 * most. The flag is exact, not a guess; whoever is going to write clears it
 * first (fisc_region_own()). *Hashed* says that the scanner has read a clean
 * page and knows its hash.
 *
 * A page that is written soon after it was hashed is not worth hashing soon
 * again. Its *level* says how often that happened in a row, its *stamp* when it
 * was last hashed, or written after it was hashed, in epochs (fisc_epoch). It is
 * due again 2^level epochs after its stamp, or up to a quarter later: at an epoch
 * at which many others are, so that they cost one visit (fisc_entry_due()).
 * Shared and zero entries keep their history, so that a page that is shared and
 * written in turn is left alone, too.
 *
 * A swapped entry names no frame: its content is where its place in the file says,
 * in the region's backing (DOC: Host paging).
 */

/**
 * enum fisc_state - what an entry of the frame map is
 * @FISC_ENTRY_HOLE: nothing was ever written
 * @FISC_ENTRY_PRIVATE: it owns a frame, or a page of a large one
 * @FISC_ENTRY_SHARED: it is a user of a frame of the sharing table
 * @FISC_ENTRY_ZERO: a zero frame serves it
 * @FISC_ENTRY_SWAPPED: it was paged out
 *
 * A hole is 0.
 */
enum fisc_state {
	FISC_ENTRY_HOLE = 0,
	FISC_ENTRY_PRIVATE = 1,
	FISC_ENTRY_SHARED = 2,
	FISC_ENTRY_ZERO = 3,
	FISC_ENTRY_SWAPPED = 4,
};

#define FISC_ENTRY_STATE_MASK	7UL
#define FISC_ENTRY_CLEAN	BIT(3)
#define FISC_ENTRY_HASHED	BIT(4)
#define FISC_ENTRY_KNOWN	(FISC_ENTRY_CLEAN | FISC_ENTRY_HASHED)

#define FISC_ENTRY_LEVEL_SHIFT	5
#define FISC_ENTRY_LEVEL_MASK	GENMASK(8, 5)
#define FISC_ENTRY_LEVEL_MAX	12
#define FISC_ENTRY_STAMP_SHIFT	9
#define FISC_ENTRY_STAMP_MASK	GENMASK(24, 9)
#define FISC_ENTRY_PFN_SHIFT	25	/* 39 bits: 51 bits of address */
#define FISC_ENTRY_HISTORY	(FISC_ENTRY_LEVEL_MASK | FISC_ENTRY_STAMP_MASK)

static_assert(BITS_PER_LONG == 64);
/* What time it is for the scanner. */
extern u16 fisc_epoch;

static inline enum fisc_state fisc_entry_state(unsigned long e)
{
	return e & FISC_ENTRY_STATE_MASK;
}

/* Has anything been written to such a page, as far as is known? */
static inline bool fisc_state_has_content(enum fisc_state state)
{
	return state != FISC_ENTRY_HOLE && state != FISC_ENTRY_ZERO;
}

/* Does a page serve the entry? */
static inline bool fisc_entry_has_page(unsigned long e)
{
	return fisc_entry_state(e) != FISC_ENTRY_HOLE &&
	       fisc_entry_state(e) != FISC_ENTRY_SWAPPED;
}

/* The page that serves the entry, if one does. */
static inline struct page *fisc_entry_page(unsigned long e)
{
	return pfn_to_page(e >> FISC_ENTRY_PFN_SHIFT);
}

/* An entry without history. */
static inline unsigned long fisc_entry_make(const struct page *page,
					    enum fisc_state state)
{
	return page_to_pfn(page) << FISC_ENTRY_PFN_SHIFT |
	       (unsigned long)READ_ONCE(fisc_epoch) << FISC_ENTRY_STAMP_SHIFT |
	       state;
}

/* @page in @state takes the place of what @old is, and its history. */
static inline unsigned long fisc_entry_succeed(unsigned long old,
					       const struct page *page,
					       enum fisc_state state)
{
	return page_to_pfn(page) << FISC_ENTRY_PFN_SHIFT |
	       (old & (FISC_ENTRY_HISTORY | FISC_ENTRY_CLEAN)) | state;
}

/* What @old is has been paged out; it keeps its history. */
static inline unsigned long fisc_entry_swapped(unsigned long old)
{
	return (old & FISC_ENTRY_HISTORY) | FISC_ENTRY_SWAPPED;
}

static inline unsigned int fisc_entry_level(unsigned long e)
{
	return (e & FISC_ENTRY_LEVEL_MASK) >> FISC_ENTRY_LEVEL_SHIFT;
}

static inline u16 fisc_entry_stamp(unsigned long e)
{
	return e >> FISC_ENTRY_STAMP_SHIFT;
}

static inline unsigned long fisc_entry_set_history(unsigned long e,
						   unsigned int level,
						   u16 stamp)
{
	return (e & ~FISC_ENTRY_HISTORY) |
	       (unsigned long)level << FISC_ENTRY_LEVEL_SHIFT |
	       (unsigned long)stamp << FISC_ENTRY_STAMP_SHIFT;
}

u16 fisc_entry_due(unsigned long e);
unsigned long fisc_entry_written(unsigned long e, u16 epoch);
bool fisc_entry_is_due(unsigned long e, u16 epoch);

#endif /* _FISC_MEMORY_ENTRY_H */
