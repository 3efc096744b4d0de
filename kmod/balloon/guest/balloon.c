// SPDX-License-Identifier: GPL-2.0
/*
 * The pages in the balloon. See DOC: The guest's end of the balloon in guest.h.
 */
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/vmstat.h>

#include "balloon/guest/balloon.h"
#include "balloon/guest/queue.h"
#include "balloon/guest/recover.h"

/* Take large pages only if they are free already: do not even wake kswapd. */
#define FISC_GUEST_GFP_LARGE	((GFP_HIGHUSER & ~__GFP_RECLAIM) |	\
				 __GFP_NORETRY | __GFP_NOWARN |		\
				 __GFP_NOMEMALLOC)

/* Most small pages taken, or given back, at a time. */
#define FISC_GUEST_BATCH_SMALL	512

/*
 * Pages given back before an OOM kill, and for how long the balloon then does
 * not grow.
 */
#define FISC_GUEST_OOM_PAGES	1024
#define FISC_GUEST_OOM_HOLD	(30 * HZ)

/* How long a task that would cause an OOM kill waits for these pages. */
#define FISC_GUEST_OOM_WAIT	(5 * HZ)

/**
 * fisc_guest_size() - return the number of pages in the balloon
 * @g: the balloon
 *
 * Context: any.
 * Return: the number of pages.
 */
unsigned long fisc_guest_size(const struct fisc_guest *g)
{
	return READ_ONCE(g->nr_small) +
	       READ_ONCE(g->nr_large) * FISC_GUEST_LARGE_PAGES;
}

static void fisc_guest_count(struct fisc_guest *g, long small, long large)
{
	lockdep_assert_held(&g->lock);
	WRITE_ONCE(g->nr_small, g->nr_small + small);
	WRITE_ONCE(g->nr_large, g->nr_large + large);
}

/*
 * Memory in the balloon does not count as the guest's, unless the guest may
 * take it back on its own.
 */
static void fisc_guest_manage(const struct fisc_guest *g, struct page *page,
			      long count)
{
	if (!fisc_guest_has(g, VIRTIO_BALLOON_F_DEFLATE_ON_OOM))
		adjust_managed_page_count(page, count);
}

/* Tell dumps that they need not read a large page. */
static void fisc_guest_set_offline(struct page *page)
{
	unsigned int i;

	for (i = 0; i < FISC_GUEST_LARGE_PAGES; i++)
		__folio_set_offline(page_folio(page + i));
}

static void fisc_guest_clear_offline(struct page *page)
{
	unsigned int i;

	for (i = 0; i < FISC_GUEST_LARGE_PAGES; i++)
		__folio_clear_offline(page_folio(page + i));
}

/* Tell the device which pages compaction has moved, then free the old ones. */
static void fisc_guest_tell_moves(struct fisc_guest *g)
{
	unsigned int i;

	lockdep_assert_held(&g->lock);

	for (i = 0; i < g->nr_moves; i++)
		fisc_guest_tell(g, g->inflate_vq, g->moves[i].to, 0);
	fisc_guest_flush(g, g->inflate_vq);
	for (i = 0; i < g->nr_moves; i++)
		fisc_guest_tell(g, g->deflate_vq, g->moves[i].from, 0);
	fisc_guest_flush(g, g->deflate_vq);
	for (i = 0; i < g->nr_moves; i++)
		put_page(g->moves[i].from);
	g->nr_moves = 0;
}

/*
 * Take the lock in order to tell the device something: first of all, that pages
 * were moved. Those that replace them might be what it is told next.
 */
static void fisc_guest_lock(struct fisc_guest *g)
{
	mutex_lock(&g->lock);
	fisc_guest_tell_moves(g);
}

/**
 * fisc_guest_settle() - tell the device which pages compaction has moved
 * @g: the balloon
 *
 * Context: @g->work.
 */
void fisc_guest_settle(struct fisc_guest *g)
{
	fisc_guest_lock(g);
	mutex_unlock(&g->lock);
}

/* A paired device knows the number of pages; others are told here. */
static void fisc_guest_write_actual(struct fisc_guest *g)
{
	u32 actual = fisc_guest_size(g);

	lockdep_assert_held(&g->lock);
	virtio_cwrite_le(g->vdev, struct virtio_balloon_config, actual,
			 &actual);
}

