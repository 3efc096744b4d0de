// SPDX-License-Identifier: GPL-2.0
/*
 * A device's access to guest memory. See DOC: Guest memory, as a device sees
 * it, in memory.h.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>

#include "balloon/device/memory.h"
#include "fs/page.h"
#include "fs/released.h"
#include "memory/hole.h"
#include "memory/incoming.h"
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
	memory->slots = NULL;
	memory->looked = 0;
	memory->look = false;
	memory->loopback = false;
	memory->mm = NULL;
}

/**
 * fisc_memory_set_mm() - set the process whose addresses maps are about
 * @memory: the memory
 * @mm: the process's memory, or NULL
 *
 * Context: any; the device's lock held.
 */
void fisc_memory_set_mm(struct fisc_memory *memory, struct mm_struct *mm)
{
	if (mm)
		mmgrab(mm);
	if (memory->mm)
		mmdrop(memory->mm);
	memory->mm = mm;
}

/* The first of the slots in a range of device addresses, or NULL. */
static struct vhost_iotlb_map *fisc_memory_slot(struct fisc_memory *memory,
						u64 start, u64 last)
{
	return memory->slots ?
	       vhost_iotlb_itree_first(memory->slots, start, last) : NULL;
}

/**
 * fisc_memory_unmap() - unmap a range of addresses
 * @memory: the memory
 * @iova: the first address
 * @size: size in bytes, not 0
 *
 * KVM's memslots are what they were.
 *
 * Context: any; the device's lock held.
 */
void fisc_memory_unmap(struct fisc_memory *memory, u64 iova, u64 size)
{
	struct vhost_iotlb_map *map;

	while ((map = vhost_iotlb_itree_first(&memory->maps, iova,
					      iova + size - 1)))
		vhost_iotlb_map_free(&memory->maps, map);
}

/* Does a part of a map have another address according to the slots? */
static bool fisc_memory_contradicts(const struct vhost_iotlb_map *map,
				    struct vhost_iotlb *slots)
{
	struct vhost_iotlb_map *slot;

	for (slot = vhost_iotlb_itree_first(slots, map->start, map->last); slot;
	     slot = vhost_iotlb_itree_next(slot, map->start, map->last))
		if (slot->addr - slot->start != map->addr - map->start)
			return true;

	return false;
}

/* Are device addresses guest physical ones, as far as is known? */
static bool fisc_memory_is_physical(const struct fisc_memory *memory,
				    struct vhost_iotlb *slots)
{
	const struct vhost_iotlb_map *map;

	if (!slots)
		return true;
	list_for_each_entry(map, &memory->maps.list, link)
		if (fisc_memory_contradicts(map, slots))
			return false;

	return true;
}

/**
 * fisc_memory_set_slots() - set what KVM's memslots say
 * @memory: the memory
 * @slots: the memslots, by device address; NULL if they are not known. They
 *	belong to @memory from now on.
 *
 * If they contradict the maps, device addresses are not guest physical ones
 * (the guest has an IOMMU), and the memslots do not count.
 *
 * Context: any; the device's lock held.
 */
void fisc_memory_set_slots(struct fisc_memory *memory,
			   struct vhost_iotlb *slots)
{
	memory->look = false;
	memory->looked = jiffies ?: 1;
	if (!fisc_memory_is_physical(memory, slots)) {
		vhost_iotlb_free(slots);
		slots = NULL;
	}
	if (memory->slots)
		vhost_iotlb_free(memory->slots);
	memory->slots = slots;
}

/* Have them read again when an address is not found. */
static void fisc_memory_forget_slots(struct fisc_memory *memory)
{
	fisc_memory_set_slots(memory, NULL);
	memory->looked = 0;
}

/**
 * fisc_memory_map() - map addresses of the VMM to device addresses
 * @memory: the memory
 * @iova: the first device address
 * @size: size in bytes, not 0
 * @perm: VHOST_MAP_RO, VHOST_MAP_WO or VHOST_MAP_RW
 * @uaddr: the first address of the VMM
 *
 * The memslots are forgotten if this contradicts them.
 *
 * Context: may sleep; the device's lock held.
 * Return: 0, -ENOSPC if there are too many maps, -ENOMEM.
 */
