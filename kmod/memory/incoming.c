// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a process that becomes a file's. See the DOC: text in incoming.h.
 */
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "base/state.h"
#include "memory/incoming.h"
#include "memory/large.h"
#include "memory/region.h"

/**
 * fisc_incoming_set() - have pages come into a chunk
 * @chunk: the chunk
 * @incoming: the pages, pinned or held
 *
 * A large frame leaves no holes for them: it has to be taken apart first, and
 * none is made until they have been copied.
 *
 * Context: may sleep; mmap_lock of the process held for writing.
 * Return: 0, or -EBUSY if the chunk has a large frame, or there is a page that
 * cannot come in for a memory error.
 */
int fisc_incoming_set(struct fisc_chunk *chunk, struct fisc_incoming *incoming)
{
	int err = 0;

	down_write(&chunk->lock);
	if (chunk->large || chunk->incoming)
		err = -EBUSY;
	else
		WRITE_ONCE(chunk->incoming, incoming);
	up_write(&chunk->lock);

	return err;
}

/* Give up filling a large frame. FISC_CHUNK_SETTLING held. */
static void fisc_incoming_end_large(struct fisc_incoming *incoming)
{
	if (!incoming->large)
		return;
	incoming->unused = incoming->large;
	incoming->large = NULL;
	incoming->filled = 0;
}

static void fisc_incoming_put_unused(struct fisc_incoming *incoming)
{
	if (incoming->unused)
		folio_put(incoming->unused);
	incoming->unused = NULL;
}

/**
 * fisc_incoming_drop_all() - release all pages
 * @incoming: the pages, which come into no chunk any more
 *
 * Context: may sleep.
 */
void fisc_incoming_drop_all(struct fisc_incoming *incoming)
{
	fisc_incoming_end_large(incoming);
	fisc_incoming_put_unused(incoming);
	fisc_pins_drop(&incoming->pins);
}

static void fisc_incoming_lock(struct fisc_chunk *chunk)
{
	wait_on_bit_lock(&chunk->flags, FISC_CHUNK_SETTLING,
			 TASK_UNINTERRUPTIBLE);
}

static void fisc_incoming_unlock(struct fisc_chunk *chunk)
{
	clear_and_wake_up_bit(FISC_CHUNK_SETTLING, &chunk->flags);
}

/* Lock it for a page fault, which goes before the thread that adopts. */
static void fisc_incoming_lock_first(struct fisc_chunk *chunk)
{
	while (test_and_set_bit_lock(FISC_CHUNK_SETTLING, &chunk->flags)) {
		set_bit(FISC_CHUNK_WANTED, &chunk->flags);
		wait_on_bit_timeout(&chunk->flags, FISC_CHUNK_SETTLING,
				    TASK_UNINTERRUPTIBLE, 1);
	}
	if (test_bit(FISC_CHUNK_WANTED, &chunk->flags))
		clear_and_wake_up_bit(FISC_CHUNK_WANTED, &chunk->flags);
}

/* Set what is coming into a chunk, or NULL. FISC_CHUNK_SETTLING held. */
static void fisc_incoming_become(struct fisc_chunk *chunk,
				 struct fisc_incoming *incoming)
{
	down_write(&chunk->lock);
	WRITE_ONCE(chunk->incoming, incoming);
	up_write(&chunk->lock);
}

/* If nothing is left, that was all. FISC_CHUNK_SETTLING held. */
static void fisc_incoming_finish(struct fisc_chunk *chunk,
				 struct fisc_incoming *incoming)
{
	if (incoming->pins.left)
		return;
	fisc_incoming_become(chunk, NULL);
	fisc_incoming_put_unused(incoming);
	kfree(incoming);
}

/**
 * fisc_incoming_unset() - undo fisc_incoming_set() and unpin all pages
 * @chunk: the chunk; nothing has been copied
 *
 * Context: may sleep.
 */
