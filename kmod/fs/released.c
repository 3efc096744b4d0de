// SPDX-License-Identifier: GPL-2.0
/*
 * The files that released memory is a mapping of. See DOC: Adoption in
 * adopt/adopt.h.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "fs/released.h"

/* Its address says that a file is one of these; nothing is read from it. */
static char fisc_released_mark;

/**
 * fisc_released_file() - make a file for released memory
 *
 * It is one of the kernel's own, empty and not used by anybody else, as its
 * mapping outlives the module. Its size is no limit: in the mapping of a
 * shorter file, such as /dev/zero, userfaultfd() cannot provide pages. And it
 * is not of a tmpfs, or the memory could have large pages only as tmpfs can.
 *
 * Context: may sleep.
 * Return: the file; NULL if there is no memory.
 */
struct file *fisc_released_file(void)
{
	struct file *file = anon_inode_create_getfile("[released]",
						      &generic_ro_fops,
						      &fisc_released_mark,
						      O_RDWR, NULL);

	if (IS_ERR(file))
		return NULL;
	i_size_write(file_inode(file), MAX_LFS_FILESIZE);

	return file;
}

/**
 * fisc_released_is() - tell whether a file is one for released memory
 * @file: the file
 *
 * Context: any.
 * Return: true if this module has made it with fisc_released_file().
 */
bool fisc_released_is(const struct file *file)
{
	return file->f_op == &generic_ro_fops &&
	       file->private_data == &fisc_released_mark;
}
EXPORT_SYMBOL_NS_GPL(fisc_released_is, FISC);
