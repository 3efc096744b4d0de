/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_ENTRY_H
#define _FISC_MEMORY_ENTRY_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/mm.h>

/**
 * DOC: Map entries
 *
 * An entry of the frame map is one word. It holds the state of the page, the
 * frame that holds it, and what the scanner knows about it::
 *
 *	63           25 24        9 8     5    4       3      2    0
 *	frame number    stamp       level   hashed   clean   state
 *
 * *State* is one of enum fisc_state. *Clean* means that the page cannot have
 * been written since the flag was set: the page was unmapped from every page
 * table, nobody else held a reference, and since then it has been mapped
 * read-only at most. The flag is exact, not a guess; code that is about to
 * allow writes clears it first (fisc_chunk_own()). *Hashed* means that the
 * scanner has read a clean page and knows its hash.
 *
 * A page that is written soon after it was hashed is not worth hashing again
 * soon. Its *level* says how often that happened in a row. Its *stamp* says
 * when it was last hashed, or written after it was hashed, in epochs
 * (fisc_epoch). It is due again 2^level epochs after its stamp, or up to a
 * quarter of that later, at an epoch at which many other pages are due, so that
 * they share one visit (fisc_entry_due()). Shared and zero entries keep their
 * history, so a page that is shared and written in turn is left alone, too.
 *
 * A swapped entry names no frame. Where the number of a frame would be, it has
 * that of the slot of the paging device that holds the page, or 0 if the page
 * is at its offset in the region's backing (DOC: Host paging).
 */

/**
 * enum fisc_state - the state of an entry of the frame map
 * @FISC_ENTRY_HOLE: never written
 * @FISC_ENTRY_PRIVATE: owns a frame, or a page of a large one
 * @FISC_ENTRY_SHARED: is a user of a frame of the table of shared frames
 * @FISC_ENTRY_ZERO: is served by a zero frame
 * @FISC_ENTRY_SWAPPED: is paged out
 *
 * The entry of a hole is 0.
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
/* The scanner's clock: the current epoch. */
extern u16 fisc_epoch;

/**
 * fisc_entry_state() - return the state of an entry
 * @e: the entry
 *
 * Context: any.
 * Return: the state.
 */
static inline enum fisc_state fisc_entry_state(unsigned long e)
{
	return e & FISC_ENTRY_STATE_MASK;
}

/**
 * fisc_state_has_content() - test whether a page may differ from zero
 * @state: the page's state
 *
 * Context: any.
 * Return: false for a hole and for a page known to be zero.
 */
static inline bool fisc_state_has_content(enum fisc_state state)
{
	return state != FISC_ENTRY_HOLE && state != FISC_ENTRY_ZERO;
}

/**
 * fisc_entry_has_page() - test whether a page in memory serves an entry
 * @e: the entry
 *
 * Context: any.
 * Return: false for a hole and for a swapped entry.
 */
static inline bool fisc_entry_has_page(unsigned long e)
{
	return fisc_entry_state(e) != FISC_ENTRY_HOLE &&
	       fisc_entry_state(e) != FISC_ENTRY_SWAPPED;
}

/**
 * fisc_entry_page() - return the page that serves an entry
 * @e: an entry for which fisc_entry_has_page() is true
 *
 * Context: any.
 * Return: the page.
 */
static inline struct page *fisc_entry_page(unsigned long e)
{
	return pfn_to_page(e >> FISC_ENTRY_PFN_SHIFT);
}

/**
 * fisc_entry_make() - make an entry without history
 * @page: the page that serves it
 * @state: its state
 *
 * Context: any.
 * Return: the entry, stamped with the current epoch.
 */
static inline unsigned long fisc_entry_make(const struct page *page,
					    enum fisc_state state)
{
	return page_to_pfn(page) << FISC_ENTRY_PFN_SHIFT |
	       (unsigned long)READ_ONCE(fisc_epoch) << FISC_ENTRY_STAMP_SHIFT |
	       state;
}

/**
 * fisc_entry_succeed() - make an entry that replaces another one
 * @old: the other entry, whose history is kept
 * @page: the page that serves the new one
 * @state: its state
 *
 * Context: any.
 * Return: the entry: clean if @old is, not hashed.
 */
static inline unsigned long fisc_entry_succeed(unsigned long old,
					       const struct page *page,
					       enum fisc_state state)
{
	return page_to_pfn(page) << FISC_ENTRY_PFN_SHIFT |
	       (old & (FISC_ENTRY_HISTORY | FISC_ENTRY_CLEAN)) | state;
}

/**
 * fisc_entry_swapped() - make the entry of a page that is paged out
 * @old: its entry so far
 * @slot: its slot of the paging device, 0 if it is in the backing
 *
 * Context: any.
 * Return: the entry, with the history of @old.
 */
static inline unsigned long fisc_entry_swapped(unsigned long old, u32 slot)
{
	return (unsigned long)slot << FISC_ENTRY_PFN_SHIFT |
	       (old & FISC_ENTRY_HISTORY) | FISC_ENTRY_SWAPPED;
}

/**
 * fisc_entry_slot() - return the slot of a swapped entry
 * @e: the entry
 *
 * Context: any.
 * Return: the slot of the paging device; 0 if the page is in the backing.
 */
static inline u32 fisc_entry_slot(unsigned long e)
{
	return e >> FISC_ENTRY_PFN_SHIFT;
}

/**
 * fisc_entry_level() - return the level of an entry
 * @e: the entry
 *
 * Context: any.
 * Return: the level, see DOC: Map entries.
 */
static inline unsigned int fisc_entry_level(unsigned long e)
{
	return (e & FISC_ENTRY_LEVEL_MASK) >> FISC_ENTRY_LEVEL_SHIFT;
}

/**
 * fisc_entry_stamp() - return the stamp of an entry
 * @e: the entry
 *
 * Context: any.
 * Return: an epoch, see DOC: Map entries.
 */
static inline u16 fisc_entry_stamp(unsigned long e)
{
	return e >> FISC_ENTRY_STAMP_SHIFT;
}

/**
 * fisc_entry_set_history() - change the history of an entry
 * @e: the entry
 * @level: its new level
 * @stamp: its new stamp
 *
 * Context: any.
 * Return: the entry that results.
 */
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
