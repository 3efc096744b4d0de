// SPDX-License-Identifier: GPL-2.0
/*
 * The paging device: opening and closing it, and its slots. See DOC: The paging
 * device in disk.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/bitmap.h>
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/sysfs.h>

#include "base/state.h"
#include "base/stats.h"
#include "memory/disk.h"

/* Slots that are looked at with the lock held. */
#define FISC_DISK_LOOK	32768

/* In fisc_disk.readers: no entry names the slot any more. */
#define FISC_SLOT_DROPPED	0x80
#define FISC_SLOT_READERS	0x7f

#define FISC_SWAP_MAGIC		"SWAPSPACE2"

/**
 * struct fisc_slots - the slots of a device
 * @used: those in use, and slot 0, which holds the signature
 * @readers: for each slot, how many requests read it, and FISC_SLOT_DROPPED
 * @nr: their number, slot 0 included
 * @bytes: the memory that this takes
 */
struct fisc_slots {
	unsigned long *used;
	u8 *readers;
	u32 nr;
	u64 bytes;
};

/**
 * struct fisc_disk - the paging device
 * @lock: protects the other fields; taken in interrupts, too
 * @file: the device, or NULL. It does not change while a slot is in use
 * @path: the name under which it was opened
 * @slots: its slots
 * @nr_used: number of slots in use
 * @next: where to look for free slots
 * @leaving: no slots are allocated
 */
static struct fisc_disk {
	spinlock_t lock;	/* protects the other fields */
	struct file *file;
	char *path;
	struct fisc_slots slots;
	u32 nr_used;
	u32 next;
	bool leaving;
} fisc_disk = {
	.lock = __SPIN_LOCK_UNLOCKED(fisc_disk.lock),
};

/* --- opening and closing -------------------------------------------------- */

/* Return: the number of pages that mkswap has prepared, or -errno. */
static long fisc_disk_prepared(struct file *file, const char *path)
{
	struct page *page = read_mapping_page(file->f_mapping, 0, file);
	const union swap_header *header;
	long nr = -EINVAL;

	if (IS_ERR(page))
		return PTR_ERR(page);
	header = kmap_local_page(page);
	if (!memcmp(header->magic.magic, FISC_SWAP_MAGIC,
		    strlen(FISC_SWAP_MAGIC)) &&
	    header->info.version == 1 && !header->info.nr_badpages)
		nr = (long)header->info.last_page + 1;
	kunmap_local(header);
	put_page(page);
	if (nr < 0)
		pr_warn_ratelimited("%s has no swap signature (with all of its pages good): run mkswap on it if what it contains is not needed\n",
				    path);

	return nr;
}

/* Return: the number of slots of a device that can be used, or -errno. */
static long fisc_disk_check(struct file *file, const char *path)
{
	struct block_device *bdev = file_bdev(file);
	long nr = bdev_nr_bytes(bdev) >> PAGE_SHIFT;
	long prepared;
	int err;

	if (bdev_is_zoned(bdev) || bdev_logical_block_size(bdev) > PAGE_SIZE) {
		pr_warn_ratelimited("%s cannot be the paging device: it cannot write single pages anywhere\n",
				    path);
		return -EINVAL;
	}
	if (bdev_stable_writes(bdev)) {
		pr_warn_ratelimited("%s cannot be the paging device: pages must not change while it writes them; use it as swap of the kernel\n",
				    path);
		return -EOPNOTSUPP;
	}
	prepared = nr ? fisc_disk_prepared(file, path) : 0;
	if (prepared < 0)
		return prepared;
	/* What others have written must not be written later, over pages. */
	err = sync_blockdev(bdev);
	if (err)
		return err;
	invalidate_bdev(bdev);
	nr = min3(nr, prepared, (long)INT_MAX);
	if (nr < 2) {
		pr_warn_ratelimited("%s cannot be the paging device: it is too small\n",
				    path);
		return -EINVAL;
	}

	return nr;
}

static void fisc_slots_free(struct fisc_slots *slots)
{
	kvfree(slots->used);
	kvfree(slots->readers);
}

static int fisc_slots_alloc(struct fisc_slots *slots, u32 nr)
{
	slots->nr = nr;
	slots->bytes = BITS_TO_LONGS(nr) * sizeof(long) + nr;
	slots->used = kvcalloc(BITS_TO_LONGS(nr), sizeof(long), GFP_KERNEL);
	slots->readers = kvzalloc(nr, GFP_KERNEL);
	if (!slots->used || !slots->readers) {
		fisc_slots_free(slots);
		return -ENOMEM;
	}
	__set_bit(0, slots->used);

	return 0;
}

