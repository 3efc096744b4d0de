// SPDX-License-Identifier: GPL-2.0
/**
 * DOC: Content-based page sharing
 *
 * Pages of equal content share one frame, whatever their purpose and wherever
 * in their domain they are (Waldspurger, OSDI 2002, section 4). Each page is
 * hashed. If a shared frame has the same hash, the page is compared with it and
 * becomes its user if equal. Otherwise, if a hint names a page that had the
 * same hash, and its content is equal, that page's frame becomes shared and
 * gets both as users. Otherwise the page leaves a hint. All-zero pages need no
 * hash and no hint: zero frames serve them.
 *
 * The scanner visits memory chunk by chunk:
 *
 * 1. With the chunk's lock held: choose the pages that are due and unmap them
 *    in runs (one round of MMU notifiers and one TLB flush each). Mark a page
 *    clean if nobody else has a reference on it. The others are in use and are
 *    left alone for a while. Gaps in a run are unmapped with it, since faulting
 *    a page in again costs one guest less than another round costs everyone.
 * 2. With no lock held: read, hash, look up, compare. A page that was clean and
 *    still is has not changed in between (DOC: The frame map).
 * 3. With the chunk's lock held: give each page that is still clean and has
 *    found an equal the frame of its equal.
 *
 * A clean page whose hash is known is not read again. Its first write goes
 * through fisc_chunk_own(), which makes it due again; the sooner the write
 * came, the longer the page then waits (DOC: Map entries). That write costs a
 * page fault, and so does the first read after unmapping: at most two page
 * faults each time a page is hashed.
 *
 * A page named by a hint is shared without being unmapped: as it is clean, it
 * is mapped read-only at most.
 *
 * Pages of a large frame are hashed and leave hints like others, but the frame
 * stays whole until enough of them have equals (DOC: Large pages).
 *
 * Only the scanner's threads, each for its own chunks, and fisc_scan_chunk(),
 * which excludes the thread, make frames shared. Writers undo sharing at any
 * time, on any CPU.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/xxhash.h>

#include "memory/due.h"
#include "memory/large.h"
#include "memory/region.h"
#include "memory/shared.h"
#include "share/hint.h"
#include "share/member.h"
#include "share/merge.h"
#include "vm/vm.h"

/* Maximum number of other pages between two pages of a run. */
#define FISC_RUN_GAP	16

unsigned int fisc_share_across_nodes;
static bool fisc_pressure;

/**
 * fisc_share_under_pressure() - check whether the host's memory is short
 *
 * Context: any.
 * Return: true if less than pressure_percent of it is available, or memory is
 * being reclaimed.
 */
bool fisc_share_under_pressure(void)
{
	return READ_ONCE(fisc_pressure);
}

/**
 * fisc_share_set_pressure() - set whether the host's memory is short
 * @pressure: true if it is
 *
 * Context: a scanner's thread.
 */
void fisc_share_set_pressure(bool pressure)
{
	WRITE_ONCE(fisc_pressure, pressure);
}

/*
 * Compares eight words at a time, as most pages that get here are equal: half
 * the time of memcmp() (Documentation/benchmarks.rst). The page of a guest may
 * be written meanwhile. It is not clean then, and the answer does not count
 * (fisc_visit_commit()).
 */
static __no_kcsan bool fisc_is_equal(struct page *page_a, struct page *page_b)
{
	const u64 *a = kmap_local_page(page_a);
	const u64 *b = kmap_local_page(page_b);
	unsigned int i = 0;
	u64 differ;

	do {
		differ = (a[i] ^ b[i]) | (a[i + 1] ^ b[i + 1]) |
			 (a[i + 2] ^ b[i + 2]) | (a[i + 3] ^ b[i + 3]) |
			 (a[i + 4] ^ b[i + 4]) | (a[i + 5] ^ b[i + 5]) |
			 (a[i + 6] ^ b[i + 6]) | (a[i + 7] ^ b[i + 7]);
		i += 8;
	} while (!differ && i < PAGE_SIZE / sizeof(u64));
	kunmap_local(b);
	kunmap_local(a);

	return !differ;
}

