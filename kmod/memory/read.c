// SPDX-License-Identifier: GPL-2.0
/*
 * Reading pages from the paging device. See DOC: Read-ahead in read.h, and DOC:
 * The paging device in disk.h.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/refcount.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "base/state.h"
#include "memory/disk.h"
#include "memory/read.h"
#include "memory/region.h"

/**
 * struct fisc_read - a request that reads pages of a chunk
 * @users: 1 for the reader and 1 while the request is on its way
 * @done: completed when it has ended
 * @since: when the reader began, by local_clock()
 * @first: slot of the first page; the others follow it. All are held
 * @nr: number of pages
 * @wanted: which of them the reader wants
 * @ahead: the others are read ahead; otherwise they are wanted as well
 * @places: the pages' positions in the chunk
 * @folios: their new frames; NULL once placed
 * @bio: the request
 * @vecs: its pages
 */
struct fisc_read {
	refcount_t users;
	struct completion done;
	u64 since;
	u32 first;
	unsigned int nr;
	unsigned int wanted;
	bool ahead;
	u16 places[FISC_READ_MAX];
	struct folio *folios[FISC_READ_MAX];
	struct bio bio;
	struct bio_vec vecs[FISC_READ_MAX];
};

/* Return the slot of a page of a leaf, 0 if it has none. Lock held. */
static u32 fisc_leaf_slot(const unsigned long *leaf, unsigned int i)
{
	unsigned long e = READ_ONCE(leaf[i]);

	return fisc_entry_state(e) == FISC_ENTRY_SWAPPED ? fisc_entry_slot(e) : 0;
}

/* --- the window ----------------------------------------------------------- */

/* Return how many pages to read for a page that is wanted. */
static unsigned int fisc_read_window(struct fisc_region *region)
{
	struct fisc_ahead *ahead = &region->ahead;
	unsigned int window = READ_ONCE(ahead->window) ?: FISC_READ_FIRST;
	unsigned int pages = atomic_read(&ahead->pages);
	unsigned int hits;

	if (fisc_reclaim_state() == FISC_RECLAIM_LOW)
		return 1;
	if (window == 1) {
		if (atomic_inc_return(&ahead->alone) % FISC_READ_PROBE)
			return 1;
		window = 2;
	} else if (pages >= window) {
		atomic_set(&ahead->pages, 0);
		hits = atomic_xchg(&ahead->hits, 0);
		if (2 * hits >= pages)
			window = min(2 * window, (unsigned int)FISC_READ_MAX);
		else if (4 * hits < pages)
			window /= 2;
	}
	WRITE_ONCE(ahead->window, window);

	return window;
}

/**
 * __fisc_read_touch() - note that a page is touched that was read ahead
 * @region: the region
 * @folio: its frame
 *
 * Context: any.
 */
void __fisc_read_touch(struct fisc_region *region, struct folio *folio)
{
	if (!folio_test_clear_readahead(folio))
		return;
	atomic_inc(&region->ahead.hits);
	fisc_count(region, FISC_READ_HITS, 1);
}

/* --- the pages of a request ----------------------------------------------- */

/* Drop all pages but those from @from up to @to. */
static void fisc_read_trim(struct fisc_read *read, unsigned int from,
			   unsigned int to)
{
	unsigned int nr = to - from, i;

	for (i = 0; i < read->nr; i++)
		if ((i < from || i >= to) && read->folios[i])
			folio_put(read->folios[i]);
	memmove(read->folios, read->folios + from, nr * sizeof(*read->folios));
	memmove(read->places, read->places + from, nr * sizeof(*read->places));
	if (from)
		fisc_disk_unhold(read->first, from);
	if (to < read->nr)
		fisc_disk_unhold(read->first + to, read->nr - to);
	read->first += from;
	read->wanted -= from;
	read->nr = nr;
}

