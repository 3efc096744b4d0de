// SPDX-License-Identifier: GPL-2.0
/* Which chunks the scanner looks at, and when. See DOC: Due chunks in due.h. */
#include <linux/nodemask.h>
#include <linux/topology.h>
#include <linux/xarray.h>

#include "memory/due.h"
#include "memory/map.h"

struct fisc_due_node fisc_due_nodes[MAX_NUMNODES];
static int fisc_due_first;	/* the first node that has a thread */
DECLARE_WAIT_QUEUE_HEAD(fisc_due_wait);

/**
 * fisc_due_node() - return the node that scans memory first touched here
 *
 * Context: any.
 * Return: this CPU's node; if that has no thread, as it got its first CPU later,
 * the first one that has.
 */
int fisc_due_node(void)
{
	int nid = numa_node_id();

	return READ_ONCE(fisc_due_nodes[nid].served) ?
	       nid : READ_ONCE(fisc_due_first);
}

/**
 * fisc_due_serve() - set whether a node has a scanner thread
 * @nid: the node
 * @served: whether it has one
 *
 * Context: start and stop of the module.
 */
void fisc_due_serve(int nid, bool served)
{
	if (served && !READ_ONCE(fisc_due_nodes[fisc_due_first].served))
		WRITE_ONCE(fisc_due_first, nid);
	WRITE_ONCE(fisc_due_nodes[nid].served, served);
}

/**
 * fisc_due_poke() - tell a node's thread that a chunk has become due
 * @nid: the node
 *
 * Context: any.
 */
static void fisc_due_poke(int nid)
{
	struct fisc_due_node *node = &fisc_due_nodes[nid];

	if (!READ_ONCE(node->served) || READ_ONCE(node->poked))
		return;
	WRITE_ONCE(node->poked, true);
	/* Pairs with smp_mb() in fisc_scan_thread(). */
	smp_mb();
	if (READ_ONCE(node->dozing))
		wake_up_all(&fisc_due_wait);
}

/**
 * __fisc_chunk_mark_due() - mark a chunk that was not marked a moment ago
 * @chunk: the chunk
 *
 * Context: as fisc_chunk_mark_due().
 */
void __fisc_chunk_mark_due(struct fisc_chunk *chunk)
{
	if (test_and_set_bit(FISC_CHUNK_DUE, &chunk->flags))
		return;

	atomic_inc(chunk->region->nr_due);
	xa_set_mark(&chunk->region->chunks, chunk->nr, FISC_MARK_DUE);
	fisc_due_poke(chunk->nid);
}

/**
 * fisc_due_never() - return an epoch that is as far away as possible
 *
 * Used where nothing is due: the scanner looks long before that epoch.
 *
 * Context: any.
 * Return: the epoch.
 */
u16 fisc_due_never(void)
{
	return READ_ONCE(fisc_epoch) + S16_MAX;
}

/* Set *@due to @epoch unless it is earlier already. */
static void fisc_due_advance(u16 *due, u16 epoch)
{
	u16 old = READ_ONCE(*due);

	while ((s16)(epoch - old) < 0 && !try_cmpxchg(due, &old, epoch))
		;
}

/**
 * fisc_chunk_mark_later() - mark a chunk for the scanner at a later epoch
 * @chunk: the chunk
 * @epoch: the epoch
 *
 * Context: any; @chunk->lock held.
 */
void fisc_chunk_mark_later(struct fisc_chunk *chunk, u16 epoch)
{
	fisc_due_advance(&chunk->next_due, epoch);
	if (!test_and_set_bit(FISC_CHUNK_LATER, &chunk->flags))
		xa_set_mark(&chunk->region->chunks, chunk->nr, FISC_MARK_LATER);
	/*
	 * Pairs with xchg() in fisc_region_wake(): either that function sees
	 * the mark, or this one sees the new next_due.
	 */
	smp_mb();
	fisc_due_advance(&chunk->region->next_due, epoch);
}

/**
 * fisc_chunk_mark_rebuild() - note that a page got a frame of its own
 * @chunk: its chunk
 *
 * It may have been the last shared page of the chunk: the scanner looks whether
 * the chunk can be rebuilt, in an epoch in which it looks at others, too.
 *
 * Context: any; @chunk->lock held.
 */
void fisc_chunk_mark_rebuild(struct fisc_chunk *chunk)
{
	if (atomic_read(&chunk->filled) == FISC_CHUNK_PAGES)
		fisc_chunk_mark_later(chunk, round_up(READ_ONCE(fisc_epoch) + 1,
						      FISC_REBUILD_EPOCHS));
}

/**
 * fisc_region_wake() - mark chunks due whose epoch has come
 * @region: the region
 * @nid: the calling thread's node; chunks of other nodes are left alone
 *
 * Context: any; the region held.
 */
void fisc_region_wake(struct fisc_region *region, int nid)
{
	u16 epoch = READ_ONCE(fisc_epoch);
	struct fisc_chunk *chunk;
	unsigned long nr;

	if ((s16)(epoch - READ_ONCE(region->next_due)) < 0)
		return;

	(void)xchg(&region->next_due, fisc_due_never());
	xa_for_each_marked(&region->chunks, nr, chunk, FISC_MARK_LATER) {
		u16 due = READ_ONCE(chunk->next_due);

		if ((s16)(epoch - due) >= 0 && chunk->nid == nid)
			fisc_chunk_mark_due(chunk);
		else
			fisc_due_advance(&region->next_due, due);
	}
}

/**
 * fisc_chunk_clear_marks() - clear the marks of a chunk about to be scanned
 * @chunk: the chunk
 *
 * A mark set after this is handled by the next scan; writes made before a mark
 * that is cleared here are visible to the caller.
 *
 * Context: any; @chunk->lock held for writing.
 */
void fisc_chunk_clear_marks(struct fisc_chunk *chunk)
{
	struct xarray *chunks = &chunk->region->chunks;

	xa_clear_mark(chunks, chunk->nr, FISC_MARK_DUE);
	xa_clear_mark(chunks, chunk->nr, FISC_MARK_LATER);
	if (test_and_clear_bit(FISC_CHUNK_DUE, &chunk->flags))
		atomic_dec(chunk->region->nr_due);
	clear_bit(FISC_CHUNK_LATER, &chunk->flags);
	WRITE_ONCE(chunk->next_due, fisc_due_never());
	/* Pairs with atomic_inc_return() in fisc_link_set_duplicate(). */
	smp_mb__after_atomic();
}
