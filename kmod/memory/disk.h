/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_DISK_H
#define _FISC_MEMORY_DISK_H

#include <linux/blk_types.h>
#include <linux/types.h>

struct block_device;

/**
 * DOC: The paging device
 *
 * Pages that go out may go to a block device of the module's own, the *paging
 * device*, as those of ESX go to swap files of its own. Requests take them
 * straight from their frames and bring them straight into new ones: no page
 * cache, no copy, and none of the work that the kernel's swap does for pages
 * that several processes may have in several ways. There is no device until the
 * administrator names one; pages go to the kernel's swap then, and also as long
 * as the device is full (DOC: Host paging).
 *
 * *What is taken.* A block device that nobody else has open exclusively (a
 * mounted file system, swap, RAID), and that has been prepared with mkswap, as
 * the kernel's swap must have been: what is not meant for paging does not have
 * that signature. The device's first page holds the signature and is never
 * written. Devices that need a page not to change while they write it are
 * refused: guests write whenever they like. A file can be used through a loop
 * device. What the guests' memory contains lies on the device as it is, also
 * when it is not needed any more; dm-crypt with a random key, on which mkswap
 * is run at each boot, keeps it secret.
 *
 * *Slots.* The device is divided into slots of a page. The number of a page's
 * slot is in its map entry (DOC: Map entries), so both destinations exist side
 * by side, page by page. A bitmap says which slots are in use. Only pagers
 * allocate (DOC: Pagers). They go through the device from front to back, over
 * and over, and take slots that follow each other for the pages of a chunk that
 * go together: one request writes them, and one request can read them.
 *
 * A slot belongs to the entry that names it, and is given back when the entry
 * is replaced. Reads hold it, too: a slot that is being read gets no new
 * content. So when a page has been read, and its entry still names the slot,
 * what was read is what the page contains.
 *
 * *Writing* (memory/write.h) is part of paging out: what is written are pages
 * that are unmapped and clean. A guest may write to one while the request is on
 * its way. It is no longer clean then, stays in memory, and its slot is given
 * back. So do pages whose request fails.
 *
 * *Reading* (memory/read.h) fetches neighbours along with the page that is
 * wanted.
 *
 * *Giving it back.* All pages come back into memory, as swapoff does it, while
 * VMs run; nothing new goes there meanwhile. If there is too little memory, if
 * whoever asked for it is interrupted, or if a page cannot be read, the device
 * stays in use. A module that is removed gives it back, as it has no VMs.
 *
 * Locks: a spinlock, innermost of all, that also requests take which end in an
 * interrupt.
 */

/**
 * struct fisc_disk_stats - what there is of the paging device
 * @slots: pages it has room for; 0 without a device
 * @used: slots in use
 */
struct fisc_disk_stats {
	u32 slots;
	u32 used;
};

int fisc_disk_open(const char *path);
void fisc_disk_close(void);
void fisc_disk_leave(bool leave);
void fisc_disk_get_stats(struct fisc_disk_stats *stats);
ssize_t fisc_disk_show(char *buf);
struct block_device *fisc_disk_bdev(void);
u32 fisc_disk_alloc(u32 want, u32 *nr);
void fisc_disk_drop(u32 slot);
bool fisc_disk_hold(u32 slot, bool wanted);
void fisc_disk_unhold(u32 first, u32 nr);
void fisc_disk_exit(void);

/**
 * fisc_disk_sector() - return where a slot is
 * @slot: the slot
 *
 * Context: any.
 * Return: its first sector.
 */
static inline sector_t fisc_disk_sector(u32 slot)
{
	return (sector_t)slot << (PAGE_SHIFT - SECTOR_SHIFT);
}

#endif /* _FISC_MEMORY_DISK_H */