static u64 fisc_hash(struct page *page, u64 seed)
{
	void *content = kmap_local_page(page);
	u64 hash = xxh64(content, PAGE_SIZE, seed);

	kunmap_local(content);

	return hash;
}

/* Return the node that an equal of the page must be on, or NUMA_NO_NODE. */
static int fisc_share_node(struct page *page)
{
	return READ_ONCE(fisc_share_across_nodes) ? NUMA_NO_NODE : fisc_frame_nid(page);
}

/* A run of pages that are unmapped together. */
struct fisc_run {
	pgoff_t first;
	pgoff_t nr;
};

static void fisc_run_flush(struct fisc_region *region, struct fisc_run *run)
{
	if (!run->nr)
		return;

	fisc_region_unmap(region, run->first, run->nr);
	fisc_count_total(FISC_UNMAP_ROUNDS, 1);
	run->nr = 0;
}

static void fisc_run_add(struct fisc_region *region, struct fisc_run *run,
			 pgoff_t index)
{
	if (run->nr && index - run->first - run->nr > FISC_RUN_GAP)
		fisc_run_flush(region, run);
	if (!run->nr)
		run->first = index;
	run->nr = index - run->first + 1;
}

/* Put off a page that is in use or was written. Lock held for writing. */
static unsigned long fisc_put_off(struct fisc_visit *visit, unsigned long e)
{
	e = fisc_entry_written(e | FISC_ENTRY_CLEAN, visit->epoch);
	fisc_chunk_mark_later(visit->chunk, fisc_entry_due(e));

	return e;
}

static unsigned long fisc_make_clean(struct fisc_visit *visit, unsigned long e)
{
	return fisc_entry_set_history(e | FISC_ENTRY_CLEAN,
				      fisc_entry_level(e), visit->epoch);
}

/* Choose the pages of a leaf to read, @max at most, and unmap them. */
static void fisc_visit_select(struct fisc_visit *visit, unsigned int max)
{
	struct fisc_chunk *chunk = visit->chunk;
	pgoff_t start = fisc_chunk_start(chunk);
	struct fisc_run run = {};
	unsigned int i;

	for (i = 0; i < FISC_CHUNK_PAGES; i++) {
		unsigned long e = chunk->leaf[i];

		if (fisc_entry_state(e) != FISC_ENTRY_PRIVATE ||
		    (e & FISC_ENTRY_KNOWN) == FISC_ENTRY_KNOWN)
			continue;
		if (!fisc_entry_is_due(e, visit->epoch)) {
			fisc_chunk_mark_later(chunk, fisc_entry_due(e));
			continue;
		}
		if (visit->nr == max) {
			fisc_chunk_mark_due(chunk);
			break;
		}
		if (!(e & FISC_ENTRY_CLEAN))
			fisc_run_add(visit->region, &run, start + i);
		visit->pages[visit->nr++].i = i;
	}
	fisc_run_flush(visit->region, &run);
}

/* Mark the chosen pages clean that nobody uses; put off the others. */
static void fisc_visit_make_clean(struct fisc_visit *visit)
{
	unsigned long *leaf = visit->chunk->leaf;
	unsigned int nr = visit->nr;
	unsigned int k;

	visit->nr = 0;
	for (k = 0; k < nr; k++) {
		unsigned int i = visit->pages[k].i;
		struct page *page = fisc_entry_page(leaf[i]);
		struct fisc_visit_page *candidate = &visit->pages[visit->nr];

		if (PageHWPoison(page))
			continue;
		if (!(leaf[i] & FISC_ENTRY_CLEAN)) {
			/* Only the map's reference, no mapping. */
			if (page_ref_count(page) != 1) {
				WRITE_ONCE(leaf[i], fisc_put_off(visit, leaf[i]));
				fisc_count_total(FISC_PINNED, 1);
				continue;
			}
			WRITE_ONCE(leaf[i], fisc_make_clean(visit, leaf[i]));
		}
		get_page(page);
		*candidate = (struct fisc_visit_page) { .page = page, .i = i };
		visit->nr++;
	}
}

