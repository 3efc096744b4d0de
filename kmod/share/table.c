// SPDX-License-Identifier: GPL-2.0
/*
 * Shared frames, by the hash of their content.
 *
 * A hash table whose nodes lie in the frames' own struct page (see DOC: Frames):
 * folio->lru is the link, folio->index the hash, folio->private the number of
 * users. Beside one pointer for each bucket a shared frame costs no memory.
 */
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/random.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>
#include <linux/xxhash.h>

#include "../frame.h"
#include "../stats.h"
#include "share.h"

/* One bucket for this many pages of host memory: 0.012 % of it. */
#define FISC_SHARED_PAGES_PER_BUCKET	16
#define FISC_SHARED_NR_LOCKS		1024

/*
 * Each lock protects every FISC_SHARED_NR_LOCKS-th bucket: the chain, and the
 * number of users of each frame in it.
 */
static spinlock_t fisc_shared_locks[FISC_SHARED_NR_LOCKS];
static struct hlist_head *fisc_shared_buckets;
static unsigned long fisc_shared_nr_buckets;	/* a power of two */
static u64 fisc_share_seed;

static struct hlist_node *fisc_shared_node(struct folio *folio)
{
	BUILD_BUG_ON(sizeof(struct hlist_node) != sizeof(folio->lru));
	BUILD_BUG_ON(sizeof(folio->index) != sizeof(u64));

	return (struct hlist_node *)&folio->lru;
}

static struct folio *fisc_shared_frame(struct hlist_node *node)
{
	return container_of((struct list_head *)node, struct folio, lru);
}

static unsigned long fisc_shared_users(const struct folio *folio)
{
	return (unsigned long)folio->private;
}

static void fisc_shared_add_users(struct folio *folio, long n)
{
	folio->private = (void *)(fisc_shared_users(folio) + n);
}

static spinlock_t *fisc_shared_lock(u64 hash)
{
	return &fisc_shared_locks[hash & (FISC_SHARED_NR_LOCKS - 1)];
}

static struct hlist_head *fisc_shared_bucket(u64 hash)
{
	return &fisc_shared_buckets[hash & (fisc_shared_nr_buckets - 1)];
}

/**
 * fisc_share_hash() - hash of a frame's content
 * @folio: the frame; it may change meanwhile, then so does the hash
 *
 * Keyed anew at each load of the module, so that no guest can prepare pages
 * that collide.
 *
 * Context: any.
 * Return: the hash.
 */
u64 fisc_share_hash(struct folio *folio)
{
	void *content = kmap_local_folio(folio, 0);
	u64 hash = xxh64(content, PAGE_SIZE, fisc_share_seed);

	kunmap_local(content);

	return hash;
}

/**
 * fisc_shared_find() - find a shared frame and become its user
 * @hash: hash of the content wanted
 *
 * That the content is equal is for the caller to check.
 *
 * Context: any.
 * Return: the frame with one user more, NULL if there is none.
 */
struct folio *fisc_shared_find(u64 hash)
{
	spinlock_t *lock = fisc_shared_lock(hash);
	struct hlist_node *node;
	struct folio *folio;

	spin_lock(lock);
	hlist_for_each(node, fisc_shared_bucket(hash)) {
		folio = fisc_shared_frame(node);
		if (folio->index == hash) {
			fisc_shared_add_users(folio, 1);
			spin_unlock(lock);
			return folio;
		}
	}
	spin_unlock(lock);

	return NULL;
}

/**
 * fisc_shared_add() - make a frame a shared one, with one user
 * @folio: a frame that nothing maps and nobody else has a reference on; the
 *	caller's reference becomes the users'
 * @hash: hash of its content
 *
 * Context: any.
 */
void fisc_shared_add(struct folio *folio, u64 hash)
{
	spinlock_t *lock = fisc_shared_lock(hash);

	folio->mapping = NULL;
	folio->index = hash;
	folio->private = (void *)1;

	spin_lock(lock);
	hlist_add_head(fisc_shared_node(folio), fisc_shared_bucket(hash));
	spin_unlock(lock);
	fisc_count_total(FISC_SHARED, 1);
}

/**
 * fisc_shared_put() - be a user of a shared frame no longer
 * @folio: the frame; freed when its last user and its last mapping are gone
 *
 * Context: any.
 */
void fisc_shared_put(struct folio *folio)
{
	spinlock_t *lock = fisc_shared_lock(folio->index);
	bool last;

	spin_lock(lock);
	fisc_shared_add_users(folio, -1);
	last = !fisc_shared_users(folio);
	if (last)
		hlist_del(fisc_shared_node(folio));
	spin_unlock(lock);

	if (last) {
		fisc_count_total(FISC_SHARED, -1);
		folio_put(folio);
	}
}

int fisc_shared_init(void)
{
	unsigned long nr = totalram_pages() / FISC_SHARED_PAGES_PER_BUCKET;
	int i;

	for (i = 0; i < FISC_SHARED_NR_LOCKS; i++)
		spin_lock_init(&fisc_shared_locks[i]);

	/* Not fewer buckets than locks: a bucket has one lock. */
	nr = roundup_pow_of_two(max_t(unsigned long, nr,
				      FISC_SHARED_NR_LOCKS));
	fisc_shared_buckets = kvcalloc(nr, sizeof(*fisc_shared_buckets),
				       GFP_KERNEL);
	if (!fisc_shared_buckets)
		return -ENOMEM;
	fisc_shared_nr_buckets = nr;
	fisc_share_seed = get_random_u64();

	return 0;
}

void fisc_shared_exit(void)
{
	WARN_ON_ONCE(fisc_total_sum(FISC_SHARED));
	kvfree(fisc_shared_buckets);
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "../tests/table-kunit.h"
#endif