/**
 * fisc_guest_inflate() - put pages into the balloon
 * @g: the balloon
 * @wanted: most pages to put in, more than 0
 * @credit: most small pages to put in; reduced by the number put in
 *
 * Takes free large pages without limit, but not while the guest reclaims hard.
 *
 * Context: @g->work; may sleep and reclaim memory.
 * Return: the number of pages put in.
 */
unsigned long fisc_guest_inflate(struct fisc_guest *g, unsigned long wanted,
				 unsigned long *credit)
{
	unsigned long nr_small = 0, nr_large = 0, nr = 0;
	struct page *page, *next;
	LIST_HEAD(small);
	LIST_HEAD(large);

	while (nr < FISC_GUEST_BATCH && wanted - nr >= FISC_GUEST_LARGE_PAGES &&
	       !g->fragmented && !g->pace.pressed) {
		page = alloc_pages(FISC_GUEST_GFP_LARGE,
				   FISC_BALLOON_MAX_ORDER);
		if (!page) {
			g->fragmented = true;
			break;
		}
		list_add(&page->lru, &large);
		nr_large++;
		nr += FISC_GUEST_LARGE_PAGES;
	}
	while (nr < FISC_GUEST_BATCH && nr < wanted &&
	       nr_small < min(*credit, FISC_GUEST_BATCH_SMALL)) {
		page = balloon_page_alloc();
		if (!page)
			break;
		balloon_page_push(&small, page);
		nr_small++;
		nr++;
	}
	if (!nr)
		return 0;
	*credit -= nr_small;

	fisc_guest_lock(g);
	list_for_each_entry_safe(page, next, &large, lru) {
		fisc_guest_manage(g, page, -(long)FISC_GUEST_LARGE_PAGES);
		fisc_guest_set_offline(page);
		list_move(&page->lru, &g->large);
		fisc_guest_tell(g, g->inflate_vq, page, FISC_BALLOON_MAX_ORDER);
	}
	list_for_each_entry(page, &small, lru) {
		fisc_guest_manage(g, page, -1);
		fisc_guest_tell(g, g->inflate_vq, page, 0);
	}
	balloon_page_list_enqueue(&g->dev_info, &small);
	fisc_guest_count(g, nr_small, nr_large);
	fisc_guest_flush(g, g->inflate_vq);
	fisc_guest_write_actual(g);
	mutex_unlock(&g->lock);

	return nr;
}

/* Split a large page into small ones. The device knows all of them already. */
static void fisc_guest_split(struct fisc_guest *g)
{
	struct page *page = list_first_entry(&g->large, struct page, lru);
	LIST_HEAD(small);
	unsigned int i;

	lockdep_assert_held(&g->lock);

	list_del(&page->lru);
	fisc_guest_clear_offline(page);
	split_page(page, FISC_BALLOON_MAX_ORDER);
	for (i = 0; i < FISC_GUEST_LARGE_PAGES; i++)
		list_add(&page[i].lru, &small);
	balloon_page_list_enqueue(&g->dev_info, &small);
	fisc_guest_count(g, FISC_GUEST_LARGE_PAGES, -1);
}

/* Take large pages out. Return: the number of (small) pages. */
static unsigned long fisc_guest_take_large(struct fisc_guest *g,
					   struct list_head *taken,
					   unsigned long wanted)
{
	unsigned long nr = 0;
	struct page *page;

	while (g->nr_large && wanted - nr >= FISC_GUEST_LARGE_PAGES) {
		page = list_first_entry(&g->large, struct page, lru);
		list_move(&page->lru, taken);
		fisc_guest_count(g, 0, -1);
		fisc_guest_tell(g, g->deflate_vq, page, FISC_BALLOON_MAX_ORDER);
		nr += FISC_GUEST_LARGE_PAGES;
	}

	return nr;
}

