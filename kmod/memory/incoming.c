// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a process that becomes a file's. See the DOC: text in incoming.h.
 */
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "base/state.h"
#include "memory/incoming.h"
#include "memory/large.h"
#include "memory/region.h"

/* Interval between looks at pages in use by I/O, in microseconds. */
#define FISC_INCOMING_POLL_US	100

/*
 * Does a folio have references from elsewhere? We pinned or hold @pins of its
 * pages. A folio that is on no LRU list is on its way there, or was taken off
 * for a moment, and has a reference for that.
 */
static bool fisc_folio_in_use(struct folio *folio, unsigned int pins)
{
	bool anon = folio_test_anon(folio);
	long own = pins;

	if (anon && !folio_test_large(folio))
		own *= GUP_PIN_COUNTING_BIAS;
	/* The page or swap cache has one for each page. */
	if (folio_test_swapcache(folio) || (folio->mapping && !anon))
		own += folio_nr_pages(folio);
	if (!folio_test_lru(folio))
		own++;

	return folio_ref_count(folio) > folio_mapcount(folio) + own;
}

/* How many pages of a folio are still to come? */
static unsigned int fisc_incoming_count(const struct fisc_incoming *incoming,
					const struct folio *folio)
{
	unsigned int i, nr = 0;

	if (!folio_test_large(folio))
		return 1;
	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		nr += incoming->pages[i] &&
		      page_folio(incoming->pages[i]) == folio;

	return nr;
}

/*
 * Is a page, which is in no page table here, not in use elsewhere? It stays so.
 */
static bool fisc_incoming_is_idle(struct fisc_incoming *incoming,
				  struct page *page)
{
	struct folio *folio = page_folio(page);

	if (folio == incoming->idle)
		return true;
	if (fisc_folio_in_use(folio, fisc_incoming_count(incoming, folio)))
		return false;
	incoming->idle = folio;

	return true;
}

/* Before the pages are unmapped: are they in use elsewhere? */
static bool fisc_incoming_in_use(struct fisc_incoming *incoming)
{
	bool used = false;
	unsigned int i;

	for (i = 0; i < FISC_CHUNK_PAGES && !used; i++)
		if (incoming->pages[i])
			used = !fisc_incoming_is_idle(incoming, incoming->pages[i]);
	/* That was for now only. */
	incoming->idle = NULL;

	return used;
}

/* Give up filling a large frame. FISC_CHUNK_SETTLING held. */
static void fisc_incoming_end_large(struct fisc_incoming *incoming)
{
	if (incoming->large)
		folio_put(incoming->large);
	incoming->large = NULL;
	incoming->filled = 0;
}

/* A page does not come in any more: it has, or it is dropped. */
static void fisc_incoming_put(struct fisc_incoming *incoming, unsigned int i)
{
	struct page *page = incoming->pages[i];

	WRITE_ONCE(incoming->pages[i], NULL);
	incoming->left--;
	if (incoming->pinned)
		unpin_user_page(page);
	else
		put_page(page);
}

/**
 * fisc_incoming_unpin() - release all pages
 * @incoming: what was pinned or held; empty after this
 *
 * Context: may sleep.
 */
void fisc_incoming_unpin(struct fisc_incoming *incoming)
{
	unsigned int i;

	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		if (incoming->pages[i])
			fisc_incoming_put(incoming, i);
	fisc_incoming_end_large(incoming);
}

static void fisc_incoming_count_all(struct fisc_incoming *incoming, bool pinned)
{
	unsigned int i;

	incoming->pinned = pinned;
	for (i = 0; i < FISC_CHUNK_PAGES; i++) {
		if (!incoming->pages[i])
			continue;
		if (!incoming->left++)
			incoming->nid = page_to_nid(incoming->pages[i]);
	}
}

/* Is there nothing at all: no page, not even one in swap or under migration? */
static bool fisc_is_hole(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	if (pgd_none(*pgd))
		return true;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		return true;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud))
		return true;
	pmd = pmd_offset(pud, addr);
	if (pmd_none(*pmd))
		return true;
	if (!pmd_present(*pmd) || pmd_leaf(*pmd))
		return false;

	return pte_none(ptep_get(pte_offset_kernel(pmd, addr)));
}

/**
 * fisc_incoming_pin() - pin the pages present in a range
 * @incoming: empty
 * @mm: the memory of the process, which is the current one
 * @addr: address of the first page, in a private anonymous mapping that is
 *	locked for writing, so that its page tables do not change
 * @first: the first page's position in the chunk
 * @nr: number of pages
 *
 * Context: may sleep; mmap_lock held for writing.
 * Return: 0; -EBUSY if somebody else has a reference on one of the pages;
 * -EFAULT, -ENOMEM, -EHWPOISON and so on if a page is not available. On error
 * nothing is pinned.
 */
int fisc_incoming_pin(struct fisc_incoming *incoming, struct mm_struct *mm,
		      unsigned long addr, unsigned int first, unsigned int nr)
{
	unsigned int i = 0, run;
	long done = 0;

	mmap_assert_write_locked(mm);

	while (i < nr) {
		for (run = 0; i + run < nr; run++)
			if (fisc_is_hole(mm, addr + (i + run) * PAGE_SIZE))
				break;
		if (!run) {
			i++;
			continue;
		}
		/*
		 * Not pin_user_pages_remote(): it activates pages, and pages
		 * queued for activation carry a reference, so they would be
		 * taken for busy.
		 */
		done = pin_user_pages(addr + i * PAGE_SIZE, run, FOLL_WRITE,
				      &incoming->pages[first + i]);
		if (done <= 0) {
			done = done ?: -EFAULT;
			break;
		}
		i += done;
	}
	/* Slots without a page may contain error values. */
	for (; done < 0 && i < nr; i++)
		incoming->pages[first + i] = NULL;
	fisc_incoming_count_all(incoming, true);
	if (done >= 0 && fisc_incoming_in_use(incoming))
		done = -EBUSY;
	if (done >= 0)
		return 0;
	fisc_incoming_unpin(incoming);

	return done;
}

