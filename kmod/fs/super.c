// SPDX-License-Identifier: GPL-2.0
/*
 * The file system: mounts and their options.
 *
 * A RAM file system on libfs, like ramfs. All mounts show the same instance:
 * the host has one pool of guest memory.
 *
 * Who may read a file reads a guest's memory, and VMMs ask for the permissions
 * that any other file would get (QEMU: 0644). So new files do not get those in
 * the mount's fmask, by default all but the owner's.
 */
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "base/state.h"
#include "base/stats.h"
#include "fs/inode.h"
#include "fs/super.h"
#include "memory/domain.h"
#include "memory/map.h"
#include "share/member.h"
#include "uapi/fisc.h"

/**
 * struct fisc_mount_opts - options of a mount
 * @given: bit N is set if option N (enum fisc_param) was given; the others stay
 *	as they are
 * @mode: permissions of the root directory
 * @uid: its owner
 * @gid: its group
 * @fmask: permissions that new files do not get
 * @domain: default share domain of VMs, or NULL
 */
struct fisc_mount_opts {
	unsigned int given;
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
	unsigned int fmask;
	char *domain;
};

#define FISC_DEFAULT_MODE	0755

/* Everything that a VM needs has been initialized. */
static bool fisc_fs_open;

/*
 * Blocks are pages: the memory that guests hold plus what the host could still
 * give.
 */
static int fisc_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	u64 available = fisc_host_available();
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
	const struct inode *inode = d_inode(root->d_sb->s_root);
	umode_t mode = inode->i_mode & S_IALLUGO;
	char domain[FISC_DOMAIN_NAME_MAX + 1];
	umode_t fmask;

	if (mode != FISC_DEFAULT_MODE)
		seq_printf(m, ",mode=%o", mode);
	if (!uid_eq(inode->i_uid, GLOBAL_ROOT_UID))
		seq_printf(m, ",uid=%u",
			   from_kuid_munged(&init_user_ns, inode->i_uid));
	if (!gid_eq(inode->i_gid, GLOBAL_ROOT_GID))
		seq_printf(m, ",gid=%u",
			   from_kgid_munged(&init_user_ns, inode->i_gid));
	fmask = READ_ONCE(fisc_fmask);
	if (fmask != FISC_FMASK_DEFAULT)
		seq_printf(m, ",fmask=%04o", fmask);
	fisc_member_default(domain);
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
	FISC_OPT_FMASK,
	FISC_OPT_DOMAIN,
};

static const struct fs_parameter_spec fisc_parameters[] = {
	fsparam_u32oct("mode", FISC_OPT_MODE),
	fsparam_uid("uid", FISC_OPT_UID),
	fsparam_gid("gid", FISC_OPT_GID),
	fsparam_u32oct("fmask", FISC_OPT_FMASK),
	fsparam_string("domain", FISC_OPT_DOMAIN),
	{}
};

static int fisc_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct fisc_mount_opts *opts = fc->fs_private;
	struct fs_parse_result result;
	int opt;

	opt = fs_parse(fc, fisc_parameters, param, &result);
	if (opt < 0)
		return opt;

	opts->given |= BIT(opt);
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
	case FISC_OPT_FMASK:
		if (result.uint_32 & ~0777)
			return invalf(fc, "fisc: fmask=%o: more than 777",
				      result.uint_32);
		opts->fmask = result.uint_32;
		break;
	case FISC_OPT_DOMAIN:
		kfree(opts->domain);
		opts->domain = param->string;
		param->string = NULL;
		break;
	}

	return 0;
}

/* Set the default domain, if it was given. */
static int fisc_apply_domain(const struct fisc_mount_opts *opts)
{
	if (!opts->domain)
		return 0;

	return fisc_member_set_default(opts->domain, strlen(opts->domain));
}

/* Set what else was given. */
static void fisc_apply(const struct fisc_mount_opts *opts, struct inode *root)
{
	if (opts->given & BIT(FISC_OPT_FMASK))
		WRITE_ONCE(fisc_fmask, opts->fmask);
	inode_lock(root);
	if (opts->given & BIT(FISC_OPT_MODE))
		root->i_mode = S_IFDIR | opts->mode;
	if (opts->given & BIT(FISC_OPT_UID))
		root->i_uid = opts->uid;
	if (opts->given & BIT(FISC_OPT_GID))
		root->i_gid = opts->gid;
	inode_unlock(root);
}

static int fisc_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *inode;

	WRITE_ONCE(fisc_fmask, FISC_FMASK_DEFAULT);
	sb->s_maxbytes = FISC_REGION_MAX_BYTES;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = FISC_SUPER_MAGIC;
	sb->s_op = &fisc_super_operations;
	sb->s_time_gran = 1;

	inode = fisc_new_inode(sb, NULL, S_IFDIR | FISC_DEFAULT_MODE, NULL);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	sb->s_root = d_make_root(inode);

	return sb->s_root ? 0 : -ENOMEM;
}

/*
 * There is one file system, which may be mounted already, if only by the module
 * itself: options that are given later count, too.
 */
static int fisc_get_tree(struct fs_context *fc)
{
	int err;

	if (!READ_ONCE(fisc_fs_open))
		return -ENODEV;

	err = fisc_apply_domain(fc->fs_private);
	if (err)
		return err;
	err = get_tree_single(fc, fisc_fill_super);
	if (!err)
		fisc_apply(fc->fs_private, d_inode(fc->root));

	return err;
}

static int fisc_reconfigure(struct fs_context *fc)
{
	int err = fisc_apply_domain(fc->fs_private);

	if (!err)
		fisc_apply(fc->fs_private, d_inode(fc->root));

	return err;
}

static void fisc_free_fc(struct fs_context *fc)
{
	struct fisc_mount_opts *opts = fc->fs_private;

	if (opts)
		kfree(opts->domain);
	kfree(opts);
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

	fc->fs_private = opts;
	fc->ops = &fisc_context_operations;

	return 0;
}

static struct file_system_type fisc_fs_type = {
	.owner = THIS_MODULE,
	.name = "fisc",
	.init_fs_context = fisc_init_fs_context,
	.parameters = fisc_parameters,
	.kill_sb = kill_litter_super,
};
MODULE_ALIAS_FS("fisc");

/**
 * fisc_fs_pin() - mount the file system for the module's own use
 * @mount: the mount, as for simple_pin_fs()
 * @count: number of users, as for simple_pin_fs()
 *
 * The module cannot be unloaded until simple_release_fs() undoes this.
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_fs_pin(struct vfsmount **mount, int *count)
{
	return simple_pin_fs(&fisc_fs_type, mount, count);
}

/**
 * fisc_fs_init() - register the file system, which lets VMs in
 *
 * Every VM comes in through a mount of the file system; adopted ones through
 * the module's own mount. A mount holds a reference on the module and cannot be
 * revoked. So this is the last step of the module's initialization, and nothing
 * can fail after it.
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_fs_init(void)
{
	int err = register_filesystem(&fisc_fs_type);

	if (!err)
		WRITE_ONCE(fisc_fs_open, true);

	return err;
}

/**
 * fisc_fs_exit() - undo fisc_fs_init(); nothing is mounted any more
 *
 * Context: may sleep.
 */
void fisc_fs_exit(void)
{
	unregister_filesystem(&fisc_fs_type);
}