int fisc_memory_map(struct fisc_memory *memory, u64 iova, u64 size, u32 perm,
		    u64 uaddr)
{
	int err;

	err = vhost_iotlb_add_range(&memory->maps, iova, iova + size - 1, uaddr,
				    perm);
	if (!err && !fisc_memory_is_physical(memory, memory->slots))
		fisc_memory_forget_slots(memory);

	return err;
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
	fisc_memory_forget_slots(memory);
}

/**
 * fisc_memory_is_empty() - tell whether a device sees no memory at all
 * @memory: the memory
 *
 * Context: any; the device's lock held.
 * Return: true if there are neither maps nor slots.
 */
bool fisc_memory_is_empty(const struct fisc_memory *memory)
{
	return !memory->maps.nmaps &&
	       (!memory->slots || !memory->slots->nmaps);
}

/**
 * fisc_memory_enter() - keep the VMM's mappings as they are
 * @memory: the memory
 *
 * Context: any; the device's lock held. Takes mmap_lock, which
 * fisc_memory_leave() releases, but does not wait for it.
 * Return: 0; -EAGAIN if the mappings are being changed; -EFAULT if there is no
 * VMM, or none any more.
 */
int fisc_memory_enter(struct fisc_memory *memory)
{
	if (memory->loopback)
		return 0;
	if (!memory->mm || !mmget_not_zero(memory->mm))
		return -EFAULT;
	if (mmap_read_trylock(memory->mm))
		return 0;
	mmput_async(memory->mm);

	return -EAGAIN;
}

/**
 * fisc_memory_leave() - undo fisc_memory_enter()
 * @memory: the memory
 *
 * Context: any; the device's lock held.
 */
