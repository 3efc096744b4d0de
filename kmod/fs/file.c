// SPDX-License-Identifier: GPL-2.0
/*
 * File operations: those of tmpfs that a VMM or cp uses.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/splice.h>
#include <linux/uio.h>

#include "fs/fault.h"
#include "fs/file.h"
#include "fs/page.h"
#include "kvm/vmm.h"
#include "memory/hole.h"
#include "memory/region.h"
#include "reclaim/wait.h"
#include "tax/quota.h"

/* Translate lost content into the error that system calls return. */
static int fisc_io_error(int err)
{
	return err == -EHWPOISON ? -EIO : err;
}

static ssize_t fisc_read_pages(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct fisc_region *region = fisc_region_of(inode);
	ssize_t done = 0;

	while (iov_iter_count(to)) {
		loff_t size = i_size_read(inode);
		size_t offset = offset_in_page(iocb->ki_pos);
		size_t part, copied;
		struct page *page;
		int err;

		if (iocb->ki_pos >= size)
			break;
		part = min_t(loff_t, size - iocb->ki_pos, PAGE_SIZE - offset);
		part = min(part, iov_iter_count(to));

		err = fisc_region_read(region, iocb->ki_pos >> PAGE_SHIFT,
				       &page);
		if (err)
			return done ?: fisc_io_error(err);
		if (page) {
			copied = copy_page_to_iter(page, offset, part, to);
			put_page(page);
		} else {
			copied = iov_iter_zero(part, to);
		}

		iocb->ki_pos += copied;
		done += copied;
		if (copied < part)
			return done ?: -EFAULT;
		if (fatal_signal_pending(current))
			return done ?: -EINTR;
		cond_resched();
	}
	file_accessed(iocb->ki_filp);

	return done;
}

static ssize_t fisc_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done;

	if (likely(!fisc_region_of(inode)->adopted))
		return fisc_read_pages(iocb, to);

	/* While memory is being moved, its content may be in neither place. */
	inode_lock_shared(inode);
	done = fisc_read_pages(iocb, to);
	inode_unlock_shared(inode);

	return done;
}

/*
 * Return a private frame to write to, its folio unlocked. The reference alone
 * prevents sharing, and copying from user space might fault on this very folio.
 */
static int fisc_own(struct fisc_region *region, pgoff_t index,
		    struct page **page)
{
	int err = fisc_region_own(region, index, NULL, FISC_GFP_SYSCALL, page);

	if (!err)
		folio_unlock(page_folio(*page));

	return fisc_io_error(err);
}

/*
 * Admit a file of @size bytes and let it have pages up to there. fisc_settle()
 * follows, whether this succeeds or not. Inode locked.
 */
static int fisc_extend(struct fisc_region *region, loff_t size)
{
	pgoff_t end = max_t(pgoff_t, region->end,
			    DIV_ROUND_UP_ULL(size, PAGE_SIZE));
	int err = fisc_admit(region, end);

	if (!err)
		fisc_region_set_end(region, end);

	return err;
}

/*
 * End a file where its size says, but no earlier than at page @end, and give
 * back what was admitted beyond that. Inode locked.
 */
static void fisc_settle(struct fisc_region *region, pgoff_t end)
{
	fisc_region_set_end(region, max(end, fisc_region_size_pages(region)));
	fisc_admit_settle(region);
}

static ssize_t fisc_write_pages(struct inode *inode, loff_t *pos,
				struct iov_iter *from)
{
	struct fisc_region *region = fisc_region_of(inode);
	ssize_t done = 0;

	while (iov_iter_count(from)) {
		size_t offset = offset_in_page(*pos);
		size_t part = min(PAGE_SIZE - offset, iov_iter_count(from));
		struct page *page;
		size_t copied;
		int err;

		err = fisc_own(region, *pos >> PAGE_SHIFT, &page);
		if (err)
			return done ?: err;
		copied = copy_page_from_iter(page, offset, part, from);
		put_page(page);

		*pos += copied;
		done += copied;
		if (copied && *pos > i_size_read(inode))
			i_size_write(inode, *pos);
		if (copied < part)
			return done ?: -EFAULT;
		if (fatal_signal_pending(current))
			return done ?: -EINTR;
		cond_resched();
	}

	return done;
}

