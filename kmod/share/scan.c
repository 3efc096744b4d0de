// SPDX-License-Identifier: GPL-2.0
/*
 * The thread that goes over guest memory, how fast, and its knobs.
 */
#include <linux/debugfs.h>
#include <linux/freezer.h>
#include <linux/kobject.h>
#include <linux/kthread.h>
#include <linux/sched/clock.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>
#include <linux/wait.h>

#include "../../uapi/fisc.h"
#include "merge.h"
#include "share.h"

/* How long the scanner sleeps between two portions of work. */
#define FISC_SCAN_INTERVAL_MS	20

/**
 * struct fisc_scanner - the scanning thread
 * @task: the thread
 * @wait: where it sleeps; woken when a knob is turned
 * @run: FISC_SHARE_RUN or FISC_SHARE_STOP; written by sysfs
 * @pages_per_sec: bound on the pages read; written by sysfs
 * @earned_at: until when pages have been earned, in ns of local_clock()
 * @id: region to go on with
 * @index: page to go on with in this region
 * @merger: what does the work
 */
static struct fisc_scanner {
	struct task_struct *task;
	wait_queue_head_t wait;
	unsigned int run;
	unsigned int pages_per_sec;
	u64 earned_at;
	u32 id;
	pgoff_t index;
	struct fisc_merger merger;
} fisc_scanner = {
	.wait = __WAIT_QUEUE_HEAD_INITIALIZER(fisc_scanner.wait),
	.run = FISC_SHARE_STOP,
	.pages_per_sec = FISC_PAGES_PER_SEC_DEFAULT,
};

static bool fisc_scan_must_pause(const struct fisc_scanner *scanner)
{
	return kthread_should_stop() || freezing(current) ||
	       READ_ONCE(scanner->run) != FISC_SHARE_RUN;
}

/*
 * Pages that may be read now. Time that earned no whole page is kept; time in
 * which nothing was read earns no more than two intervals' worth.
 */
static unsigned long fisc_scan_earn(struct fisc_scanner *scanner)
{
	u64 rate = READ_ONCE(scanner->pages_per_sec);
	u64 longest = max(2 * FISC_SCAN_INTERVAL_MS * NSEC_PER_MSEC,
			  NSEC_PER_SEC / rate + 1);
	u64 now = local_clock();
	u64 pages;

	if (scanner->earned_at + longest < now || scanner->earned_at > now)
		scanner->earned_at = now - longest;
	pages = (now - scanner->earned_at) * rate / NSEC_PER_SEC;
	scanner->earned_at += pages * NSEC_PER_SEC / rate;

	return pages;
}

/*
 * Put the next private pages of a chunk into the batch, at most @max.
 * Return: index to go on with.
 */
static pgoff_t fisc_scan_collect(struct fisc_batch *batch, pgoff_t index,
				 unsigned long max)
{
	pgoff_t end = round_down(index, FISC_CHUNK_PAGES) + FISC_CHUNK_PAGES;

	max = min_t(unsigned long, max, FISC_BATCH_PAGES);

	down_read(&batch->chunk->lock);
	for (; index < end && batch->nr < max; index++) {
		struct fisc_candidate *page = &batch->pages[batch->nr];
		unsigned long e = fisc_chunk_entry(batch->chunk, index);

		if (fisc_entry_state(e) != FISC_ENTRY_PRIVATE)
			continue;
		page->index = index;
		page->folio = fisc_entry_frame(e);
		page->target = 0;
		folio_get(page->folio);
		batch->nr++;
	}
	up_read(&batch->chunk->lock);

	return index;
}

/*
 * Scan the next batch of a region.
 * Return: pages to be charged for, 0 at the end of the region.
 */
static unsigned long fisc_scan_region(struct fisc_scanner *scanner,
				      struct fisc_region *region,
				      unsigned long max)
{
	struct fisc_batch *batch = &scanner->merger.batch;
	unsigned long nr = scanner->index >> FISC_CHUNK_SHIFT;
	unsigned long charge;

	batch->chunk = xa_find(&region->chunks, &nr, ULONG_MAX, XA_PRESENT);
	if (!batch->chunk)
		return 0;

	batch->region = region;
	scanner->index = fisc_scan_collect(batch,
					   max(scanner->index,
					       nr << FISC_CHUNK_SHIFT), max);
	/* Going over entries that are not private is not quite free. */
	charge = batch->nr ?: 1;
	fisc_merge_batch(&scanner->merger);

	return charge;
}

/* Scan up to @budget pages; ends with the pass at the latest. */
static void fisc_scan(struct fisc_scanner *scanner, unsigned long budget)
{
	while (budget && !fisc_scan_must_pause(scanner)) {
		struct fisc_region *region;
		unsigned long charge;
		u32 id = scanner->id;

		region = fisc_region_next(&id);
		if (!region) {
			scanner->id = 0;
			scanner->index = 0;
			scanner->merger.pass++;
			scanner->merger.stats.full_scans++;
			return;
		}
		if (id != scanner->id) {
			scanner->id = id;
			scanner->index = 0;
		}

		charge = fisc_scan_region(scanner, region, budget);
		if (charge) {
			budget -= min(charge, budget);
		} else {
			scanner->id++;
			scanner->index = 0;
		}
		fisc_region_put(region);
		cond_resched();
	}
}

