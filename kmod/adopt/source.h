/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_SOURCE_H
#define _FISC_ADOPT_SOURCE_H

#include <linux/list.h>
#include <linux/types.h>

struct file;
struct fisc_adoption;
struct fisc_region;

/**
 * DOC: Adoption of shared memory
 *
 * A VMM's memory may be a memfd, a file of a tmpfs, or anonymous and shared: so that
 * another process, which is given the file, can map it (vhost-user). Adoption takes
 * the memory out of that file, and whoever maps the file after that finds nothing. So
 * it is only done when the administrator says that there is no such process
 * (adoption/shared in sysfs); a mapping is left alone while there is another one of the
 * file's by which its memory could be written, in this process or in any; and when all is
 * moved, new ones are refused by the kernel (EPERM) until the VM is released or ends:
 * mapping_deny_writable().
 *
 * *There.* What content there is, is in the page cache or in swap, mapped or not. The
 * pages are held, not pinned (fisc_incoming_hold()); all else is as for anonymous
 * memory. When they are copied they are removed from the file.
 *
 * *Back* is private memory, as it is of any VM: the file stays empty.
 *
 * *Thrown away.* MADV_DONTNEED does not throw shared memory away: the VMM makes a hole in
 * its file. QEMU does that first, and gives that advice after it. Making a hole changes the
 * version of the file's inode, so that the advice is taken for what it is meant to
 * be if there was a hole made since the last (fisc_source_may_discard()).
 */

/**
 * struct fisc_source - a file that memory is taken out of
 * @node: in fisc_adoption.sources
 * @file: the file, held
 * @version: of its inode, when it was last looked at
 * @denied: nobody can map it for writing any more
 */
struct fisc_source {
	struct list_head node;
	struct file *file;
	u64 version;
	bool denied;
};

struct fisc_source *fisc_source_get(struct fisc_adoption *adoption,
				    struct file *file);
void fisc_source_remove(struct fisc_source *source, pgoff_t first, pgoff_t nr);
bool fisc_source_may_discard(const struct fisc_region *region);
void fisc_sources_deny(struct fisc_adoption *adoption);
void fisc_sources_free(struct fisc_adoption *adoption);

#endif /* _FISC_ADOPT_SOURCE_H */
