/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_LARGE_H
#define _FISC_MEMORY_LARGE_H

#include <linux/sysfs.h>
#include <linux/types.h>

#include "memory/map.h"

/**
 * DOC: Large pages
 *
 * A chunk that is empty gets one frame of 2 MiB at its first write, as long as
 * there is plenty of memory. Where the mapping is aligned to 2 MiB, the kernel
 * maps the frame with one entry of the page table's second level, and so does
 * KVM; elsewhere it is mapped page by page.
 *
 * A large frame is private and stays whole. The scanner hashes its pages and
 * counts those that would need no frame of their own: zero pages, and pages
 * with an equal anywhere in their domain. When there are enough of them
 * (break_pages, or one when memory is scarce) the frame is *broken*: split in
 * place into small frames (fisc_frame_take_apart()). Pages with a matching
 * shared frame become its users and zero pages need no frame; the memory that
 * both were in is freed. The other pages stay where they are, as small frames,
 * and can be shared from then on. Nothing is copied, and no memory is needed
 * except for the leaf, so this works when memory is scarce.
 *
 * Punching a hole into a large frame breaks it, too, so that the memory is free
 * at once. If that fails, because somebody holds a reference on the frame, the
 * pages are zeroed and stay; the scanner will find them.
 *
 * A chunk of small frames is *rebuilt* into a large one when all its pages are
 * private, because none had an equal or all have been written since, and there
 * is plenty of memory; after a break only when some time has passed.
 *
 * Locks: see DOC: The frame map. While a chunk changes from one form into the
 * other, its lock is held for writing, all of it is unmapped, and nobody else
 * has a reference on any of its frames.
 */

/* For fisc_large_break(): the page becomes a hole. Never an entry. */
#define FISC_BREAK_HOLE		(~0UL)

extern const struct attribute_group fisc_large_group;
extern unsigned int fisc_large_enabled;
extern unsigned int fisc_large_break_pages;

bool fisc_large_fits(const struct fisc_region *region,
		     const struct fisc_chunk *chunk);
bool fisc_large_wanted(const struct fisc_region *region,
		       const struct fisc_chunk *chunk);
void fisc_large_give(struct fisc_region *region, struct fisc_chunk *chunk,
		     struct folio *folio);
int fisc_large_fill(struct fisc_region *region, struct fisc_chunk *chunk,
		    struct vm_fault *vmf);
int fisc_large_break(struct fisc_region *region, struct fisc_chunk *chunk,
		     const unsigned long *wanted, u64 domain);
int fisc_large_rebuild(struct fisc_region *region, struct fisc_chunk *chunk);
bool fisc_large_was_refused(void);
void fisc_large_punch(struct fisc_region *region, struct fisc_chunk *chunk,
		      pgoff_t first, pgoff_t last);
void fisc_large_remove(struct fisc_region *region, struct fisc_chunk *chunk);

#endif /* _FISC_MEMORY_LARGE_H */