static int fisc_scan_thread(void *data)
{
	struct fisc_scanner *scanner = data;

	set_freezable();
	while (!kthread_should_stop()) {
		unsigned int rate = READ_ONCE(scanner->pages_per_sec);

		if (READ_ONCE(scanner->run) != FISC_SHARE_RUN) {
			wait_event_freezable(scanner->wait,
					     kthread_should_stop() ||
					     READ_ONCE(scanner->run) ==
					     FISC_SHARE_RUN);
			continue;
		}
		fisc_scan(scanner, fisc_scan_earn(scanner));
		wait_event_freezable_timeout(scanner->wait,
					     fisc_scan_must_pause(scanner) ||
					     rate != READ_ONCE(scanner->pages_per_sec),
					     msecs_to_jiffies(max(FISC_SCAN_INTERVAL_MS,
								  MSEC_PER_SEC / rate)));
	}

	return 0;
}

/* Set a knob, or refuse and leave it as it was. */
static ssize_t fisc_scan_set(unsigned int *knob, const char *buf, size_t count,
			     unsigned int lowest, unsigned int highest)
{
	unsigned int value;
	int err;

	err = kstrtouint(buf, 0, &value);
	if (err || value < lowest || value > highest)
		return -EINVAL;

	WRITE_ONCE(*knob, value);
	wake_up(&fisc_scanner.wait);

	return count;
}

static ssize_t run_show(struct kobject *kobj, struct kobj_attribute *attr,
			char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(fisc_scanner.run));
}

static ssize_t run_store(struct kobject *kobj, struct kobj_attribute *attr,
			 const char *buf, size_t count)
{
	return fisc_scan_set(&fisc_scanner.run, buf, count, FISC_SHARE_STOP,
			     FISC_SHARE_RUN);
}

static struct kobj_attribute run_attr = __ATTR_RW(run);

static ssize_t pages_per_sec_show(struct kobject *kobj,
				  struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(fisc_scanner.pages_per_sec));
}

static ssize_t pages_per_sec_store(struct kobject *kobj,
				   struct kobj_attribute *attr,
				   const char *buf, size_t count)
{
	return fisc_scan_set(&fisc_scanner.pages_per_sec, buf, count,
			     FISC_PAGES_PER_SEC_MIN, FISC_PAGES_PER_SEC_MAX);
}

static struct kobj_attribute pages_per_sec_attr = __ATTR_RW(pages_per_sec);

static ssize_t full_scans_show(struct kobject *kobj,
			       struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  READ_ONCE(fisc_scanner.merger.stats.full_scans));
}

static struct kobj_attribute full_scans_attr = __ATTR_RO(full_scans);

static struct attribute *fisc_scan_attrs[] = {
	&run_attr.attr,
	&pages_per_sec_attr.attr,
	&full_scans_attr.attr,
	NULL,
};

static const struct attribute_group fisc_scan_group = {
	.name = "share",
	.attrs = fisc_scan_attrs,
};

static int fisc_share_stats_show(struct seq_file *m, void *v)
{
	const struct fisc_merger *merger = &fisc_scanner.merger;
	const struct fisc_share_stats *stats = &merger->stats;
	long shared = fisc_total_sum(FISC_SHARED);
	long sharing = fisc_total_sum(FISC_SHARING);
	long zero = fisc_total_sum(FISC_ZERO);

	seq_printf(m, "shared: %ld\n", shared);
	seq_printf(m, "sharing: %ld\n", sharing);
	seq_printf(m, "zero: %ld\n", zero);
	seq_printf(m, "saved: %ld\n", max(sharing - shared, 0L) + zero);
	seq_printf(m, "cow_breaks: %ld\n", fisc_total_sum(FISC_COW_BREAKS));
	seq_printf(m, "scanned: %llu\n", READ_ONCE(stats->scanned));
	seq_printf(m, "merged: %llu\n", READ_ONCE(stats->merged));
	seq_printf(m, "merged_zero: %llu\n", READ_ONCE(stats->merged_zero));
	seq_printf(m, "pinned: %llu\n", READ_ONCE(stats->pinned));
	seq_printf(m, "changed: %llu\n", READ_ONCE(stats->changed));
	seq_printf(m, "full_scans: %llu\n", READ_ONCE(stats->full_scans));
	seq_printf(m, "hints: %lu\n", READ_ONCE(merger->hints.used));
	seq_printf(m, "hint_bytes: %lu\n", READ_ONCE(merger->hints.nr_slots) *
					   sizeof(struct fisc_hint));
	seq_printf(m, "cpu_us: %llu\n",
		   div_u64(READ_ONCE(fisc_scanner.task->se.sum_exec_runtime),
			   NSEC_PER_USEC));

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(fisc_share_stats);

/**
 * fisc_scan_init() - start the scanner
 * @parent: /sys/kernel/fisc
 * @debugfs: /sys/kernel/debug/fisc
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_scan_init(struct kobject *parent, struct dentry *debugfs)
{
	struct task_struct *task;
	int err;

	err = fisc_hints_init(&fisc_scanner.merger.hints, 0);
	if (err)
		return err;

	task = kthread_create(fisc_scan_thread, &fisc_scanner, "fisc_share");
	if (IS_ERR(task)) {
		err = PTR_ERR(task);
		goto err_hints;
	}
	get_task_struct(task);
	fisc_scanner.task = task;
	wake_up_process(task);

	err = sysfs_create_group(parent, &fisc_scan_group);
	if (err)
		goto err_task;
	debugfs_create_file("share", 0444, debugfs, NULL,
			    &fisc_share_stats_fops);

	return 0;

err_task:
	kthread_stop_put(task);
err_hints:
	fisc_hints_exit(&fisc_scanner.merger.hints);
	return err;
}

/**
 * fisc_scan_exit() - stop the scanner
 *
 * The interfaces it serves are gone already.
 *
 * Context: may sleep.
 */
void fisc_scan_exit(void)
{
	kthread_stop_put(fisc_scanner.task);
	fisc_hints_exit(&fisc_scanner.merger.hints);
}
