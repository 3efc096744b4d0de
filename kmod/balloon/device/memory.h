/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_DEVICE_MEMORY_H
#define _FISC_BALLOON_DEVICE_MEMORY_H

#include <linux/mm.h>
#include <linux/types.h>
#include <linux/vhost_iotlb.h>

struct fisc_region;
struct fisc_vm;

/**
 * DOC: Guest memory, as a device sees it
 *
 * A device has addresses of its own (IOVA; guest physical addresses, unless the
 * guest has an IOMMU). Behind them is memory of the VMM, at addresses that
 * vhost tells (*maps*). vhost tells of shared mappings of files only, so what
 * lies in none of its maps is looked for in KVM's memslots (*slots*), if these
 * do not contradict the maps: there, too, a device address is a guest physical
 * one. The slots are read when an address is in no map, and when memory of the
 * VMM has changed hands.
 *
 * What is at an address of the VMM is found out with each access, with
 * mmap_lock held: memory may be adopted and released while a driver runs. If it
 * is a file of ours, the device goes by the frame map, as a page fault would
 * make a VM wait that is above its target, and the device is how it gives
 * memory up. Other memory, be it anonymous, in shmem or on hugetlbfs, serves
 * for rings and buffers as well, but nothing of it can be ballooned. Nothing
 * stays pinned.
 *
 * With virtio_vdpa the driver is on the same kernel, and addresses are the
 * host's (*loop-back*). That depends only on the driver bound to the device,
 * which is part of the kernel, and not on anything that user space says.
 *
 * Everything here is checked: an address may lie anywhere, a range may cross
 * maps, mappings and ends of files, and files may change their size at any
 * time. Nothing here waits for user space or a disk: what is not there now
 * (-EAGAIN) is tried again later.
 *
 * Locks: the caller holds the device's lock. vhost maps memory with mmap_lock
 * held and takes the device's lock then; so mmap_lock, which is taken here, is
 * only tried for.
 */

/* Page numbers of 64-bit addresses are below this. */
#define FISC_MEMORY_MAX_PFN	(1ULL << (64 - PAGE_SHIFT))

/* Most address ranges of a device; vhost's own limit is half of that. */
#define FISC_MEMORY_MAX_MAPS	4096

/* How long what KVM's memslots say is true, where nothing is found. */
#define FISC_MEMORY_LOOKED	HZ

/**
 * struct fisc_memory - guest memory that a device sees
 * @maps: addresses of the VMM, by device address, as vhost tells them
 * @slots: the same, as KVM's memslots tell them; NULL if they are not known
 *	or of no use
 * @mm: memory of the VMM, held by mm_count only; NULL if there is no VMM
 * @looked: when @slots were read, in jiffies; 0 if that was too long ago
 * @look: an address is in neither @maps nor @slots, so these should be read
 *	again
 * @loopback: addresses are the host's
 */
struct fisc_memory {
	struct vhost_iotlb maps;
	struct vhost_iotlb *slots;
	struct mm_struct *mm;
	unsigned long looked;
	bool look;
	bool loopback;
};

/**
 * struct fisc_memory_range - part of a file
 * @region: the file; valid until fisc_memory_leave()
 * @first: index of the first page
 * @nr: number of pages, at most FISC_CHUNK_PAGES
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
void fisc_memory_set_mm(struct fisc_memory *memory, struct mm_struct *mm);
int fisc_memory_map(struct fisc_memory *memory, u64 iova, u64 size, u32 perm,
		    u64 uaddr);
void fisc_memory_unmap(struct fisc_memory *memory, u64 iova, u64 size);
void fisc_memory_set_slots(struct fisc_memory *memory,
			   struct vhost_iotlb *slots);
bool fisc_memory_is_empty(const struct fisc_memory *memory);
int fisc_memory_read(struct fisc_memory *memory, u64 iova, void *buf,
		     size_t len);
int fisc_memory_write(struct fisc_memory *memory, u64 iova, const void *buf,
		      size_t len);
int fisc_memory_enter(struct fisc_memory *memory);
void fisc_memory_leave(struct fisc_memory *memory);
u64 fisc_memory_find(struct fisc_memory *memory, u64 pfn, u64 nr,
		     struct fisc_memory_range *range);
struct fisc_vm *fisc_memory_vm(struct fisc_memory *memory,
			       const struct fisc_vm *vm);

#endif /* _FISC_BALLOON_DEVICE_MEMORY_H */
