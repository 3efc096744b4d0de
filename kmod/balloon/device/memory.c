// SPDX-License-Identifier: GPL-2.0
/*
 * A device's access to guest memory. See DOC: Guest memory, as a device sees
 * it, in memory.h.
 */
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/mm.h>

#include "balloon/device/memory.h"
#include "fs/page.h"
#include "memory/hole.h"
#include "memory/region.h"

/**
 * fisc_memory_init() - initialize a device's memory, with nothing mapped
 * @memory: the memory
 *
 * Context: any.
 */
void fisc_memory_init(struct fisc_memory *memory)
{
	vhost_iotlb_init(&memory->maps, FISC_MEMORY_MAX_MAPS, 0);
	memory->loopback = false;
}

/**
 * fisc_memory_map() - map a part of a file to addresses
 * @memory: the memory
 * @iova: the first address
 * @size: size in bytes, not 0
 * @perm: VHOST_MAP_RO, VHOST_MAP_WO or VHOST_MAP_RW
 * @file: a file of guest memory
 * @offset: offset in the file, in bytes
 *
 * Context: may sleep; the device's lock held.
 * Return: 0, -ENOSPC if there are too many maps, -ENOMEM.
 */
int fisc_memory_map(struct fisc_memory *memory, u64 iova, u64 size, u32 perm,
		    struct file *file, u64 offset)
{
	int err;

	err = vhost_iotlb_add_range_ctx(&memory->maps, iova, iova + size - 1,
					offset, perm, file);
	if (!err)
		get_file(file);

	return err;
}

/**
 * fisc_memory_unmap() - unmap a range of addresses
 * @memory: the memory
 * @iova: the first address
 * @size: size in bytes, not 0
 *
 * Context: any; the device's lock held.
 */
void fisc_memory_unmap(struct fisc_memory *memory, u64 iova, u64 size)
{
	struct vhost_iotlb_map *map;

	while ((map = vhost_iotlb_itree_first(&memory->maps, iova,
					      iova + size - 1))) {
		fput(map->opaque);
		vhost_iotlb_map_free(&memory->maps, map);
	}
}

/**
 * fisc_memory_exit() - unmap everything
 * @memory: the memory
 *
 * Context: any; the device's lock held.
 */
void fisc_memory_exit(struct fisc_memory *memory)
{
	/* In two halves, as 64 bits cannot hold a size of 2^64. */
	fisc_memory_unmap(memory, 0, 1ULL << 63);
	fisc_memory_unmap(memory, 1ULL << 63, 1ULL << 63);
}

/*
 * A page of the host, where the driver is. Return: with a reference, or NULL.
 */
static struct page *fisc_memory_host_page(u64 iova)
{
	struct page *page = pfn_to_online_page(iova >> PAGE_SHIFT);

	if (page)
		get_page(page);

	return page;
}

/*
 * The page of a file to read from. Return: with a reference; NULL for a hole;
 * -EFAULT, -EHWPOISON, -ENOMEM, -EIO.
 */
static struct page *fisc_memory_page(struct fisc_region *region, pgoff_t index)
{
	struct page *page;
	int err;

	if (index >= fisc_region_size_pages(region))
		return ERR_PTR(-EFAULT);
	err = fisc_region_read(region, index, &page);

	return err ? ERR_PTR(err) : page;
}

/*
 * The page of a file to write to. Return: with a reference; -EFAULT, -ENOMEM,
 * -EHWPOISON, -EIO.
 */
static struct page *fisc_memory_own(struct fisc_region *region, pgoff_t index)
{
	struct page *page;
	bool gone;
	int err;

	if (index >= fisc_region_size_pages(region))
		return ERR_PTR(-EFAULT);
	err = fisc_region_own(region, index, NULL,
			      __GFP_RETRY_MAYFAIL | __GFP_NOWARN, &page);
	if (err)
		return ERR_PTR(err);

	/*
	 * A truncation sets the new size first and then removes the page, for
	 * which it waits for the folio lock.
	 */
	gone = index >= fisc_region_size_pages(region);
	folio_unlock(page_folio(page));
	if (gone) {
		put_page(page);
		fisc_region_remove(region, index, index);
		return ERR_PTR(-EFAULT);
	}

	return page;
}

/*
 * The page at an address; @len is limited to what the page has from there on.
 */
static struct page *fisc_memory_get(struct fisc_memory *memory, u64 iova,
				    u32 perm, size_t *offset, size_t *len)
{
	struct fisc_region *region;
	struct vhost_iotlb_map *map;
	u64 pos;

	if (memory->loopback) {
		*offset = offset_in_page(iova);
		*len = min(*len, PAGE_SIZE - *offset);
		return fisc_memory_host_page(iova) ?: ERR_PTR(-EFAULT);
	}

	map = vhost_iotlb_itree_first(&memory->maps, iova, iova);
	if (!map || (map->perm & perm) != perm)
		return ERR_PTR(-EFAULT);
	region = fisc_region_of_file(map->opaque);
	pos = map->addr + (iova - map->start);
	*offset = offset_in_page(pos);
	*len = min3(*len, PAGE_SIZE - *offset,
		    map->last - iova == U64_MAX ? *len :
						  map->last - iova + 1);

	return perm == VHOST_MAP_RO ? fisc_memory_page(region, pos >> PAGE_SHIFT) :
				      fisc_memory_own(region, pos >> PAGE_SHIFT);
}

