// SPDX-License-Identifier: GPL-2.0
/*
 * The files of adopted VMs. See DOC: Adoption in adopt.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/slab.h>

#include "adopt/adoption.h"
#include "adopt/ram.h"
#include "adopt/source.h"
#include "adopt/step.h"
#include "adopt/vma.h"
#include "fs/super.h"
#include "memory/map.h"
#include "share/member.h"
#include "vm/vm.h"

static struct vfsmount *fisc_adopt_mount;
static int fisc_adopt_mounts;

/**
 * fisc_adopt_pin_fs() - mount the file system for the files of adopted VMs
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_adopt_pin_fs(void)
{
	return fisc_fs_pin(&fisc_adopt_mount, &fisc_adopt_mounts);
}

/**
 * fisc_adopt_release_fs() - undo fisc_adopt_pin_fs()
 *
 * Context: may sleep.
 */
void fisc_adopt_release_fs(void)
{
	simple_release_fs(&fisc_adopt_mount, &fisc_adopt_mounts);
}

static struct fisc_ram *fisc_ram_find(struct fisc_adoption *adoption,
				      unsigned long start,
				      const struct fisc_piece *piece,
				      struct fisc_source *source)
{
	struct fisc_ram *ram;

	list_for_each_entry(ram, &adoption->rams, node) {
		struct fisc_region *region = fisc_region_of(file_inode(ram->file));

		if (start >= ram->start && piece->end <= ram->end &&
		    ram->source == source && !READ_ONCE(region->moved) &&
		    region->unmergeable == piece->unmergeable)
			return ram;
	}

	return NULL;
}

/**
 * fisc_ram_of() - return the file of a mapping
 * @adoption: the current thread's adoption
 * @file: the file that is mapped
 *
 * Context: any.
 * Return: the file, or NULL if it is not one of the adoption's.
 */
struct fisc_ram *fisc_ram_of(struct fisc_adoption *adoption,
			     const struct file *file)
{
	struct fisc_ram *ram;

	list_for_each_entry(ram, &adoption->rams, node)
		if (ram->file == file)
			return ram;

	return NULL;
}

static struct dentry *fisc_adopt_create(struct dentry *dir, const char *name,
					umode_t mode)
{
	struct dentry *dentry;
	int err;

	inode_lock_nested(d_inode(dir), I_MUTEX_PARENT);
	dentry = lookup_one_len(name, dir, strlen(name));
	if (!IS_ERR(dentry)) {
		if (d_really_is_positive(dentry))
			err = -EEXIST;
		else if (S_ISDIR(mode))
			err = vfs_mkdir(&nop_mnt_idmap, d_inode(dir), dentry, mode);
		else
			err = vfs_create(&nop_mnt_idmap, d_inode(dir), dentry,
					 mode, true);
		if (err) {
			dput(dentry);
			dentry = ERR_PTR(err);
		}
	}
	inode_unlock(d_inode(dir));

	return dentry;
}

/**
 * fisc_adopt_unlink() - remove a directory or a file
 * @dentry: its name; held by the caller
 *
 * Retries for as long as there is no memory. Does nothing if it has been
 * removed already.
 *
 * Context: may sleep; takes the inode lock of the parent directory.
 */
void fisc_adopt_unlink(struct dentry *dentry)
{
	struct dentry *dir;
	int err;

	/*
	 * While there are other references on the dentry, an open file keeps
	 * its inode.
	 */
	dget(dentry);
	do {
		dir = dget_parent(dentry);
		inode_lock_nested(d_inode(dir), I_MUTEX_PARENT);
		err = 0;
		/* It may have been moved or removed meanwhile. */
		if (dentry->d_parent == dir && !d_unhashed(dentry))
			err = d_is_dir(dentry) ?
			      vfs_rmdir(&nop_mnt_idmap, d_inode(dir), dentry) :
			      vfs_unlink(&nop_mnt_idmap, d_inode(dir), dentry, NULL);
		inode_unlock(d_inode(dir));
		dput(dir);
		if (err == -ENOMEM)
			msleep(FISC_ADOPT_RETRY_MS);
	} while (err == -ENOMEM);
	dput(dentry);
}

/* Several mappings can begin in the same 2 MiB, or one after another. */
static struct file *fisc_ram_open(struct fisc_adoption *adoption,
				  unsigned long start, loff_t size,
				  bool unmergeable)
{
	struct path path = { .mnt = fisc_adopt_mount };
	struct fisc_region *region;
	struct file *file;
	char name[48];
	int err;

	snprintf(name, sizeof(name), "ram-%lx", start);
	path.dentry = fisc_adopt_create(adoption->dir, name, S_IFREG | 0600);
	if (path.dentry == ERR_PTR(-EEXIST)) {
		snprintf(name, sizeof(name), "ram-%lx.%u", start,
			 ++adoption->nr_names);
		path.dentry = fisc_adopt_create(adoption->dir, name,
						S_IFREG | 0600);
	}
	if (IS_ERR(path.dentry))
		return ERR_CAST(path.dentry);
	region = fisc_region_of(d_inode(path.dentry));
	region->adopted = true;
	region->owner = adoption->mm;
	region->hva = start;
	file = dentry_open(&path, O_RDWR | O_LARGEFILE, current_cred());
	err = PTR_ERR_OR_ZERO(file) ?: fisc_member_mark(region, unmergeable) ?:
	      vfs_truncate(&path, size);
	if (err) {
		if (!IS_ERR(file))
			fput(file);
		fisc_adopt_unlink(path.dentry);
		file = ERR_PTR(err);
	} else {
		fisc_step_own_file(file, adoption);
	}
	dput(path.dentry);

	return file;
}

