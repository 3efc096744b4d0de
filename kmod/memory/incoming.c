// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a process that becomes a file's. See the DOC: text in incoming.h.
 */
#include <linux/delay.h>
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

static bool fisc_incoming_in_use(const struct fisc_incoming *incoming)
{
	unsigned int i, k;

	for (i = 0; i < FISC_CHUNK_PAGES; i = k) {
		struct folio *folio;

		k = i + 1;
		if (!incoming->pages[i])
			continue;
		folio = page_folio(incoming->pages[i]);
		while (k < FISC_CHUNK_PAGES && incoming->pages[k] &&
		       page_folio(incoming->pages[k]) == folio)
			k++;
		if (fisc_folio_in_use(folio, k - i))
			return true;
	}

	return false;
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

	for (i = 0; i < FISC_CHUNK_PAGES; i++) {
		if (!incoming->pages[i])
			continue;
		if (PageAnon(incoming->pages[i]))
			unpin_user_page(incoming->pages[i]);
		else
			put_page(incoming->pages[i]);
	}
	memset(incoming->pages, 0, sizeof(incoming->pages));
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
	if (done >= 0 && fisc_incoming_in_use(incoming))
		done = -EBUSY;
	if (done >= 0)
		return 0;
	/* Slots without a page may contain error values. */
	for (; i < nr; i++)
		incoming->pages[first + i] = NULL;
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
 * Return: 0, or -EBUSY if the chunk has a large frame.
 */
int fisc_incoming_set(struct fisc_chunk *chunk, struct fisc_incoming *incoming)
{
	int err = 0;

	down_write(&chunk->lock);
	if (chunk->large)
		err = -EBUSY;
	else
		WRITE_ONCE(chunk->incoming, incoming);
	up_write(&chunk->lock);

	return err;
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

	down_write(&chunk->lock);
	WRITE_ONCE(chunk->incoming, NULL);
	up_write(&chunk->lock);
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
	struct fisc_incoming *incoming = chunk->incoming;
	unsigned int i;

	if (!incoming)
		return;
	for (i = 0; incoming->leaf && i < FISC_CHUNK_PAGES; i++)
		if (incoming->leaf[i])
			put_page(fisc_entry_page(incoming->leaf[i]));
	kfree(incoming->leaf);
	fisc_incoming_unpin(incoming);
	kfree(incoming);
}

/* If all pages are present, copy them into a large frame if there is one. */
static int fisc_incoming_copy_large(struct fisc_region *region,
				    struct fisc_chunk *chunk,
				    const struct fisc_incoming *incoming)
{
	unsigned long *leaf = NULL;
	struct folio *folio;
	unsigned int i;
	int err = 0;

	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		if (!incoming->pages[i])
			return -EAGAIN;
	down_read(&chunk->lock);
	i = fisc_large_fits(region, chunk);
	up_read(&chunk->lock);
	if (!i)
		return -EAGAIN;
	folio = fisc_frame_alloc_large(NULL, 0, 0);
	if (!folio)
		return -ENOMEM;
	for (i = 0; i < FISC_CHUNK_PAGES; i++) {
		if (copy_mc_highpage(folio_page(folio, i), incoming->pages[i])) {
			folio_put(folio);
			return -EHWPOISON;
		}
		cond_resched();
	}

	down_write(&chunk->lock);
	/* The file may have become shorter meanwhile. */
	if (fisc_large_fits(region, chunk)) {
		leaf = chunk->leaf;
		fisc_large_give(region, chunk, folio);
		WRITE_ONCE(chunk->incoming, NULL);
	} else {
		err = -EAGAIN;
	}
	up_write(&chunk->lock);
	fisc_leaf_free(leaf);
	if (err)
		folio_put(folio);

	return err;
}

/* Copy the pages into small frames that the map does not know yet. */
static int fisc_incoming_copy_pages(struct fisc_incoming *incoming)
{
	if (!incoming->leaf)
		incoming->leaf = fisc_leaf_alloc();
	if (!incoming->leaf)
		return -ENOMEM;

	for (; incoming->copied < FISC_CHUNK_PAGES; incoming->copied++) {
		struct page *page = incoming->pages[incoming->copied];
		struct folio *folio;

		if (!page || fisc_page_is_zero(page))
			continue;
		folio = fisc_frame_alloc(NULL, 0, 0);
		if (!folio)
			return -ENOMEM;
		if (copy_mc_highpage(&folio->page, page)) {
			folio_put(folio);
			return -EHWPOISON;
		}
		incoming->leaf[incoming->copied] =
			fisc_entry_make(&folio->page, FISC_ENTRY_PRIVATE);
		cond_resched();
	}

	return 0;
}

static int fisc_incoming_copy_small(struct fisc_region *region,
				    struct fisc_chunk *chunk,
				    struct fisc_incoming *incoming)
{
	int err = fisc_incoming_copy_pages(incoming);

	if (err)
		return err;

	down_write(&chunk->lock);
	incoming->leaf = fisc_region_give(region, chunk, incoming->leaf);
	WRITE_ONCE(chunk->incoming, NULL);
	up_write(&chunk->lock);
	kfree(incoming->leaf);

	return 0;
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

/* FISC_CHUNK_SETTLING is held: nobody else copies, and nothing is mapped. */
static int fisc_incoming_copy(struct fisc_region *region,
			      struct fisc_chunk *chunk, unsigned long start)
{
	struct fisc_incoming *incoming = chunk->incoming;
	int err;

	if (!incoming)
		return 0;
	while (fisc_incoming_in_use(incoming)) {
		err = fisc_incoming_gives_up(start);
		if (err)
			return err;
		usleep_range(FISC_INCOMING_POLL_US, 2 * FISC_INCOMING_POLL_US);
	}
	err = -EAGAIN;
	if (!incoming->copied)
		err = fisc_incoming_copy_large(region, chunk, incoming);
	if (err == -EAGAIN || err == -ENOMEM)
		err = fisc_incoming_copy_small(region, chunk, incoming);
	if (err)
		return err;
	fisc_incoming_unpin(incoming);
	kfree(incoming);

	return 0;
}

/**
 * __fisc_incoming_settle() - copy a chunk's incoming memory into frames
 * @region: the region
 * @chunk: the chunk, which has incoming memory or had some a moment ago
 *
 * A kernel thread, which nobody can kill, waits briefly for I/O.
 *
 * Context: may sleep, for as long as I/O of the process takes; no lock of this
 * module held.
 * Return: 0, -ENOMEM, -EHWPOISON, -EINTR if the process is killed, -ETIME if a
 * kernel thread has waited long enough.
 */
int __fisc_incoming_settle(struct fisc_region *region, struct fisc_chunk *chunk)
{
	unsigned long start = jiffies;
	int err;

	while (test_and_set_bit_lock(FISC_CHUNK_SETTLING, &chunk->flags)) {
		wait_on_bit_timeout(&chunk->flags, FISC_CHUNK_SETTLING,
				    TASK_KILLABLE, FISC_WAIT_OTHERS);
		err = fisc_incoming_gives_up(start);
		if (err)
			return err;
	}
	err = fisc_incoming_copy(region, chunk, start);
	clear_and_wake_up_bit(FISC_CHUNK_SETTLING, &chunk->flags);

	return err;
}