/* Choose the pages of a request, and hold their slots. Lock held. */
static int fisc_read_choose(struct fisc_read *read, const unsigned long *leaf,
			    unsigned int wanted, unsigned int window)
{
	unsigned int end = round_down(wanted, window) + window;
	unsigned int start = wanted, i;
	u32 first = leaf ? fisc_leaf_slot(leaf, wanted) : 0, slot;

	if (!first)
		return -EAGAIN;
	for (i = wanted; i-- > end - window; ) {
		slot = fisc_leaf_slot(leaf, i);
		if (!slot)
			continue;
		if (slot != first - 1)
			break;
		first = slot;
		start = i;
	}

	read->nr = 0;
	read->first = first;
	for (i = start; i < end; i++) {
		slot = fisc_leaf_slot(leaf, i);
		if (!slot)
			continue;
		if (slot != read->first + read->nr)
			break;
		if (fisc_disk_hold(slot, i == wanted)) {
			if (i == wanted)
				read->wanted = read->nr;
			read->places[read->nr++] = i;
			continue;
		}
		/* Others read it already: leave it to them. */
		if (i > wanted)
			break;
		if (read->nr)
			fisc_disk_unhold(read->first, read->nr);
		read->nr = 0;
		read->first = slot + 1;
		if (i == wanted)
			return -EBUSY;
	}

	return 0;
}

/* Give each page a frame, as far as that is possible without a wait. */
static int fisc_read_alloc(struct fisc_read *read, const struct vm_fault *vmf,
			   gfp_t gfp)
{
	struct vm_area_struct *vma = vmf ? vmf->vma : NULL;
	unsigned long address = vmf ? vmf->address : 0;
	unsigned int from, to;

	read->folios[read->wanted] = fisc_frame_alloc(vma, address, gfp);
	if (!read->folios[read->wanted])
		return -ENOMEM;
	for (to = read->wanted + 1; to < read->nr; to++) {
		read->folios[to] = fisc_frame_alloc_spare(vma, address);
		if (!read->folios[to])
			break;
	}
	for (from = read->wanted; from; from--) {
		read->folios[from - 1] = fisc_frame_alloc_spare(vma, address);
		if (!read->folios[from - 1])
			break;
	}
	if (from || to < read->nr)
		fisc_read_trim(read, from, to);

	return 0;
}

/* --- the request ---------------------------------------------------------- */

static void fisc_read_put(struct fisc_read *read)
{
	u32 first = read->first, nr = read->nr, i;

	if (!refcount_dec_and_test(&read->users))
		return;
	for (i = 0; i < nr; i++)
		if (read->folios[i])
			folio_put(read->folios[i]);
	bio_uninit(&read->bio);
	kfree(read);
	fisc_disk_unhold(first, nr);
}

static void fisc_read_done(struct bio *bio)
{
	struct fisc_read *read = bio->bi_private;

	complete(&read->done);
	fisc_read_put(read);
}

static void fisc_read_submit(struct fisc_read *read)
{
	unsigned int i;

	bio_init(&read->bio, fisc_disk_bdev(), read->vecs, read->nr,
		 REQ_OP_READ);
	read->bio.bi_iter.bi_sector = fisc_disk_sector(read->first);
	read->bio.bi_end_io = fisc_read_done;
	read->bio.bi_private = read;
	for (i = 0; i < read->nr; i++)
		__bio_add_page(&read->bio, &read->folios[i]->page, PAGE_SIZE, 0);
	init_completion(&read->done);
	refcount_inc(&read->users);
	submit_bio(&read->bio);
}

/**
 * fisc_read_begin() - begin to read a page from the paging device
 * @region: the region
 * @chunk: the chunk of @index
 * @index: a page that was in a slot when last looked at
 * @vmf: the fault that wants it, or NULL
 * @gfp: modifiers for the allocation of its frame
 * @window: how many pages around it to read, as all are wanted: a power of 2;
 *	0 to read ahead as far as that pays
 *
 * Context: may sleep, but not for the device; no lock of this module held.
 * Return: the request, for fisc_read_end(), or an error pointer: -EAGAIN if the
 * caller should look at the entry again, -ENOMEM, -EINTR if the process is
 * being killed.
 */