/* Have pages go to a device that has been checked. Takes over @path. */
static int fisc_disk_begin(struct file *file, char *path)
{
	struct fisc_disk *disk = &fisc_disk;
	struct fisc_slots slots;
	long nr = fisc_disk_check(file, path);
	int err;

	if (nr < 0)
		return nr;
	err = fisc_slots_alloc(&slots, nr);
	if (err)
		return err;

	spin_lock_irq(&disk->lock);
	if (!disk->file) {
		disk->file = file;
		disk->path = path;
		disk->slots = slots;
		disk->next = 1;
		disk->leaving = false;
		fisc_swap_room_add(nr - 1);
	} else {
		err = -EBUSY;
	}
	spin_unlock_irq(&disk->lock);
	if (err) {
		pr_warn_ratelimited("%s cannot be the paging device: there is one already; write none first\n",
				    path);
		fisc_slots_free(&slots);
		return err;
	}
	fisc_count_total(FISC_META_BYTES, slots.bytes);

	return 0;
}

/**
 * fisc_disk_open() - begin to use a paging device
 * @path: its name, in the caller's name space
 *
 * Context: may sleep.
 * Return: 0; -EBUSY if somebody else uses it, or there is a paging device
 * already; -ENOTBLK if it is not a block device; -EACCES if it is read-only;
 * -EOPNOTSUPP if its pages must not change while they are written; -EINVAL if
 * it is too small, or not prepared; -ENOMEM; what opening it returns.
 */
int fisc_disk_open(const char *path)
{
	char *copy = kstrdup(path, GFP_KERNEL);
	struct file *file;
	int err;

	if (!copy)
		return -ENOMEM;
	file = bdev_file_open_by_path(path, BLK_OPEN_READ | BLK_OPEN_WRITE,
				      &fisc_disk, NULL);
	err = PTR_ERR_OR_ZERO(file);
	if (err) {
		pr_warn_ratelimited("%s cannot be the paging device (%pe): it must be a block device that nobody else uses\n",
				    path, file);
		goto out;
	}
	err = fisc_disk_begin(file, copy);
	if (err)
		bdev_fput(file);
out:
	if (err)
		kfree(copy);

	return err;
}

/**
 * fisc_disk_close() - close the paging device, if there is one
 *
 * Context: may sleep; no slot is in use, and none is allocated, because the
 * device is leaving or because nobody pages out any more.
 */
void fisc_disk_close(void)
{
	struct fisc_disk *disk = &fisc_disk;
	struct fisc_slots slots;
	struct file *file;
	char *path;

	fisc_disk_leave(true);
	spin_lock_irq(&disk->lock);
	file = disk->file;
	path = disk->path;
	slots = disk->slots;
	disk->file = NULL;
	disk->path = NULL;
	disk->slots = (struct fisc_slots){};
	spin_unlock_irq(&disk->lock);
	if (!file)
		return;

	fisc_count_total(FISC_META_BYTES, -(long)slots.bytes);
	fisc_slots_free(&slots);
	kfree(path);
	bdev_fput(file);
}

/* Number of free slots. Lock held. */
static u32 fisc_disk_free(const struct fisc_disk *disk)
{
	return disk->file ? disk->slots.nr - 1 - disk->nr_used : 0;
}

/**
 * fisc_disk_leave() - have nothing more go to the device, or go on
 * @leave: which
 *
 * Context: any.
 */
void fisc_disk_leave(bool leave)
{
	struct fisc_disk *disk = &fisc_disk;
	unsigned long flags;
	long room;

	spin_lock_irqsave(&disk->lock, flags);
	if (leave != disk->leaving) {
		room = fisc_disk_free(disk);
		disk->leaving = leave;
		fisc_swap_room_add(leave ? -room : room);
	}
	spin_unlock_irqrestore(&disk->lock, flags);
}

/**
 * fisc_disk_get_stats() - return how full the device is
 * @stats: the result
 *
 * Context: any.
 */
void fisc_disk_get_stats(struct fisc_disk_stats *stats)
{
	struct fisc_disk *disk = &fisc_disk;
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	stats->slots = disk->file ? disk->slots.nr - 1 : 0;
	stats->used = disk->nr_used;
	spin_unlock_irqrestore(&disk->lock, flags);
}

/**
 * fisc_disk_show() - print the device's name
 * @buf: where to, for sysfs
 *
 * Context: any.
 * Return: the number of bytes printed.
 */
ssize_t fisc_disk_show(char *buf)
{
	struct fisc_disk *disk = &fisc_disk;
	unsigned long flags;
	ssize_t len;

	spin_lock_irqsave(&disk->lock, flags);
	len = sysfs_emit(buf, "%s\n", disk->path ?: "none");
	spin_unlock_irqrestore(&disk->lock, flags);

	return len;
}

/**
 * fisc_disk_bdev() - return the device, for a request
 *
 * Context: any; the caller has a slot, which keeps it.
 * Return: the device.
 */
struct block_device *fisc_disk_bdev(void)
{
	return file_bdev(READ_ONCE(fisc_disk.file));
}

