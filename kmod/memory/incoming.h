/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_INCOMING_H
#define _FISC_MEMORY_INCOMING_H

#include <linux/mm_types.h>

#include "memory/map.h"

/**
 * DOC: Memory that comes in
 *
 * Ordinary memory of a process becomes memory of a file while the process runs, a
 * chunk at a time. All pages of the chunk are pinned, the file is mapped over them,
 * and only then they are copied: by whoever touches the chunk first, or by the
 * thread that adopts.
 *
 * *Pinned and mapped over* is one step. The kernel asks a file for an address
 * (.get_unmapped_area) with mmap_lock held for writing, before it has changed
 * anything, and holds that lock until the new mapping is in place. So that is where
 * the pages are looked for (fisc_incoming_pin()): with mmap_lock, no system call of
 * the process changes the mapping; with the VMA's lock, too, no fault fills a hole or
 * copies a page. A pinned page of anonymous memory stays where it is, and is the
 * process's alone. What is not present is a hole in the file. If anything is not as
 * it should be, the mapping fails, and nothing has happened.
 *
 * *Copied* is a chunk as a whole (fisc_incoming_settle()), as nobody can write to
 * the pages any more: they are in no page table. But for I/O under way: a page with
 * references that are not accounted for is waited for. Such a chunk was not pinned
 * in the first place if there were any; this is about those that came between the
 * look and the unmapping, through get_user_pages_fast(). What was pinned is let go
 * of after it was copied.
 *
 * Shared memory is in the page cache of a file, mapped or not. Its pages are looked for
 * there, and held by a reference (fisc_incoming_hold()); they are the file's until they
 * have been copied.
 *
 * The chunk is empty meanwhile, for the scanner and for reclaim. System calls that
 * read, write or cut the file wait for the inode's lock, which is held until the chunk
 * is settled, and nobody else may map it (EBUSY), so that page faults of the
 * mapping are all there is.
 */

/**
 * struct fisc_incoming - memory of a process that is going to be a chunk's
 * @pages: pinned, or held if they are not anonymous; NULL where nothing was
 * @leaf: entries of frames that have been copied, NULL if there are none
 * @copied: up to which page that was done: without memory, it is gone on with later
 *
 * fisc_chunk.incoming is set under mmap_lock of the process, when the chunk is not
 * mapped, and cleared with FISC_CHUNK_SETTLING of its flags held.
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
void fisc_incoming_free(struct fisc_chunk *chunk);
int __fisc_incoming_settle(struct fisc_region *region, struct fisc_chunk *chunk);

/**
 * fisc_incoming_settle() - copy what is on its way into frames
 * @region: the region
 * @chunk: the chunk, NULL if there is none
 *
 * Context: may sleep, for as long as I/O of the process takes; no lock of this module
 * held.
 * Return: 0, -ENOMEM, -EHWPOISON, -EINTR if the process is killed.
 */
static inline int fisc_incoming_settle(struct fisc_region *region,
				       struct fisc_chunk *chunk)
{
	if (likely(!chunk || !READ_ONCE(chunk->incoming)))
		return 0;

	return __fisc_incoming_settle(region, chunk);
}

#endif /* _FISC_MEMORY_INCOMING_H */