/* Take small pages out: fewer than wanted if compaction has isolated some. */
static unsigned long fisc_guest_take_small(struct fisc_guest *g,
					   struct list_head *taken,
					   unsigned long wanted)
{
	struct page *page;
	unsigned long nr;

	if (g->nr_small < wanted && g->nr_large)
		fisc_guest_split(g);
	nr = balloon_page_list_dequeue(&g->dev_info, taken, wanted);
	fisc_guest_count(g, -(long)nr, 0);
	list_for_each_entry(page, taken, lru)
		fisc_guest_tell(g, g->deflate_vq, page, 0);

	return nr;
}

/**
 * fisc_guest_deflate() - give pages back to the guest
 * @g: the balloon
 * @wanted: most pages to give back
 *
 * Context: may sleep; does not allocate memory.
 * Return: the number of pages given back.
 */
unsigned long fisc_guest_deflate(struct fisc_guest *g, unsigned long wanted)
{
	struct page *page, *next;
	unsigned long nr;
	LIST_HEAD(small);
	LIST_HEAD(large);

	fisc_guest_lock(g);
	wanted = min3(wanted, fisc_guest_size(g), FISC_GUEST_BATCH);
	nr = fisc_guest_take_large(g, &large, wanted);
	nr += fisc_guest_take_small(g, &small, min(wanted - nr,
						   FISC_GUEST_BATCH_SMALL));
	if (nr) {
		fisc_guest_flush(g, g->deflate_vq);
		fisc_guest_write_actual(g);
	}
	mutex_unlock(&g->lock);

	list_for_each_entry_safe(page, next, &large, lru) {
		list_del(&page->lru);
		fisc_guest_clear_offline(page);
		fisc_guest_manage(g, page, FISC_GUEST_LARGE_PAGES);
		__free_pages(page, FISC_BALLOON_MAX_ORDER);
	}
	list_for_each_entry_safe(page, next, &small, lru) {
		list_del(&page->lru);
		fisc_guest_manage(g, page, 1);
		put_page(page);
	}

	return nr;
}

/**
 * fisc_guest_drop() - empty the balloon
 * @g: the balloon
 *
 * Context: may sleep. Nothing else puts pages into the balloon.
 */
void fisc_guest_drop(struct fisc_guest *g)
{
	while (fisc_guest_size(g)) {
		/* Pages isolated by compaction come back in a moment. */
		if (!fisc_guest_deflate(g, FISC_GUEST_BATCH))
			msleep(20);
		cond_resched();
	}
}

/* Tell large pages again, moving each to the end of the list. */
static void fisc_guest_retell_large(struct fisc_guest *g)
{
	unsigned long nr = min3(g->retell.large, g->nr_large,
				FISC_GUEST_RANGES);

	g->retell.large = nr < FISC_GUEST_RANGES ? 0 : g->retell.large - nr;
	for (; nr; nr--) {
		fisc_guest_tell(g, g->inflate_vq,
				list_first_entry(&g->large, struct page, lru),
				FISC_BALLOON_MAX_ORDER);
		list_rotate_left(&g->large);
	}
}

/* Tell small pages again, and rotate the list so that the next one is first. */
static void fisc_guest_retell_small(struct fisc_guest *g)
{
	struct list_head *pages = &g->dev_info.pages;
	struct page *page;
	unsigned long nr = 0;

	/* They fit into the buffer, so nothing is sent under the lock. */
	spin_lock_irq(&g->dev_info.pages_lock);
	list_for_each_entry(page, pages, lru) {
		if (nr == FISC_GUEST_RANGES) {
			list_rotate_to_front(&page->lru, pages);
			break;
		}
		fisc_guest_tell(g, g->inflate_vq, page, 0);
		nr++;
	}
	spin_unlock_irq(&g->dev_info.pages_lock);
	g->retell.small -= min(g->retell.small, nr);
	if (nr < FISC_GUEST_RANGES)
		g->retell.small = 0;
}

/**
 * fisc_guest_retell() - tell the device the next pages once more
 * @g: the balloon, paired
 *
 * Pages that come or go meanwhile, or are isolated, may be told twice or not at
 * all. If one that matters is missed, the device again has fewer pages than the
 * driver.
 *
 * Context: @g->work.
 */
