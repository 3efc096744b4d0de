// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of a process that are pinned or held. See DOC: Memory that comes in, in
 * incoming.h.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>

#include "base/state.h"
#include "memory/pin.h"

/* Interval between looks at pages in use by I/O, in microseconds. */
#define FISC_PINS_POLL_US	100

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
static unsigned int fisc_pins_of(const struct fisc_pins *pins,
				 const struct folio *folio)
{
	unsigned int i, nr = 0;

	if (!folio_test_large(folio))
		return 1;
	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		nr += pins->pages[i] &&
		      page_folio(pins->pages[i]) == folio;

	return nr;
}

/**
 * fisc_pins_idle() - tell whether a page is not in use elsewhere
 * @pins: the pages
 * @page: one of them, which is in no page table of its process any more: if it
 *	is idle, it stays so
 *
 * Context: any.
 * Return: true if it is not.
 */
bool fisc_pins_idle(struct fisc_pins *pins,
		    struct page *page)
{
	struct folio *folio = page_folio(page);

	if (folio == pins->idle)
		return true;
	if (fisc_folio_in_use(folio, fisc_pins_of(pins, folio)))
		return false;
	pins->idle = folio;

	return true;
}

/* Before the pages are unmapped: are they in use elsewhere? */
static bool fisc_pins_in_use(struct fisc_pins *pins)
{
	bool used = false;
	unsigned int i;

	for (i = 0; i < FISC_CHUNK_PAGES && !used; i++)
		if (pins->pages[i])
			used = !fisc_pins_idle(pins, pins->pages[i]);
	/* That was for now only. */
	pins->idle = NULL;

	return used;
}

/**
 * fisc_pins_put() - release a page
 * @pins: the pages
 * @i: its place among them
 *
 * Context: may sleep.
 */
void fisc_pins_put(struct fisc_pins *pins, unsigned int i)
{
	struct page *page = pins->pages[i];

	WRITE_ONCE(pins->pages[i], NULL);
	pins->left--;
	if (pins->pinned)
		unpin_user_page(page);
	else
		put_page(page);
}

/**
 * fisc_pins_drop() - release all pages
 * @pins: the pages; none after this
 *
 * Context: may sleep.
 */
void fisc_pins_drop(struct fisc_pins *pins)
{
	unsigned int i;

	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		if (pins->pages[i])
			fisc_pins_put(pins, i);
}

static void fisc_pins_count(struct fisc_pins *pins, bool pinned)
{
	unsigned int i;

	pins->pinned = pinned;
	for (i = 0; i < FISC_CHUNK_PAGES; i++) {
		if (!pins->pages[i])
			continue;
		if (!pins->left++)
			pins->nid = page_to_nid(pins->pages[i]);
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
 * fisc_pins_pin() - pin the pages present in a range
 * @pins: empty
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
int fisc_pins_pin(struct fisc_pins *pins, struct mm_struct *mm,
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
				      &pins->pages[first + i]);
		if (done <= 0) {
			done = done ?: -EFAULT;
			break;
		}
		i += done;
	}
	/* Slots without a page may contain error values. */
	for (; done < 0 && i < nr; i++)
		pins->pages[first + i] = NULL;
	fisc_pins_count(pins, true);
	if (done >= 0 && fisc_pins_in_use(pins))
		done = -EBUSY;
	if (done >= 0)
		return 0;
	fisc_pins_drop(pins);

	return done;
}

/* Hold a page of a file, if it is present. */
static int fisc_pins_hold_page(struct inode *inode, pgoff_t index,
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
 * fisc_pins_hold() - hold the pages present in a range of shared memory
 * @pins: empty
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
int fisc_pins_hold(struct fisc_pins *pins, struct inode *inode,
		   pgoff_t index, unsigned int first, unsigned int nr)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < nr && !err; i++)
		err = fisc_pins_hold_page(inode, index + i,
					  &pins->pages[first + i]);
	fisc_pins_count(pins, false);
	if (!err && fisc_pins_in_use(pins))
		err = -EBUSY;
	if (err)
		fisc_pins_drop(pins);

	return err;
}

/**
 * fisc_pins_poll() - wait a moment, as pages are in use
 * @start: when the wait began, in jiffies
 *
 * A kernel thread, which nobody can kill, waits briefly.
 *
 * Context: may sleep.
 * Return: -EAGAIN; if the wait has to end, -EINTR if the process is killed,
 * -ETIME if a kernel thread has waited long enough.
 */
int fisc_pins_poll(unsigned long start)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	if (current->flags & PF_KTHREAD &&
	    time_after(jiffies, start + FISC_WAIT_OTHERS))
		return -ETIME;
	usleep_range(FISC_PINS_POLL_US, 2 * FISC_PINS_POLL_US);

	return -EAGAIN;
}
