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

struct fisc_armed;
struct fisc_chunk_balloon;
struct fisc_chunk_hints;
struct fisc_incoming;
struct fisc_key;
struct fisc_source;
struct fisc_vm;

/**
 * DOC: The frame map
 *
 * A region is one file of guest memory. Its frame map says, for each page of
 * the file, which frame holds it: ESX's pmap. It has two levels, like a page
 * table: an xarray of chunks, one for each 2 MiB of the file, and, in each
 * chunk that is not empty, either a leaf of 512 entries (DOC: Map entries) or,
 * if one large frame holds all of the chunk, a single entry. A lookup takes two
 * steps however large the file is. A chunk lives as long as its region, so a
 * pointer to it needs no protection while the region is held. A leaf is
 * allocated with the first entry and freed when the whole chunk is emptied or
 * gets a large frame.
 *
 * An entry is in one of five states: *hole* (never written), *private* (has a
 * frame of its own), *shared* (refers to a frame of the table of shared
 * frames), *zero* (served by a zero frame) or *swapped* (paged out, without a
 * frame: DOC: Host paging). Pages of shared and zero entries, and clean pages,
 * are mapped read-only everywhere; that is why there is a .page_mkwrite.
 *
 * The invariant on which everything rests: **for a page of the file, a page
 * table maps either the frame that the page's entry names, or nothing.** The
 * chunk's lock and the folio lock maintain it:
 *
 * - A fault looks up the entry with the chunk's lock held for reading, and
 *   takes a reference on the frame and the folio lock before it drops the
 *   chunk's lock. The kernel maps the frame and unlocks it.
 * - Filling a hole takes the chunk's lock for reading and a cmpxchg, because
 *   nothing is mapped yet. So does setting or clearing an entry's flags.
 * - Code that replaces or removes an entry holds the chunk's lock for writing,
 *   waits for the folio lock of the frame (a fault may be about to map it), and
 *   unmaps the page before it drops the chunk's lock. Unmapping runs the MMU
 *   notifiers, so KVM's mappings go together with the VMM's.
 * - To establish that nobody can write to a private page, it is unmapped with
 *   the chunk's lock held for writing. A fault in progress holds a reference on
 *   the frame, and so does a pin. If there is neither, the page is *clean*:
 *   every later write goes through fisc_chunk_own() first. A clean page keeps
 *   the content it was seen to have for as long as it is clean. So pages are
 *   hashed and compared without a lock; only the last step, which replaces the
 *   entry if it is still clean, needs the lock.
 *
 * A file has frames only before its *end* (struct fisc_region). That is its
 * size, or more where fallocate() has reserved pages beyond the size or a write
 * is about to make the file larger. It is what admission control admits. Every
 * way to fill a hole looks at it with the chunk's lock held; what makes a file
 * shorter sets the end before it takes the chunks' locks to remove what is
 * beyond.
 *
 * Guests wait for a chunk's lock. It is held for writing no longer than it
 * takes to unmap one chunk, to look at its 512 entries, or to copy 2 MiB when a
 * large frame is made from small ones; debugfs has a histogram
 * (fisc_wait_account()).
 *
 * Mappings are not VM_MIXEDMAP, which vm_insert_page() would require: in such
 * mappings the kernel does not count large pages (vma_is_special_huge()).
 *
 * Lock order, outermost first::
 *
 *	inode lock (truncate, punch hole, write)
 *	  mmap_lock or the VMA's lock
 *	    fisc_chunk.lock
 *	      folio lock
 *	        i_mmap_rwsem, MMU notifier, page table lock (in the kernel)
 *	      shared frames' and hints' bucket locks
 *	        fisc_region.chunks' lock (marks), fisc_region.listed's lock
 *	      fisc_vm.lock
 *
 * Nothing that may reclaim is allocated with a chunk's lock held, be it for
 * reading: pagers take these locks, and whoever allocates may be waiting for
 * them. Frames and leaves are allocated before; page tables are the kernel's,
 * which allocates them before it calls .fault. In a kernel with lockdep,
 * fisc_region_make_chunk() sees to it.
 */

#define FISC_CHUNK_SHIFT	FISC_LARGE_ORDER
#define FISC_CHUNK_PAGES	FISC_LARGE_PAGES

/* Marks of chunks in fisc_region.chunks. */
#define FISC_MARK_DUE		XA_MARK_0	/* has pages to be read */
#define FISC_MARK_LATER		XA_MARK_1	/* has pages to be read later */
#define FISC_MARK_WATCHED	XA_MARK_2	/* is mapped page by page */

