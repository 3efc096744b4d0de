// SPDX-License-Identifier: GPL-2.0
/**
 * DOC: Content-based page sharing
 *
 * Pages of equal content share one frame, whatever they are and wherever they
 * come from (Waldspurger, OSDI 2002, section 4). A page is hashed. If a shared
 * frame has this hash, the page is compared with it and, if equal, becomes its
 * user. Else, if a hint says that another page had this hash, that page is made
 * a shared frame, provided that it still has this content. Else the page leaves
 * a hint. All-zero pages need neither: the zero frame serves them.
 *
 * Hashing and looking up happen while guests run and may be wrong the moment
 * they are done. Only then is the page taken away from the guests, for as long
 * as it takes to be sure (DOC: The frame map says how), and in batches: the
 * pages of a chunk that have a frame to go to are unmapped together, with one
 * round of MMU notifiers and one TLB flush for each run of neighbours, compared
 * and replaced. A guest that touches the chunk meanwhile waits for at most
 * FISC_BATCH_PAGES comparisons.
 *
 * A page with a reference that is not ours is left alone: somebody may be about
 * to write to it without another fault (a pin for I/O). It is tried again in
 * the next pass.
 *
 * The scanner is the only one who makes frames shared. Writers undo it
 * (fisc_region_own()), at any time, on any CPU.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "merge.h"
#include "share.h"

/*
 * A place: region id in the high bits, then the number of the pass that saw the
 * page there, then the index in the region.
 */
#define FISC_PLACE_PASS_BITS	8
#define FISC_PLACE_PASS_SHIFT	FISC_INDEX_BITS
#define FISC_PLACE_ID_SHIFT	(FISC_PLACE_PASS_SHIFT + FISC_PLACE_PASS_BITS)

static_assert(FISC_PLACE_ID_SHIFT + FISC_REGION_ID_BITS == 64);

/* Hints older than this many passes are not worth keeping. */
#define FISC_HINT_MAX_AGE	1

static u64 fisc_place(const struct fisc_region *region, u8 pass, pgoff_t index)
{
	return (u64)region->id << FISC_PLACE_ID_SHIFT |
	       (u64)pass << FISC_PLACE_PASS_SHIFT | index;
}

static u32 fisc_place_id(u64 place)
{
	return place >> FISC_PLACE_ID_SHIFT;
}

static u8 fisc_place_pass(u64 place)
{
	return place >> FISC_PLACE_PASS_SHIFT;
}

static pgoff_t fisc_place_index(u64 place)
{
	return place & ((1ULL << FISC_INDEX_BITS) - 1);
}

static bool fisc_is_zero(struct folio *folio)
{
	void *content = kmap_local_folio(folio, 0);
	bool zero = !memchr_inv(content, 0, PAGE_SIZE);

	kunmap_local(content);

	return zero;
}

static bool fisc_is_equal(struct folio *a, struct folio *b)
{
	void *content_a = kmap_local_folio(a, 0);
	void *content_b = kmap_local_folio(b, 0);
	bool equal = !memcmp(content_a, content_b, PAGE_SIZE);

	kunmap_local(content_b);
	kunmap_local(content_a);

	return equal;
}

/* Does the frame have the content of the entry it is to become? */
static bool fisc_is_duplicate(struct folio *folio, unsigned long target)
{
	if (fisc_entry_state(target) == FISC_ENTRY_ZERO)
		return fisc_is_zero(folio);

	return fisc_is_equal(folio, fisc_entry_frame(target));
}

/*
 * Make the table of hints anew, without the hints that were not renewed lately.
 * A table that cannot be made costs sharing, nothing else.
 */
static void fisc_hints_renew(struct fisc_merger *merger)
{
	struct fisc_hints *old = &merger->hints;
	struct fisc_hints new;
	unsigned long i;
	unsigned long nr = 0;

	for (i = 0; i < old->nr_slots; i++) {
		u64 place = old->slots[i].place;

		if (place && (u8)(merger->pass - fisc_place_pass(place)) <=
			     FISC_HINT_MAX_AGE)
			nr++;
	}

	if (fisc_hints_init(&new, nr * 2))
		return;
	for (i = 0; i < old->nr_slots; i++) {
		u64 place = old->slots[i].place;

		if (place && (u8)(merger->pass - fisc_place_pass(place)) <=
			     FISC_HINT_MAX_AGE)
			fisc_hints_set(&new, old->slots[i].hash, place);
		cond_resched();
	}
	fisc_hints_exit(old);
	*old = new;
}

static void fisc_leave_hint(struct fisc_merger *merger, pgoff_t index, u64 hash)
{
	if (fisc_hints_full(&merger->hints))
		fisc_hints_renew(merger);
	fisc_hints_set(&merger->hints, hash,
		       fisc_place(merger->batch.region, merger->pass, index));
}

/* References the batch holds on a frame: pages of one batch can be equal. */
static int fisc_batch_refs(const struct fisc_batch *batch, struct folio *folio)
{
	unsigned int i;

	for (i = 0; i < batch->nr; i++)
		if (batch->pages[i].folio == folio)
			return 1;

	return 0;
}

/*
 * Make the private frame of an entry shared. Lock held for writing; @own counts
 * the references on the frame that are ours.
 */
static bool fisc_promote_frame(struct fisc_merger *merger,
			       struct fisc_region *region,
			       struct fisc_chunk *chunk, pgoff_t index,
			       struct folio *folio, int own, u64 hash)
{
	if (fisc_chunk_entry(chunk, index) !=
	    fisc_entry_make(folio, FISC_ENTRY_PRIVATE))
		return false;