/* Choose, unmap and mark clean all pages of a large frame, or none. */
static void fisc_visit_select_large(struct fisc_visit *visit)
{
	struct fisc_chunk *chunk = visit->chunk;
	struct folio *folio = page_folio(fisc_entry_page(chunk->large));
	unsigned int i;

	if (!fisc_entry_is_due(chunk->large, visit->epoch)) {
		if (!(chunk->large & FISC_ENTRY_CLEAN))
			fisc_chunk_mark_later(chunk,
					      fisc_entry_due(chunk->large));
		return;
	}
	if (folio_test_has_hwpoisoned(folio))
		return;

	if (!(chunk->large & FISC_ENTRY_CLEAN)) {
		fisc_region_unmap(visit->region, fisc_chunk_start(chunk),
				  FISC_CHUNK_PAGES);
		fisc_count_total(FISC_UNMAP_ROUNDS, 1);
		if (folio_ref_count(folio) != 1) {
			WRITE_ONCE(chunk->large, fisc_put_off(visit, chunk->large));
			fisc_count_total(FISC_PINNED, 1);
			return;
		}
		WRITE_ONCE(chunk->large, fisc_make_clean(visit, chunk->large));
	}
	folio_get(folio);
	visit->large = folio;
	visit->nr = FISC_CHUNK_PAGES;
	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		visit->pages[i] = (struct fisc_visit_page) {
			.page = folio_page(folio, i),
			.i = i,
		};
}

/* Return the number of duplicates for which a large frame is broken. */
static int fisc_break_pages(void)
{
	return fisc_share_under_pressure() ? 1 :
					     READ_ONCE(fisc_large_break_pages);
}

static void fisc_visit_begin(struct fisc_visit *visit, unsigned int max)
{
	struct fisc_chunk *chunk = visit->chunk;
	u64 since = fisc_chunk_lock(chunk);

	fisc_chunk_clear_marks(chunk);
	if (chunk->large) {
		/* Other visits may have found more equals of its pages. */
		if (atomic_read(&chunk->duplicates) >= fisc_break_pages())
			WRITE_ONCE(chunk->large, chunk->large & ~FISC_ENTRY_HASHED);
		fisc_visit_select_large(visit);
	} else if (chunk->leaf) {
		fisc_visit_select(visit, max);
		fisc_visit_make_clean(visit);
	}
	fisc_chunk_unlock(chunk, since);
}

/* Is the page still clean, that is, not written since? Takes the lock. */
static bool fisc_is_clean(const struct fisc_visit *visit, unsigned int i)
{
	struct fisc_chunk *chunk = visit->chunk;
	unsigned long e;

	down_read(&chunk->lock);
	e = fisc_chunk_entry(chunk, i);
	up_read(&chunk->lock);

	return e & FISC_ENTRY_CLEAN;
}

static void fisc_visit_hash(struct fisc_visit *visit)
{
	unsigned int k;

	for (k = 0; k < visit->nr; k++) {
		struct fisc_visit_page *page = &visit->pages[k];

		page->zero = fisc_page_is_zero(page->page);
		if (!page->zero)
			page->hash = fisc_hash(page->page, visit->key.seed);
		if (!(k % 32)) {
			cond_resched();
			/* A write to a large frame spoils the whole visit. */
			if (visit->large && !fisc_is_clean(visit, 0))
				break;
		}
	}
	fisc_count_total(FISC_SCANNED, k);
}

/* Return the number of references that the visit holds on a page. */
static int fisc_visit_refs(const struct fisc_visit *visit, struct page *page,
			   const struct fisc_chunk *chunk, unsigned int i)
{
	unsigned int k;

	if (chunk != visit->chunk || visit->large)
		return 0;
	for (k = 0; k < visit->nr && visit->pages[k].i <= i; k++)
		if (visit->pages[k].page == page)
			return 1;

	return 0;
}

/*
 * Make the frame of the page that was met shared, if it equals @page.
 * Return: the frame with a user for @page, or NULL.
 */
