// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is in use by somebody else. It is tried again after 1, 2, 4 and
 * up to 64 looks: what VFIO has pinned stays so, and each attempt pins it, too,
 * with mmap_lock held.
 */
#include <linux/xarray.h>

#include "adopt/adoption.h"
#include "adopt/busy.h"
#include "memory/map.h"

#define FISC_BUSY_MAX_SHIFT	6UL
#define FISC_BUSY_SHIFT_BITS	8

/* An entry has the look of the next attempt, and the distance to the last. */
static unsigned long fisc_busy_next(const void *entry)
{
	return xa_to_value(entry) >> FISC_BUSY_SHIFT_BITS;
}

static unsigned long fisc_busy_shift(const void *entry)
{
	return xa_to_value(entry) & (BIT(FISC_BUSY_SHIFT_BITS) - 1);
}

static unsigned long fisc_busy_key(unsigned long addr)
{
	return addr / (FISC_CHUNK_PAGES * PAGE_SIZE);
}

/**
 * fisc_busy_rests() - tell whether memory is not to be tried again yet
 * @adoption: the current thread's adoption
 * @addr: an address in a chunk of the process's memory
 *
 * Context: any.
 * Return: true if it was busy, and is not to be tried at this look.
 */
bool fisc_busy_rests(struct fisc_adoption *adoption, unsigned long addr)
{
	void *entry = xa_load(&adoption->busy, fisc_busy_key(addr));

	return entry && adoption->looks < fisc_busy_next(entry);
}

/**
 * fisc_busy_set() - note that memory is busy
 * @adoption: the current thread's adoption
 * @addr: an address in a chunk of the process's memory
 *
 * If there is no memory for the note, it is tried again at the next look.
 *
 * Context: may sleep.
 */
void fisc_busy_set(struct fisc_adoption *adoption, unsigned long addr)
{
	void *entry = xa_load(&adoption->busy, fisc_busy_key(addr));
	unsigned long shift = 0, next;

	if (entry)
		shift = min(fisc_busy_shift(entry) + 1, FISC_BUSY_MAX_SHIFT);
	next = adoption->looks + BIT(shift);
	xa_store(&adoption->busy, fisc_busy_key(addr),
		 xa_mk_value(next << FISC_BUSY_SHIFT_BITS | shift), GFP_KERNEL);
}

/**
 * fisc_busy_clear() - forget that memory was busy
 * @adoption: the current thread's adoption
 * @addr: an address in a chunk of the process's memory
 *
 * Context: any.
 */
void fisc_busy_clear(struct fisc_adoption *adoption, unsigned long addr)
{
	if (!xa_empty(&adoption->busy))
		xa_erase(&adoption->busy, fisc_busy_key(addr));
}