/* Hold a page of a file, if it is present. */
static int fisc_incoming_hold_page(struct inode *inode, pgoff_t index,
				   struct page **page)
{
	struct folio *folio;
	int err = shmem_get_folio(inode, index, 0, &folio, SGP_READ);

	*page = NULL;
	if (err || !folio)
		return err;
	folio_unlock(folio);
	*page = folio_file_page(folio, index);

	return PageHWPoison(*page) ? -EHWPOISON : 0;
}

/**
 * fisc_incoming_hold() - hold the pages present in a range of shared memory
 * @incoming: empty
 * @inode: file whose memory it is
 * @index: the first page there
 * @first: the first page's position in the chunk
 * @nr: number of pages
 *
 * Context: may sleep; mmap_lock held for writing, and nobody else has the file
 * mapped.
 * Return: 0; -EBUSY if somebody else has a reference on one of the pages;
 * -EINVAL if the range exceeds the file; -EIO, -ENOMEM, -EHWPOISON and so on if
 * a page is not available. On error nothing is held.
 */
int fisc_incoming_hold(struct fisc_incoming *incoming, struct inode *inode,
		       pgoff_t index, unsigned int first, unsigned int nr)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < nr && !err; i++)
		err = fisc_incoming_hold_page(inode, index + i,
					      &incoming->pages[first + i]);
	fisc_incoming_count_all(incoming, false);
	if (!err && fisc_incoming_in_use(incoming))
		err = -EBUSY;
	if (err)
		fisc_incoming_unpin(incoming);

	return err;
}

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

/* Test whether a wait that began at @start has to end now, and how. */
static int fisc_incoming_gives_up(unsigned long start)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	if (current->flags & PF_KTHREAD &&
	    time_after(jiffies, start + FISC_WAIT_OTHERS))
		return -ETIME;

	return 0;
}

/* Pages are in use: wait a moment. Return: -EAGAIN, or why to give up. */
static int fisc_incoming_poll(unsigned long start)
{
	int err = fisc_incoming_gives_up(start);

	if (err)
		return err;
	usleep_range(FISC_INCOMING_POLL_US, 2 * FISC_INCOMING_POLL_US);

	return -EAGAIN;
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

/* Set what is coming into a chunk, NULL if nothing. FISC_CHUNK_SETTLING held. */
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
	if (incoming->left)
		return;
	fisc_incoming_become(chunk, NULL);
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
	fisc_incoming_unpin(incoming);
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
	fisc_incoming_unpin(chunk->incoming);
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
	      READ_ONCE(chunk->incoming->pages[index & (FISC_CHUNK_PAGES - 1)]);
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
			if (incoming->pages[i])
				fisc_incoming_put(incoming, i);
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
	nid = chunk->incoming ? chunk->incoming->nid : numa_mem_id();
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
	struct page *page = incoming->pages[i];
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
	fisc_incoming_put(incoming, i);

	return 0;
}

/* --- a page that is touched ----------------------------------------------- */

/* Return: 0; -EBUSY if the page is in use; otherwise as fisc_incoming_copy(). */
static int fisc_incoming_try_page(struct fisc_region *region,
				  struct fisc_chunk *chunk, unsigned int i,
				  struct folio **frame)
{
	struct fisc_incoming *incoming = chunk->incoming;
	int err;

	if (!incoming || !incoming->pages[i])
		return 0;
	fisc_incoming_end_large(incoming);
	if (!fisc_incoming_is_idle(incoming, incoming->pages[i]))
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
			err = fisc_incoming_poll(start);
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
	int nid = 0;
	bool fits;

	down_read(&chunk->lock);
	if (chunk->incoming)
		nid = chunk->incoming->nid;
	fits = chunk->incoming && chunk->incoming->left == FISC_CHUNK_PAGES &&
	       fisc_large_fits(region, chunk);
	up_read(&chunk->lock);
	folio = fits ? fisc_frame_alloc_near(nid, true) : NULL;
	if (!folio)
		return;
	fisc_incoming_lock(chunk);
	incoming = chunk->incoming;
	if (incoming && incoming->left == FISC_CHUNK_PAGES) {
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

	if (!fisc_incoming_is_idle(incoming, incoming->pages[i]) ||
	    copy_mc_highpage(folio_page(incoming->large, i),
			     incoming->pages[i])) {
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
	fisc_incoming_unpin(incoming);
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
	if (incoming->large)
		return fisc_incoming_fill_large(region, chunk, incoming) ?
		       -ENODATA : 0;
	while (*next < FISC_CHUNK_PAGES && !incoming->pages[*next])
		++*next;
	if (*next == FISC_CHUNK_PAGES)
		return -ENODATA;
	err = -EBUSY;
	if (fisc_incoming_is_idle(incoming, incoming->pages[*next]))
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
			err = fisc_incoming_poll(start);
	} while (err == -EAGAIN);

	return err;
}
