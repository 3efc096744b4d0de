/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_REGION_H
#define _FISC_REGION_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/xarray.h>

#include "frame.h"
#include "stats.h"

struct fisc_vm;

/**
 * DOC: The frame map
 *
 * A region is one file of guest memory. Its frame map says, for each page of
 * the file, which frame holds it: ESX's pmap. Two levels, like a page table:
 * an xarray of chunks, one for each 2 MiB of the file, and a leaf page of 512
 * entries in each chunk that holds anything. A lookup costs two steps however
 * large the file is. A chunk lives as long as its region, so a pointer to it
 * needs no protection while the region is held; a leaf comes with the first
 * entry and goes when the whole chunk is emptied.
 *
 * An entry is in one of four states: *hole* (nothing was ever written),
 * *private* (a frame of its own), *shared* (a frame of the sharing table),
 * *zero* (the zero frame). Pages of shared and zero entries are mapped
 * read-only everywhere; that is why .page_mkwrite exists.
 *
 * The invariant that everything rests on: **a page table maps, for a page of
 * the file, the frame that its entry names, or nothing.** The chunk's lock
 * keeps it:
 *
 * - A fault looks the entry up and maps the frame under the lock held for
 *   reading. The kernel maps private frames itself after the fault handler has
 *   returned; for those, the folio lock, taken under the chunk's lock and given
 *   back when the mapping is there, takes over.
 * - Filling a hole needs the lock for reading and a cmpxchg, as there is
 *   nothing mapped yet.
 * - Whoever replaces or removes an entry holds the lock for writing, waits for
 *   the folio lock of a private frame (a fault that is about to map it), and
 *   unmaps the page before giving the lock up. Unmapping runs the MMU
 *   notifiers, so that KVM's mappings go with the VMM's.
 * - To share a private frame, its page is unmapped under the lock held for
 *   writing. A fault under way holds a reference on the frame, and so does a
 *   pin; with neither, nobody can change the content any more, and it can be
 *   compared. Unmapped is stronger than write-protected: no write is lost.
 *
 * Lock order, outermost first::
 *
 *	inode lock (truncate, punch hole, write)
 *	  mmap_lock or the VMA's lock
 *	    fisc_chunk.lock
 *	      folio lock
 *	        i_mmap_rwsem, MMU notifier, page table lock (in the kernel)
 *	      sharing table bucket lock
 *	      fisc_vm.lock
 *
 * Frames are allocated before a chunk's lock is taken. Page tables may be
 * allocated under it; nothing that reclaim calls takes it.
 */

#define FISC_CHUNK_SHIFT	9
#define FISC_CHUNK_PAGES	BIT(FISC_CHUNK_SHIFT)

/**
 * enum fisc_state - what an entry of the frame map is
 * @FISC_ENTRY_HOLE: nothing was ever written
 * @FISC_ENTRY_PRIVATE: it owns a frame
 * @FISC_ENTRY_SHARED: it is a user of a frame of the sharing table
 * @FISC_ENTRY_ZERO: the zero frame serves it
 *
 * An entry is an unsigned long: the frame's address with the state in its low
 * bits. struct folio is aligned to far more than four bytes. A hole is 0.
 */
enum fisc_state {
	FISC_ENTRY_HOLE = 0,
	FISC_ENTRY_PRIVATE = 1,
	FISC_ENTRY_SHARED = 2,
	FISC_ENTRY_ZERO = 3,
};

#define FISC_ENTRY_STATE_MASK	3UL

static inline enum fisc_state fisc_entry_state(unsigned long e)
{
	return e & FISC_ENTRY_STATE_MASK;
}

/* The frame that serves the entry; NULL for a hole. */
static inline struct folio *fisc_entry_frame(unsigned long e)
{
	return (struct folio *)(e & ~FISC_ENTRY_STATE_MASK);
}

static inline unsigned long fisc_entry_make(struct folio *folio,
					    enum fisc_state state)
{
	return (unsigned long)folio | state;
}

/**
 * struct fisc_chunk - the frame map of 2 MiB of guest memory
 * @lock: see DOC: The frame map
 * @leaf: page of FISC_CHUNK_PAGES entries, NULL if all are holes; set under
 *	@lock held for reading, by cmpxchg, cleared under @lock held for writing
 */
struct fisc_chunk {
	struct rw_semaphore lock;
	unsigned long *leaf;
};

/**
 * struct fisc_region - one file of guest memory
 * @inode: the file; valid as long as the region is held
 * @vm: the VM it belongs to, held by reference
 * @vm_node: in fisc_vm.regions
 * @id: index in the module's table of regions, below %FISC_REGION_ID_MAX
 * @users: 1 for the inode and 1 for each fisc_region_tryget()
 * @released: done when @users reaches 0
 * @chunks: struct fisc_chunk by page index >> FISC_CHUNK_SHIFT
 * @counters: what this region holds and has seen
 */
struct fisc_region {
	struct inode *inode;
	struct fisc_vm *vm;
	struct list_head vm_node;
	u32 id;
	refcount_t users;
	struct completion released;
	struct xarray chunks;
	struct fisc_counters __percpu *counters;
};

/* A page of guest memory is named by region id and index, packed in 64 bits. */
#define FISC_REGION_ID_BITS	24
#define FISC_REGION_ID_MAX	((1U << FISC_REGION_ID_BITS) - 1)
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

/* The entry of a page. Context: @chunk->lock held, for reading at least. */
static inline unsigned long fisc_chunk_entry(const struct fisc_chunk *chunk,
					     pgoff_t index)
{
	unsigned long *leaf = READ_ONCE(chunk->leaf);

	lockdep_assert_held(&chunk->lock);

	return leaf ? READ_ONCE(leaf[index & (FISC_CHUNK_PAGES - 1)]) : 0;
}

struct fisc_region *fisc_region_create(struct inode *inode, struct fisc_vm *vm);
void fisc_region_destroy(struct fisc_region *region);
struct fisc_region *fisc_region_tryget(u32 id);
struct fisc_region *fisc_region_next(u32 *id);
void fisc_region_put(struct fisc_region *region);
unsigned int fisc_region_count(void);

struct fisc_chunk *fisc_region_find_chunk(struct fisc_region *region,
					  pgoff_t index);
struct fisc_chunk *fisc_region_make_chunk(struct fisc_region *region,
					  pgoff_t index);
unsigned long fisc_region_read(struct fisc_region *region, pgoff_t index);
int fisc_region_own(struct fisc_region *region, pgoff_t index,
		    struct vm_fault *vmf, gfp_t gfp, struct folio **frame);
int fisc_region_fill_zero(struct fisc_region *region, struct fisc_chunk *chunk,
			  pgoff_t index);
void fisc_region_replace(struct fisc_region *region, struct fisc_chunk *chunk,
			 pgoff_t index, unsigned long e);
void fisc_region_make_shared(struct fisc_region *region,
			     struct fisc_chunk *chunk, pgoff_t index, u64 hash);
void fisc_region_unmap(struct fisc_region *region, pgoff_t first, pgoff_t nr);
void fisc_region_remove(struct fisc_region *region, pgoff_t first,
			pgoff_t last);
pgoff_t fisc_region_next_data(struct fisc_region *region, pgoff_t index,
			      pgoff_t end, bool data);
long fisc_region_sum(const struct fisc_region *region, enum fisc_counter c);

void fisc_region_exit(void);

#endif /* _FISC_REGION_H */