static struct folio *fisc_promote(struct fisc_visit *visit,
				  const struct fisc_visit_page *page,
				  const struct fisc_peer *peer)
{
	struct fisc_chunk *chunk = peer->chunk;
	pgoff_t index = fisc_chunk_start(chunk) + peer->i;
	struct folio *folio = NULL;
	struct page *other = NULL;
	unsigned long e;
	u64 since;
	int own;

	down_read(&chunk->lock);
	e = fisc_chunk_entry(chunk, index);
	if (e == peer->e) {
		other = fisc_entry_page(e);
		get_page(other);
	}
	up_read(&chunk->lock);
	if (!other)
		return NULL;

	if (PageHWPoison(other) || !fisc_is_equal(other, page->page))
		goto out;

	/* The map's reference, the one just taken, and perhaps the visit's. */
	own = 2 + fisc_visit_refs(visit, other, chunk, peer->i);
	since = fisc_chunk_lock(chunk);
	if (fisc_chunk_entry(chunk, index) == e &&
	    fisc_region_key(peer->region).domain == visit->key.domain) {
		if (fisc_frame_in_use(page_folio(other), own)) {
			fisc_count_total(FISC_PINNED, 1);
		} else {
			folio = page_folio(other);
			fisc_shared_add(folio, visit->key.domain, page->hash, 2);
			fisc_region_make_shared(peer->region, chunk, index);
		}
	}
	fisc_chunk_unlock(chunk, since);
out:
	put_page(other);

	return folio;
}

/* Mark a page hashed if it is still clean. Return: true if it was marked. */
static bool fisc_set_hashed(struct fisc_visit *visit, struct page *page,
			    unsigned int i)
{
	struct fisc_chunk *chunk = visit->chunk;
	unsigned long *slot;
	unsigned long e;
	bool done = false;

	down_read(&chunk->lock);
	slot = READ_ONCE(chunk->leaf);
	if (READ_ONCE(chunk->large))
		slot = &chunk->large;
	else if (slot)
		slot += i;
	e = slot ? READ_ONCE(*slot) : 0;
	if (fisc_entry_state(e) == FISC_ENTRY_PRIVATE &&
	    fisc_entry_page(e) == page && (e & FISC_ENTRY_CLEAN) &&
	    fisc_region_key(visit->region).domain == visit->key.domain)
		done = cmpxchg(slot, e, e | FISC_ENTRY_HASHED) == e;
	up_read(&chunk->lock);

	return done;
}

/*
 * Find the shared frame that a page is equal to, or make one.
 * Return: the frame with a user for the page, or NULL.
 */
static struct folio *fisc_find_frame(struct fisc_visit *visit,
				     struct fisc_visit_page *page)
{
	int nid = fisc_share_node(page->page);
	struct fisc_peer peer;
	struct folio *folio;

	folio = fisc_shared_find(visit->key.domain, nid, page->hash);
	if (folio) {
		if (fisc_is_equal(&folio->page, page->page))
			return folio;
		/* It was written while it was read, or the hashes collide. */
		fisc_shared_put(folio);
		page->skip = !visit->large &&
			     !fisc_set_hashed(visit, page->page, page->i);
		return NULL;
	}

	if (!visit->large && !fisc_set_hashed(visit, page->page, page->i)) {
		page->skip = true;
		return NULL;
	}
	if (fisc_hint_meet(visit->chunk, page->i, page->hash, visit->key.domain,
			   nid, visit->large, &peer) != FISC_MET_SMALL)
		return NULL;
	folio = fisc_promote(visit, page, &peer);
	if (folio)
		fisc_hint_remove(peer.chunk, peer.i);
	else
		page->skip = true;
	fisc_region_put(peer.region);

	return folio;
}

/* Find the entry that will replace a page's: zero, shared, or none. */
static void fisc_find_target(struct fisc_visit *visit,
			     struct fisc_visit_page *page)
{
	struct folio *folio;

	if (page->zero) {
		page->target =
			fisc_entry_make(fisc_zero_page((unsigned long)visit->chunk),
					FISC_ENTRY_ZERO);
		return;
	}

