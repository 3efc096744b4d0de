// SPDX-License-Identifier: GPL-2.0
/*
 * The backing of pages that are paged out: for each file an object of shared
 * memory, which the kernel swaps. See DOC: Host paging in swap.h.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/writeback.h>

#include "memory/backing.h"
#include "memory/map.h"

/* Code that frees memory must not wait for other code to free some. */
#define FISC_GFP_BACKING	(GFP_HIGHUSER | __GFP_NORETRY | __GFP_NOWARN)

static struct vfsmount *fisc_backing_mount;

static struct file *fisc_backing_file(void)
{
	return shmem_file_setup_with_mnt(fisc_backing_mount, "fisc",
					 FISC_REGION_MAX_BYTES, VM_NORESERVE);
}

/*
 * Created for the first page that goes out, by the pager of the VM.
 */
static struct address_space *fisc_backing_make(struct fisc_region *region)
{
	struct file *file = region->backing;

	if (!file) {
		file = fisc_backing_file();
		if (IS_ERR(file))
			return ERR_CAST(file);
		/* Pairs with fisc_backing_pages(): the file is set up first. */
		smp_store_release(&region->backing, file);
	}

	return file->f_mapping;
}

/*
 * If shmem_enabled is "force", the kernel allocates a huge page nevertheless. A
 * new one holds nothing yet: give back all of it but the page that was wanted.
 */
static struct page *fisc_backing_shrink(struct address_space *mapping,
					struct page *page, pgoff_t index)
{
	struct folio *folio = page_folio(page);
	loff_t start = folio_pos(folio), end = start + folio_size(folio);
	loff_t pos = (loff_t)index << PAGE_SHIFT;

	put_page(page);
	if (pos > start)
		shmem_truncate_range(mapping->host, start, pos - 1);
	pos += PAGE_SIZE;
	if (pos < end)
		shmem_truncate_range(mapping->host, pos, end - 1);

	return shmem_read_mapping_page_gfp(mapping, index, FISC_GFP_BACKING);
}

/**
 * fisc_backing_drop() - drop pages from the backing
 * @region: the region
 * @first: the first page
 * @last: the last page, included
 *
 * Context: may sleep. Either none of the pages is swapped and the caller is the
 * pager of the VM, or the chunk's lock is held for writing.
 */
void fisc_backing_drop(struct fisc_region *region, pgoff_t first, pgoff_t last)
{
	shmem_truncate_range(file_inode(region->backing),
			     (loff_t)first << PAGE_SHIFT,
			     ((loff_t)(last + 1) << PAGE_SHIFT) - 1);
}

/**
 * fisc_backing_write() - copy a page into the backing
 * @region: the region
 * @index: the page
 * @page: its content, which does not change meanwhile
 *
 * Context: may sleep; only called by the pager of the VM.
 * Return: 0, -ENOMEM, -EHWPOISON.
 */
int fisc_backing_write(struct fisc_region *region, pgoff_t index,
		       struct page *page)
{
	struct address_space *mapping = fisc_backing_make(region);
	struct page *copy;
	int err = 0;

	if (IS_ERR(mapping))
		return PTR_ERR(mapping);
	copy = shmem_read_mapping_page_gfp(mapping, index, FISC_GFP_BACKING);
	/* What is not new is dirty. */
	if (!IS_ERR(copy) && folio_test_large(page_folio(copy)) &&
	    !folio_test_dirty(page_folio(copy)))
		copy = fisc_backing_shrink(mapping, copy, index);
	if (IS_ERR(copy))
		return PTR_ERR(copy);

	lock_page(copy);
	if (copy_mc_highpage(copy, page))
		err = -EHWPOISON;
	else
		set_page_dirty(copy);
	unlock_page(copy);
	put_page(copy);
	if (err)
		fisc_backing_drop(region, index, index);

	return err;
}

/**
 * fisc_backing_send() - send a page of the backing to swap now
 * @region: the region
 * @index: the page, written by fisc_backing_write()
 *
 * Otherwise the kernel would do so when it sees fit. A page that cannot go
 * stays where it is.
 *
 * Context: may sleep.
 */
