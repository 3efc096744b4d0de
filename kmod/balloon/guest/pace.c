// SPDX-License-Identifier: GPL-2.0
/*
 * How large the balloon should be, and how fast it gets there. See guest.h.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/swap.h>

#include "balloon/guest/balloon.h"
#include "balloon/guest/pace.h"
#include "balloon/guest/param.h"
#include "balloon/guest/pressure.h"
#include "balloon/guest/recover.h"

static struct fisc_guest_param floor_mb = { 0, 0, BIT(30) };
module_param_cb(floor_mb, &fisc_guest_param_ops, &floor_mb, 0644);
MODULE_PARM_DESC(floor_mb,
		 "MiB always left to the guest; 0: one eighth of its memory, but at least 64");

static struct fisc_guest_param rate_min = { 256, 1, BIT(24) };
module_param_cb(rate_min, &fisc_guest_param_ops, &rate_min, 0644);
MODULE_PARM_DESC(rate_min,
		 "minimum growth of the balloon in single pages per second, however hard the guest reclaims");

static struct fisc_guest_param rate_max = { BIT(18), 1, BIT(24) };
module_param_cb(rate_max, &fisc_guest_param_ops, &rate_max, 0644);
MODULE_PARM_DESC(rate_max, "maximum growth of the balloon in single pages per second");

/* Initial rate, in small pages per second. */
#define FISC_GUEST_RATE_START	4096

#define FISC_GUEST_LOOK		HZ
#define FISC_GUEST_TICK		(HZ / 10)

/*
 * How many seconds a device may have fewer pages than the driver before all are
 * told again: initially, and at most.
 */
#define FISC_GUEST_PATIENCE	5
#define FISC_GUEST_PATIENCE_MAX	600

static unsigned long fisc_guest_rate(unsigned long rate)
{
	unsigned int lowest = READ_ONCE(rate_min.value);
	unsigned int highest = READ_ONCE(rate_max.value);

	return clamp(rate, lowest, max(lowest, highest));
}

/* Pages that the guest would have without the balloon. */
static unsigned long fisc_guest_ram(const struct fisc_guest *g)
{
	if (fisc_guest_has(g, VIRTIO_BALLOON_F_DEFLATE_ON_OOM))
		return totalram_pages();

	return totalram_pages() + fisc_guest_size(g);
}

/**
 * fisc_guest_floor() - return how much memory is always left to the guest
 * @g: the balloon
 *
 * Context: any.
 * Return: the number of pages.
 */
unsigned long fisc_guest_floor(const struct fisc_guest *g)
{
	unsigned long chosen = READ_ONCE(floor_mb.value);

	if (chosen)
		return chosen << (20 - PAGE_SHIFT);

	return max(fisc_guest_ram(g) / 8, SZ_64M >> PAGE_SHIFT);
}

static unsigned long fisc_guest_target(const struct fisc_guest *g)
{
	u32 num_pages;

	virtio_cread_le(g->vdev, struct virtio_balloon_config, num_pages,
			&num_pages);

	return num_pages;
}

/* The balloon's target, limited so that the floor is left to the guest. */
static unsigned long fisc_guest_goal(const struct fisc_guest *g)
{
	unsigned long ram = fisc_guest_ram(g);
	unsigned long highest = ram - min(ram, fisc_guest_floor(g));

	return min(fisc_guest_target(g), highest);
}

/*
 * Pages that the guest could do without: not all that it can reclaim, or the
 * next allocation would find none.
 */
static unsigned long fisc_guest_spare(const struct fisc_guest *g)
{
	long spare = si_mem_available() + get_nr_swap_pages() -
		     (long)fisc_guest_floor(g) / 4;

	return max(spare, 0L);
}

/* Check whether the device must be told again what is in the balloon. */
static void fisc_guest_look_at_device(struct fisc_guest *g)
{
	struct fisc_guest_retell *retell = &g->retell;
	u32 actual;

	if (!fisc_guest_has(g, FISC_BALLOON_F_PAIRED) ||
	    retell->large || retell->small)
		return;

	virtio_cread_le(g->vdev, struct virtio_balloon_config, actual, &actual);
	if (actual >= fisc_guest_size(g)) {
		retell->behind = 0;
		retell->patience = FISC_GUEST_PATIENCE;
	} else if (++retell->behind >= retell->patience) {
		retell->behind = 0;
		/* There may be pages that it will never take. */
		retell->patience = min(retell->patience * 2,
				       FISC_GUEST_PATIENCE_MAX);
		retell->large = READ_ONCE(g->nr_large);
		retell->small = READ_ONCE(g->nr_small);
	}
}

static void fisc_guest_look(struct fisc_guest *g)
{
	struct fisc_guest_pace *pace = &g->pace;
	unsigned long elapsed = jiffies - pace->looked;
	unsigned long rate = pace->rate;
	struct fisc_guest_pressure now;

	if (elapsed < FISC_GUEST_LOOK)
		return;

	fisc_guest_pressure(&now);
	pace->pressed = fisc_guest_pressed(&pace->last, &now,
					   jiffies_to_msecs(elapsed));
	if (pace->pressed)
		rate /= 2;
	else if (!pace->spent)
		rate = FISC_GUEST_RATE_START;
	else if (pace->spent * HZ / elapsed >= rate / 2)
		rate *= 2;
	pace->rate = fisc_guest_rate(rate);
	pace->spent = 0;
	pace->last = now;
	pace->looked = jiffies;
	g->fragmented = false;
	fisc_guest_look_at_device(g);
}

