// SPDX-License-Identifier: GPL-2.0
/*
 * Shared frames, by domain and hash of their content.
 *
 * A hash table whose nodes lie in the frames' own struct page (see DOC:
 * Frames): folio->lru.next is the link, folio->lru.prev the hash,
 * folio->private holds the domain and the number of users. A shared frame needs
 * no memory besides one pointer for each bucket, and there are about as many
 * buckets as frames (DOC: Growing tables).
 *
 * A frame has at most max_users users. When it has as many, lookups no longer
 * find it, and the scanner makes another frame of the same content.
 */
#include <linux/mm.h>
#include <linux/spinlock.h>

#include "base/stats.h"
#include "memory/domain.h"
#include "memory/frame.h"
#include "memory/heads.h"
#include "memory/shared.h"
#include "uapi/fisc.h"

/* folio->private: the domain in the upper bits, the users in the lower. */
#define FISC_USERS_BITS			24
#define FISC_USERS_MASK			((1UL << FISC_USERS_BITS) - 1)

unsigned int fisc_share_max_users = FISC_MAX_USERS_DEFAULT;

/*
 * The kernel takes bit 0 of this word for the mark of a tail page; links are
 * pointers, so the bit is clear.
 */
static struct folio **fisc_shared_link(struct folio *folio)
{
	return (struct folio **)&folio->lru.next;
}

static u64 fisc_shared_hash(const struct folio *folio)
{
	return (u64)folio->lru.prev;
}

static unsigned long fisc_shared_users(const struct folio *folio)
{
	return (unsigned long)folio->private & FISC_USERS_MASK;
}

static u64 fisc_shared_domain(const struct folio *folio)
{
	return (unsigned long)folio->private >> FISC_USERS_BITS;
}

static void fisc_shared_add_users(struct folio *folio, long n)
{
	folio->private = (void *)((unsigned long)folio->private + n);
}

/* See struct fisc_heads. */
static void fisc_shared_split(void *from, void *to, unsigned long bucket,
			      unsigned long mask)
{
	struct folio **link = from, **head = to;
	struct folio *folio;

	*head = NULL;
	while ((folio = *link)) {
		if ((fisc_shared_hash(folio) & mask) != bucket) {
			link = fisc_shared_link(folio);
			continue;
		}
		*link = *fisc_shared_link(folio);
		*fisc_shared_link(folio) = *head;
		*head = folio;
	}
}

/* See struct fisc_heads. */
static void fisc_shared_join(void *into, void *from)
{
	struct folio **link = into, **head = from;

	while (*link)
		link = fisc_shared_link(*link);
	*link = *head;
}

/* A bucket's lock also protects the number of users of its frames. */
static struct fisc_heads fisc_shared_heads = {
	.size = sizeof(struct folio *),
	.split = fisc_shared_split,
	.join = fisc_shared_join,
};

/* Lock of the hash held. */
static struct folio *fisc_shared_lookup(u64 domain, int nid, u64 hash)
{
	struct folio *folio;

	for (folio = *(struct folio **)fisc_heads_bucket(&fisc_shared_heads,
							 hash);
	     folio; folio = *fisc_shared_link(folio))
		if (fisc_shared_hash(folio) == hash &&
		    fisc_shared_domain(folio) == domain &&
		    (nid == NUMA_NO_NODE ||
		     fisc_frame_nid(&folio->page) == nid) &&
		    fisc_shared_users(folio) < READ_ONCE(fisc_share_max_users) &&
		    !PageHWPoison(&folio->page))
			return folio;

	return NULL;
}

/**
 * fisc_shared_find() - find a shared frame and become its user
 * @domain: its domain
 * @nid: its node, or NUMA_NO_NODE for any
 * @hash: hash of its content
 *
 * The caller checks that the content really is equal.
 *
 * Context: any.
 * Return: the frame, with one more user; NULL if there is none.
 */
struct folio *fisc_shared_find(u64 domain, int nid, u64 hash)
{
	spinlock_t *lock = fisc_heads_lock(&fisc_shared_heads, hash);
	struct folio *folio;