void fisc_backing_send(struct fisc_region *region, pgoff_t index)
{
	struct address_space *mapping = region->backing->f_mapping;
	struct writeback_control wbc = {
		.sync_mode = WB_SYNC_NONE,
		.nr_to_write = SWAP_CLUSTER_MAX,
		.range_end = LLONG_MAX,
		.for_reclaim = 1,
	};
	struct folio *folio = filemap_lock_folio(mapping, index);

	/* It may be in swap already. */
	if (IS_ERR(folio))
		return;
	if (!folio_mapped(folio) && folio_clear_dirty_for_io(folio)) {
		folio_set_reclaim(folio);
		if (!mapping->a_ops->writepage(&folio->page, &wbc))
			goto put;
		folio_clear_reclaim(folio);
	}
	folio_unlock(folio);
put:
	folio_put(folio);
}

/**
 * fisc_backing_read() - read a page that was paged out
 * @region: the region
 * @index: the page
 *
 * The kernel may also read its neighbours in swap. Nothing is added to the
 * backing: somebody else may have brought the page back already.
 *
 * Context: may sleep, for as long as swap takes; no lock of this module held.
 * Return: the page with a reference, or an error pointer: -EAGAIN if the
 * backing no longer has it, -ENOMEM, -EIO.
 */
struct page *fisc_backing_read(struct fisc_region *region, pgoff_t index)
{
	struct folio *folio;
	struct page *page;
	int err;

	err = shmem_get_folio(file_inode(region->backing), index, 0, &folio,
			      SGP_READ);
	if (err)
		return ERR_PTR(err);
	if (!folio)
		return ERR_PTR(-EAGAIN);
	folio_unlock(folio);
	page = folio_file_page(folio, index);
	if (PageHWPoison(page)) {
		folio_put(folio);
		return ERR_PTR(-EIO);
	}

	return page;
}

/**
 * fisc_backing_is_present() - test whether a page can be read without I/O
 * @region: the region
 * @index: a page that was swapped when last looked at
 *
 * What is in the kernel's swap cache only counts as absent: modules cannot look
 * there.
 *
 * Context: any.
 * Return: true if it is in the backing's part of the page cache now.
 */
bool fisc_backing_is_present(struct fisc_region *region, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(region->backing->f_mapping,
						index);
	bool present;

	if (IS_ERR(folio))
		return false;
	present = folio_test_uptodate(folio);
	folio_put(folio);

	return present;
}

/**
 * fisc_backing_pages() - return the size of a region's backing
 * @region: the region
 *
 * Context: any.
 * Return: the number of pages it holds, in memory and in swap.
 */
unsigned long fisc_backing_pages(const struct fisc_region *region)
{
	const struct file *backing = READ_ONCE(region->backing);

	if (!backing)
		return 0;

	return READ_ONCE(backing->f_mapping->nrpages) +
	       READ_ONCE(SHMEM_I(file_inode(backing))->swapped);
}

/**
 * fisc_backing_holds() - test whether a page read is still the backing's
 * @region: the region
 * @index: the page
 * @page: from fisc_backing_read()
 *
 * Does not wait for the page's lock, which the kernel holds while it hands the
 * page to a device.
 *
 * Context: any; the chunk's lock held for writing, and the page's entry is
 * swapped.
 * Return: true with @page locked; false if it is about to leave memory again,
 * or has done so.
 */
bool fisc_backing_holds(struct fisc_region *region, pgoff_t index,
			struct page *page)
{
	if (!trylock_page(page))
		return false;
	if (page_folio(page)->mapping == region->backing->f_mapping &&
	    page_to_pgoff(page) == index && PageUptodate(page))
		return true;
	unlock_page(page);

	return false;
}

/**
 * fisc_backing_free() - free the backing of a region that goes away
 * @region: the region
 *
 * Context: may sleep.
 */
void fisc_backing_free(struct fisc_region *region)
{
	if (region->backing)
		fput(region->backing);
}

/**
 * fisc_backing_init() - mount a file system for backings
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_backing_init(void)
{
	/* Part of the kernel's image: the reference need not be dropped. */
	struct file_system_type *type = get_fs_type("tmpfs");
	char options[] = "huge=never";	/* is changed */

	if (!type)
		return -ENODEV;
	fisc_backing_mount = vfs_kern_mount(type, SB_KERNMOUNT, type->name,
					    options);

	return PTR_ERR_OR_ZERO(fisc_backing_mount);
}

/**
 * fisc_backing_exit() - undo fisc_backing_init(); there is no backing left
 *
 * Context: may sleep.
 */
void fisc_backing_exit(void)
{
	kern_unmount(fisc_backing_mount);
}
