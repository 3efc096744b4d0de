/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_INCOMING_H
#define _FISC_MEMORY_INCOMING_H

#include <linux/mm_types.h>

#include "memory/pin.h"

/**
 * DOC: Memory that comes in
 *
 * Ordinary memory of a process becomes memory of a file while the process runs,
 * one chunk at a time. All pages of the chunk are pinned, the file is mapped
 * over them, and only then they are copied, one by one: a page that is touched
 * by the thread that touches it, the others by the thread that adopts. So a
 * page fault takes as long as it takes to copy that page.
 *
 * *Pinning and mapping over* the pages is one step. The kernel asks a file for
 * an address (.get_unmapped_area) with mmap_lock held for writing, before it
 * has changed anything, and holds that lock until the new mapping is in place.
 * So the pages are looked up and pinned there (fisc_pins_pin()): mmap_lock
 * keeps system calls of the process from changing the mapping; the VMA's lock
 * keeps faults from filling a hole or copying a page. A pinned page of
 * anonymous memory stays where it is, and belongs to the process alone. What is
 * not present becomes a hole in the file. If anything is not as expected, the
 * mapping fails, and nothing has happened.
 *
 * *A page that is still to come* is a hole in the frame map, and has an entry
 * in struct fisc_pins. Nobody can write to it any more, because it is in no
 * page table. The exception is I/O in progress: if a page has references that
 * are not accounted for, its copy waits for them. A chunk with such references
 * is not pinned in the first place; this is about references that
 * get_user_pages_fast() took between that check and the unmapping. References
 * are counted by folio: a large one may have several pages in the chunk. Faults
 * that need the page wait for the copy, or make it, without the lock of the VMA
 * or the address space (fs/retry.c); what cannot be killed waits briefly and
 * then fails.
 *
 * *A large frame* is filled in the same way, page by page, if all pages of the
 * chunk are present. It becomes the chunk's when it is complete. A page that is
 * touched earlier ends that: the frame is given up, and all pages get small
 * ones. The scanner puts them together later (DOC: Large pages). To free the
 * frame takes longer than to copy a page, so the thread that adopts does that.
 *
 * *A page with a memory error* stays as it is. Accesses to it fail as they did
 * before (-EHWPOISON), until it is removed from the file; the rest of its chunk
 * is not affected, but gets no large frame, nor further memory of a process.
 *
 * Shared memory is in the page cache of a file, mapped or not. Its pages are
 * looked up there and held by a reference (fisc_pins_hold()); they belong
 * to that file until they have been copied.
 *
 * A chunk can be of several memslots, so part of it may be the file's already.
 * As a large frame would leave no room for the rest, a chunk that has one gets
 * nothing (fisc_incoming_set()), and none is made meanwhile.
 *
 * System calls that read, write or truncate the file wait for the inode's lock,
 * which is held until the chunk is settled, and nobody else may map the file
 * (EBUSY). So page faults of the mapping are the only accesses.
 *
 * Locks: FISC_CHUNK_SETTLING, a bit that is used as a lock, for no longer than
 * it takes to copy a page; nothing is allocated with it held. It protects
 * struct fisc_incoming. fisc_chunk.lock is taken within it; both are held,
 * fisc_chunk.lock for writing, to change fisc_chunk.incoming, and either is
 * enough to read it.
 */

/**
 * struct fisc_incoming - memory of a process that becomes a chunk's
 * @pins: the pages that are still to come
 * @large: the large frame that is being filled; NULL if there is none
 * @filled: pages of @large filled so far
 * @unused: a large frame that has been given up and is still to be freed
 */
struct fisc_incoming {
	struct fisc_pins pins;
	struct folio *large;
	unsigned int filled;
	struct folio *unused;
};

void fisc_incoming_drop_all(struct fisc_incoming *incoming);
int fisc_incoming_set(struct fisc_chunk *chunk, struct fisc_incoming *incoming);
void fisc_incoming_unset(struct fisc_chunk *chunk);
void fisc_incoming_free(struct fisc_chunk *chunk);
int fisc_incoming_settle(struct fisc_region *region, struct fisc_chunk *chunk);
int fisc_incoming_settle_page(struct fisc_region *region,
			      struct fisc_chunk *chunk, pgoff_t index);
void __fisc_incoming_drop(struct fisc_chunk *chunk, pgoff_t first, pgoff_t last);
bool __fisc_incoming_has(struct fisc_chunk *chunk, pgoff_t index);

/**
 * fisc_incoming_has() - tell whether a page is still to come
 * @chunk: its chunk, or NULL
 * @index: the page
 *
 * Context: may sleep; the chunk's lock not held.
 * Return: true if it is.
 */
static inline bool fisc_incoming_has(struct fisc_chunk *chunk, pgoff_t index)
{
	return unlikely(chunk && READ_ONCE(chunk->incoming)) &&
	       __fisc_incoming_has(chunk, index);
}

/**
 * fisc_incoming_drop() - drop pages that are still to come
 * @chunk: the chunk
 * @first: first page of a part of it
 * @last: last page, included
 *
 * Context: may sleep; the chunk's lock not held.
 */
static inline void fisc_incoming_drop(struct fisc_chunk *chunk, pgoff_t first,
				      pgoff_t last)
{
	if (unlikely(READ_ONCE(chunk->incoming)))
		__fisc_incoming_drop(chunk, first, last);
}

#endif /* _FISC_MEMORY_INCOMING_H */
