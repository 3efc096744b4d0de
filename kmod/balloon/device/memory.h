/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_MEMORY_H
#define _FISC_BALLOON_DEVICE_MEMORY_H

#include <linux/mm.h>
#include <linux/types.h>
#include <linux/vhost_iotlb.h>

struct file;
struct fisc_region;
struct fisc_vm;

/**
 * DOC: Guest memory, as a device sees it
 *
 * A device is told which parts of which files are behind its addresses (IOVA;
 * guest physical addresses). Memory that is not a file of the VM is left out,
 * and so is memory that is not mapped shared: the device cannot see it. Nothing
 * is pinned, and no address of a process is used: the device accesses whatever
 * the frame map says at that moment.
 *
 * With virtio_vdpa the driver is on the same kernel, and addresses are the
 * host's (*loop-back*). That depends only on the driver bound to the device,
 * which is part of the kernel, and not on anything that user space says.
 *
 * Everything here is checked: an address may lie anywhere, a range may cross
 * maps and ends of files, and files may change their size at any time.
 *
 * Locks: the caller holds the device's lock, which nests inside mmap_lock
 * (vhost maps memory with it held), so nothing here may fault or take an
 * inode's lock.
 */

/* Page numbers of 64-bit addresses are below this. */
#define FISC_MEMORY_MAX_PFN	(1ULL << (64 - PAGE_SHIFT))

/* Most address ranges of a device; vhost's own limit is half of that. */
#define FISC_MEMORY_MAX_MAPS	4096

/**
 * struct fisc_memory - guest memory that a device sees
 * @maps: files, by address
 * @loopback: addresses are the host's
 */
struct fisc_memory {
	struct vhost_iotlb maps;
	bool loopback;
};

/**
 * struct fisc_memory_range - part of a file
 * @region: the file; valid while the device's lock is held
 * @first: index of the first page
 * @nr: number of pages
 */
struct fisc_memory_range {
	struct fisc_region *region;
	pgoff_t first;
	pgoff_t nr;
};

/**
 * fisc_memory_first_pfn() - return the first whole page from an address on
 * @start: the address
 *
 * Context: any.
 * Return: the page number.
 */
static inline u64 fisc_memory_first_pfn(u64 start)
{
	return (start >> PAGE_SHIFT) + !!offset_in_page(start);
}

/**
 * fisc_memory_end_pfn() - return the end of the whole pages up to an address
 * @last: the last address, included
 *
 * Context: any.
 * Return: the page number after the last whole page.
 */
static inline u64 fisc_memory_end_pfn(u64 last)
{
	return (last >> PAGE_SHIFT) + !offset_in_page(last + 1);
}

void fisc_memory_init(struct fisc_memory *memory);
void fisc_memory_exit(struct fisc_memory *memory);
int fisc_memory_map(struct fisc_memory *memory, u64 iova, u64 size, u32 perm,
		    struct file *file, u64 offset);
void fisc_memory_unmap(struct fisc_memory *memory, u64 iova, u64 size);
int fisc_memory_read(struct fisc_memory *memory, u64 iova, void *buf,
		     size_t len);
int fisc_memory_write(struct fisc_memory *memory, u64 iova, const void *buf,
		      size_t len);
u64 fisc_memory_find(struct fisc_memory *memory, u64 pfn, u64 nr,
		     struct fisc_memory_range *range);

#endif /* _FISC_BALLOON_DEVICE_MEMORY_H */