	folio = fisc_find_frame(visit, page);
	if (folio)
		page->target = fisc_entry_make(&folio->page, FISC_ENTRY_SHARED);
}

/* Drop the users of shared frames that have not become map entries. */
static void fisc_drop_targets(struct fisc_visit *visit)
{
	unsigned int k;

	for (k = 0; k < visit->nr; k++) {
		struct fisc_visit_page *page = &visit->pages[k];

		if (fisc_entry_state(page->target) == FISC_ENTRY_SHARED)
			fisc_shared_put(page_folio(fisc_entry_page(page->target)));
		page->target = 0;
	}
}

/* Under the lock: give pages that are still clean their equal's frame. */
static void fisc_visit_commit(struct fisc_visit *visit)
{
	struct fisc_chunk *chunk = visit->chunk;
	pgoff_t start = fisc_chunk_start(chunk);
	struct fisc_run run = {};
	unsigned int merged = 0, zero = 0, k;
	bool same_domain;
	u64 since;

	since = fisc_chunk_lock(chunk);
	same_domain = visit->key.domain == fisc_region_key(visit->region).domain;
	for (k = 0; k < visit->nr; k++) {
		struct fisc_visit_page *page = &visit->pages[k];
		unsigned long e = fisc_chunk_entry(chunk, page->i);
		struct folio *folio = page_folio(page->page);

		if ((!page->target && !page->skip) || !chunk->leaf)
			continue;
		if (fisc_entry_state(e) != FISC_ENTRY_PRIVATE ||
		    fisc_entry_page(e) != page->page)
			continue;
		if (!(e & FISC_ENTRY_CLEAN)) {
			fisc_count_total(FISC_CHANGED, 1);
			continue;
		}
		/* Two: the map's reference and the visit's. */
		if (page->skip || !same_domain || fisc_frame_in_use(folio, 2)) {
			WRITE_ONCE(chunk->leaf[page->i], fisc_put_off(visit, e));
			continue;
		}
		if (folio_mapped(folio))
			fisc_run_add(visit->region, &run, start + page->i);
		if (page->zero)
			zero++;
		else
			merged++;
		fisc_region_replace(visit->region, chunk, start + page->i,
				    fisc_entry_succeed(e,
						       fisc_entry_page(page->target),
						       fisc_entry_state(page->target)));
		page->target = 0;
	}
	fisc_run_flush(visit->region, &run);
	fisc_chunk_unlock(chunk, since);
	fisc_count_total(FISC_MERGED, merged);
	fisc_count_total(FISC_MERGED_ZERO, zero);
}

/* Share the pages of a leaf, which have been hashed, where possible. */
static void fisc_visit_share(struct fisc_visit *visit)
{
	bool found = false;
	unsigned int k;

	for (k = 0; k < visit->nr; k++) {
		struct fisc_visit_page *page = &visit->pages[k];

		fisc_find_target(visit, page);
		found |= page->target || page->skip;
		if (!(k % 32))
			cond_resched();
	}
	if (!found)
		return;

	fisc_visit_commit(visit);
	fisc_drop_targets(visit);
	fisc_shared_resize();
}

/* Leave hints for the pages of a large frame, and mark its duplicates. */
static void fisc_visit_count(struct fisc_visit *visit)
{
	struct fisc_chunk *chunk = visit->chunk;
	struct fisc_peer peer;
	unsigned int k;

	for (k = 0; k < visit->nr; k++)
		fisc_hint_remove(chunk, k);
	fisc_hints_clear_duplicates(chunk);

	for (k = 0; k < visit->nr; k++) {
		struct fisc_visit_page *page = &visit->pages[k];
		int nid = fisc_share_node(page->page);
		enum fisc_met met = FISC_MET_NOBODY;

		if (!page->zero &&
		    !fisc_shared_exists(visit->key.domain, nid, page->hash)) {
			met = fisc_hint_meet(chunk, k, page->hash,
					     visit->key.domain, nid, true,
					     &peer);
			if (met == FISC_MET_SMALL)
				fisc_region_put(peer.region);
			if (met == FISC_MET_NOBODY)
				continue;
		}
		fisc_hint_set_duplicate(chunk, k);
	}
	fisc_set_hashed(visit, visit->pages[0].page, 0);
}

