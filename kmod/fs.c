// SPDX-License-Identifier: GPL-2.0
/*
 * The file system: names, directories, mounts.
 *
 * A RAM file system on libfs, as ramfs is, with one instance however often it
 * is mounted: the host has one pool of guest memory. The first component of a
 * path names a VM; files below it are the VM's memory. A file never changes its
 * VM, so a rename from one VM to another is refused as one between devices is.
 */
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/seq_file.h>
#include <linux/statfs.h>

#include "fs.h"
#include "region.h"
#include "vm.h"
#include "../uapi/fisc.h"

struct fisc_mount_opts {
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
	char *domain;
};

#define FISC_DEFAULT_MODE	0755

static const struct inode_operations fisc_dir_inode_operations;

static const struct address_space_operations fisc_aops = {
	.dirty_folio = noop_dirty_folio,
};

static bool fisc_is_root(const struct inode *dir)
{
	return dir == d_inode(dir->i_sb->s_root);
}

/* The VM of a file or a directory below the root. */
static struct fisc_vm *fisc_inode_vm(const struct inode *inode)
{
	if (S_ISREG(inode->i_mode))
		return fisc_region_of(inode)->vm;

	return inode->i_private;
}

/* Return: a directory or a file of @vm (no VM: the root), or an error pointer. */
static struct inode *fisc_new_inode(struct super_block *sb, struct inode *dir,
				    umode_t mode, struct fisc_vm *vm)
{
	struct inode *inode = new_inode(sb);
	struct fisc_region *region;

	if (!inode)
		return ERR_PTR(-ENOMEM);

	inode->i_ino = get_next_ino();
	inode_init_owner(&nop_mnt_idmap, inode, dir, mode);
	inode->i_mapping->a_ops = &fisc_aops;
	simple_inode_init_ts(inode);

	if (S_ISDIR(mode)) {
		inode->i_op = &fisc_dir_inode_operations;
		inode->i_fop = &simple_dir_operations;
		inc_nlink(inode);
		if (vm)
			inode->i_private = fisc_vm_get(vm);
		return inode;
	}

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

static void fisc_evict_inode(struct inode *inode)
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
	return fisc_make(dir, dentry, (mode & S_IALLUGO) | S_IFREG);
}

static int fisc_mkdir(struct mnt_idmap *idmap, struct inode *dir,
		      struct dentry *dentry, umode_t mode)
{
	return fisc_make(dir, dentry, (mode & (0777 | S_ISVTX)) | S_IFDIR);
}

/* Take a root entry's name from its VM. */
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

static int fisc_rename(struct mnt_idmap *idmap, struct inode *old_dir,
		       struct dentry *old, struct inode *new_dir,
		       struct dentry *new, unsigned int flags)
{
	int err;

	if (flags & ~RENAME_NOREPLACE)
		return -EINVAL;
	if (fisc_is_root(old_dir) != fisc_is_root(new_dir))
		return -EXDEV;
	if (!fisc_is_root(old_dir)) {
		if (fisc_inode_vm(old_dir) != fisc_inode_vm(new_dir))
			return -EXDEV;
		return simple_rename(idmap, old_dir, old, new_dir, new, flags);
	}

	/* The VM gets the new name; one that has it loses it. */
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

/*
 * Blocks are pages: what guests hold and what the host could still give them.
 */
static int fisc_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	long available = max(si_mem_available(), 0L);
	u64 id = huge_encode_dev(dentry->d_sb->s_dev);

	buf->f_type = FISC_SUPER_MAGIC;
	buf->f_bsize = PAGE_SIZE;
	buf->f_namelen = NAME_MAX;
	buf->f_fsid = u64_to_fsid(id);
	buf->f_blocks = available + fisc_total_sum(FISC_PRIVATE) +
			fisc_total_sum(FISC_SHARED);
	buf->f_bfree = available;
	buf->f_bavail = available;

	return 0;
}

static int fisc_show_options(struct seq_file *m, struct dentry *root)
{
	const struct fisc_mount_opts *opts = root->d_sb->s_fs_info;
	char domain[FISC_DOMAIN_NAME_MAX + 1];

	if (opts->mode != FISC_DEFAULT_MODE)
		seq_printf(m, ",mode=%o", opts->mode);
	if (!uid_eq(opts->uid, GLOBAL_ROOT_UID))
		seq_printf(m, ",uid=%u",
			   from_kuid_munged(&init_user_ns, opts->uid));
	if (!gid_eq(opts->gid, GLOBAL_ROOT_GID))
		seq_printf(m, ",gid=%u",
			   from_kgid_munged(&init_user_ns, opts->gid));
	fisc_domain_default(domain);
	if (*domain)
		seq_printf(m, ",domain=%s", domain);

	return 0;
}

