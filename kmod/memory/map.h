/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_MAP_H
#define _FISC_MEMORY_MAP_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/xarray.h>

#include "base/stats.h"
#include "memory/entry.h"
#include "memory/frame.h"

struct fisc_chunk_balloon;
struct fisc_chunk_hints;
struct fisc_incoming;
struct fisc_source;
struct fisc_vm;

/**
 * DOC: The frame map
 *
 * A region is one file of guest memory. Its frame map says, for each page of
 * the file, which frame holds it: ESX's pmap. Two levels, like a page table:
 * an xarray of chunks, one for each 2 MiB of the file, and in each chunk that
 * holds anything either a leaf of 512 entries (see DOC: Map entries) or, if one
 * large frame holds all of it, a single entry. A lookup costs two steps however
 * large the file is. A chunk lives as long as its region, so a pointer to it
 * needs no protection while the region is held; a leaf comes with the first
 * entry and goes when the whole chunk is emptied or gets a large frame.
 *
 * An entry is in one of five states: *hole* (nothing was ever written),
 * *private* (a frame of its own), *shared* (a frame of the sharing table),
 * *zero* (a zero frame), *swapped* (paged out, no frame: DOC: Host paging). Pages
 * of shared and zero entries, and clean ones, are mapped read-only everywhere;
 * that is why .page_mkwrite exists.
 *
 * The invariant that everything rests on: **a page table maps, for a page of
 * the file, the frame that its entry names, or nothing.** The chunk's lock and
 * the folio lock keep it:
 *
 * - A fault looks the entry up under the chunk's lock held for reading, and
 *   takes a reference on the frame and the folio lock before it gives the
 *   chunk's lock back. The kernel maps the frame and unlocks it.
 * - Filling a hole needs the lock for reading and a cmpxchg, as there is
 *   nothing mapped yet. So does clearing or setting flags of an entry.
 * - Whoever replaces or removes an entry holds the lock for writing, waits for
 *   the folio lock of the frame (a fault that is about to map it), and
 *   unmaps the page before giving the lock up. Unmapping runs the MMU
 *   notifiers, so that KVM's mappings go with the VMM's.
 * - To find out whether nobody can write to a private page, it is unmapped
 *   under the lock held for writing. A fault under way holds a reference on the
 *   frame, and so does a pin. With neither, the page is *clean*: every later
 *   write comes to fisc_region_own() first. What a clean page was seen to
 *   contain, it contains as long as it is clean, so pages are hashed and
 *   compared with no lock held, and only the last step, replacing the entry
 *   if it is clean still, needs the lock.
 *
 * The lock of a chunk is what guests wait for. It is held for writing for no
 * longer than it takes to unmap one chunk, to look at its 512 entries or, when
 * a large frame is made of small ones, to copy 2 MiB; debugfs has a histogram
 * (fisc_wait_account()).
 *
 * Mappings are not VM_MIXEDMAP, as vm_insert_page() would want: the kernel does
 * not keep count of large pages in such mappings (vma_is_special_huge()).
 *
 * Lock order, outermost first::
 *
 *	inode lock (truncate, punch hole, write)
 *	  mmap_lock or the VMA's lock
 *	    fisc_chunk.lock
 *	      folio lock
 *	        i_mmap_rwsem, MMU notifier, page table lock (in the kernel)
 *	      sharing table and hint bucket locks
 *	        fisc_region.chunks' lock (marks)
 *	      fisc_vm.lock
 *
 * Frames are allocated before a chunk's lock is taken. Page tables may be
 * allocated under it; nothing that reclaim calls takes it.
 */

#define FISC_CHUNK_SHIFT	FISC_LARGE_ORDER
#define FISC_CHUNK_PAGES	FISC_LARGE_PAGES

/* Marks of chunks in fisc_region.chunks. */
#define FISC_MARK_DUE		XA_MARK_0	/* has pages to be read */
#define FISC_MARK_LATER		XA_MARK_1	/* has pages to be read later */
#define FISC_MARK_WATCHED	XA_MARK_2	/* is mapped page by page */

/* Bits of fisc_chunk.flags: the marks, to be looked at without the xarray. */
#define FISC_CHUNK_DUE		0
#define FISC_CHUNK_LATER	1
#define FISC_CHUNK_WATCHED	2
#define FISC_CHUNK_SAMPLED	3	/* may have pages of a sample */
#define FISC_CHUNK_SETTLING	4	/* somebody copies what comes in */

