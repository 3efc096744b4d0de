/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_DUE_H
#define _FISC_MEMORY_DUE_H

#include <linux/types.h>
#include <linux/wait.h>

#include "memory/map.h"

/**
 * DOC: Due chunks
 *
 * A chunk with pages that the scanner has to read is *due*: it carries a mark,
 * its VM counts it, and the scanner's thread for its node is poked. A chunk
 * whose pages are left alone for now is marked for *later*, with an epoch. Code
 * that changes the map sets marks. The scanner (share/scan.c) looks for them,
 * and sleeps on the queue declared here.
 */

/*
 * In epochs. After n breaks a chunk is not rebuilt for 2^n times as long
 * (fisc_large_rest()). Chunks that may be ready for it are looked at in epochs
 * that are multiples of this (fisc_chunk_mark_rebuild()).
 */
#define FISC_REBUILD_EPOCHS	8

/**
 * struct fisc_due_node - the state of a node's scanner thread
 * @served: the node has a thread
 * @dozing: the thread sleeps for longer than an epoch
 * @poked: a chunk has become due since the thread last looked
 */
struct fisc_due_node {
	bool served;
	bool dozing;
	bool poked;
};

extern struct fisc_due_node fisc_due_nodes[];
extern wait_queue_head_t fisc_due_wait;

int fisc_due_node(void);
void fisc_due_serve(int nid, bool served);
void __fisc_chunk_mark_due(struct fisc_chunk *chunk);
void fisc_chunk_mark_later(struct fisc_chunk *chunk, u16 epoch);
void fisc_chunk_mark_rebuild(struct fisc_chunk *chunk);
void fisc_chunk_clear_marks(struct fisc_chunk *chunk);
void fisc_region_wake(struct fisc_region *region, int nid);
u16 fisc_due_never(void);

/**
 * fisc_chunk_mark_due() - mark a chunk for the scanner
 * @chunk: the chunk
 *
 * Context: any; @chunk->lock held, or a bucket lock that keeps the chunk.
 */
static inline void fisc_chunk_mark_due(struct fisc_chunk *chunk)
{
	if (!test_bit(FISC_CHUNK_DUE, &chunk->flags))
		__fisc_chunk_mark_due(chunk);
}

#endif /* _FISC_MEMORY_DUE_H */