void fisc_incoming_unset(struct fisc_chunk *chunk)
{
	struct fisc_incoming *incoming = chunk->incoming;

	fisc_incoming_become(chunk, NULL);
	fisc_incoming_drop_all(incoming);
}

/**
 * fisc_incoming_free() - free the incoming memory of a chunk that goes away
 * @chunk: the chunk, which nobody else knows any more
 *
 * Context: may sleep.
 */
void fisc_incoming_free(struct fisc_chunk *chunk)
{
	if (!chunk->incoming)
		return;
	fisc_incoming_drop_all(chunk->incoming);
	kfree(chunk->incoming);
}

/**
 * __fisc_incoming_has() - tell whether a page is still to come
 * @chunk: its chunk
 * @index: the page
 *
 * Context: may sleep; the chunk's lock not held.
 * Return: true if it is.
 */
bool __fisc_incoming_has(struct fisc_chunk *chunk, pgoff_t index)
{
	bool has;

	down_read(&chunk->lock);
	has = chunk->incoming &&
	      READ_ONCE(chunk->incoming->pins.pages[index & (FISC_CHUNK_PAGES - 1)]);
	up_read(&chunk->lock);

	return has;
}
EXPORT_SYMBOL_NS_GPL(__fisc_incoming_has, FISC);

/**
 * __fisc_incoming_drop() - drop pages that are still to come
 * @chunk: the chunk
 * @first: first page of a part of it
 * @last: last page, included
 *
 * Context: may sleep; the chunk's lock not held.
 */
void __fisc_incoming_drop(struct fisc_chunk *chunk, pgoff_t first, pgoff_t last)
{
	struct fisc_incoming *incoming;
	unsigned int i;

	fisc_incoming_lock_first(chunk);
	incoming = chunk->incoming;
	if (incoming) {
		fisc_incoming_end_large(incoming);
		for (i = first & (FISC_CHUNK_PAGES - 1);
		     i <= (last & (FISC_CHUNK_PAGES - 1)); i++)
			if (incoming->pins.pages[i])
				fisc_pins_put(&incoming->pins, i);
		fisc_incoming_finish(chunk, incoming);
	}
	fisc_incoming_unlock(chunk);
}

/* Allocate what it takes to copy a page, with no lock held. */
static int fisc_incoming_prepare(struct fisc_region *region,
				 struct fisc_chunk *chunk, struct folio **frame)
{
	int nid;

	down_read(&chunk->lock);
	nid = chunk->incoming ? chunk->incoming->pins.nid : numa_mem_id();
	up_read(&chunk->lock);
	if (!*frame)
		*frame = fisc_frame_alloc_near(nid, false);

	return *frame ? fisc_chunk_make_leaf(region, chunk) : -ENOMEM;
}

/*
 * Copy a page into @frame, and set that to NULL. FISC_CHUNK_SETTLING held.
 * Return: 0; -EAGAIN if fisc_incoming_prepare() has to be called; -EHWPOISON.
 */
static int fisc_incoming_copy(struct fisc_region *region,
			      struct fisc_chunk *chunk,
			      struct fisc_incoming *incoming, unsigned int i,
			      struct folio **frame)
{
	pgoff_t index = fisc_chunk_start(chunk) + i;
	struct page *page = incoming->pins.pages[i];
	unsigned long e;
	int err = 0;

	if (fisc_page_is_zero(page))
		goto out;
	if (!*frame)
		return -EAGAIN;
	if (copy_mc_highpage(&(*frame)->page, page))
		return -EHWPOISON;
	e = fisc_entry_make(&(*frame)->page, FISC_ENTRY_PRIVATE);

	down_read(&chunk->lock);
	/* Unless somebody has written to the file. */
	if (!fisc_chunk_entry(chunk, index)) {
		fisc_frame_attach(*frame, region, index);
		err = fisc_chunk_fill(region, chunk, index, e);
		if (err) {
			(*frame)->mapping = NULL;
		} else {
			*frame = NULL;
			fisc_reclaim_charge(1);
		}
	}
	up_read(&chunk->lock);
	if (err == -EAGAIN)
		return err;
	/* If it is beyond the file's end, that is the end of the page, too. */
out:
	fisc_pins_put(&incoming->pins, i);