/*
 * Bits of fisc_chunk.flags. The first three mirror the marks, so that testing
 * one needs no access to the xarray.
 */
#define FISC_CHUNK_DUE		0
#define FISC_CHUNK_LATER	1
#define FISC_CHUNK_WATCHED	2
#define FISC_CHUNK_SAMPLED	3	/* may have pages of a sample */
#define FISC_CHUNK_SETTLING	4	/* incoming memory is being copied */
#define FISC_CHUNK_WANTED	6	/* a fault waits for FISC_CHUNK_SETTLING */
#define FISC_CHUNK_LISTED	5	/* is in fisc_region.listed */

/**
 * struct fisc_chunk - the frame map of 2 MiB of guest memory
 * @lock: see DOC: The frame map
 * @leaf: FISC_CHUNK_PAGES entries; NULL if all are holes or @large is set. Set
 *	by cmpxchg with @lock held for reading, cleared with @lock held for
 *	writing, freed after an RCU grace period
 * @large: entry of a large frame, or 0; as the entries of @leaf, also read
 *	without @lock, and changed by cmpxchg with @lock held for reading
 * @region: its region
 * @hints: what the scanner knows about the content (share/hint.c); set and read
 *	by the scanner
 * @balloon: its pages in the balloon (memory/balloon.c); NULL if there never
 *	were any
 * @incoming: memory of a process that becomes this chunk's (memory/incoming.c),
 *	or NULL
 * @armed: which of its pages have been touched since it was unmapped to see
 *	that (reclaim/armed.h), or NULL; changed with @lock held for writing
 * @flags: FISC_CHUNK_DUE and so on, changed by atomic bit operations; the marks
 *	under @lock or, to set FISC_CHUNK_DUE, a bucket lock that keeps the
 *	chunk
 * @filled: entries of the leaf that have content: private, shared and swapped
 * @private: private entries of the leaf
 * @duplicates: pages of @large that are known to be zero or to have an equal
 *	elsewhere
 * @nr: its index in fisc_region.chunks
 * @place: its index in fisc_region.listed
 * @next_due: epoch at which the first page that is marked for later becomes due
 * @nid: node whose thread scans it: where it was first touched
 * @broken: epoch in which its large frame was last broken
 * @breaks: how often that happened; does not exceed U8_MAX
 */
struct fisc_chunk {
	struct rw_semaphore lock;
	unsigned long *leaf;
	unsigned long large;
	struct fisc_region *region;
	struct fisc_chunk_hints *hints;
	struct fisc_chunk_balloon *balloon;
	struct fisc_incoming *incoming;
	struct fisc_armed *armed;
	unsigned long flags;
	atomic_t filled;
	atomic_t private;
	atomic_t duplicates;
	u32 nr;
	u32 place;
	u16 next_due;
	u16 nid;
	u16 broken;
	u8 breaks;
};

/**
 * struct fisc_ahead - what is read ahead for a file, and whether that pays
 * @window: pages of a request (DOC: Read-ahead); 0 for the first one
 * @pages: pages read ahead since the window was last judged
 * @hits: pages touched since then that had been read ahead
 * @alone: requests for a single page
 */
struct fisc_ahead {
	unsigned int window;
	atomic_t pages;
	atomic_t hits;
	atomic_t alone;
};

/**
 * struct fisc_region - one file of guest memory
 * @inode: the file; valid as long as the region is held
 * @vm: its VM, held by reference
 * @vm_node: in fisc_vm.regions
 * @key: the domain that @vm is in now, or fisc_key_alone; changes under the
 *	lock of @vm, also read without
 * @users: 1 for the inode and 1 for each fisc_region_get_live()
 * @released: completed when @users reaches 0
 * @chunks: struct fisc_chunk by page index >> FISC_CHUNK_SHIFT
 * @next_due: the earliest epoch at which a chunk marked for later becomes due
 * @nr_due: number of due chunks in all files of the VM (struct fisc_vm)
 * @adopted: it holds a process's memory (DOC: Adoption), and only that process
 *	may map it
 * @unmergeable: @adopted, and the process has not marked it mergeable
 * @locked: @adopted, and the process has locked some of it (mlock()): it is not
 *	paged out
 * @owner: the struct mm_struct of that process; compared only
 * @moved: @adopted, and the process has moved a mapping of it (mremap())
 * @hva: of an adopted file, the address of its first page where no mapping has
 *	been moved
 * @source: shared memory that this was before (adopt/source.h), or NULL;
 *	protected by the inode's lock
 * @end: the first page that can have no frame (fisc_region_set_end())
 * @admitted: pages that were admitted (tax/quota.c)
 * @settled: value of @admitted at which targets were last asked for because
 *	of it (tax/quota.c)
 * @backing: the file that holds pages that were paged out (memory/backing.c);
 *	not NULL if there is a swapped entry without a slot
 * @ahead: reading ahead from the paging device
 * @listed: its listed chunks, in no order, behind them room for the others
 *	(memory/listed.c)
 * @nr_listed: number of listed chunks
 * @counters: its other counters
 * @tally: sums of the counters that are read often
 */
