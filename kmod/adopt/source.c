// SPDX-License-Identifier: GPL-2.0
/*
 * Files that memory is taken out of: a memfd, a file of a tmpfs, or shared anonymous
 * memory. See DOC: Adoption of shared memory in source.h.
 */
#include <linux/file.h>
#include <linux/iversion.h>
#include <linux/mm.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

#include "adopt/adoption.h"
#include "adopt/source.h"
#include "memory/map.h"

/**
 * fisc_source_get() - find a file that memory is taken out of, or note it
 * @adoption: the current thread's
 * @file: the file, of which there is one source however often it is mapped
 *
 * Context: may sleep.
 * Return: the source, or an error pointer: -ENOMEM.
 */
struct fisc_source *fisc_source_get(struct fisc_adoption *adoption,
				    struct file *file)
{
	struct fisc_source *source;

	list_for_each_entry(source, &adoption->sources, node)
		if (file_inode(source->file) == file_inode(file))
			return source;
	source = kzalloc(sizeof(*source), GFP_KERNEL);
	if (!source)
		return ERR_PTR(-ENOMEM);
	source->file = get_file(file);
	source->version = inode_peek_iversion(file_inode(file));
	list_add_tail(&source->node, &adoption->sources);

	return source;
}

/**
 * fisc_source_remove() - memory that was moved is not needed any more
 * @source: the file that it was the memory of
 * @first: its first page there
 * @nr: number of pages
 *
 * This is no hole that the process has made.
 *
 * Context: may sleep.
 */
void fisc_source_remove(struct fisc_source *source, pgoff_t first, pgoff_t nr)
{
	struct inode *inode = file_inode(source->file);

	shmem_truncate_range(inode, (loff_t)first << PAGE_SHIFT,
			     ((loff_t)(first + nr) << PAGE_SHIFT) - 1);
	WRITE_ONCE(source->version, inode_peek_iversion(inode));
}

/**
 * fisc_source_may_discard() - does MADV_DONTNEED throw away what a file holds?
 * @region: the file
 *
 * Context: the inode locked.
 * Return: true if its memory was anonymous; or if the file that it was the memory of
 * has had holes made since this was last asked about any of its memory.
 */
bool fisc_source_may_discard(const struct fisc_region *region)
{
	struct fisc_source *source = region->source;
	u64 version;

	if (!source)
		return true;
	version = inode_peek_iversion(file_inode(source->file));
	if (version == READ_ONCE(source->version))
		return false;
	WRITE_ONCE(source->version, version);

	return true;
}

/**
 * fisc_sources_deny() - have nobody map files for writing that are not mapped any more
 * @adoption: the current thread's
 *
 * Context: does not sleep.
 */
void fisc_sources_deny(struct fisc_adoption *adoption)
{
	struct fisc_source *source;

	list_for_each_entry(source, &adoption->sources, node)
		if (!source->denied)
			source->denied =
				!mapping_deny_writable(source->file->f_mapping);
}

/**
 * fisc_sources_free() - let go of files that memory was taken out of
 * @adoption: whose
 *
 * Context: may sleep.
 */
void fisc_sources_free(struct fisc_adoption *adoption)
{
	struct fisc_source *source, *next;

	list_for_each_entry_safe(source, next, &adoption->sources, node) {
		if (source->denied)
			mapping_allow_writable(source->file->f_mapping);
		fput(source->file);
		kfree(source);
	}
	INIT_LIST_HEAD(&adoption->sources);
}
