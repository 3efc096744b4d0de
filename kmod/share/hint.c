// SPDX-License-Identifier: GPL-2.0
/*
 * Hints: where content that is not shared was seen. See DOC: Hints in hint.h.
 */
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "memory/due.h"
#include "memory/frame.h"
#include "memory/heads.h"
#include "memory/large.h"
#include "share/hint.h"
#include "vm/vm.h"

/* A link: a slot number or one of these values, plus the duplicate mark. */
#define FISC_LINK_END		0U
#define FISC_LINK_NONE		0x7fffffffU	/* the slot is in no chain */
#define FISC_LINK_MASK		0x7fffffffU
#define FISC_LINK_DUPLICATE	0x80000000U

#define FISC_HINT_CHUNK_MAX	(FISC_LINK_NONE >> FISC_CHUNK_SHIFT)

/* Buckets for each chunk with hints: at most two hints a chain on average. */
#define FISC_CHUNK_BUCKETS	(FISC_CHUNK_PAGES / 2)

/* Memory that a chunk's hints take, without buckets. */
#define FISC_HINTS_BYTES						\
	(sizeof(struct fisc_chunk_hints) +				\
	 FISC_CHUNK_PAGES * (sizeof(u64) + sizeof(u32)))

/**
 * struct fisc_chunk_hints - the slots of a chunk
 * @id: number of the chunk in fisc_hint_chunks, from 1
 * @hash: a hash for each page
 * @link: a link and a duplicate mark for each page
 */
struct fisc_chunk_hints {
	u32 id;
	u64 *hash;
	u32 *link;
};

/* Chunks that have hints, by id: the upper bits of slot numbers. */
static DEFINE_XARRAY_ALLOC1(fisc_hint_chunks);

static struct fisc_chunk *fisc_hint_chunk(u32 slot)
{
	return xa_load(&fisc_hint_chunks, slot >> FISC_CHUNK_SHIFT);
}

static unsigned int fisc_hint_place(u32 slot)
{
	return slot & (FISC_CHUNK_PAGES - 1);
}

static u32 *fisc_hint_link(u32 slot)
{
	return &fisc_hint_chunk(slot)->hints->link[fisc_hint_place(slot)];
}

static void fisc_link_set(u32 *link, u32 slot)
{
	WRITE_ONCE(*link, (*link & FISC_LINK_DUPLICATE) | slot);
}

/* Read a page's entry without the chunk's lock. RCU read lock held. */
static unsigned long fisc_chunk_peek(const struct fisc_chunk *chunk,
				     unsigned int i, bool *is_large)
{
	unsigned long large, *leaf;

	*is_large = false;
	/* Pairs with fisc_large_set_leaf(): if not large, the leaf is set. */
	large = smp_load_acquire(&chunk->large);
	if (!large) {
		/* Pairs with fisc_large_set_leaf(): the entries are set. */
		leaf = smp_load_acquire(&chunk->leaf);
		if (leaf)
			return READ_ONCE(leaf[i]);
		/* The chunk may have become large between the two loads. */
		large = smp_load_acquire(&chunk->large);
	}
	*is_large = large;

	return large ? fisc_large_entry(large, i) : 0;
}

/* The @split of struct fisc_heads. */
static void fisc_hint_split(void *from, void *to, unsigned long bucket,
			    unsigned long mask)
{
	u32 *link = from, *head = to;
	u32 slot;

	*head = FISC_LINK_END;
	while ((slot = *link & FISC_LINK_MASK)) {
		struct fisc_chunk_hints *hints = fisc_hint_chunk(slot)->hints;
		unsigned int i = fisc_hint_place(slot);

		if ((hints->hash[i] & mask) != bucket) {
			link = &hints->link[i];
			continue;
		}
		fisc_link_set(link, hints->link[i] & FISC_LINK_MASK);
		fisc_link_set(&hints->link[i], *head);
		*head = slot;
	}
}

/* The @join of struct fisc_heads. */
static void fisc_hint_join(void *into, void *from)
{
	u32 *link = into, *head = from;

	while (*link & FISC_LINK_MASK)
		link = fisc_hint_link(*link & FISC_LINK_MASK);
	fisc_link_set(link, *head);
}

static struct fisc_heads fisc_hint_heads = {
	.size = sizeof(u32),
	.split = fisc_hint_split,
	.join = fisc_hint_join,
};

/* Adjust the number of buckets as @chunks more (or fewer) chunks have hints. */
static void fisc_hint_resize(long chunks)
{
	static atomic_long_t wanted;
	long nr;

	atomic_long_add(chunks * (long)FISC_CHUNK_BUCKETS, &wanted);
	do {
		nr = atomic_long_read(&wanted);
		fisc_heads_resize(&fisc_hint_heads, nr);
	} while (nr != atomic_long_read(&wanted));
}

