// SPDX-License-Identifier: GPL-2.0
/*
 * Files that memory is moved out of: a memfd, a file in a tmpfs, or shared
 * anonymous memory. See DOC: Adoption of shared memory in source.h.
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
 * fisc_source_get() - return the source of a file, after adding it if needed
 * @adoption: the current thread's adoption
 * @file: the file; it has one source, however often it is mapped
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
	atomic64_set(&source->version, inode_peek_iversion(file_inode(file)));
	list_add_tail(&source->node, &adoption->sources);

	return source;
}

/**
 * fisc_source_remove() - remove memory that has been moved from its old file
 * @source: the file that the memory belonged to
 * @first: its first page there
 * @nr: number of pages
 *
 * Does not count as a hole that the process has punched.
 *
 * Context: may sleep.
 */
void fisc_source_remove(struct fisc_source *source, pgoff_t first, pgoff_t nr)
{
	struct inode *inode = file_inode(source->file);

	shmem_truncate_range(inode, (loff_t)first << PAGE_SHIFT,
			     ((loff_t)(first + nr) << PAGE_SHIFT) - 1);
	atomic64_inc(&source->version);
}

/**
 * fisc_source_take_hole() - tell whether MADV_DONTNEED discards memory
 * @source: the file that the memory was moved from
 *
 * Context: any.
 * Return: true if holes have been punched into that file that no such call has
 * followed yet; this call is one.
 */
bool fisc_source_take_hole(struct fisc_source *source)
{
	s64 now = inode_peek_iversion(file_inode(source->file));
	s64 version = atomic64_read(&source->version);

	while (version != now)
		if (atomic64_try_cmpxchg(&source->version, &version,
					 version + 1))
			return true;

	return false;
}

/**
 * fisc_sources_deny() - refuse new writable mappings of files no longer mapped
 * @adoption: the current thread's adoption
 *
 * A file that still has a writable shared mapping is left as it is.
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
 * fisc_sources_free() - drop all sources and allow mappings of their files
 * @adoption: the adoption
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
