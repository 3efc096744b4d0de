/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_INCOMING_H
#define _FISC_MEMORY_INCOMING_H

#include <linux/mm_types.h>

#include "memory/map.h"

/**
 * DOC: Memory that comes in
 *
 * Ordinary memory of a process becomes memory of a file while the process runs,
 * one chunk at a time. All pages of the chunk are pinned, the file is mapped
 * over them, and only then they are copied: by the first thread that touches
 * the chunk, or by the thread that adopts.
 *
 * *Pinning and mapping over* the pages is one step. The kernel asks a file for
 * an address (.get_unmapped_area) with mmap_lock held for writing, before it
 * has changed anything, and holds that lock until the new mapping is in place.
 * So the pages are looked up and pinned there (fisc_incoming_pin()): mmap_lock
 * keeps system calls of the process from changing the mapping; the VMA's lock
 * keeps faults from filling a hole or copying a page. A pinned page of
 * anonymous memory stays where it is, and belongs to the process alone. What is
 * not present becomes a hole in the file. If anything is not as expected, the
 * mapping fails, and nothing has happened.
 *
 * *Copying* is done for a whole chunk (fisc_incoming_settle()). Nobody can
 * write to the pages any more, because they are in no page table. The exception
 * is I/O in progress: if a page has references that are not accounted for, the
 * copy waits for them. A chunk with such references is not pinned in the first
 * place; this is about references that get_user_pages_fast() took between that
 * check and the unmapping. The pages are unpinned after they were copied.
 * Faults that need the chunk wait for the copy, or make it, without the lock of
 * the VMA or the address space (fs/retry.c); what cannot be killed waits
 * briefly and then fails.
 *
 * Shared memory is in the page cache of a file, mapped or not. Its pages are
 * looked up there and held by a reference (fisc_incoming_hold()); they belong
 * to that file until they have been copied.
 *
 * A chunk can be of several memslots, so part of it may be the file's already.
 * As a large frame would leave no room for the rest, a chunk that has one gets
 * nothing (fisc_incoming_set()), and none is made meanwhile.
 *
 * Meanwhile the chunk is empty, for the scanner and for reclaim. System calls
 * that read, write or truncate the file wait for the inode's lock, which is
 * held until the chunk is settled, and nobody else may map the file (EBUSY). So
 * page faults of the mapping are the only accesses.
 */

/**
 * struct fisc_incoming - memory of a process that becomes a chunk's
 * @pages: pinned pages, or held ones if they are not anonymous; NULL for holes
 * @leaf: entries of frames copied so far; NULL if there are none
 * @copied: number of pages dealt with so far: if memory runs out, the copy
 *	continues here later
 *
 * fisc_chunk.incoming is set with mmap_lock of the process held, while the
 * chunk is not mapped, and cleared with the chunk's FISC_CHUNK_SETTLING bit
 * held as a lock.
 */
struct fisc_incoming {
	struct page *pages[FISC_CHUNK_PAGES];
	unsigned long *leaf;
	unsigned int copied;
};

int fisc_incoming_pin(struct fisc_incoming *incoming, struct mm_struct *mm,
		      unsigned long addr, unsigned int first, unsigned int nr);
int fisc_incoming_hold(struct fisc_incoming *incoming, struct inode *inode,
		       pgoff_t index, unsigned int first, unsigned int nr);
void fisc_incoming_unpin(struct fisc_incoming *incoming);
int fisc_incoming_set(struct fisc_chunk *chunk, struct fisc_incoming *incoming);
void fisc_incoming_unset(struct fisc_chunk *chunk);
void fisc_incoming_free(struct fisc_chunk *chunk);
int __fisc_incoming_settle(struct fisc_region *region, struct fisc_chunk *chunk);

/**
 * fisc_incoming_settle() - copy a chunk's incoming memory into frames
 * @region: the region
 * @chunk: the chunk, or NULL
 *
 * Context: may sleep, for as long as I/O of the process takes; no lock of this
 * module held.
 * Return: 0, -ENOMEM, -EHWPOISON, -EINTR if the process is killed, -ETIME if a
 * kernel thread has waited long enough.
 */
static inline int fisc_incoming_settle(struct fisc_region *region,
				       struct fisc_chunk *chunk)
{
	if (likely(!chunk || !READ_ONCE(chunk->incoming)))
		return 0;

	return __fisc_incoming_settle(region, chunk);
}

#endif /* _FISC_MEMORY_INCOMING_H */
