// SPDX-License-Identifier: GPL-2.0
/*
 * The backing of pages that are paged out: for each file an object of shared
 * memory, which the kernel swaps. See DOC: Host paging in swap.h.
 */
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/writeback.h>

#include "memory/backing.h"
#include "memory/map.h"

/* Code that frees memory must not wait for other code to free some. */
#define FISC_GFP_BACKING	(GFP_HIGHUSER | __GFP_NORETRY | __GFP_NOWARN)

/*
 * Created for the first page that goes out, by the only thread that pages out.
 */
static struct address_space *fisc_backing_make(struct fisc_region *region)
{
	struct file *file = region->backing;

	if (!file) {
		file = shmem_file_setup("fisc", FISC_REGION_MAX_BYTES,
					VM_NORESERVE);
		if (IS_ERR(file))
			return ERR_CAST(file);
		region->backing = file;
	}

	return file->f_mapping;
}

/**
 * fisc_backing_write() - copy a page into the backing
 * @region: the region
 * @index: the page
 * @page: its content, which does not change meanwhile
 *
 * Context: may sleep; only called by the thread that pages out.
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
	if (IS_ERR(copy))
		return PTR_ERR(copy);

	lock_page(copy);
	if (copy_mc_highpage(copy, page))
		err = -EHWPOISON;
	else
		set_page_dirty(copy);
	unlock_page(copy);
	put_page(copy);

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
 * The kernel may also read its neighbours in swap.
 *
 * Context: may sleep, for as long as swap takes.
 * Return: the page with a reference, or an error pointer: -ENOMEM, -EIO.
 */
struct page *fisc_backing_read(struct fisc_region *region, pgoff_t index)
{
	return shmem_read_mapping_page(region->backing->f_mapping, index);
}

/**
 * fisc_backing_holds() - test whether a page read is still the backing's
 * @region: the region
 * @index: the page
 * @page: from fisc_backing_read()
 *
 * Context: may sleep; the chunk's lock held for writing, and the page's entry
 * is swapped.
 * Return: true with @page locked; false if it has left memory again.
 */
bool fisc_backing_holds(struct fisc_region *region, pgoff_t index,
			struct page *page)
{
	lock_page(page);
	if (page_folio(page)->mapping == region->backing->f_mapping &&
	    page_to_pgoff(page) == index && PageUptodate(page))
		return true;
	unlock_page(page);

	return false;
}

/**
 * fisc_backing_drop() - drop pages from the backing
 * @region: the region
 * @first: the first page
 * @last: the last page, included
 *
 * Context: may sleep. Either none of the pages is swapped and the caller is the
 * thread that pages out, or the chunk's lock is held for writing.
 */
void fisc_backing_drop(struct fisc_region *region, pgoff_t first, pgoff_t last)
{
	shmem_truncate_range(file_inode(region->backing),
			     (loff_t)first << PAGE_SHIFT,
			     ((loff_t)(last + 1) << PAGE_SHIFT) - 1);
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
