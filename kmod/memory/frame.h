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
 * one of 2 MiB. The module allocates and frees it; it is never on an LRU list
 * and never in a page cache. The kind of a frame follows from the map entries
 * that refer to it:
 *
 * - A *private* frame has exactly one map entry, which holds one reference.
 *   folio->mapping and folio->index name the file and the page in it, so that
 *   get_user_pages_fast() accepts the frame; both are cleared when the frame
 *   leaves the map.
 * - A *large* frame is private, and holds all pages of a chunk.
 * - A *shared* frame has one or more map entries, its users, and its content
 *   does not change. folio->lru holds its link in the table of shared frames
 *   and its hash; folio->private holds the number of users and its domain. So
 *   it needs no memory besides its struct page. All users together hold one
 *   reference. folio->mapping is NULL; folio->index is 0, because the kernel
 *   compares it with the size of the file when it maps the frame.
 * - A *zero frame* serves all-zero pages. There are FISC_NR_ZERO_FRAMES of
 *   them: the kernel takes the folio lock to map a page, and a single one would
 *   be contended.
 *
 * Further references come from page tables (one for each mapping), from
 * get_user_pages() (pins, I/O in flight) and, briefly, from this module. If a
 * frame has more references than its mappings and its entry account for,
 * somebody may be reading or writing it.
 */

#define FISC_LARGE_ORDER	9
#define FISC_LARGE_PAGES	BIT(FISC_LARGE_ORDER)

#define FISC_NR_ZERO_FRAMES	16

/* Allocations for a system call fail rather than invoke the OOM killer. */
#define FISC_GFP_SYSCALL	(__GFP_RETRY_MAYFAIL | __GFP_NOWARN)

struct page *fisc_zero_page(unsigned long key);
void fisc_zero_page_replace(struct page *bad);

struct folio *fisc_frame_alloc(struct vm_area_struct *vma, unsigned long addr,
			       gfp_t gfp);
struct folio *fisc_frame_alloc_near(int nid, bool large);
struct folio *fisc_frame_alloc_spare(struct vm_area_struct *vma,
				     unsigned long addr);
struct folio *fisc_frame_alloc_large(struct vm_area_struct *vma,
				     unsigned long addr, gfp_t gfp);
int fisc_frame_take_apart(struct folio *folio);

/**
 * fisc_frame_in_use() - test whether a frame has references from elsewhere
 * @folio: a frame
 * @own: references that the caller accounts for, including the map entry's
 *
 * Exact if the chunk's lock is held for writing, so that there are no new
 * mappings, and the page is clean: then nobody who gets a reference later can
 * write.
 *
 * Context: any.
 * Return: true if there are more references than mappings and @own.
 */
static inline bool fisc_frame_in_use(struct folio *folio, int own)
{
	return folio_ref_count(folio) != folio_mapcount(folio) + own;
}

/**
 * fisc_frame_nid() - return the node of a frame
 * @page: a page of it
 *
 * Context: any.
 * Return: the node.
 */
static inline int fisc_frame_nid(const struct page *page)
{
	/* Flags change in the same word; these bits of it never do. */
	return data_race(page_to_nid(page));
}

bool fisc_page_is_zero(struct page *page);
unsigned long fisc_metadata_bytes(void);
u64 fisc_metadata_pages(void);
int fisc_frame_init(void);
void fisc_frame_exit(void);

#endif /* _FISC_MEMORY_FRAME_H */