/* Fill the bucket: up to two ticks' worth, but at least one page. */
static void fisc_guest_refill(struct fisc_guest_pace *pace)
{
	unsigned long elapsed = min(jiffies - pace->credited, HZ);
	unsigned long most = max(pace->rate * FISC_GUEST_TICK * 2 / HZ, 1UL);
	unsigned long more = pace->rate * elapsed / HZ;

	if (!more)
		return;
	pace->credit = min(pace->credit + more, most);
	pace->credited = jiffies;
}

static bool fisc_guest_oom_recently(struct fisc_guest_pace *pace)
{
	if (READ_ONCE(pace->oomed) &&
	    time_after(jiffies, READ_ONCE(pace->oom_end)))
		WRITE_ONCE(pace->oomed, false);

	return READ_ONCE(pace->oomed);
}

/*
 * Put pages into the balloon, limited by what is available and by the credit.
 */
static void fisc_guest_grow(struct fisc_guest *g)
{
	struct fisc_guest_pace *pace = &g->pace;
	unsigned long goal, size, nr, credit;

	pace->starved = false;
	fisc_guest_refill(pace);
	credit = pace->credit;
	while (!fisc_guest_oom_recently(pace) && !READ_ONCE(g->lost)) {
		goal = fisc_guest_goal(g);
		size = fisc_guest_size(g);
		if (size >= goal)
			break;
		nr = min(goal - size, fisc_guest_spare(g));
		if (nr)
			nr = fisc_guest_inflate(g, nr, &credit);
		if (!nr) {
			pace->starved = credit;
			break;
		}
		cond_resched();
	}
	pace->spent += pace->credit - credit;
	pace->credit = credit;
}

static void fisc_guest_shrink(struct fisc_guest *g)
{
	unsigned long goal, size;

	while ((size = fisc_guest_size(g)) > (goal = fisc_guest_goal(g))) {
		/* Compaction may have isolated the pages. */
		if (!fisc_guest_deflate(g, size - goal))
			break;
		cond_resched();
	}
}

/* Return why the balloon is smaller than it should be. */
static unsigned int fisc_guest_shortfall(struct fisc_guest *g)
{
	unsigned long size = fisc_guest_size(g), target = fisc_guest_target(g);
	unsigned int why = 0;

	if (size >= target)
		return 0;

	if (fisc_guest_oom_recently(&g->pace))
		why |= FISC_BALLOON_SHORT_OOM;
	if (g->pace.pressed)
		why |= FISC_BALLOON_SHORT_PRESSURE;
	if (size >= fisc_guest_goal(g))
		why |= FISC_BALLOON_SHORT_FLOOR;
	else if (g->pace.starved)
		why |= FISC_BALLOON_SHORT_MEMORY;
	else if (!(why & FISC_BALLOON_SHORT_OOM))
		why |= FISC_BALLOON_SHORT_RATE;

	return why;
}

/* Test whether there is more to do soon; not if no pages are available. */
static bool fisc_guest_busy(struct fisc_guest *g)
{
	unsigned long size = fisc_guest_size(g), goal = fisc_guest_goal(g);

	return size > goal || g->retell.large || g->retell.small ||
	       (size < goal && !g->pace.starved &&
		!fisc_guest_oom_recently(&g->pace));
}

/**
 * fisc_guest_work() - adjust the balloon
 * @work: fisc_guest.work
 *
 * Runs every second, and more often while there is more to do.
 *
 * Context: may sleep.
 */
void fisc_guest_work(struct work_struct *work)
{
	struct fisc_guest *g = container_of(to_delayed_work(work),
					    struct fisc_guest, work);
	unsigned long delay = FISC_GUEST_LOOK;
	unsigned long flags;

	if (fisc_guest_needs_reset(g)) {
		fisc_guest_recover(g);
		/* The host counts nothing any more. */
		fisc_guest_drop(g);
		return;
	}

	fisc_guest_settle(g);
	fisc_guest_look(g);
	fisc_guest_shrink(g);
	fisc_guest_grow(g);
	if (g->retell.large || g->retell.small)
		fisc_guest_retell(g);
	WRITE_ONCE(g->pace.shortfall, fisc_guest_shortfall(g));

	if (fisc_guest_busy(g))
		delay = FISC_GUEST_TICK;
	spin_lock_irqsave(&g->stop_lock, flags);
	if (!g->stop)
		queue_delayed_work(g->wq, &g->work, delay);
	spin_unlock_irqrestore(&g->stop_lock, flags);
}

/**
 * fisc_guest_init_pace() - reset the pace
 * @g: the balloon, with no work queued
 *
 * Context: may sleep.
 */
void fisc_guest_init_pace(struct fisc_guest *g)
{
	memset(&g->pace, 0, sizeof(g->pace));
	memset(&g->retell, 0, sizeof(g->retell));
	g->fragmented = false;
	g->retell.patience = FISC_GUEST_PATIENCE;
	g->pace.rate = fisc_guest_rate(FISC_GUEST_RATE_START);
	g->pace.credited = jiffies;
	g->pace.looked = jiffies;
	fisc_guest_pressure(&g->pace.last);
}