static ssize_t fisc_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;

	/* Wait with the inode unlocked, so that a balloon can punch holes. */
	ret = fisc_reclaim_block(fisc_region_of(inode)->vm);
	if (ret)
		return ret;

	inode_lock(inode);
	ret = generic_write_checks(iocb, from);
	if (ret > 0) {
		struct fisc_region *region = fisc_region_of(inode);
		pgoff_t end = region->end;
		int err = file_modified(iocb->ki_filp);

		err = err ?: fisc_extend(region, iocb->ki_pos + ret);
		ret = err ?: fisc_write_pages(inode, &iocb->ki_pos, from);
		fisc_settle(region, end);
	}
	inode_unlock(inode);

	return ret;
}

static loff_t fisc_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	pgoff_t start, found;
	loff_t size;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);

	inode_lock_shared(inode);
	size = i_size_read(inode);
	if (offset < 0 || offset >= size) {
		offset = -ENXIO;
		goto out;
	}

	start = offset >> PAGE_SHIFT;
	found = fisc_region_next_data(fisc_region_of(inode), start,
				      fisc_region_size_pages(fisc_region_of(inode)),
				      whence == SEEK_DATA);
	if (found > start)
		offset = min_t(loff_t, (loff_t)found << PAGE_SHIFT, size);
	if (whence == SEEK_DATA && offset >= size)
		offset = -ENXIO;
	else
		offset = vfs_setpos(file, offset, inode->i_sb->s_maxbytes);
out:
	inode_unlock_shared(inode);

	return offset;
}

/* Zero part of a page. Holes and zero pages are zero already. */
static int fisc_zero_partial(struct fisc_region *region, loff_t from, size_t len)
{
	pgoff_t index = from >> PAGE_SHIFT;
	struct page *page;
	int err;

	if (!fisc_state_has_content(fisc_region_look(region, index)))
		return 0;

	err = fisc_own(region, index, &page);
	if (err)
		return err;
	memzero_page(page, offset_in_page(from), len);
	put_page(page);

	return 0;
}

/* Inode locked. */
static int fisc_truncate(struct inode *inode, loff_t size)
{
	struct fisc_region *region = fisc_region_of(inode);
	int err;

	/* Zero the rest of the last page, in case the file grows again. */
	if (size < i_size_read(inode) && offset_in_page(size)) {
		err = fisc_zero_partial(region, size,
					PAGE_SIZE - offset_in_page(size));
		if (err)
			return err;
	}

	err = fisc_extend(region, size);
	if (err)
		return err;
	i_size_write(inode, size);
	fisc_settle(region, 0);

	return 0;
}

/* Inode locked. */
static int fisc_punch_hole(struct inode *inode, loff_t offset, loff_t len)
{
	struct fisc_region *region = fisc_region_of(inode);
	loff_t end = offset + len;
	loff_t first = round_up(offset, PAGE_SIZE);
	loff_t last = round_down(end, PAGE_SIZE);
	int err;

	if (first > last)	/* within a single page */
		return fisc_zero_partial(region, offset, len);

	if (offset < first) {
		err = fisc_zero_partial(region, offset, first - offset);
		if (err)
			return err;
	}
	if (last < end) {
		err = fisc_zero_partial(region, last, end - last);
		if (err)
			return err;
	}
	if (first < last)
		fisc_region_remove(region, first >> PAGE_SHIFT,
				   (last >> PAGE_SHIFT) - 1);
	return 0;
}

/*
 * Inode locked. Pages allocated before an error stay, as st_blocks shows, as
 * far as they are in the file.
 */
static int fisc_allocate(struct fisc_region *region, loff_t offset, loff_t len)
{
	pgoff_t end = DIV_ROUND_UP_ULL(offset + len, PAGE_SIZE);
	pgoff_t index;

	for (index = offset >> PAGE_SHIFT; index < end; index++) {
		struct page *page;
		int err;

		if (signal_pending(current))
			return -EINTR;
		cond_resched();

		/* Has a frame, or had one and was paged out. */
		if (fisc_state_has_content(fisc_region_look(region, index)))
			continue;

		err = fisc_own(region, index, &page);
		if (err)
			return err;
		put_page(page);
	}

	return 0;
}

/*
 * Inode locked. With @keep, pages that are allocated beyond the size are part
 * of what is admitted until a truncation removes them.
 */