/*
 * Break the chunk's large frame: duplicates become zero or shared entries, and
 * the visit continues with the other pages, which have small frames now.
 * Return: true if the frame was broken.
 */
static bool fisc_visit_break(struct fisc_visit *visit)
{
	struct fisc_chunk *chunk = visit->chunk;
	unsigned int merged = 0, zero = 0, nr = visit->nr, k;
	int err;

	for (k = 0; k < nr; k++) {
		fisc_find_target(visit, &visit->pages[k]);
		visit->wanted[k] = visit->pages[k].target;
		if (visit->pages[k].zero)
			zero++;
		else if (visit->wanted[k])
			merged++;
		if (!(k % 32))
			cond_resched();
	}
	/* fisc_large_break() fails if anyone holds a reference. */
	folio_put(visit->large);
	visit->large = NULL;

	err = fisc_large_break(visit->region, chunk, visit->wanted,
			       visit->key.domain);
	if (err) {
		fisc_drop_targets(visit);
		down_write(&chunk->lock);
		if (chunk->large & FISC_ENTRY_CLEAN)
			WRITE_ONCE(chunk->large, fisc_put_off(visit, chunk->large));
		up_write(&chunk->lock);
		return false;
	}
	fisc_count_total(FISC_MERGED, merged);
	fisc_count_total(FISC_MERGED_ZERO, zero);

	visit->nr = 0;
	down_read(&chunk->lock);
	for (k = 0; k < nr; k++) {
		unsigned long e = fisc_chunk_entry(chunk, k);

		if (visit->wanted[k] || !(e & FISC_ENTRY_CLEAN) ||
		    fisc_entry_state(e) != FISC_ENTRY_PRIVATE)
			continue;
		visit->pages[visit->nr] = visit->pages[k];
		visit->pages[visit->nr].page = fisc_entry_page(e);
		visit->pages[visit->nr].skip = false;
		get_page(fisc_entry_page(e));
		visit->nr++;
	}
	up_read(&chunk->lock);

	return true;
}

/**
 * fisc_merge_chunk() - visit a chunk and share its pages where possible
 * @visit: working memory of the caller
 * @region: the region; held by the caller
 * @chunk: the chunk
 * @max: maximum number of pages to read; a large frame is read as a whole
 *
 * Context: may sleep; fisc_scanner.lock held, no other lock of this module.
 * Return: number of pages read.
 */
unsigned int fisc_merge_chunk(struct fisc_visit *visit,
			      struct fisc_region *region,
			      struct fisc_chunk *chunk, unsigned int max)
{
	unsigned int read, k;

	visit->region = region;
	visit->chunk = chunk;
	visit->key = fisc_region_key(region);
	visit->epoch = READ_ONCE(fisc_epoch);
	visit->large = NULL;
	visit->nr = 0;
	/* No memory for hints, or in no domain now: retry in the next epoch. */
	if (!visit->key.domain || fisc_hints_alloc(chunk)) {
		down_write(&chunk->lock);
		fisc_chunk_clear_marks(chunk);
		fisc_chunk_mark_later(chunk, visit->epoch + 1);
		up_write(&chunk->lock);
		return 0;
	}
	fisc_visit_begin(visit, max);
	read = visit->nr;
	if (!read)
		goto out;
	fisc_visit_hash(visit);
	if (visit->large) {
		if (!fisc_is_clean(visit, 0)) {
			folio_put(visit->large);
			return read;
		}
		fisc_visit_count(visit);
		if (atomic_read(&chunk->duplicates) < fisc_break_pages()) {
			folio_put(visit->large);
			return read;
		}
		if (!fisc_visit_break(visit))
			return read;
	}
	fisc_visit_share(visit);
	for (k = 0; k < visit->nr; k++)
		put_page(visit->pages[k].page);
out:
	fisc_large_rebuild(region, chunk);

	return read;
}

#ifdef FISC_KUNIT
#include "tests/merge-kunit.h"
#endif