/**
 * struct fisc_chunk - the frame map of 2 MiB of guest memory
 * @lock: see DOC: The frame map
 * @leaf: FISC_CHUNK_PAGES entries, NULL if all are holes or @large is set; set
 *	under @lock held for reading, by cmpxchg, cleared under @lock held for
 *	writing, freed after a grace period of RCU
 * @large: entry of a large frame, or 0
 * @region: the region it is part of
 * @hints: what the scanner knows of the content (share/hint.c); set and read by
 *	the scanner
 * @balloon: which of its pages are in the balloon, NULL if none ever was
 *	(balloon/pages.c)
 * @incoming: memory of a process that is going to be this chunk's
 *	(adopt/incoming.c), or NULL
 * @flags: FISC_CHUNK_DUE and so on; changed under @lock
 * @filled: entries of the leaf that have content: private, shared and swapped
 * @duplicates: pages of @large that are known to be zero or to have an equal
 *	somewhere else
 * @nr: its index in fisc_region.chunks
 * @next_due: epoch in which the first page that is to be read later is due
 * @nid: node whose thread scans it: where it was first touched
 * @armed: when it was unmapped to see which pages are used (reclaim/swap.c), in
 *	jiffies; 0 if it was not, or pages were paged out since
 * @broken: when its large frame was broken, in epochs
 * @breaks: how often that happened
 */
struct fisc_chunk {
	struct rw_semaphore lock;
	unsigned long *leaf;
	unsigned long large;
	struct fisc_region *region;
	struct fisc_chunk_hints *hints;
	struct fisc_chunk_balloon *balloon;
	struct fisc_incoming *incoming;
	unsigned long flags;
	atomic_t filled;
	atomic_t duplicates;
	u32 nr;
	u32 armed;
	u16 next_due;
	u16 nid;
	u16 broken;
	u8 breaks;
};

/**
 * struct fisc_region - one file of guest memory
 * @inode: the file; valid as long as the region is held
 * @vm: the VM it belongs to, held by reference
 * @vm_node: in fisc_vm.regions
 * @users: 1 for the inode and 1 for each fisc_region_get_live()
 * @released: done when @users reaches 0
 * @chunks: struct fisc_chunk by page index >> FISC_CHUNK_SHIFT
 * @next_due: the earliest of its chunks' that wait for their time
 * @adopted: it has a process's memory (DOC: Adoption), which alone may map it
 * @source: what this was the memory of, if that was shared (adopt/shared.h);
 *	protected by the inode's lock
 * @admitted: size that has been admitted, in pages (tax/quota.c)
 * @settled: size that it had when targets were last asked for because of it, in pages
 * @backing: where pages are that were paged out (reclaim/backing.c), or NULL; it is
 *	there if there is a swapped entry
 * @counters: what this region holds and has seen
 */
struct fisc_region {
	struct inode *inode;
	struct fisc_vm *vm;
	struct list_head vm_node;
	refcount_t users;
	struct completion released;
	struct xarray chunks;
	u16 next_due;
	bool adopted;
	struct fisc_source *source;
	u64 admitted;
	u64 settled;
	struct file *backing;
	struct fisc_counters __percpu *counters;
};

#define FISC_INDEX_BITS		32
#define FISC_REGION_MAX_BYTES	((loff_t)1 << (FISC_INDEX_BITS + PAGE_SHIFT))

static inline struct fisc_region *fisc_region_of(const struct inode *inode)
{
	return inode->i_private;
}

static inline void fisc_count(struct fisc_region *region, enum fisc_counter c,
			      long n)
{
	this_cpu_add(region->counters->v[c], n);
	fisc_count_total(c, n);
}

/* Number of pages up to the end of the file, the last one perhaps in part. */
static inline pgoff_t fisc_region_size_pages(const struct fisc_region *region)
{
	return DIV_ROUND_UP_ULL(i_size_read(region->inode), PAGE_SIZE);
}

/* The entry of page @i of a chunk that @large holds. */
static inline unsigned long fisc_large_entry(unsigned long large, unsigned int i)
{
	return large + ((unsigned long)i << FISC_ENTRY_PFN_SHIFT);
}

/* The entry of a page. Context: @chunk->lock held, for reading at least. */
static inline unsigned long fisc_chunk_entry(const struct fisc_chunk *chunk,
					     pgoff_t index)
{
	unsigned int i = index & (FISC_CHUNK_PAGES - 1);
	unsigned long large = READ_ONCE(chunk->large);
	unsigned long *leaf = READ_ONCE(chunk->leaf);

	lockdep_assert_held(&chunk->lock);

	if (large)
		return fisc_large_entry(large, i);

	return leaf ? READ_ONCE(leaf[i]) : 0;
}

static inline pgoff_t fisc_chunk_start(const struct fisc_chunk *chunk)
{
	return (pgoff_t)chunk->nr << FISC_CHUNK_SHIFT;
}

/**
 * fisc_region_get_live() - hold a region
 * @region: a region that cannot be freed right now
 *
 * Context: any. Hold it for a short while: deleting the file waits.
 * Return: true, or false if it is going away.
 */
static inline bool fisc_region_get_live(struct fisc_region *region)
{
	return refcount_inc_not_zero(&region->users);
}

#endif /* _FISC_MEMORY_MAP_H */
