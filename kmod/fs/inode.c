// SPDX-License-Identifier: GPL-2.0
/*
 * Directories and files, and what is created and freed with them. The first
 * component of a path names a VM; the files below it are the VM's memory. A
 * file never changes its VM. A rename from one VM to another fails with EPERM,
 * not EXDEV: after that, mv would copy the file and remove its name, while the
 * guest runs on in what it had.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/security.h>

#include "fs/file.h"
#include "fs/inode.h"
#include "memory/backing.h"
#include "memory/hole.h"
#include "memory/incoming.h"
#include "memory/region.h"
#include "share/hint.h"
#include "tax/quota.h"
#include "vm/vm.h"

umode_t fisc_fmask = FISC_FMASK_DEFAULT;

static const struct inode_operations fisc_dir_inode_operations;

/**
 * fisc_region_create() - give a new file its frame map
 * @inode: the file
 * @vm: the VM that it belongs to
 *
 * Context: may sleep.
 * Return: the region, or ERR_PTR(-ENOMEM).
 */
static struct fisc_region *fisc_region_create(struct inode *inode,
					      struct fisc_vm *vm)
{
	struct fisc_region *region = fisc_region_alloc(inode);

	if (!IS_ERR(region))
		fisc_vm_add_region(vm, region);

	return region;
}

/**
 * fisc_region_destroy() - free a file's memory and its frame map
 * @region: the region, no longer mapped
 *
 * Waits for all holders of a reference from fisc_region_get_live().
 *
 * Context: may sleep; no lock of this module held.
 */
static void fisc_region_destroy(struct fisc_region *region)
{
	struct fisc_chunk *chunk;
	unsigned long nr;

	fisc_region_put(region);
	wait_for_completion(&region->released);

	fisc_region_set_end(region, 0);
	xa_for_each(&region->chunks, nr, chunk) {
		fisc_hints_free(chunk);
		fisc_incoming_free(chunk);
		fisc_region_free_chunk(region, chunk);
	}
	fisc_backing_free(region);
	fisc_admit_settle(region);
	fisc_vm_drop_region(region);
	fisc_region_free(region);
}

static bool fisc_is_root(const struct inode *dir)
{
	return dir == d_inode(dir->i_sb->s_root);
}

/* Return the VM of a file, or of a directory below the root. */
static struct fisc_vm *fisc_inode_vm(const struct inode *inode)
{
	if (S_ISREG(inode->i_mode))
		return fisc_region_of(inode)->vm;

	return inode->i_private;
}

/**
 * fisc_new_inode() - create a directory or a file
 * @sb: the file system
 * @dir: the parent directory, NULL for the root
 * @mode: type and permissions
 * @vm: the VM that it belongs to, NULL for the root
 *
 * Context: may sleep.
 * Return: the inode, or ERR_PTR(-ENOMEM).
 */
struct inode *fisc_new_inode(struct super_block *sb, struct inode *dir,
			     umode_t mode, struct fisc_vm *vm)
{
	struct inode *inode = new_inode(sb);
	struct fisc_region *region;

	if (!inode)
		return ERR_PTR(-ENOMEM);

	inode->i_ino = get_next_ino();
	inode_init_owner(&nop_mnt_idmap, inode, dir, mode);
	simple_inode_init_ts(inode);

	if (S_ISDIR(mode)) {
		inode->i_op = &fisc_dir_inode_operations;
		inode->i_fop = &simple_dir_operations;
		inc_nlink(inode);
		if (vm)
			inode->i_private = fisc_vm_get(vm);
		return inode;
	}

	inode->i_mapping->a_ops = &fisc_aops;
	inode->i_op = &fisc_file_inode_operations;
	inode->i_fop = &fisc_file_operations;
	region = fisc_region_create(inode, vm);
	if (IS_ERR(region)) {
		iput(inode);
		return ERR_CAST(region);
	}
	inode->i_private = region;

	return inode;
}

/**
 * fisc_evict_inode() - free what an inode holds
 * @inode: the inode, which has no users left
 *
 * Context: may sleep.
 */
void fisc_evict_inode(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);

	if (!inode->i_private)
		return;

	if (S_ISREG(inode->i_mode))
		fisc_region_destroy(fisc_region_of(inode));
	else
		fisc_vm_put(inode->i_private);
}