	fisc_region_unmap(region, index, 1);
	if (folio_ref_count(folio) != own) {
		merger->stats.pinned++;
		return false;
	}
	if (fisc_share_hash(folio) != hash) {
		merger->stats.changed++;
		return false;
	}
	fisc_region_make_shared(region, chunk, index, hash);

	return true;
}

/*
 * Make a shared frame of the page at @place, which had content of this @hash
 * when it was scanned, if it is now equal to the frame @like.
 */
static bool fisc_promote(struct fisc_merger *merger, u64 place, u64 hash,
			 struct folio *like)
{
	struct fisc_region *region = fisc_region_tryget(fisc_place_id(place));
	pgoff_t index = fisc_place_index(place);
	struct fisc_chunk *chunk;
	bool done = false;
	unsigned long e;

	if (!region)
		return false;

	e = fisc_region_read(region, index);
	if (fisc_entry_state(e) == FISC_ENTRY_PRIVATE) {
		struct folio *folio = fisc_entry_frame(e);
		/* The map's, the one just taken, and perhaps the batch's. */
		int own = 2 + fisc_batch_refs(&merger->batch, folio);

		if (fisc_frame_seems_pinned(folio, own)) {
			merger->stats.pinned++;
		} else if (fisc_is_equal(folio, like)) {
			chunk = fisc_region_find_chunk(region, index);
			down_write(&chunk->lock);
			done = fisc_promote_frame(merger, region, chunk, index,
						  folio, own, hash);
			up_write(&chunk->lock);
		}
	}
	if (fisc_entry_state(e) != FISC_ENTRY_HOLE)
		folio_put(fisc_entry_frame(e));
	fisc_region_put(region);

	return done;
}

/* Return: what the page should become, 0 if there is nothing to share with. */
static unsigned long fisc_find_target(struct fisc_merger *merger,
				      pgoff_t index, struct folio *folio)
{
	struct fisc_region *region = merger->batch.region;
	struct folio *shared;
	u64 hash, place;

	if (fisc_is_zero(folio))
		return fisc_entry_make(fisc_zero_frame, FISC_ENTRY_ZERO);

	hash = fisc_share_hash(folio);
	shared = fisc_shared_find(hash);
	if (!shared) {
		place = fisc_hints_find(&merger->hints, hash);
		if (place && !(fisc_place_id(place) == region->id &&
			       fisc_place_index(place) == index) &&
		    fisc_promote(merger, place, hash, folio)) {
			fisc_hints_del(&merger->hints, hash);
			shared = fisc_shared_find(hash);
		}
	}
	if (shared)
		return fisc_entry_make(shared, FISC_ENTRY_SHARED);

	fisc_leave_hint(merger, index, hash);

	return 0;
}

/* The candidate does not become what it was to become. */
static void fisc_drop_target(struct fisc_candidate *page)
{
	if (fisc_entry_state(page->target) == FISC_ENTRY_SHARED)
		fisc_shared_put(fisc_entry_frame(page->target));
	page->target = 0;
}

/* Unmap what is still to be shared, run by run. Lock held for writing. */
static void fisc_unmap_batch(struct fisc_batch *batch)
{
	pgoff_t start = 0;
	pgoff_t nr = 0;
	unsigned int i;

	for (i = 0; i < batch->nr; i++) {
		struct fisc_candidate *page = &batch->pages[i];

		if (page->target &&
		    fisc_chunk_entry(batch->chunk, page->index) !=
		    fisc_entry_make(page->folio, FISC_ENTRY_PRIVATE))
			fisc_drop_target(page);
		if (!page->target)
			continue;
		if (nr && page->index == start + nr) {
			nr++;
			continue;
		}
		if (nr)
			fisc_region_unmap(batch->region, start, nr);
		start = page->index;
		nr = 1;
	}
	if (nr)
		fisc_region_unmap(batch->region, start, nr);
}

static void fisc_share_page(struct fisc_merger *merger,
			    struct fisc_candidate *page)
{
	struct fisc_batch *batch = &merger->batch;

	/* The map's reference and the batch's. */
	if (folio_ref_count(page->folio) != 2) {
		merger->stats.pinned++;
		fisc_drop_target(page);
		return;
	}
	if (!fisc_is_duplicate(page->folio, page->target)) {
		merger->stats.changed++;
		fisc_drop_target(page);
		return;
	}

	fisc_region_replace(batch->region, batch->chunk, page->index,
			    page->target);
	if (fisc_entry_state(page->target) == FISC_ENTRY_ZERO)
		merger->stats.merged_zero++;
	else
		merger->stats.merged++;
}

/**
 * fisc_merge_batch() - share what can be shared among the pages of a batch
 * @merger: the merger with its batch; empty on return
 *
 * Context: may sleep; no lock of this module held, the region held.
 */
void fisc_merge_batch(struct fisc_merger *merger)
{
	struct fisc_batch *batch = &merger->batch;
	bool found = false;
	unsigned int i;

	for (i = 0; i < batch->nr; i++) {
		struct fisc_candidate *page = &batch->pages[i];

		/* The map's reference and the batch's. */
		if (fisc_frame_seems_pinned(page->folio, 2)) {
			merger->stats.pinned++;
			continue;
		}
		merger->stats.scanned++;
		page->target = fisc_find_target(merger, page->index,
						page->folio);
		if (page->target)
			found = true;
		cond_resched();
	}

	if (found) {
		down_write(&batch->chunk->lock);
		fisc_unmap_batch(batch);
		for (i = 0; i < batch->nr; i++)
			if (batch->pages[i].target)
				fisc_share_page(merger, &batch->pages[i]);
		up_write(&batch->chunk->lock);
	}

	for (i = 0; i < batch->nr; i++)
		folio_put(batch->pages[i].folio);
	batch->nr = 0;
}
