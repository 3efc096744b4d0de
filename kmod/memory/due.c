// SPDX-License-Identifier: GPL-2.0
/*
 * Which chunks the scanner has to look at, and when. See DOC: Due chunks in due.h.
 */
#include <linux/nodemask.h>
#include <linux/topology.h>
#include <linux/xarray.h>

#include "memory/due.h"
#include "memory/map.h"

struct fisc_due_node fisc_due_nodes[MAX_NUMNODES];
DECLARE_WAIT_QUEUE_HEAD(fisc_due_wait);

/**
 * fisc_due_node() - return the node whose thread scans what is first touched here
 *
 * Context: any.
 * Return: the node; the first one with a thread, if this one has none.
 */
int fisc_due_node(void)
{
	int nid = numa_node_id();

	return READ_ONCE(fisc_due_nodes[nid].served) ?
	       nid : first_node(node_states[N_CPU]);
}

/**
 * fisc_due_serve() - say whether a node has a thread that scans
 * @nid: the node
 * @served: it has
 *
 * Context: any.
 */
void fisc_due_serve(int nid, bool served)
{
	WRITE_ONCE(fisc_due_nodes[nid].served, served);
}

/**
 * fisc_due_poke() - tell a node's thread that a chunk has become due
 * @nid: the node
 *
 * Context: any.
 */
void fisc_due_poke(int nid)
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
 * fisc_chunk_mark_due() - the scanner shall look at a chunk
 * @chunk: the chunk
 *
 * Context: any; @chunk->lock held, or a bucket lock that keeps the chunk.
 */
void fisc_chunk_mark_due(struct fisc_chunk *chunk)
{
	if (test_bit(FISC_CHUNK_DUE, &chunk->flags) ||
	    test_and_set_bit(FISC_CHUNK_DUE, &chunk->flags))
		return;

	xa_set_mark(&chunk->region->chunks, chunk->nr, FISC_MARK_DUE);
	fisc_due_poke(chunk->nid);
}

/**
 * fisc_due_never() - return the epoch at which nothing is due for as long as can be
 *
 * Nothing is due before the scanner looks the next time, nor for long after it.
 *
 * Context: any.
 * Return: the epoch.
 */
u16 fisc_due_never(void)
{
	return READ_ONCE(fisc_epoch) + S16_MAX;
}

/* Make it @epoch, unless it is something earlier. */
static void fisc_due_advance(u16 *due, u16 epoch)
{
	u16 old = READ_ONCE(*due);

	while ((s16)(epoch - old) < 0 && !try_cmpxchg(due, &old, epoch))
		;
}

/**
 * fisc_chunk_mark_later() - the scanner shall look at a chunk, but not now
 * @chunk: the chunk
 * @epoch: when
 *
 * Context: any; @chunk->lock held.
 */
void fisc_chunk_mark_later(struct fisc_chunk *chunk, u16 epoch)
{
	fisc_due_advance(&chunk->next_due, epoch);
	if (!test_and_set_bit(FISC_CHUNK_LATER, &chunk->flags))
		xa_set_mark(&chunk->region->chunks, chunk->nr, FISC_MARK_LATER);
	/* Pairs with xchg() in fisc_region_wake(): it sees the mark, or we it. */
	smp_mb();
	fisc_due_advance(&chunk->region->next_due, epoch);
}

/**
 * fisc_chunk_mark_rebuild() - a page of a chunk has got a frame of its own
 * @chunk: the chunk
 *
 * It may have been the last one that was shared: the scanner shall look, at an
 * epoch at which it looks at others.
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
 * fisc_region_wake() - mark those chunks due whose time has come
 * @region: the region
 * @nid: node of the thread that asks; other nodes' chunks are left alone
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
 * fisc_chunk_clear_marks() - the scanner begins to look at a chunk
 * @chunk: the chunk
 *
 * Whoever sets a mark later is seen the next time; what he did before he tried,
 * is seen after this.
 *
 * Context: any; @chunk->lock held for writing.
 */
void fisc_chunk_clear_marks(struct fisc_chunk *chunk)
{
	struct xarray *chunks = &chunk->region->chunks;

	xa_clear_mark(chunks, chunk->nr, FISC_MARK_DUE);
	xa_clear_mark(chunks, chunk->nr, FISC_MARK_LATER);
	clear_bit(FISC_CHUNK_DUE, &chunk->flags);
	clear_bit(FISC_CHUNK_LATER, &chunk->flags);
	chunk->next_due = fisc_due_never();
	/* Pairs with atomic_inc_return() in fisc_link_set_duplicate(). */
	smp_mb__after_atomic();
}