static int fisc_make(struct inode *dir, struct dentry *dentry, umode_t mode)
{
	bool new_vm = fisc_is_root(dir);
	struct inode *inode;
	struct fisc_vm *vm;
	int err;

	if (new_vm)
		vm = fisc_vm_create(dentry->d_name.name);
	else
		vm = fisc_vm_get(fisc_inode_vm(dir));
	if (IS_ERR(vm))
		return PTR_ERR(vm);

	inode = fisc_new_inode(dir->i_sb, dir, mode, vm);
	fisc_vm_put(vm);
	if (IS_ERR(inode))
		return PTR_ERR(inode);

	err = security_inode_init_security(inode, dir, &dentry->d_name, NULL,
					   NULL);
	if (err && err != -EOPNOTSUPP) {
		iput(inode);
		return err;
	}

	d_instantiate(dentry, inode);
	dget(dentry);	/* the name keeps the file, as there is no disk */
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
	if (S_ISDIR(mode))
		inc_nlink(dir);

	return 0;
}

static int fisc_create(struct mnt_idmap *idmap, struct inode *dir,
		       struct dentry *dentry, umode_t mode, bool excl)
{
	mode &= S_IALLUGO & ~READ_ONCE(fisc_fmask);

	return fisc_make(dir, dentry, mode | S_IFREG);
}

static int fisc_mkdir(struct mnt_idmap *idmap, struct inode *dir,
		      struct dentry *dentry, umode_t mode)
{
	return fisc_make(dir, dentry, (mode & (0777 | S_ISVTX)) | S_IFDIR);
}

/* Take the name of an entry in the root directory from its VM. */
static int fisc_unname(struct inode *dir, struct dentry *dentry)
{
	if (!fisc_is_root(dir))
		return 0;

	return fisc_vm_unname(fisc_inode_vm(d_inode(dentry)),
			      dentry->d_name.name);
}

static int fisc_unlink(struct inode *dir, struct dentry *dentry)
{
	int err = fisc_unname(dir, dentry);

	return err ?: simple_unlink(dir, dentry);
}

static int fisc_rmdir(struct inode *dir, struct dentry *dentry)
{
	int err;

	if (!simple_empty(dentry))
		return -ENOTEMPTY;
	err = fisc_unname(dir, dentry);

	return err ?: simple_rmdir(dir, dentry);
}

static int fisc_refuse_rename(const struct dentry *dentry)
{
	pr_warn_ratelimited("%pd cannot be moved: a file does not change its VM; to have it elsewhere, stop the guest, copy it and remove it here\n",
			    dentry);

	return -EPERM;
}

static int fisc_rename(struct mnt_idmap *idmap, struct inode *old_dir,
		       struct dentry *old, struct inode *new_dir,
		       struct dentry *new, unsigned int flags)
{
	int err;

	if (flags & ~RENAME_NOREPLACE)
		return -EINVAL;
	if (fisc_is_root(old_dir) != fisc_is_root(new_dir))
		return fisc_refuse_rename(old);
	if (!fisc_is_root(old_dir)) {
		if (fisc_inode_vm(old_dir) != fisc_inode_vm(new_dir))
			return fisc_refuse_rename(old);
		return simple_rename(idmap, old_dir, old, new_dir, new, flags);
	}

	/* The VM gets the new name; a VM that has it loses it. */
	if (!simple_empty(new))
		return -ENOTEMPTY;
	if (d_really_is_positive(new)) {
		err = fisc_unname(new_dir, new);
		if (err)
			return err;
	}
	err = fisc_vm_rename(fisc_inode_vm(d_inode(old)), new->d_name.name);
	if (err) {
		if (d_really_is_positive(new))
			fisc_vm_rename(fisc_inode_vm(d_inode(new)),
				       new->d_name.name);
		return err;
	}

	return simple_rename(idmap, old_dir, old, new_dir, new, flags);
}

static const struct inode_operations fisc_dir_inode_operations = {
	.create = fisc_create,
	.lookup = simple_lookup,
	.unlink = fisc_unlink,
	.mkdir = fisc_mkdir,
	.rmdir = fisc_rmdir,
	.rename = fisc_rename,
};
