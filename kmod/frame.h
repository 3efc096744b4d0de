/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FRAME_H
#define _FISC_FRAME_H

#include <linux/mm.h>
#include <linux/mm_types.h>
#include <linux/pagemap.h>

/**
 * DOC: Frames
 *
 * A frame is one 4 KiB page of host memory that holds guest memory. The module
 * allocates it, the module frees it; it is never on an LRU list and never in a
 * page cache. What a frame is follows from the map entries that refer to it:
 *
 * - A *private* frame has exactly one map entry. The entry holds one reference.
 *   folio->mapping and folio->index name the file and the page in it, so that
 *   get_user_pages_fast() accepts it; both are cleared, under the folio lock,
 *   when the frame leaves the map.
 *
 * - A *shared* frame has one or more map entries, called users, and does not
 *   change. folio->index holds the hash of its content, folio->private the
 *   number of users, folio->lru links it into the table of shared frames, so a
 *   shared frame needs no memory beside its struct page. All users together
 *   hold one reference. folio->mapping is NULL.
 *
 * - The *zero frame* serves every all-zero page. It belongs to the module.
 *
 * Further references come from page tables (one for each mapping), from
 * get_user_pages() (pins, I/O in flight) and, for moments, from this module.
 * Whoever finds more references on a frame than its mappings and its entry
 * account for, must take it that somebody may be writing to or reading from it.
 */

extern struct folio *fisc_zero_frame;

struct folio *fisc_frame_alloc(struct vm_area_struct *vma, unsigned long addr,
			       gfp_t gfp);

/**
 * fisc_frame_seems_pinned() - does it look as if somebody else used the frame?
 * @folio: a frame
 * @own: references the caller accounts for, the map entry's included
 *
 * A guess that costs nothing, to spare pages in use a useless unmapping. What
 * counts is that after the unmapping there are no references but the module's.
 *
 * Context: any.
 * Return: true if there are more references than mappings and @own.
 */
static inline bool fisc_frame_seems_pinned(struct folio *folio, int own)
{
	return folio_ref_count(folio) > folio_mapcount(folio) + own;
}

int fisc_frame_init(void);
void fisc_frame_exit(void);

#endif /* _FISC_FRAME_H */
