// SPDX-License-Identifier: GPL-2.0
/* Frames: host memory for guests. See DOC: Frames in frame.h. */
#include <linux/gfp.h>
#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/string.h>

#include "base/stats.h"
#include "memory/frame.h"

static struct page *fisc_zero_pages[FISC_NR_ZERO_FRAMES];

/**
 * fisc_zero_page() - return a zero frame
 * @key: chooses the frame; equal keys get the same frame until it is replaced
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
 * fisc_zero_page_replace() - replace a zero frame that has a memory error
 * @bad: its page; the caller has to give its users another one
 *
 * If there is no memory for a new frame, another zero frame takes its place.
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
		/* Each slot holds a reference; the bad page keeps its own. */
		folio_get(page_folio(page));
	}
	if (new)
		folio_put(new);
}

/* Not movable: the kernel cannot migrate a page that is in no page cache. */
#define FISC_GFP_LARGE	((GFP_TRANSHUGE_LIGHT & ~__GFP_MOVABLE) | \
			 __GFP_KSWAPD_RECLAIM)

static struct folio *__fisc_frame_alloc(struct vm_area_struct *vma,
					unsigned long addr, gfp_t gfp)
{
	if (vma)
		return vma_alloc_folio(gfp, 0, vma, addr, false);

	return folio_alloc(gfp, 0);
}

/**
 * fisc_frame_alloc() - allocate a frame
 * @vma: mapping through which the frame is wanted, or NULL
 * @addr: address of the fault in @vma
 * @gfp: %__GFP_ZERO unless the caller writes the whole frame, and other
 *	modifiers of GFP_HIGHUSER
 *
 * For a fault, the VMM's memory policy decides where the frame is; by default
 * it is on the faulting CPU's node.
 *
 * Context: may sleep.
 * Return: the frame with one reference, NULL if there is no memory.
 */
struct folio *fisc_frame_alloc(struct vm_area_struct *vma, unsigned long addr,
			       gfp_t gfp)
{
	return __fisc_frame_alloc(vma, addr, GFP_HIGHUSER | gfp);
}

/**
 * fisc_frame_alloc_near() - allocate a frame on a node
 * @nid: the node; if it has no memory, another one will do
 * @large: a large frame, as fisc_frame_alloc_large() does
 *
 * Context: may sleep.
 * Return: the frame with one reference, NULL if there is no memory.
 */
struct folio *fisc_frame_alloc_near(int nid, bool large)
{
	if (large)
		return __folio_alloc_node(FISC_GFP_LARGE, FISC_LARGE_ORDER, nid);

	return __folio_alloc_node(GFP_HIGHUSER, 0, nid);
}

/**
 * fisc_frame_alloc_spare() - allocate a frame if there is free memory
 * @vma: as for fisc_frame_alloc()
 * @addr: as for fisc_frame_alloc()
 *
 * Context: any.
 * Return: the frame with one reference, NULL if it would have to be waited for.
 */
struct folio *fisc_frame_alloc_spare(struct vm_area_struct *vma,
				     unsigned long addr)
{
	return __fisc_frame_alloc(vma, addr, __GFP_NOWARN |
				  (GFP_HIGHUSER & ~__GFP_DIRECT_RECLAIM));
}

/**
 * fisc_frame_alloc_large() - allocate a large frame
 * @vma: as for fisc_frame_alloc()
 * @addr: as for fisc_frame_alloc()
 * @gfp: %__GFP_ZERO unless the caller writes the whole frame
 *
 * Only takes 2 MiB that are free already: it neither compacts nor reclaims.
 *
 * Context: may sleep.
 * Return: the frame with one reference, NULL if there is none.
 */
struct folio *fisc_frame_alloc_large(struct vm_area_struct *vma,
				     unsigned long addr, gfp_t gfp)
{
	gfp |= FISC_GFP_LARGE;
	if (vma)
		return vma_alloc_folio(gfp, FISC_LARGE_ORDER, vma,
				       addr & PMD_MASK, true);

	return folio_alloc(gfp, FISC_LARGE_ORDER);
}

/**
 * fisc_frame_take_apart() - split a large frame into small ones
 * @folio: the large frame, locked and unmapped; its chunk's lock is held for
 *	writing
 *
 * Does what split_huge_page(), which is not exported, does, for frames that are
 * in no page cache, on no LRU list and not charged to a memory cgroup: no other
 * subsystem keeps state about them. While the reference count is frozen, nobody
 * can get a reference on any of the pages. The order is that of the kernel's
 * __split_huge_page_tail(): first the page's fields, then what makes it a page
 * of its own, then its reference.
 *
 * Afterwards each page is a frame of order 0 with one reference; the first one
 * is locked, and in the others nothing is set. The caller attaches or frees
 * them.
 *
 * Context: any.
 * Return: 0; -EBUSY if the frame is mapped or somebody holds a reference;
 * -EHWPOISON if one of its pages has a memory error.
 */
int fisc_frame_take_apart(struct folio *folio)
{
	struct page *head = &folio->page;
	unsigned int i;

	/* The map's entry holds the only reference. */
	if (folio_mapped(folio) || !folio_ref_freeze(folio, 1))
		return -EBUSY;
	if (folio_test_has_hwpoisoned(folio)) {
		folio_ref_unfreeze(folio, 1);
		return -EHWPOISON;
	}

	for (i = FISC_LARGE_PAGES - 1; i; i--) {
		struct page *page = head + i;

		/* Keeps the zone, the node and a memory error. */
		page->flags &= ~PAGE_FLAGS_CHECK_AT_PREP;
		page->mapping = NULL;
		page->index = 0;
		set_page_private(page, 0);
		/* The flags are visible before the page is one of its own. */
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
 * fisc_page_is_zero() - test whether a page contains only zeroes
 * @page: the page
 *
 * Context: any.
 * Return: true if it does.
 */
bool fisc_page_is_zero(struct page *page)
{
	void *content = kmap_local_page(page);
	bool zero = !memchr_inv(content, 0, PAGE_SIZE);

	kunmap_local(content);

	return zero;
}

/**
 * fisc_metadata_bytes() - return the memory that describes guest memory
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
 * fisc_metadata_pages() - return fisc_metadata_bytes() in pages
 *
 * Context: any.
 * Return: pages, rounded up.
 */
u64 fisc_metadata_pages(void)
{
	return DIV_ROUND_UP(fisc_metadata_bytes(), PAGE_SIZE);
}

/**
 * fisc_frame_init() - allocate the zero frames
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
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

/**
 * fisc_frame_exit() - free the zero frames
 *
 * Context: may sleep; no map entry refers to them.
 */
void fisc_frame_exit(void)
{
	unsigned int i;

	for (i = 0; i < FISC_NR_ZERO_FRAMES; i++)
		if (fisc_zero_pages[i])
			put_page(fisc_zero_pages[i]);
}
