/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_REGION_H
#define _FISC_MEMORY_REGION_H

#include <linux/fs.h>

#include "memory/map.h"

/*
 * Bytes of a chunk, with its share of the two lowest levels of two xarrays: all
 * chunks, and those that are listed.
 */
#define FISC_CHUNK_BYTES						\
	(sizeof(struct fisc_chunk) +					\
	 2 * (sizeof(struct xa_node) / XA_CHUNK_SIZE *			\
	      (XA_CHUNK_SIZE + 1) / XA_CHUNK_SIZE))

extern const struct address_space_operations fisc_aops;

struct fisc_region *fisc_region_alloc(struct inode *inode);
void fisc_region_free_chunk(struct fisc_region *region,
			    struct fisc_chunk *chunk);
void fisc_region_free(struct fisc_region *region);
void fisc_region_put(struct fisc_region *region);
struct fisc_region *fisc_region_of_file(const struct file *file);
unsigned int fisc_region_count(void);

struct fisc_chunk *fisc_region_find_chunk(struct fisc_region *region,
					  pgoff_t index);
struct fisc_chunk *fisc_region_make_chunk(struct fisc_region *region,
					  pgoff_t index);
enum fisc_state fisc_chunk_look(struct fisc_chunk *chunk, pgoff_t index);
enum fisc_state fisc_region_look(struct fisc_region *region, pgoff_t index);
int fisc_chunk_make_leaf(struct fisc_region *region, struct fisc_chunk *chunk);
int fisc_chunk_fill(struct fisc_region *region, struct fisc_chunk *chunk,
		    pgoff_t index, unsigned long e);
int fisc_region_fill_zero(struct fisc_region *region, struct fisc_chunk *chunk,
			  pgoff_t index);
void fisc_region_replace(struct fisc_region *region, struct fisc_chunk *chunk,
			 pgoff_t index, unsigned long e);
unsigned long *fisc_region_give(struct fisc_region *region,
				struct fisc_chunk *chunk, unsigned long *leaf);
void fisc_region_make_shared(struct fisc_region *region,
			     struct fisc_chunk *chunk, pgoff_t index);
void fisc_region_unmap(struct fisc_region *region, pgoff_t first, pgoff_t nr);
pgoff_t fisc_region_next_data(struct fisc_region *region, pgoff_t index,
			      pgoff_t end, bool data);
long fisc_region_sum(const struct fisc_region *region, enum fisc_counter c);

void fisc_count_entry(struct fisc_region *region, struct fisc_chunk *chunk,
		      unsigned long e, int n);
void fisc_frame_detach(struct folio *folio);
unsigned long *fisc_leaf_alloc(void);
void fisc_leaf_free(unsigned long *leaf);
u64 fisc_chunk_lock(struct fisc_chunk *chunk);
void fisc_chunk_unlock(struct fisc_chunk *chunk, u64 since);

/**
 * fisc_frame_attach() - make a new frame private to a page or a chunk
 * @folio: the frame
 * @region: the region
 * @index: its page, or its first page
 *
 * The frame stays dirty for as long as it lives: there is no other copy, and
 * when the kernel handles a memory error it must not take the frame for a clean
 * one that can be dropped from a page cache.
 *
 * Context: any; nobody else knows the frame.
 */
static inline void fisc_frame_attach(struct folio *folio,
				     struct fisc_region *region, pgoff_t index)
{
	folio_set_dirty(folio);
	folio->mapping = region->inode->i_mapping;
	folio->index = index;
}

#endif /* _FISC_MEMORY_REGION_H */