/**
 * fisc_hints_alloc() - make sure that a chunk has room for hints
 * @chunk: the chunk
 *
 * Context: may sleep; called only by the thread that scans the chunk.
 * Return: 0, -ENOMEM, or -EBUSY if too many chunks have hints.
 */
int fisc_hints_alloc(struct fisc_chunk *chunk)
{
	struct fisc_chunk_hints *hints;
	unsigned int i;
	int err = -ENOMEM;

	if (chunk->hints)
		return 0;

	hints = kzalloc(sizeof(*hints), GFP_KERNEL);
	if (!hints)
		return -ENOMEM;
	hints->hash = kmalloc_array(FISC_CHUNK_PAGES, sizeof(*hints->hash),
				    GFP_KERNEL);
	hints->link = kmalloc_array(FISC_CHUNK_PAGES, sizeof(*hints->link),
				    GFP_KERNEL);
	if (!hints->hash || !hints->link)
		goto err_free;
	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		hints->link[i] = FISC_LINK_NONE;

	err = xa_alloc(&fisc_hint_chunks, &hints->id, chunk,
		       XA_LIMIT(1, FISC_HINT_CHUNK_MAX - 1), GFP_KERNEL);
	if (err)
		goto err_free;
	chunk->hints = hints;
	fisc_count_total(FISC_META_BYTES, FISC_HINTS_BYTES);
	fisc_hint_resize(1);

	return 0;

err_free:
	kfree(hints->link);
	kfree(hints->hash);
	kfree(hints);
	return err;
}

/**
 * fisc_hints_free() - remove and free a chunk's hints
 * @chunk: a chunk that is no longer scanned; need not have hints
 *
 * Context: may sleep.
 */
void fisc_hints_free(struct fisc_chunk *chunk)
{
	struct fisc_chunk_hints *hints = chunk->hints;
	unsigned int i;

	if (!hints)
		return;

	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		fisc_hint_remove(chunk, i);
	xa_erase(&fisc_hint_chunks, hints->id);
	chunk->hints = NULL;
	fisc_count_total(FISC_META_BYTES, -(long)FISC_HINTS_BYTES);
	fisc_hint_resize(-1);
	kfree(hints->link);
	kfree(hints->hash);
	kfree(hints);
}

/**
 * fisc_hint_remove() - unlink a page's hint
 * @chunk: its chunk, which has room for hints
 * @i: its place in the chunk; the page need not have a hint
 *
 * Context: any; the chunk held.
 */
void fisc_hint_remove(struct fisc_chunk *chunk, unsigned int i)
{
	struct fisc_chunk_hints *hints = chunk->hints;
	u32 slot = hints->id << FISC_CHUNK_SHIFT | i;
	u64 hash = READ_ONCE(hints->hash[i]);
	spinlock_t *lock = fisc_heads_lock(&fisc_hint_heads, hash);
	u32 *link;

	if ((READ_ONCE(hints->link[i]) & FISC_LINK_MASK) == FISC_LINK_NONE)
		return;

	spin_lock(lock);
	/* Others unlink hints, too, and this one may have changed its chain. */
	if (hints->hash[i] == hash &&
	    (hints->link[i] & FISC_LINK_MASK) != FISC_LINK_NONE) {
		link = fisc_heads_bucket(&fisc_hint_heads, hash);
		while ((*link & FISC_LINK_MASK) != slot)
			link = fisc_hint_link(*link & FISC_LINK_MASK);
		fisc_link_set(link, hints->link[i] & FISC_LINK_MASK);
		fisc_link_set(&hints->link[i], FISC_LINK_NONE);
	}
	spin_unlock(lock);
}

/*
 * Set a duplicate mark. The lock of the slot's hash is held, or the slot is in
 * no chain and only the caller uses it.
 */
static void fisc_link_set_duplicate(struct fisc_chunk *chunk, u32 *link)
{
	if (*link & FISC_LINK_DUPLICATE)
		return;

	WRITE_ONCE(*link, *link | FISC_LINK_DUPLICATE);
	if (atomic_inc_return(&chunk->duplicates) ==
	    READ_ONCE(fisc_large_break_pages))
		fisc_chunk_mark_due(chunk);
}

/**
 * fisc_hint_set_duplicate() - mark a page of a large frame as a duplicate
 * @chunk: its chunk
 * @i: its place in the chunk; the page has no hint
 *
 * A duplicate is zero or has an equal, so it needs no frame of its own.
 *
 * Context: any; called only by the thread that links hints of this chunk.
 */
void fisc_hint_set_duplicate(struct fisc_chunk *chunk, unsigned int i)
{
	fisc_link_set_duplicate(chunk, &chunk->hints->link[i]);
}

/**
 * fisc_hints_clear_duplicates() - clear the duplicate marks of a chunk
 * @chunk: the chunk; none of its pages has a hint
 *
 * Context: any; called only by the thread that links hints of this chunk.
 */
