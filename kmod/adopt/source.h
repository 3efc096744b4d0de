/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_SOURCE_H
#define _FISC_ADOPT_SOURCE_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/types.h>

struct file;
struct fisc_adoption;

/**
 * DOC: Adoption of shared memory
 *
 * A VMM's memory may be shared: a memfd, a file in a tmpfs, or a shared
 * anonymous mapping. Then another process that is given the file can map it
 * (vhost-user). Adoption moves the memory out of that file, and a process that
 * maps the file afterwards finds it empty. So adoption of shared memory must be
 * enabled by the administrator, who thereby states that there is no such
 * process (adoption/shared in sysfs). A mapping is left alone while there is
 * another mapping by which its memory could be written, in this or any other
 * process. After all of a file's memory has been moved, the kernel refuses new
 * such mappings (EPERM) until the VM is released or ends:
 * mapping_deny_writable().
 *
 * *Adopting.* The content is in the page cache or in swap, mapped or not. Its
 * pages are held, not pinned (fisc_pins_hold()); otherwise they are handled
 * like anonymous memory. Once they have been copied, they are removed from the
 * file.
 *
 * *Releasing* yields private memory, as for any VM: the file stays empty.
 *
 * *Discarding.* MADV_DONTNEED does not discard shared memory: the VMM punches a
 * hole in its file. QEMU does that first, and then gives that advice. Punching
 * a hole adds one to the version of the file's inode, and so tells how many of
 * them no advice has followed yet. While there are any, advice discards memory,
 * and is taken off (fisc_source_take_hole()); threads may do both at once.
 */

/**
 * struct fisc_source - a file that memory is moved out of
 * @node: in fisc_adoption.sources
 * @file: the file, held
 * @version: version of its inode, less the holes that are to be followed by
 *           MADV_DONTNEED
 * @denied: new writable shared mappings are refused
 */
struct fisc_source {
	struct list_head node;
	struct file *file;
	atomic64_t version;
	bool denied;
};

struct fisc_source *fisc_source_get(struct fisc_adoption *adoption,
				    struct file *file);
void fisc_source_remove(struct fisc_source *source, pgoff_t first, pgoff_t nr);
bool fisc_source_take_hole(struct fisc_source *source);
void fisc_sources_deny(struct fisc_adoption *adoption);
void fisc_sources_free(struct fisc_adoption *adoption);

#endif /* _FISC_ADOPT_SOURCE_H */