static void fisc_ram_tell(struct fisc_adoption *adoption)
{
	if (adoption->told)
		return;
	adoption->told = true;
	guard(rcu)();
	pr_info_ratelimited("%s has memory that its VMM has not marked mergeable (mem-merge=off, if it is QEMU): its pages are not shared; write \"yes\" to vms/%s/mergeable if they are to be\n",
			    fisc_vm_name(adoption->vm),
			    fisc_vm_name(adoption->vm));
}

/* Create a file for the mapping from @start to @end. */
static struct fisc_ram *fisc_ram_make(struct fisc_adoption *adoption,
				      unsigned long start, unsigned long end,
				      bool unmergeable,
				      struct fisc_source *source)
{
	struct fisc_ram *ram = kzalloc(sizeof(*ram), GFP_KERNEL);

	if (!ram)
		return ERR_PTR(-ENOMEM);
	ram->start = round_down(start, FISC_CHUNK_PAGES * PAGE_SIZE);
	ram->end = end;
	ram->file = fisc_ram_open(adoption, ram->start, end - ram->start,
				  unmergeable);
	if (IS_ERR(ram->file)) {
		int err = PTR_ERR(ram->file);

		kfree(ram);
		return ERR_PTR(err);
	}
	if (unmergeable)
		fisc_ram_tell(adoption);
	ram->source = source;
	fisc_region_of(file_inode(ram->file))->source = source;
	list_add_tail(&ram->node, &adoption->rams);

	return ram;
}

/* Is it left by a release, as one of adjacent mappings of its file? */
static bool fisc_vma_was_released(struct vm_area_struct *vma)
{
	return vma && vma->vm_file && vma_is_anonymous(vma) &&
	       fisc_vma_refused(vma) == FISC_NR_LEFT;
}

/* Extend a range to all such memory that the mapping is a part of. */
static void fisc_ram_extend(struct mm_struct *mm, unsigned long *start,
			    unsigned long *end)
{
	struct vm_area_struct *vma;

	VMA_ITERATOR(vmi, mm, *start);

	mmap_read_lock(mm);
	vma = vma_lookup(mm, *start);
	while (fisc_vma_was_released(vma) && vma->vm_end >= *start) {
		*start = min(*start, vma->vm_start);
		vma = vma_prev(&vmi);
	}
	vma = vma_lookup(mm, *start);
	while (fisc_vma_was_released(vma)) {
		*end = max(*end, vma->vm_end);
		vma = vma_lookup(mm, vma->vm_end);
	}
	mmap_read_unlock(mm);
}

/**
 * fisc_ram_get() - return the file for a part of a process's memory
 * @adoption: the current thread's adoption
 * @addr: first address of the part
 * @piece: what it is; a new file has room for all of its mapping
 *
 * Context: may sleep; takes mmap_lock for reading and inode locks.
 * Return: the file, or an error pointer: -ENOMEM; -ENOSPC if the file is not
 * admitted; -EEXIST if somebody has made a file of that name.
 */
struct fisc_ram *fisc_ram_get(struct fisc_adoption *adoption,
			      unsigned long addr,
			      const struct fisc_piece *piece)
{
	unsigned long start = piece->vma_start, end = piece->vma_end;
	struct fisc_source *source = NULL;
	struct fisc_ram *ram;

	if (piece->file)
		source = fisc_source_get(adoption, piece->file);
	if (IS_ERR(source))
		return ERR_CAST(source);

	ram = fisc_ram_find(adoption, addr, piece, source);
	if (ram)
		return ram;
	if (!source)
		fisc_ram_extend(adoption->mm, &start, &end);

	return fisc_ram_make(adoption, start, end, piece->unmergeable, source);
}

/**
 * fisc_ram_free() - remove a file of an adoption
 * @ram: the file
 *
 * Its memory is freed when nothing maps it any more.
 *
 * Context: may sleep; takes the inode's lock and that of its directory.
 */
void fisc_ram_free(struct fisc_ram *ram)
{
	struct inode *inode = file_inode(ram->file);

	inode_lock(inode);
	WRITE_ONCE(fisc_region_of(inode)->source, NULL);
	inode_unlock(inode);
	list_del(&ram->node);
	fisc_adopt_unlink(ram->file->f_path.dentry);
	fput(ram->file);
	kfree(ram);
}

/**
 * fisc_rams_free() - remove all files of an adoption
 * @adoption: the adoption
 *
 * Context: may sleep; takes inode locks.
 */
void fisc_rams_free(struct fisc_adoption *adoption)
{
	struct fisc_ram *ram, *next;

	list_for_each_entry_safe(ram, next, &adoption->rams, node)
		fisc_ram_free(ram);
	fisc_sources_free(adoption);
	/* Kernel threads defer closing files: have it done now. */
	flush_delayed_fput();
}

/**
 * fisc_adopt_make_dir() - create a directory for a VM
 * @name: its name
 *
 * Context: may sleep; after fisc_adopt_pin_fs().
 * Return: the directory, held, or an error pointer: -EEXIST if the name is
 * taken, -EACCES if it cannot be a name, -ENOMEM.
 */
struct dentry *fisc_adopt_make_dir(const char *name)
{
	return fisc_adopt_create(fisc_adopt_mount->mnt_root, name, S_IFDIR | 0700);
}