void fisc_guest_retell(struct fisc_guest *g)
{
	fisc_guest_lock(g);
	if (g->retell.large)
		fisc_guest_retell_large(g);
	else
		fisc_guest_retell_small(g);
	fisc_guest_flush(g, g->inflate_vq);
	mutex_unlock(&g->lock);
}

/**
 * fisc_guest_oom_work() - give pages back to avoid an OOM kill
 * @work: fisc_guest.oom_work
 *
 * Context: may sleep; does not allocate memory.
 */
void fisc_guest_oom_work(struct work_struct *work)
{
	struct fisc_guest *g = container_of(work, struct fisc_guest, oom_work);
	unsigned long nr = fisc_guest_deflate(g, FISC_GUEST_OOM_PAGES);

	if (nr) {
		WRITE_ONCE(g->pace.oom_end, jiffies + FISC_GUEST_OOM_HOLD);
		WRITE_ONCE(g->pace.oomed, true);
		atomic_long_add(nr, &g->oom_given);
	}
	complete(&g->oom_done);
}

/**
 * fisc_guest_oom() - have pages given back to avoid an OOM kill
 * @nb: the balloon's notifier block
 * @unused: unused
 * @freed: number of pages freed; increased
 *
 * Waits for the host no longer than FISC_GUEST_OOM_WAIT: nobody is killed
 * meanwhile, and nobody else who needs memory gets on.
 *
 * Context: A task that needs memory; may sleep; never called twice at a time.
 * Return: NOTIFY_OK.
 */
int fisc_guest_oom(struct notifier_block *nb, unsigned long unused, void *freed)
{
	struct fisc_guest *g = container_of(nb, struct fisc_guest, oom_nb);
	unsigned long flags;
	bool stopped;

	reinit_completion(&g->oom_done);
	spin_lock_irqsave(&g->stop_lock, flags);
	stopped = g->stop;
	if (!stopped)
		queue_work(g->wq, &g->oom_work);
	spin_unlock_irqrestore(&g->stop_lock, flags);
	if (!stopped)
		wait_for_completion_killable_timeout(&g->oom_done,
						     FISC_GUEST_OOM_WAIT);
	*(unsigned long *)freed += atomic_long_xchg(&g->oom_given, 0);

	return NOTIFY_OK;
}

#ifdef CONFIG_BALLOON_COMPACTION
/*
 * Compaction wants to move a small page. Both pages are locked. The old page
 * stays here until the device knows; until then, others are told nothing.
 */
static int fisc_guest_migrate(struct balloon_dev_info *dev_info,
			      struct page *to, struct page *from,
			      enum migrate_mode mode)
{
	struct fisc_guest *g = container_of(dev_info, struct fisc_guest,
					    dev_info);
	unsigned long flags;

	/* Others may wait for us with the lock. Compaction can try again. */
	if (!mutex_trylock(&g->lock))
		return -EAGAIN;
	if (g->nr_moves == FISC_GUEST_MOVES) {
		mutex_unlock(&g->lock);
		return -EAGAIN;
	}

	get_page(to);
	if (page_zone(from) != page_zone(to)) {
		fisc_guest_manage(g, from, 1);
		fisc_guest_manage(g, to, -1);
	}
	spin_lock_irqsave(&dev_info->pages_lock, flags);
	balloon_page_insert(dev_info, to);
	dev_info->isolated_pages--;
	__count_vm_event(BALLOON_MIGRATE);
	spin_unlock_irqrestore(&dev_info->pages_lock, flags);
	balloon_page_finalize(from);
	g->moves[g->nr_moves++] = (struct fisc_guest_move){ from, to };
	mutex_unlock(&g->lock);
	fisc_guest_poke(g);

	return MIGRATEPAGE_SUCCESS;
}
#endif

/**
 * fisc_guest_init_pages() - start with an empty balloon
 * @g: the balloon
 *
 * Context: any; nothing else uses @g yet.
 */
void fisc_guest_init_pages(struct fisc_guest *g)
{
	mutex_init(&g->lock);
	INIT_LIST_HEAD(&g->large);
	balloon_devinfo_init(&g->dev_info);
#ifdef CONFIG_BALLOON_COMPACTION
	g->dev_info.migratepage = fisc_guest_migrate;
#endif
}
