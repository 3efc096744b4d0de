// SPDX-License-Identifier: GPL-2.0
/* Writing pages to the paging device. See DOC: The paging device in disk.h. */
#include <linux/blkdev.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "memory/disk.h"
#include "memory/write.h"

static void fisc_write_done(struct bio *bio)
{
	struct fisc_write *write = bio->bi_private;

	if (atomic_dec_and_test(&write->pending))
		complete(&write->done);
}

/**
 * fisc_write_alloc() - allocate the requests of a write
 * @write: the write
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_write_alloc(struct fisc_write *write)
{
	write->bios = kcalloc(FISC_WRITE_BIOS, sizeof(*write->bios), GFP_KERNEL);

	return write->bios ? 0 : -ENOMEM;
}

/**
 * fisc_write_free() - undo fisc_write_alloc()
 * @write: the write; not on its way
 *
 * Context: any.
 */
void fisc_write_free(struct fisc_write *write)
{
	kfree(write->bios);
}

/**
 * fisc_write_begin() - begin to put a write together
 * @write: the write; not on its way
 *
 * Context: any.
 */
void fisc_write_begin(struct fisc_write *write)
{
	write->nr = 0;
	init_completion(&write->done);
}

/* Return: a request for pages from @slot on, NULL if there are too many. */
static struct bio *fisc_write_make(struct fisc_write *write, u32 slot)
{
	struct bio_vec *vecs = write->vecs;
	struct bio *bio;

	if (write->nr == FISC_WRITE_BIOS)
		return NULL;
	bio = &write->bios[write->nr];
	if (write->nr)
		vecs = bio[-1].bi_io_vec + bio[-1].bi_vcnt;
	bio_init(bio, fisc_disk_bdev(), vecs,
		 min_t(size_t, FISC_WRITE_BIO_PAGES,
		       write->vecs + FISC_LARGE_PAGES - vecs),
		 REQ_OP_WRITE | REQ_SWAP);
	bio->bi_iter.bi_sector = fisc_disk_sector(slot);
	bio->bi_end_io = fisc_write_done;
	bio->bi_private = write;
	write->nr++;

	return bio;
}

/**
 * fisc_write_add() - add a page to a write
 * @write: the write
 * @page: the page, with a reference that is kept until the write has ended
 * @slot: the caller's slot that it goes to
 *
 * Add at most FISC_LARGE_PAGES.
 *
 * Context: any.
 * Return: the number of the request that takes the page, -ENOSPC if there are
 * too many.
 */
int fisc_write_add(struct fisc_write *write, struct page *page, u32 slot)
{
	struct bio *bio = write->nr ? &write->bios[write->nr - 1] : NULL;

	if (!bio || bio_end_sector(bio) != fisc_disk_sector(slot) ||
	    bio->bi_iter.bi_size >= FISC_WRITE_BIO_PAGES * PAGE_SIZE)
		bio = fisc_write_make(write, slot);
	if (!bio || bio_add_page(bio, page, PAGE_SIZE, 0) != PAGE_SIZE)
		return -ENOSPC;

	return write->nr - 1;
}

/**
 * fisc_write_submit() - send a write on its way
 * @write: the write, of at least one page
 *
 * Context: may sleep.
 */
void fisc_write_submit(struct fisc_write *write)
{
	struct blk_plug plug;
	unsigned int i;

	atomic_set(&write->pending, write->nr);
	blk_start_plug(&plug);
	for (i = 0; i < write->nr; i++)
		submit_bio(&write->bios[i]);
	blk_finish_plug(&plug);
}

/**
 * fisc_write_wait() - wait until all requests of a write have ended
 * @write: the write, on its way
 * @timeout: how long to wait at most, in jiffies
 *
 * Context: may sleep.
 * Return: true if they have.
 */
bool fisc_write_wait(struct fisc_write *write, unsigned long timeout)
{
	return try_wait_for_completion(&write->done) ||
	       wait_for_completion_timeout(&write->done, timeout);
}

/**
 * fisc_write_end() - release what a write holds
 * @write: a write that has been waited for
 *
 * Context: any; before the caller gives back its slots.
 */
void fisc_write_end(struct fisc_write *write)
{
	unsigned int i;

	for (i = 0; i < write->nr; i++)
		bio_uninit(&write->bios[i]);
	write->nr = 0;
}