/* --- slots ---------------------------------------------------------------- */

/*
 * Take up to @want slots in a row among those that are next, and go on. Lock
 * held. Return: the first one, 0 if none of them is free.
 */
static u32 fisc_disk_look(struct fisc_disk *disk, u32 want, u32 *nr)
{
	unsigned long *used = disk->slots.used;
	u32 start = disk->next;
	u32 end = min(disk->slots.nr, start + FISC_DISK_LOOK);
	unsigned long first;

	first = bitmap_find_next_zero_area(used, end, start, want, 0);
	*nr = want;
	if (first >= end || end - first < want) {
		first = find_next_zero_bit(used, end, start);
		*nr = 0;
		if (first < end)
			*nr = min_t(u32, want,
				    find_next_bit(used, end, first) - first);
	}
	disk->next = *nr ? first + *nr : end;
	if (disk->next == disk->slots.nr)
		disk->next = 1;
	if (!*nr)
		return 0;
	bitmap_set(used, first, *nr);
	disk->nr_used += *nr;
	fisc_swap_room_add(-(long)*nr);

	return first;
}

/**
 * fisc_disk_alloc() - allocate slots that follow each other
 * @want: how many, at least 1
 * @nr: how many there are
 *
 * Context: may sleep; from pagers only.
 * Return: the first slot; 0 if none is free, or without a device.
 */
u32 fisc_disk_alloc(u32 want, u32 *nr)
{
	struct fisc_disk *disk = &fisc_disk;
	u32 first = 0, tries = 0;
	bool more = true;

	*nr = 0;
	while (!first && more) {
		spin_lock_irq(&disk->lock);
		more = !disk->leaving && fisc_disk_free(disk) &&
		       tries++ <= disk->slots.nr / FISC_DISK_LOOK + 1;
		if (more)
			first = fisc_disk_look(disk, want, nr);
		spin_unlock_irq(&disk->lock);
		cond_resched();
	}

	return first;
}

/* Lock held. */
static void fisc_disk_free_slot(struct fisc_disk *disk, u32 slot)
{
	disk->slots.readers[slot] = 0;
	__clear_bit(slot, disk->slots.used);
	disk->nr_used--;
	if (!disk->leaving)
		fisc_swap_room_add(1);
}

/**
 * fisc_disk_drop() - give a slot back
 * @slot: the slot, which no entry names any more; it may still be held
 *
 * Context: any.
 */
void fisc_disk_drop(u32 slot)
{
	struct fisc_disk *disk = &fisc_disk;
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	if (disk->slots.readers[slot])
		disk->slots.readers[slot] |= FISC_SLOT_DROPPED;
	else
		fisc_disk_free_slot(disk, slot);
	spin_unlock_irqrestore(&disk->lock, flags);
}

/**
 * fisc_disk_hold() - keep a slot's content while it is read
 * @slot: the slot, which an entry names
 * @wanted: hold it even if somebody else does
 *
 * Context: any; the lock of the entry's chunk held, at least for reading.
 * Return: true; false if others hold it: too many of them if @wanted.
 */
bool fisc_disk_hold(u32 slot, bool wanted)
{
	struct fisc_disk *disk = &fisc_disk;
	unsigned long flags;
	bool held;

	spin_lock_irqsave(&disk->lock, flags);
	held = !disk->slots.readers[slot] ||
	       (wanted && disk->slots.readers[slot] < FISC_SLOT_READERS);
	if (held)
		disk->slots.readers[slot]++;
	spin_unlock_irqrestore(&disk->lock, flags);

	return held;
}

/**
 * fisc_disk_unhold() - undo fisc_disk_hold() for a row of slots
 * @first: the first slot
 * @nr: their number
 *
 * Without another slot, the caller must not use the device any more.
 *
 * Context: any, interrupts included.
 */
void fisc_disk_unhold(u32 first, u32 nr)
{
	struct fisc_disk *disk = &fisc_disk;
	unsigned long flags;
	u32 slot;

	spin_lock_irqsave(&disk->lock, flags);
	for (slot = first; slot < first + nr; slot++)
		if (--disk->slots.readers[slot] == FISC_SLOT_DROPPED)
			fisc_disk_free_slot(disk, slot);
	spin_unlock_irqrestore(&disk->lock, flags);
}

/**
 * fisc_disk_exit() - give the device back; there are no VMs any more
 *
 * Waits for reads whose readers have been killed.
 *
 * Context: may sleep.
 */
void fisc_disk_exit(void)
{
	struct fisc_disk_stats stats;

	for (;;) {
		fisc_disk_get_stats(&stats);
		if (!stats.used)
			break;
		msleep(20);
	}
	fisc_disk_close();
	/* An interrupt that ended a request may still be in this module. */
	synchronize_rcu();
}