void fisc_hints_clear_duplicates(struct fisc_chunk *chunk)
{
	unsigned int i;

	for (i = 0; i < FISC_CHUNK_PAGES; i++)
		WRITE_ONCE(chunk->hints->link[i], FISC_LINK_NONE);
	atomic_set(&chunk->duplicates, 0);
}

/* Is the page in the domain, and on the node, that the caller asks for? */
static bool fisc_hint_fits(const struct fisc_chunk *chunk, unsigned long e,
			   u64 domain, int nid)
{
	return READ_ONCE(READ_ONCE(chunk->region->key)->domain) == domain &&
	       !fisc_vm_is_sensitive(chunk->region->vm) &&
	       (nid == NUMA_NO_NODE ||
		fisc_frame_nid(fisc_entry_page(e)) == nid);
}

/**
 * fisc_hint_meet() - find an equal page, or leave a hint
 * @chunk: chunk of the page
 * @i: its place in the chunk
 * @hash: its hash
 * @domain: the domain that the equal must be in
 * @nid: the node that the equal must be on, or NUMA_NO_NODE
 * @large: the page is part of a large frame
 * @peer: the equal, if the result is %FISC_MET_SMALL; the caller puts its
 *	region
 *
 * Does both under one lock, so that of two threads with equal pages one meets
 * the other. A page of a large frame that has met an equal leaves no hint, as
 * later equals will meet the page it met. Equal means equal hashes; the caller
 * compares the contents. In FISC_DOMAIN_ALONE, pages have no equals.
 *
 * Context: any; called only by the thread that links hints of this chunk.
 * Return: what was found.
 */
enum fisc_met fisc_hint_meet(struct fisc_chunk *chunk, unsigned int i, u64 hash,
			     u64 domain, int nid, bool large,
			     struct fisc_peer *peer)
{
	struct fisc_chunk_hints *hints = chunk->hints;
	u32 self = hints->id << FISC_CHUNK_SHIFT | i;
	enum fisc_met met = FISC_MET_NOBODY;
	spinlock_t *lock = fisc_heads_lock(&fisc_hint_heads, hash);
	bool linked = false;
	u32 *link, *head;
	u32 slot;

	if (hints->hash[i] != hash || domain == FISC_DOMAIN_ALONE)
		fisc_hint_remove(chunk, i);
	if (domain == FISC_DOMAIN_ALONE)
		return FISC_MET_NOBODY;

	rcu_read_lock();
	spin_lock(lock);
	head = fisc_heads_bucket(&fisc_hint_heads, hash);
	link = head;
	while ((slot = *link & FISC_LINK_MASK)) {
		struct fisc_chunk *other = fisc_hint_chunk(slot);
		unsigned int j = fisc_hint_place(slot);
		u32 *next = &other->hints->link[j];
		bool other_large;
		unsigned long e;

		if (slot == self) {
			linked = true;
			link = next;
			continue;
		}
		if (other->hints->hash[j] != hash) {
			link = next;
			continue;
		}
		e = fisc_chunk_peek(other, j, &other_large);
		if (fisc_entry_state(e) != FISC_ENTRY_PRIVATE ||
		    !(e & FISC_ENTRY_CLEAN)) {
			fisc_link_set(link, *next & FISC_LINK_MASK);
			fisc_link_set(next, FISC_LINK_NONE);
			continue;
		}
		link = next;
		/* Being hashed: outdated, unless of the same large frame. */
		if (!(e & FISC_ENTRY_HASHED) && !(large && other == chunk))
			continue;
		if (!fisc_hint_fits(other, e, domain, nid))
			continue;
		if (other_large) {
			fisc_link_set_duplicate(other, next);
			met = FISC_MET_LARGE;
		} else if (fisc_region_get_live(other->region)) {
			peer->region = other->region;
			peer->chunk = other;
			peer->i = j;
			peer->e = e;
			met = FISC_MET_SMALL;
			break;
		}
	}

	if (!linked &&
	    (met == FISC_MET_NOBODY || (met == FISC_MET_LARGE && !large))) {
		WRITE_ONCE(hints->hash[i], hash);
		fisc_link_set(&hints->link[i], *head & FISC_LINK_MASK);
		fisc_link_set(head, self);
	}
	spin_unlock(lock);
	rcu_read_unlock();

	return met;
}

/**
 * fisc_hint_init() - allocate the table of hints
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_hint_init(void)
{
	return fisc_heads_init(&fisc_hint_heads, totalram_pages() / 2);
}

/**
 * fisc_hint_exit() - free the table of hints
 *
 * No chunk is left.
 *
 * Context: may sleep.
 */
void fisc_hint_exit(void)
{
	WARN_ON_ONCE(!xa_empty(&fisc_hint_chunks));
	fisc_heads_exit(&fisc_hint_heads);
	xa_destroy(&fisc_hint_chunks);
}

#ifdef FISC_KUNIT
#include "tests/hint-kunit.h"
#endif