struct fisc_region {
	struct inode *inode;
	struct fisc_vm *vm;
	struct list_head vm_node;
	const struct fisc_key *key;
	refcount_t users;
	struct completion released;
	struct xarray chunks;
	u16 next_due;
	atomic_t *nr_due;
	bool adopted;
	bool moved;
	bool unmergeable;
	bool locked;
	const void *owner;
	unsigned long hva;
	struct fisc_source *source;
	pgoff_t end;
	u64 admitted;
	u64 settled;
	struct file *backing;
	struct fisc_ahead ahead;
	struct xarray listed;
	u32 nr_listed;
	struct fisc_counters __percpu *counters;
	struct fisc_tally tally ____cacheline_aligned_in_smp;
};

#define FISC_INDEX_BITS		32
#define FISC_REGION_MAX_BYTES	((loff_t)1 << (FISC_INDEX_BITS + PAGE_SHIFT))

/**
 * fisc_region_of() - return the region of an inode
 * @inode: inode of a file of guest memory
 *
 * Context: any.
 * Return: the region.
 */
static inline struct fisc_region *fisc_region_of(const struct inode *inode)
{
	return inode->i_private;
}

/**
 * fisc_count() - count something that belongs to a region
 * @region: the region
 * @c: the counter
 * @n: number to add; may be negative
 *
 * Context: any.
 */
static __always_inline void fisc_count(struct fisc_region *region,
				       enum fisc_counter c, long n)
{
	if (c < FISC_NR_TALLIED)
		atomic_long_add(n, &region->tally.v[c]);
	else
		this_cpu_add(region->counters->v[c], n);
	fisc_count_total(c, n);
}

/**
 * fisc_region_size_pages() - return the size of a file
 * @region: the region
 *
 * Context: any.
 * Return: the size in pages, rounded up: the last page may be a partial one.
 */
static inline pgoff_t fisc_region_size_pages(const struct fisc_region *region)
{
	return DIV_ROUND_UP_ULL(i_size_read(region->inode), PAGE_SIZE);
}

/**
 * fisc_region_end() - return the first page that can have no frame
 * @region: the region
 *
 * Context: any; to fill a hole, with its chunk's lock held.
 * Return: the number of pages that can have frames.
 */
static inline pgoff_t fisc_region_end(const struct fisc_region *region)
{
	return READ_ONCE(region->end);
}

/**
 * fisc_large_entry() - return the entry of a page of a large frame
 * @large: the large frame's entry
 * @i: the page's position in the chunk
 *
 * Context: any.
 * Return: the entry.
 */
static inline unsigned long fisc_large_entry(unsigned long large, unsigned int i)
{
	return large + ((unsigned long)i << FISC_ENTRY_PFN_SHIFT);
}

/**
 * fisc_chunk_entry() - return the entry of a page
 * @chunk: its chunk
 * @index: the page
 *
 * Context: any; @chunk->lock held, at least for reading.
 * Return: the entry; 0 for a hole.
 */
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

/**
 * fisc_chunk_start() - return the first page of a chunk
 * @chunk: the chunk
 *
 * Context: any.
 * Return: index of the page.
 */
static inline pgoff_t fisc_chunk_start(const struct fisc_chunk *chunk)
{
	return (pgoff_t)chunk->nr << FISC_CHUNK_SHIFT;
}

/**
 * fisc_region_get_live() - take a reference on a region that is not going away
 * @region: a region that cannot be freed right now
 *
 * Hold the reference only briefly: deleting the file waits for it.
 *
 * Context: any.
 * Return: true, or false if the region is going away.
 */
static inline bool fisc_region_get_live(struct fisc_region *region)
{
	return refcount_inc_not_zero(&region->users);
}

#endif /* _FISC_MEMORY_MAP_H */
