/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_WRITE_H
#define _FISC_MEMORY_WRITE_H

#include <linux/bio.h>
#include <linux/completion.h>

#include "memory/frame.h"

/* Most requests of a write, and most pages of a request: 256 KiB. */
#define FISC_WRITE_BIOS		64
#define FISC_WRITE_BIO_PAGES	64

/**
 * struct fisc_write - pages on their way to the paging device
 * @done: completed when all requests have ended
 * @pending: requests that have not ended
 * @nr: number of requests
 * @bios: the requests: of pages in slots that follow each other
 * @vecs: their pages
 *
 * Allocated once, so that freeing memory needs none.
 */
struct fisc_write {
	struct completion done;
	atomic_t pending;
	unsigned int nr;
	struct bio *bios;
	struct bio_vec vecs[FISC_LARGE_PAGES];
};

int fisc_write_alloc(struct fisc_write *write);
void fisc_write_free(struct fisc_write *write);
void fisc_write_begin(struct fisc_write *write);
int fisc_write_add(struct fisc_write *write, struct page *page, u32 slot);
void fisc_write_submit(struct fisc_write *write);
bool fisc_write_wait(struct fisc_write *write, unsigned long timeout);
void fisc_write_end(struct fisc_write *write);

/**
 * fisc_write_failed() - test whether a request has failed
 * @write: a write that has been waited for
 * @nr: the request's number, from fisc_write_add()
 *
 * Context: any.
 * Return: true if its pages may not be in their slots.
 */
static inline bool fisc_write_failed(const struct fisc_write *write, int nr)
{
	return write->bios[nr].bi_status;
}

#endif /* _FISC_MEMORY_WRITE_H */
