/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_FRAME_H
#define _FISC_MEMORY_FRAME_H

#include <linux/mm.h>
#include <linux/mm_types.h>
#include <linux/pagemap.h>

/**
 * DOC: Frames
 *
 * A frame is host memory that holds guest memory: a folio of 4 KiB, or a large
 * one of 2 MiB. The module allocates it, the module frees it; it is never on an
 * LRU list and never in a page cache. What a frame is follows from the map
 * entries that refer to it:
 *
 * - A *private* frame has exactly one map entry. The entry holds one reference.
 *   folio->mapping and folio->index name the file and the page in it, so that
 *   get_user_pages_fast() accepts it; both are cleared when the frame leaves
 *   the map.
 *
 * - A *large* frame is private, and holds all pages of a chunk.
 *
 * - A *shared* frame has one or more map entries, called users, and does not
 *   change. folio->lru holds its link in the table of shared frames and its
 *   hash, folio->private the number of users and the domain it belongs to: it
 *   needs no memory beside its struct page. All users together hold one
 *   reference. folio->mapping is NULL; folio->index is 0, because the kernel
 *   compares it with the size of the file when it maps the frame.
 *
 * - A *zero frame* serves all-zero pages. There are FISC_NR_ZERO_FRAMES, as the
 *   kernel takes the folio lock to map a page, and one would be contended.
 *
 * Further references come from page tables (one for each mapping), from
 * get_user_pages() (pins, I/O in flight) and, for moments, from this module.
 * Whoever finds more references on a frame than its mappings and its entry
 * account for, must take it that somebody may be writing to or reading from it.
 */

#define FISC_LARGE_ORDER	9
#define FISC_LARGE_PAGES	BIT(FISC_LARGE_ORDER)

#define FISC_NR_ZERO_FRAMES	16

/* Allocations on behalf of a system call fail rather than kill. */
#define FISC_GFP_SYSCALL	(__GFP_RETRY_MAYFAIL | __GFP_NOWARN)

struct page *fisc_zero_page(unsigned long key);
void fisc_zero_page_replace(struct page *bad);

struct folio *fisc_frame_alloc(struct vm_area_struct *vma, unsigned long addr,
			       gfp_t gfp);
struct folio *fisc_frame_alloc_large(struct vm_area_struct *vma,
				     unsigned long addr, gfp_t gfp);
int fisc_frame_take_apart(struct folio *folio);

/**
 * fisc_frame_in_use() - is somebody else using the frame?
 * @folio: a frame
 * @own: references the caller accounts for, the map entry's included
 *
 * Exact if new mappings are held off (the chunk's lock held for writing) and
 * the page is clean: then nobody who appears later can write.
 *
 * Context: any.
 * Return: true if there are more references than mappings and @own.
 */
static inline bool fisc_frame_in_use(struct folio *folio, int own)
{
	return folio_ref_count(folio) != folio_mapcount(folio) + own;
}

bool fisc_page_is_zero(struct page *page);
unsigned long fisc_metadata_bytes(void);
u64 fisc_metadata_pages(void);
int fisc_frame_init(void);
void fisc_frame_exit(void);

#endif /* _FISC_MEMORY_FRAME_H */