static int fisc_reserve(struct inode *inode, loff_t offset, loff_t len, bool keep)
{
	struct fisc_region *region = fisc_region_of(inode);
	pgoff_t end = region->end;
	int err = inode_newsize_ok(inode, offset + len);

	err = err ?: fisc_extend(region, offset + len);
	err = err ?: fisc_allocate(region, offset, len);
	if (!err && keep)
		end = region->end;
	else if (!err && offset + len > i_size_read(inode))
		i_size_write(inode, offset + len);
	fisc_settle(region, end);

	return err;
}

/**
 * fisc_fallocate() - allocate frames of a file, or punch a hole
 * @file: the file
 * @mode: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE, or 0
 * @offset: start in bytes
 * @len: length in bytes
 *
 * Context: may sleep, for as long as the VM must wait for memory.
 * Return: 0; -EOPNOTSUPP for another mode, -ENOSPC if the size is not admitted,
 * -ENOMEM, -EINTR, -EIO.
 */
long fisc_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	long err;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	if (!(mode & FALLOC_FL_PUNCH_HOLE)) {
		err = fisc_reclaim_block(fisc_region_of(inode)->vm);
		if (err)
			return err;
	}

	inode_lock(inode);
	if (mode & FALLOC_FL_PUNCH_HOLE)
		err = fisc_punch_hole(inode, offset, len);
	else
		err = fisc_reserve(inode, offset, len,
				   mode & FALLOC_FL_KEEP_SIZE);
	if (!err)
		err = file_modified(file);
	inode_unlock(inode);

	return err;
}

static int fisc_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (fisc_region_of(file_inode(file))->adopted)
		return -EBUSY;
	if (!(vma->vm_flags & VM_MAYSHARE)) {
		pr_warn_ratelimited("%s[%d] maps guest memory privately, which would lose its writes: use share=on (MAP_SHARED)\n",
				    current->comm, task_pid_nr(current));
		return -EINVAL;
	}

	if (vma->vm_end - vma->vm_start >= PMD_SIZE &&
	    !IS_ALIGNED((vma->vm_start >> PAGE_SHIFT) - vma->vm_pgoff,
			FISC_CHUNK_PAGES))
		pr_info_once("%s[%d] maps guest memory where large pages cannot be mapped: use align=2M\n",
			     current->comm, task_pid_nr(current));

	file_accessed(file);
	fisc_vmm_maps(fisc_region_of(file_inode(file))->vm);
	vma->vm_ops = &fisc_vm_operations;

	return 0;
}

const struct file_operations fisc_file_operations = {
	.llseek = fisc_llseek,
	.read_iter = fisc_read_iter,
	.write_iter = fisc_write_iter,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.mmap = fisc_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.fsync = noop_fsync,
	.fallocate = fisc_fallocate,
};

static int fisc_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct fisc_region *region = fisc_region_of(inode);
	int err;

	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;

	/* If the size stays, pages beyond it go. */
	if (attr->ia_valid & ATTR_SIZE &&
	    (attr->ia_size != i_size_read(inode) ||
	     fisc_region_size_pages(region) != region->end)) {
		err = fisc_truncate(inode, attr->ia_size);
		if (err)
			return err;
		/* Faults set the time, too, without the inode's lock. */
		data_race(inode_set_mtime_to_ts(inode,
						inode_set_ctime_current(inode)));
	}
	setattr_copy(idmap, inode, attr);

	return 0;
}

/*
 * st_blocks counts pages with a frame, private or shared, as file systems with
 * shared extents do, and swapped pages, as tmpfs does. Holes and zero pages do
 * not count.
 */
static int fisc_getattr(struct mnt_idmap *idmap, const struct path *path,
			struct kstat *stat, u32 request_mask,
			unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct fisc_region *region = fisc_region_of(inode);
	long nr_pages = fisc_region_sum(region, FISC_PRIVATE) +
			fisc_region_sum(region, FISC_SHARING) +
			fisc_region_sum(region, FISC_SWAPPED);

	generic_fillattr(idmap, request_mask, inode, stat);
	stat->blksize = PAGE_SIZE;
	stat->blocks = (u64)nr_pages << (PAGE_SHIFT - 9);

	return 0;
}

const struct inode_operations fisc_file_inode_operations = {
	.setattr = fisc_setattr,
	.getattr = fisc_getattr,
};