void fisc_memory_leave(struct fisc_memory *memory)
{
	if (memory->loopback)
		return;
	mmap_read_unlock(memory->mm);
	mmput_async(memory->mm);
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
 * -EHWPOISON, -ENOMEM, -EIO.
 */
static struct page *fisc_memory_page(struct fisc_region *region, pgoff_t index)
{
	struct page *page;
	int err = fisc_region_read(region, index, &page);

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

/* Is content on its way to the page (DOC: Memory that comes in)? */
static bool fisc_memory_comes_in(struct fisc_region *region, pgoff_t index)
{
	return region->adopted &&
	       fisc_incoming_has(fisc_region_find_chunk(region, index), index);
}

/*
 * A fault without waiting waits all the same in some file systems, of which one
 * is user space (FUSE). It does not in anonymous memory, shmem and hugetlbfs,
 * nor in memory that is being released.
 */
static bool fisc_memory_may_fault(struct vm_area_struct *vma)
{
	return !vma->vm_file || vma_is_anonymous(vma) ||
	       is_vm_hugetlb_page(vma) || fisc_released_is(vma->vm_file) ||
	       shmem_mapping(vma->vm_file->f_mapping);
}

/* A page of other memory. Return: with a reference; -EAGAIN, -EFAULT, ... */
static struct page *fisc_memory_other(struct mm_struct *mm,
				      struct vm_area_struct *vma,
				      unsigned long uaddr, u32 perm)
{
	unsigned int flags = FOLL_NOWAIT;
	struct page *page;
	long got;

	if (!fisc_memory_may_fault(vma))
		return ERR_PTR(-EFAULT);
	if (perm != VHOST_MAP_RO)
		flags |= FOLL_WRITE;
	got = get_user_pages_remote(mm, uaddr & PAGE_MASK, 1, flags, &page,
				    NULL);
	if (got == 1)
		return page;

	return ERR_PTR(got ?: -EAGAIN);
}

/*
 * Find the address of the VMM for a device address; @len is limited to what
 * follows it. Return: 0, -EFAULT, -EAGAIN if memslots have to be read first.
 */
static int fisc_memory_translate(struct fisc_memory *memory, u64 iova, u32 perm,
				 unsigned long *uaddr, size_t *len)
{
	struct vhost_iotlb_map *map;

	map = vhost_iotlb_itree_first(&memory->maps, iova, iova) ?:
	      fisc_memory_slot(memory, iova, iova);
	if (!map) {
		if (memory->looked && time_before(jiffies, memory->looked +
						  FISC_MEMORY_LOOKED))
			return -EFAULT;
		memory->look = true;
		return -EAGAIN;
	}
	if ((map->perm & perm) != perm)
		return -EFAULT;
	*uaddr = map->addr + (iova - map->start);
	*len = min3(*len, PAGE_SIZE - offset_in_page(*uaddr),
		    map->last - iova == U64_MAX ? *len :
						  map->last - iova + 1);

	return 0;
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

/* Access memory of the VMM within a page. fisc_memory_enter() was called. */
static int fisc_memory_reach(struct mm_struct *mm, unsigned long uaddr,
			     void *buf, size_t len, u32 perm)
{
	struct vm_area_struct *vma = vma_lookup(mm, uaddr);
	struct fisc_region *region;
	struct page *page;
	pgoff_t index;

	if (!vma)
		return -EFAULT;
	region = fisc_region_of_file(vma->vm_file);
	if (!region) {
		page = fisc_memory_other(mm, vma, uaddr, perm);
		if (IS_ERR(page))
			return PTR_ERR(page);
		get_page(page);
		fisc_memory_move(page, offset_in_page(uaddr), buf, len, perm);
		if (perm != VHOST_MAP_RO)
			set_page_dirty_lock(page);
		put_page(page);
		return 0;
	}

	index = linear_page_index(vma, uaddr);
	if (index >= fisc_region_size_pages(region))
		return -EFAULT;
	if (fisc_memory_comes_in(region, index))
		return -EAGAIN;
	page = perm == VHOST_MAP_RO ? fisc_memory_page(region, index) :
				      fisc_memory_own(region, index);
	if (IS_ERR(page))
		return PTR_ERR(page);
	fisc_memory_move(page, offset_in_page(uaddr), buf, len, perm);

	return 0;
}

/* Access memory up to the end of a page, and say how much that was. */
static int fisc_memory_part(struct fisc_memory *memory, u64 iova, void *buf,
			    size_t *len, u32 perm)
{
	unsigned long uaddr;
	int err;

	if (memory->loopback) {
		struct page *page = fisc_memory_host_page(iova);

		if (!page)
			return -EFAULT;
		*len = min(*len, PAGE_SIZE - offset_in_page(iova));
		fisc_memory_move(page, offset_in_page(iova), buf, *len, perm);
		return 0;
	}

	err = fisc_memory_translate(memory, iova, perm, &uaddr, len) ?:
	      fisc_memory_enter(memory);
	if (err)
		return err;
	err = fisc_memory_reach(memory->mm, uaddr, buf, *len, perm);
	fisc_memory_leave(memory);

	/* The host lacks memory, the guest has done nothing wrong. */
	return err == -ENOMEM ? -EAGAIN : err;
}

static int fisc_memory_access(struct fisc_memory *memory, u64 iova, void *buf,
			      size_t len, u32 perm)
{
	while (len) {
		size_t part = len;
		int err;

		err = fisc_memory_part(memory, iova, buf, &part, perm);
		if (err)
			return err;
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
 * Return: 0; -EAGAIN if it cannot be read now; -EFAULT if not all of it may be
 * read; -EHWPOISON, -EIO.
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
 * Return: 0; -EAGAIN if it cannot be written now; -EFAULT if not all of it may
 * be written; -EHWPOISON, -EIO.
 */
int fisc_memory_write(struct fisc_memory *memory, u64 iova, const void *buf,
		      size_t len)
{
	return fisc_memory_access(memory, iova, (void *)buf, len, VHOST_MAP_WO);
}

/*
 * Find the first of the maps and slots in a range of page numbers, and where in
 * that range its whole pages begin and end.
 */
static struct vhost_iotlb_map *fisc_memory_first(struct fisc_memory *memory,
						 u64 pfn, u64 nr, u64 *first,
						 u64 *end)
{
	u64 start = pfn << PAGE_SHIFT, last = ((pfn + nr) << PAGE_SHIFT) - 1;
	struct vhost_iotlb_map *map, *slot;

	*end = pfn + nr;
	map = vhost_iotlb_itree_first(&memory->maps, start, last);
	slot = fisc_memory_slot(memory, start, last);
	/* What is in both is left to the map. */
	if (map && slot && map->start > start && map->start > slot->start)
		*end = min(*end, map->start >> PAGE_SHIFT);
	else if (map)
		slot = NULL;
	if (slot)
		map = slot;
	if (!map)
		return NULL;
	*first = max(pfn, fisc_memory_first_pfn(map->start));
	*end = min(*end, fisc_memory_end_pfn(map->last));

	return map;
}

/**
 * fisc_memory_find() - find the pages of a file that page numbers stand for
 * @memory: the memory
 * @pfn: the first page number, in units of PAGE_SIZE
 * @nr: number of page numbers, not 0
 * @range: the pages found, possibly none
 *
 * Finds pages of one map and one mapping only, and at most FISC_CHUNK_PAGES of
 * them. Only whole pages of the file count that may be both read and written.
 *
 * Context: any; the device's lock held, fisc_memory_enter() was called.
 * Return: the number of page numbers dealt with, at least 1. The last of these
 * are those of @range; the ones before match nothing. 0 if content of the first
 * of them is still coming in.
 */
u64 fisc_memory_find(struct fisc_memory *memory, u64 pfn, u64 nr,
		     struct fisc_memory_range *range)
{
	struct vhost_iotlb_map *map;
	struct vm_area_struct *vma;
	u64 first, end, pos, size;

	range->nr = 0;
	if (memory->loopback || nr > FISC_MEMORY_MAX_PFN ||
	    pfn > FISC_MEMORY_MAX_PFN - nr)
		return nr;
	map = fisc_memory_first(memory, pfn, nr, &first, &end);
	if (!map)
		return nr;
	if (first >= end)
		return clamp((map->last >> PAGE_SHIFT) + 1 - pfn, 1, nr);

	pos = map->addr + ((first << PAGE_SHIFT) - map->start);
	if (map->perm != VHOST_MAP_RW || offset_in_page(pos))
		return end - pfn;
	vma = find_vma(memory->mm, pos);
	if (!vma)
		return end - pfn;
	if (vma->vm_start > pos)
		return min(end, first + ((vma->vm_start - pos) >> PAGE_SHIFT)) -
		       pfn;
	end = min(end, first + ((vma->vm_end - pos) >> PAGE_SHIFT));
	range->region = fisc_region_of_file(vma->vm_file);
	if (!range->region)
		return end - pfn;
	range->first = linear_page_index(vma, pos);
	size = fisc_region_size_pages(range->region);
	if (range->first >= size)
		return end - pfn;
	if (fisc_memory_comes_in(range->region, range->first))
		return first - pfn;
	/* Up to the end of the chunk, as others may be coming in. */
	range->nr = min3(end - first, size - range->first, FISC_CHUNK_PAGES -
			 (range->first & (FISC_CHUNK_PAGES - 1)));

	return first + range->nr - pfn;
}

/* The first VM, or @vm, whose files are mapped in a range of addresses. */
static struct fisc_vm *fisc_memory_range_vm(struct mm_struct *mm,
					    unsigned long start,
					    unsigned long size,
					    const struct fisc_vm *vm)
{
	struct fisc_vm *found = NULL;
	struct vm_area_struct *vma;

	VMA_ITERATOR(vmi, mm, start);

	for_each_vma_range(vmi, vma, start + size) {
		struct fisc_region *region = fisc_region_of_file(vma->vm_file);

		if (region && region->vm == vm)
			return region->vm;
		if (region && !found)
			found = region->vm;
	}

	return found;
}

/**
 * fisc_memory_vm() - find the VM whose files are the device's memory
 * @memory: the memory
 * @vm: a VM that is preferred to others, or NULL
 *
 * Context: any; the device's lock and mmap_lock held.
 * Return: @vm if it has files there, else another VM that has; or NULL. It is
 * valid as long as mmap_lock is held.
 */
struct fisc_vm *fisc_memory_vm(struct fisc_memory *memory,
			       const struct fisc_vm *vm)
{
	struct vhost_iotlb *tables[] = { &memory->maps, memory->slots };
	struct fisc_vm *found = NULL, *here;
	struct vhost_iotlb_map *map;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		if (!tables[i] || !memory->mm)
			continue;
		list_for_each_entry(map, &tables[i]->list, link) {
			here = fisc_memory_range_vm(memory->mm, map->addr,
						    map->size, vm);
			if (here && here == vm)
				return here;
			found = found ?: here;
			cond_resched();
		}
	}

	return found;
}

#ifdef FISC_KUNIT
#include "tests/memory-kunit.h"
#endif