struct fisc_read *fisc_read_begin(struct fisc_region *region,
				  struct fisc_chunk *chunk, pgoff_t index,
				  const struct vm_fault *vmf, gfp_t gfp,
				  unsigned int window)
{
	struct fisc_read *read = kmalloc(sizeof(*read), GFP_KERNEL | gfp);
	int err;

	if (!read)
		return ERR_PTR(-ENOMEM);
	memset(read->folios, 0, sizeof(read->folios));
	refcount_set(&read->users, 1);
	read->since = local_clock();
	read->ahead = !window;
	window = window ?: fisc_read_window(region);

	down_read(&chunk->lock);
	err = fisc_read_choose(read, READ_ONCE(chunk->leaf),
			       index & (FISC_CHUNK_PAGES - 1), window);
	up_read(&chunk->lock);
	if (!err) {
		err = fisc_read_alloc(read, vmf, gfp);
		if (err)
			fisc_disk_unhold(read->first, read->nr);
	}
	if (err) {
		kfree(read);
		if (err != -EBUSY)
			return ERR_PTR(err);
		/* More than a hundred read this page: wait until some have. */
		schedule_timeout_killable(1);
		return ERR_PTR(fatal_signal_pending(current) ? -EINTR : -EAGAIN);
	}
	fisc_read_submit(read);

	return read;
}

/**
 * fisc_read_is_done() - test whether a request has ended
 * @read: the request
 *
 * Context: any.
 * Return: true if fisc_read_end() will not wait.
 */
bool fisc_read_is_done(struct fisc_read *read)
{
	return completion_done(&read->done);
}

static int fisc_read_wait(struct fisc_read *read)
{
	if (wait_for_completion_killable(&read->done))
		return -EINTR;

	return read->bio.bi_status ? -EIO : 0;
}

/* Put frames in place of entries that still name the slots that were read. */
static int fisc_read_place(struct fisc_region *region, struct fisc_chunk *chunk,
			   struct fisc_read *read)
{
	pgoff_t start = fisc_chunk_start(chunk);
	unsigned int placed = 0, i;
	u64 since = fisc_chunk_lock(chunk);

	for (i = 0; i < read->nr && chunk->leaf; i++) {
		struct folio *folio = read->folios[i];
		pgoff_t index = start + read->places[i];
		unsigned long e;

		if (fisc_leaf_slot(chunk->leaf, read->places[i]) != read->first + i)
			continue;
		e = fisc_chunk_entry(chunk, index);
		if (read->ahead && i != read->wanted)
			folio_set_readahead(folio);
		fisc_frame_attach(folio, region, index);
		fisc_region_replace(region, chunk, index,
				    fisc_entry_succeed(e, &folio->page,
						       FISC_ENTRY_PRIVATE));
		read->folios[i] = NULL;
		placed++;
	}
	fisc_chunk_unlock(chunk, since);

	if (!placed)
		return -EAGAIN;
	fisc_count(region, FISC_SWAP_IN, placed);
	fisc_reclaim_charge(placed);
	if (!read->folios[read->wanted])
		placed--;
	if (read->ahead && placed) {
		atomic_add(placed, &region->ahead.pages);
		fisc_count(region, FISC_READ_AHEAD, placed);
	}

	return read->folios[read->wanted] ? -EAGAIN : 0;
}

/**
 * fisc_read_end() - wait for a request, and put its pages in place
 * @region: the region
 * @chunk: the chunk
 * @read: the request, which this frees
 *
 * Context: may sleep, for as long as the device takes; no lock of this module
 * held.
 * Return: 0; -EAGAIN if the caller should look at the entry again; -EINTR if
 * the process is being killed; -EIO if the page that was wanted cannot be read.
 */
int fisc_read_end(struct fisc_region *region, struct fisc_chunk *chunk,
		  struct fisc_read *read)
{
	int err = fisc_read_wait(read);

	if (err == -EIO && read->nr > 1) {
		bio_uninit(&read->bio);
		fisc_read_trim(read, read->wanted, read->wanted + 1);
		fisc_read_submit(read);
		err = fisc_read_wait(read);
	}
	if (!err)
		err = fisc_read_place(region, chunk, read);
	fisc_wait_account(FISC_WAIT_SWAP_IN, read->since);
	fisc_read_put(read);

	return err;
}