	return 0;
}

/* --- a page that is touched ----------------------------------------------- */

/* Return: 0; -EBUSY if it is in use; otherwise as fisc_incoming_copy(). */
static int fisc_incoming_try_page(struct fisc_region *region,
				  struct fisc_chunk *chunk, unsigned int i,
				  struct folio **frame)
{
	struct fisc_incoming *incoming = chunk->incoming;
	int err;

	if (!incoming || !incoming->pins.pages[i])
		return 0;
	fisc_incoming_end_large(incoming);
	if (!fisc_pins_idle(&incoming->pins, incoming->pins.pages[i]))
		return -EBUSY;
	err = fisc_incoming_copy(region, chunk, incoming, i, frame);
	fisc_incoming_finish(chunk, incoming);

	return err;
}

/**
 * fisc_incoming_settle_page() - have a page come in, if it is still to come
 * @region: the region
 * @chunk: the chunk
 * @index: the page
 *
 * A kernel thread, which nobody can kill, waits briefly for I/O.
 *
 * Context: may sleep, for as long as I/O of the process takes; no lock of this
 * module held.
 * Return: 0, -ENOMEM, -EHWPOISON, -EINTR if the process is killed, -ETIME if a
 * kernel thread has waited long enough.
 */
int fisc_incoming_settle_page(struct fisc_region *region,
			      struct fisc_chunk *chunk, pgoff_t index)
{
	unsigned int i = index & (FISC_CHUNK_PAGES - 1);
	unsigned long start = jiffies;
	struct folio *frame = NULL;
	int err;

	do {
		err = fisc_incoming_prepare(region, chunk, &frame);
		if (err)
			break;
		fisc_incoming_lock_first(chunk);
		err = fisc_incoming_try_page(region, chunk, i, &frame);
		fisc_incoming_unlock(chunk);
		if (err == -EBUSY)
			err = fisc_pins_poll(start);
	} while (err == -EAGAIN);
	if (frame)
		folio_put(frame);

	return err;
}

/* --- all pages ------------------------------------------------------------ */

/* Have a large frame filled, if it fits and there is one. */
static void fisc_incoming_begin_large(struct fisc_region *region,
				      struct fisc_chunk *chunk)
{
	struct fisc_incoming *incoming;
	struct folio *folio;
	bool fits = false;
	int nid = 0;

	down_read(&chunk->lock);
	incoming = chunk->incoming;
	if (incoming) {
		nid = incoming->pins.nid;
		/* It is looked at again below. */
		fits = data_race(incoming->pins.left) == FISC_CHUNK_PAGES &&
		       fisc_large_fits(region, chunk);
	}
	up_read(&chunk->lock);
	folio = fits ? fisc_frame_alloc_near(nid, true) : NULL;
	if (!folio)
		return;
	fisc_incoming_lock(chunk);
	incoming = chunk->incoming;
	if (incoming && !incoming->unused &&
	    incoming->pins.left == FISC_CHUNK_PAGES) {
		incoming->large = folio;
		folio = NULL;
	}
	fisc_incoming_unlock(chunk);
	if (folio)
		folio_put(folio);
}

/*
 * Copy the next page into the large frame, or give that up.
 * Return: true if it has become the chunk's.
 */
static bool fisc_incoming_fill_large(struct fisc_region *region,
				     struct fisc_chunk *chunk,
				     struct fisc_incoming *incoming)
{
	unsigned int i = incoming->filled;
	unsigned long *leaf = NULL;
	bool done = false;

