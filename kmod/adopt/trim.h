/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_TRIM_H
#define _FISC_ADOPT_TRIM_H

/**
 * DOC: Adopted memory that is unmapped
 *
 * Memory of a process goes when it is unmapped; memory of a file stays. So the
 * thread of an adoption compares the files with the mappings that there are of
 * them, and removes what is mapped nowhere: the pages, or the whole file. What
 * is mapped stays, at whatever address it is now.
 *
 * An MMU notifier says when the process has removed or moved a mapping
 * (fisc_adoption.unmapped), so that nothing is compared while nothing changes.
 * At each look, FISC_TRIM_FILES files are compared at most, 64 MiB of memory at
 * a time.
 *
 * The comparison and the removal are done under mmap_lock, held for reading: a
 * mapping that is made larger could otherwise come to have a page that is being
 * removed, and no process can map the files but by a mapping that it has.
 *
 * A file whose mappings have been moved (fisc_region.moved) gets no new memory:
 * its pages could be mapped elsewhere.
 *
 * Locks: the inode's lock, then mmap_lock, then those of the frame map.
 */

struct fisc_adoption;

void fisc_adopt_trim(struct fisc_adoption *adoption);

#endif /* _FISC_ADOPT_TRIM_H */
