// SPDX-License-Identifier: GPL-2.0
/*
 * Host memory for guests.
 */
#include <linux/gfp.h>
#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/string.h>

#include "base/stats.h"
#include "memory/frame.h"

static struct page *fisc_zero_pages[FISC_NR_ZERO_FRAMES];

/**
 * fisc_zero_page() - a zero frame
 * @key: the same key gets the same frame, unless that has been replaced
 *
 * Context: any.
 * Return: its page.
 */
struct page *fisc_zero_page(unsigned long key)
{
	return READ_ONCE(fisc_zero_pages[hash_long(key,
						   ilog2(FISC_NR_ZERO_FRAMES))]);
}

/**
 * fisc_zero_page_replace() - a zero frame has a memory error
 * @bad: its page; those that still use it have to be given another
 *
 * If there is no memory for a new one, another takes its place.
 *
 * Context: may sleep.
 */
void fisc_zero_page_replace(struct page *bad)
{
	struct folio *new = fisc_frame_alloc(NULL, 0, __GFP_ZERO);
	unsigned int i;

	for (i = 0; i < FISC_NR_ZERO_FRAMES; i++) {
		struct page *page = new ? &new->page :
				    fisc_zero_pages[(i + 1) %
						    FISC_NR_ZERO_FRAMES];

		if (cmpxchg(&fisc_zero_pages[i], bad, page) != bad)
			continue;
		/* Each place holds a reference; the bad one keeps its own. */
		folio_get(page_folio(page));
	}
	if (new)
		folio_put(new);
}

/**
 * fisc_frame_alloc() - allocate a frame
 * @vma: mapping through which the frame is wanted, or NULL
 * @addr: address of the fault in @vma
 * @gfp: %__GFP_ZERO unless the caller writes all of it, and anything else
 *	that modifies GFP_HIGHUSER
 *
 * A fault gets a frame where the VMM's memory policy wants it, by default on
 * the faulting CPU's node.
 *
 * Context: may sleep.
 * Return: the frame with one reference, NULL if there is no memory.
 */
struct folio *fisc_frame_alloc(struct vm_area_struct *vma, unsigned long addr,
			       gfp_t gfp)
{
	gfp |= GFP_HIGHUSER;

	if (vma)
		return vma_alloc_folio(gfp, 0, vma, addr, false);

	return folio_alloc(gfp, 0);
}

/**
 * fisc_frame_alloc_large() - allocate a large frame
 * @vma: as for fisc_frame_alloc()
 * @addr: as for fisc_frame_alloc()
 * @gfp: %__GFP_ZERO unless the caller writes all of it
 *
 * Takes 2 MiB that are free and does nothing to make them so.
 *
 * Context: may sleep.
 * Return: the frame with one reference, NULL if there is none.
 */
struct folio *fisc_frame_alloc_large(struct vm_area_struct *vma,
				     unsigned long addr, gfp_t gfp)
{
	/* Not movable: the kernel cannot migrate what is in no page cache. */
	gfp |= (GFP_TRANSHUGE_LIGHT & ~__GFP_MOVABLE) | __GFP_KSWAPD_RECLAIM;

	if (vma)
		return vma_alloc_folio(gfp, FISC_LARGE_ORDER, vma,
				       addr & PMD_MASK, true);

	return folio_alloc(gfp, FISC_LARGE_ORDER);
}

/**
 * fisc_frame_take_apart() - make small frames of a large one
 * @folio: the large frame, locked and unmapped; its chunk's lock is held for
 *	writing
 *
 * What split_huge_page() does, which is not exported, for frames that are in no
 * page cache, on no LRU list and not charged to a memory cgroup: no other
 * subsystem keeps anything about them. While the count of references is frozen
 * nobody can get hold of one of the pages. They are in the order that the
 * kernel's __split_huge_page_tail() has them in: what the page is first, then
 * that it is one of its own, and then its reference.
 *
 * Each page is a frame of order 0 afterwards, with one reference; the first is
 * locked, and the others have nothing set. The caller attaches or frees them.
 *
 * Context: any.
 * Return: 0, -EBUSY if it is mapped or somebody has a reference on it,
 * -EHWPOISON if a page of it has a memory error.
 */
int fisc_frame_take_apart(struct folio *folio)
{
	struct page *head = &folio->page;
	unsigned int i;

	/* One reference: the map's. */
	if (folio_mapped(folio) || !folio_ref_freeze(folio, 1))
		return -EBUSY;
	if (folio_test_has_hwpoisoned(folio)) {
		folio_ref_unfreeze(folio, 1);
		return -EHWPOISON;
	}

	for (i = FISC_LARGE_PAGES - 1; i; i--) {
		struct page *page = head + i;

		/* Keeps the zone, the node, and a memory error. */
		page->flags &= ~PAGE_FLAGS_CHECK_AT_PREP;
		page->mapping = NULL;
		page->index = 0;
		set_page_private(page, 0);
		/* Flags before there is a page that has them. */
		smp_wmb();
		clear_compound_head(page);
		page_ref_unfreeze(page, 1);
	}
	ClearPageCompound(head);
	head->mapping = NULL;
	page_ref_unfreeze(head, 1);

	return 0;
}

/**
 * fisc_page_is_zero() - is there nothing but zeroes in a page?
 * @page: the page
 *
 * Context: any.
 * Return: true if that is so.
 */
bool fisc_page_is_zero(struct page *page)
{
	void *content = kmap_local_page(page);
	bool zero = !memchr_inv(content, 0, PAGE_SIZE);

	kunmap_local(content);

	return zero;
}

/**
 * fisc_metadata_bytes() - memory that the module takes to describe guests'
 *
 * Context: any.
 * Return: bytes.
 */
unsigned long fisc_metadata_bytes(void)
{
	return fisc_total_sum(FISC_MAP_BYTES) +
	       fisc_total_sum(FISC_META_BYTES) +
	       FISC_NR_ZERO_FRAMES * PAGE_SIZE;
}

/**
 * fisc_metadata_pages() - fisc_metadata_bytes(), in pages
 *
 * Context: any.
 * Return: pages, rounded up.
 */
u64 fisc_metadata_pages(void)
{
	return DIV_ROUND_UP(fisc_metadata_bytes(), PAGE_SIZE);
}

int fisc_frame_init(void)
{
	unsigned int i;

	BUILD_BUG_ON(PMD_SHIFT - PAGE_SHIFT != FISC_LARGE_ORDER);

	for (i = 0; i < FISC_NR_ZERO_FRAMES; i++) {
		struct folio *folio = fisc_frame_alloc(NULL, 0, __GFP_ZERO);

		if (!folio) {
			fisc_frame_exit();
			return -ENOMEM;
		}
		fisc_zero_pages[i] = &folio->page;
	}

	return 0;
}

void fisc_frame_exit(void)
{
	unsigned int i;

	for (i = 0; i < FISC_NR_ZERO_FRAMES; i++)
		if (fisc_zero_pages[i])
			put_page(fisc_zero_pages[i]);
}