static const struct super_operations fisc_super_operations = {
	.statfs = fisc_statfs,
	.drop_inode = generic_delete_inode,
	.evict_inode = fisc_evict_inode,
	.show_options = fisc_show_options,
};

enum fisc_param {
	FISC_OPT_MODE,
	FISC_OPT_UID,
	FISC_OPT_GID,
	FISC_OPT_DOMAIN,
};

static const struct fs_parameter_spec fisc_parameters[] = {
	fsparam_u32oct("mode", FISC_OPT_MODE),
	fsparam_uid("uid", FISC_OPT_UID),
	fsparam_gid("gid", FISC_OPT_GID),
	fsparam_string("domain", FISC_OPT_DOMAIN),
	{}
};

static int fisc_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct fisc_mount_opts *opts = fc->s_fs_info;
	struct fs_parse_result result;
	int opt;

	opt = fs_parse(fc, fisc_parameters, param, &result);
	if (opt < 0)
		return opt;

	switch (opt) {
	case FISC_OPT_MODE:
		opts->mode = result.uint_32 & S_IALLUGO;
		break;
	case FISC_OPT_UID:
		opts->uid = result.uid;
		break;
	case FISC_OPT_GID:
		opts->gid = result.gid;
		break;
	case FISC_OPT_DOMAIN:
		kfree(opts->domain);
		opts->domain = param->string;
		param->string = NULL;
		break;
	}

	return 0;
}

static int fisc_fill_super(struct super_block *sb, struct fs_context *fc)
{
	const struct fisc_mount_opts *opts = sb->s_fs_info;
	struct inode *inode;
	int err;

	if (opts->domain) {
		err = fisc_domain_set_default(opts->domain,
					      strlen(opts->domain));
		if (err)
			return err;
	}

	sb->s_maxbytes = FISC_REGION_MAX_BYTES;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = FISC_SUPER_MAGIC;
	sb->s_op = &fisc_super_operations;
	sb->s_time_gran = 1;

	inode = fisc_new_inode(sb, NULL, S_IFDIR | opts->mode, NULL);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	inode->i_uid = opts->uid;
	inode->i_gid = opts->gid;
	sb->s_root = d_make_root(inode);

	return sb->s_root ? 0 : -ENOMEM;
}

static int fisc_get_tree(struct fs_context *fc)
{
	return get_tree_single(fc, fisc_fill_super);
}

/* mount -o remount: the domain is all that can be changed. */
static int fisc_reconfigure(struct fs_context *fc)
{
	const struct fisc_mount_opts *opts = fc->s_fs_info;

	if (!opts->domain)
		return 0;

	return fisc_domain_set_default(opts->domain, strlen(opts->domain));
}

static void fisc_free_opts(struct fisc_mount_opts *opts)
{
	if (opts)
		kfree(opts->domain);
	kfree(opts);
}

static void fisc_free_fc(struct fs_context *fc)
{
	fisc_free_opts(fc->s_fs_info);
}

static const struct fs_context_operations fisc_context_operations = {
	.free = fisc_free_fc,
	.parse_param = fisc_parse_param,
	.get_tree = fisc_get_tree,
	.reconfigure = fisc_reconfigure,
};

static int fisc_init_fs_context(struct fs_context *fc)
{
	struct fisc_mount_opts *opts;

	opts = kzalloc(sizeof(*opts), GFP_KERNEL);
	if (!opts)
		return -ENOMEM;

	opts->mode = FISC_DEFAULT_MODE;
	opts->uid = GLOBAL_ROOT_UID;
	opts->gid = GLOBAL_ROOT_GID;
	fc->s_fs_info = opts;
	fc->ops = &fisc_context_operations;

	return 0;
}

static void fisc_kill_sb(struct super_block *sb)
{
	kill_litter_super(sb);
	fisc_free_opts(sb->s_fs_info);
}

static struct file_system_type fisc_fs_type = {
	.owner = THIS_MODULE,
	.name = "fisc",
	.init_fs_context = fisc_init_fs_context,
	.parameters = fisc_parameters,
	.kill_sb = fisc_kill_sb,
};
MODULE_ALIAS_FS("fisc");

/**
 * fisc_fs_pin() - have the file system mounted for the module itself
 * @mount: where; as simple_pin_fs()
 * @count: how often
 *
 * The module cannot be unloaded then. simple_release_fs() undoes it.
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_fs_pin(struct vfsmount **mount, int *count)
{
	return simple_pin_fs(&fisc_fs_type, mount, count);
}

int fisc_fs_init(void)
{
	return register_filesystem(&fisc_fs_type);
}

void fisc_fs_exit(void)
{
	unregister_filesystem(&fisc_fs_type);
}