	spin_lock(lock);
	folio = fisc_shared_lookup(domain, nid, hash);
	if (folio)
		fisc_shared_add_users(folio, 1);
	spin_unlock(lock);

	return folio;
}

/**
 * fisc_shared_exists() - test whether fisc_shared_find() would find a frame
 * @domain: as there
 * @nid: as there
 * @hash: as there
 *
 * Context: any.
 * Return: true if it would.
 */
bool fisc_shared_exists(u64 domain, int nid, u64 hash)
{
	spinlock_t *lock = fisc_heads_lock(&fisc_shared_heads, hash);
	bool found;

	spin_lock(lock);
	found = fisc_shared_lookup(domain, nid, hash);
	spin_unlock(lock);

	return found;
}

/**
 * fisc_shared_add() - make a private frame a shared one
 * @folio: a frame of 4 KiB that cannot be written; its users take over the map
 *	entry's reference
 * @domain: its domain
 * @hash: hash of its content
 * @users: number of users, at least 1
 *
 * Context: any.
 */
void fisc_shared_add(struct folio *folio, u64 domain, u64 hash,
		     unsigned int users)
{
	spinlock_t *lock = fisc_heads_lock(&fisc_shared_heads, hash);
	struct folio **bucket;

	folio->mapping = NULL;
	folio->index = 0;
	folio->lru.prev = (struct list_head *)hash;
	folio->private = (void *)(domain << FISC_USERS_BITS | users);

	spin_lock(lock);
	bucket = fisc_heads_bucket(&fisc_shared_heads, hash);
	*fisc_shared_link(folio) = *bucket;
	*bucket = folio;
	spin_unlock(lock);
	fisc_domain_count_frame(domain, 1);
	fisc_count_total(FISC_SHARED, 1);
}

/**
 * fisc_shared_put() - stop being a user of a shared frame
 * @folio: the frame; it is freed when its last user and last mapping are gone
 *
 * Context: any.
 */
void fisc_shared_put(struct folio *folio)
{
	u64 hash = fisc_shared_hash(folio);
	spinlock_t *lock = fisc_heads_lock(&fisc_shared_heads, hash);
	struct folio **link;
	bool last;

	spin_lock(lock);
	fisc_shared_add_users(folio, -1);
	last = !fisc_shared_users(folio);
	if (last) {
		link = fisc_heads_bucket(&fisc_shared_heads, hash);
		while (*link != folio)
			link = fisc_shared_link(*link);
		*link = *fisc_shared_link(folio);
	}
	spin_unlock(lock);

	if (last) {
		fisc_domain_count_frame(fisc_shared_domain(folio), -1);
		folio->private = NULL;
		fisc_count_total(FISC_SHARED, -1);
		folio_put(folio);
	}
}

/**
 * fisc_shared_resize() - adapt the number of buckets to that of frames
 *
 * On average a chain has at most two frames. Buckets are given back when there
 * are more than four for each frame.
 *
 * Context: may sleep; no lock of this module held.
 */
void fisc_shared_resize(void)
{
	unsigned long frames = fisc_total_sum(FISC_SHARED);
	unsigned long nr = READ_ONCE(fisc_shared_heads.nr);

	if (frames > 2 * nr || frames < nr / 4)
		fisc_heads_resize(&fisc_shared_heads, frames);
}

/**
 * fisc_shared_init() - make the empty table of shared frames
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_shared_init(void)
{
	return fisc_heads_init(&fisc_shared_heads, totalram_pages());
}

/**
 * fisc_shared_exit() - free the table of shared frames
 *
 * Context: may sleep; there are no shared frames left.
 */
void fisc_shared_exit(void)
{
	WARN_ON_ONCE(fisc_total_sum(FISC_SHARED));
	fisc_heads_exit(&fisc_shared_heads);
}

#ifdef FISC_KUNIT
#include "tests/shared-kunit.h"
#endif