	if (!fisc_pins_idle(&incoming->pins, incoming->pins.pages[i]) ||
	    copy_mc_highpage(folio_page(incoming->large, i),
			     incoming->pins.pages[i])) {
		fisc_incoming_end_large(incoming);
		return false;
	}
	if (++incoming->filled < FISC_CHUNK_PAGES)
		return false;

	down_write(&chunk->lock);
	/* The file may have become shorter meanwhile. */
	if (fisc_large_fits(region, chunk)) {
		leaf = chunk->leaf;
		fisc_large_give(region, chunk, incoming->large);
		incoming->large = NULL;
		WRITE_ONCE(chunk->incoming, NULL);
		done = true;
	}
	up_write(&chunk->lock);
	fisc_leaf_free(leaf);
	if (!done) {
		fisc_incoming_end_large(incoming);
		return false;
	}
	fisc_incoming_drop_all(incoming);
	kfree(incoming);

	return true;
}

/*
 * Copy one page, with FISC_CHUNK_SETTLING held; @next is the one after it.
 * Return: 0; -EBUSY if it was left out, being in use; -ENODATA if nothing is
 * left from @next on; -EAGAIN if fisc_incoming_prepare() has to be called.
 */
static int fisc_incoming_step(struct fisc_region *region,
			      struct fisc_chunk *chunk, unsigned int *next,
			      struct folio **frame)
{
	struct fisc_incoming *incoming = chunk->incoming;
	int err;

	if (!incoming)
		return -ENODATA;
	fisc_incoming_put_unused(incoming);
	if (incoming->large)
		return fisc_incoming_fill_large(region, chunk, incoming) ?
		       -ENODATA : 0;
	while (*next < FISC_CHUNK_PAGES && !incoming->pins.pages[*next])
		++*next;
	if (*next == FISC_CHUNK_PAGES)
		return -ENODATA;
	err = -EBUSY;
	if (fisc_pins_idle(&incoming->pins, incoming->pins.pages[*next]))
		err = fisc_incoming_copy(region, chunk, incoming, *next, frame);
	if (err == -EAGAIN)
		return err;
	++*next;
	fisc_incoming_finish(chunk, incoming);

	/* With a memory error, it stays, and so does the chunk's memory. */
	return err == -EHWPOISON ? 0 : err;
}

/* Copy all pages that are idle. Return: 0; -EBUSY if some are not; -ENOMEM. */
static int fisc_incoming_sweep(struct fisc_region *region,
			       struct fisc_chunk *chunk)
{
	struct folio *frame = NULL;
	unsigned int next = 0;
	bool busy = false;
	int err;

	do {
		fisc_incoming_lock(chunk);
		err = fisc_incoming_step(region, chunk, &next, &frame);
		fisc_incoming_unlock(chunk);
		busy |= err == -EBUSY;
		if (err == -EAGAIN)
			err = fisc_incoming_prepare(region, chunk, &frame);
		if (test_bit(FISC_CHUNK_WANTED, &chunk->flags))
			wait_on_bit_timeout(&chunk->flags, FISC_CHUNK_WANTED,
					    TASK_UNINTERRUPTIBLE, 1);
		cond_resched();
	} while (!err || err == -EBUSY);
	if (frame)
		folio_put(frame);

	return err != -ENODATA ? err : busy ? -EBUSY : 0;
}

/**
 * fisc_incoming_settle() - have all pages come in that are still to come
 * @region: the region
 * @chunk: the chunk
 *
 * Pages with a memory error are left out.
 *
 * Context: a kernel thread; may sleep; no lock of this module held.
 * Return: 0; -ENOMEM; -ETIME if it has waited for I/O for long enough.
 */
int fisc_incoming_settle(struct fisc_region *region, struct fisc_chunk *chunk)
{
	unsigned long start = jiffies;
	int err;

	fisc_incoming_begin_large(region, chunk);
	do {
		err = fisc_incoming_sweep(region, chunk);
		if (err == -EBUSY)
			err = fisc_pins_poll(start);
	} while (err == -EAGAIN);

	return err;
}