/* Copy an index in a single access, as the other side may be writing it. */
static void fisc_memory_copy(void *to, const void *from, size_t len)
{
	if (len == sizeof(u16) && IS_ALIGNED((unsigned long)to, len) &&
	    IS_ALIGNED((unsigned long)from, len))
		WRITE_ONCE(*(u16 *)to, READ_ONCE(*(const u16 *)from));
	else
		memcpy(to, from, len);
}

/* Copy between @buf and a page in the direction of @perm; drops the page. */
static void fisc_memory_move(struct page *page, size_t offset, void *buf,
			     size_t len, u32 perm)
{
	void *at;

	/* A hole; only reads get here. */
	if (!page) {
		memset(buf, 0, len);
		return;
	}
	at = kmap_local_page(page) + offset;
	if (perm == VHOST_MAP_RO)
		fisc_memory_copy(buf, at, len);
	else
		fisc_memory_copy(at, buf, len);
	kunmap_local(at);
	put_page(page);
}

static int fisc_memory_access(struct fisc_memory *memory, u64 iova, void *buf,
			      size_t len, u32 perm)
{
	while (len) {
		size_t part = len, offset;
		struct page *page;

		page = fisc_memory_get(memory, iova, perm, &offset, &part);
		if (IS_ERR(page))
			return PTR_ERR(page);
		fisc_memory_move(page, offset, buf, part, perm);
		buf += part;
		iova += part;
		len -= part;
		if (len && !iova)
			return -EFAULT;
	}

	return 0;
}

/**
 * fisc_memory_read() - read from guest memory
 * @memory: the memory
 * @iova: the address
 * @buf: the result, incomplete on failure
 * @len: length in bytes
 *
 * Reads two aligned bytes in a single access.
 *
 * Context: may sleep; the device's lock held.
 * Return: 0, -EFAULT if not all of it may be read, -EHWPOISON, -ENOMEM, -EIO.
 */
int fisc_memory_read(struct fisc_memory *memory, u64 iova, void *buf,
		     size_t len)
{
	return fisc_memory_access(memory, iova, buf, len, VHOST_MAP_RO);
}

/**
 * fisc_memory_write() - write to guest memory
 * @memory: the memory
 * @iova: the address
 * @buf: the data
 * @len: length in bytes
 *
 * Writes two aligned bytes in a single access. On failure, part of the data may
 * have been written.
 *
 * Context: may sleep; the device's lock held.
 * Return: 0, -EFAULT if not all of it may be written, -ENOMEM, -EHWPOISON,
 * -EIO.
 */
int fisc_memory_write(struct fisc_memory *memory, u64 iova, const void *buf,
		      size_t len)
{
	return fisc_memory_access(memory, iova, (void *)buf, len, VHOST_MAP_WO);
}

/**
 * fisc_memory_find() - find the pages of a file that page numbers stand for
 * @memory: the memory
 * @pfn: the first page number, in units of PAGE_SIZE
 * @nr: number of page numbers, not 0
 * @range: the pages found, possibly none
 *
 * Finds pages of one map only. Only whole pages of the file count that may be
 * both read and written.
 *
 * Context: any; the device's lock held.
 * Return: the number of page numbers dealt with, at least 1. The last of these
 * are those of @range; the ones before match nothing.
 */
u64 fisc_memory_find(struct fisc_memory *memory, u64 pfn, u64 nr,
		     struct fisc_memory_range *range)
{
	struct vhost_iotlb_map *map;
	u64 first, end, pos, size;

	range->nr = 0;
	if (memory->loopback || nr > FISC_MEMORY_MAX_PFN ||
	    pfn > FISC_MEMORY_MAX_PFN - nr)
		return nr;
	map = vhost_iotlb_itree_first(&memory->maps, pfn << PAGE_SHIFT,
				      ((pfn + nr) << PAGE_SHIFT) - 1);
	if (!map)
		return nr;

	first = max(pfn, fisc_memory_first_pfn(map->start));
	end = min(pfn + nr, fisc_memory_end_pfn(map->last));
	if (first >= end)
		return clamp((map->last >> PAGE_SHIFT) + 1 - pfn, 1, nr);

	pos = map->addr + ((first << PAGE_SHIFT) - map->start);
	range->region = fisc_region_of_file(map->opaque);
	range->first = pos >> PAGE_SHIFT;
	size = fisc_region_size_pages(range->region);
	if (map->perm != VHOST_MAP_RW || offset_in_page(pos) ||
	    range->first >= size)
		return end - pfn;
	range->nr = min(end - first, size - range->first);

	return first + range->nr - pfn;
}

#ifdef FISC_KUNIT
#include "tests/memory-kunit.h"
#endif
