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
 * @mode: permissions of the root directory
 * @uid: its owner
 * @gid: its group
 * @fmask: permissions that new files do not get, or FISC_FMASK_KEEP
 * @domain: default share domain of VMs, or NULL if not given
 */
struct fisc_mount_opts {
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
	unsigned int fmask;
	char *domain;
};

#define FISC_DEFAULT_MODE	0755

/* The option was not given: a mount keeps the mask that is in force. */
#define FISC_FMASK_KEEP		UINT_MAX

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
	const struct fisc_mount_opts *opts = root->d_sb->s_fs_info;
	char domain[FISC_DOMAIN_NAME_MAX + 1];
	umode_t fmask;

	if (opts->mode != FISC_DEFAULT_MODE)
		seq_printf(m, ",mode=%o", opts->mode);
	if (!uid_eq(opts->uid, GLOBAL_ROOT_UID))
		seq_printf(m, ",uid=%u",
			   from_kuid_munged(&init_user_ns, opts->uid));
	if (!gid_eq(opts->gid, GLOBAL_ROOT_GID))
		seq_printf(m, ",gid=%u",
			   from_kgid_munged(&init_user_ns, opts->gid));
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

/* Set the mask that all mounts share, if @opts has one. */
static void fisc_set_fmask(const struct fisc_mount_opts *opts)
{
	if (opts->fmask != FISC_FMASK_KEEP)
		WRITE_ONCE(fisc_fmask, opts->fmask);
}

static int fisc_fill_super(struct super_block *sb, struct fs_context *fc)
{
	const struct fisc_mount_opts *opts = sb->s_fs_info;
	struct inode *inode;
	int err;

	if (opts->domain) {
		err = fisc_member_set_default(opts->domain,
					      strlen(opts->domain));
		if (err)
			return err;
	}

	WRITE_ONCE(fisc_fmask, FISC_FMASK_DEFAULT);
	fisc_set_fmask(opts);
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
	const struct fisc_mount_opts *opts;
	int err;

	if (!READ_ONCE(fisc_fs_open))
		return -ENODEV;

	err = get_tree_single(fc, fisc_fill_super);
	/* The first mount has taken the options; it may be the module's own. */
	opts = fc->s_fs_info;
	if (!err && opts)
		fisc_set_fmask(opts);

	return err;
}

/* mount -o remount: only the domain and fmask can change. */
static int fisc_reconfigure(struct fs_context *fc)
{
	const struct fisc_mount_opts *opts = fc->s_fs_info;

	fisc_set_fmask(opts);
	if (!opts->domain)
		return 0;

	return fisc_member_set_default(opts->domain, strlen(opts->domain));
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
	opts->fmask = FISC_FMASK_KEEP;
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
