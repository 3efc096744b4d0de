// SPDX-License-Identifier: GPL-2.0
/*
 * Event counters of the balloon devices, in debugfs.
 */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "balloon/device/count.h"
#include "base/stats.h"

static atomic_long_t fisc_device_counts[FISC_NR_DEVICE_COUNTS];
static atomic_long_t fisc_device_errors[FISC_NR_RING_ERRORS];
static struct dentry *fisc_device_file;

static const char * const fisc_device_names[FISC_NR_DEVICE_COUNTS] = {
	[FISC_DEVICE_DEVICES] = "devices",
	[FISC_DEVICE_KICKS] = "kicks",
	[FISC_DEVICE_BUFFERS] = "chains",
	[FISC_DEVICE_ENTRIES] = "entries",
	[FISC_DEVICE_ABSENT] = "absent",
	[FISC_DEVICE_REPORTED] = "reported",
	[FISC_DEVICE_UNMAPPED] = "unmapped",
	[FISC_DEVICE_MALFORMED] = "malformed",
	[FISC_DEVICE_NEEDS_RESET] = "needs_reset",
	[FISC_DEVICE_RETRIES] = "retries",
};

static const char * const fisc_device_error_names[FISC_NR_RING_ERRORS] = {
	[FISC_RING_BAD_RING] = "bad_ring",
	[FISC_RING_BAD_AVAIL] = "bad_avail",
	[FISC_RING_BAD_HEAD] = "bad_head",
	[FISC_RING_BAD_NEXT] = "bad_next",
	[FISC_RING_BAD_LOOP] = "bad_loop",
	[FISC_RING_BAD_INDIRECT] = "bad_indirect",
	[FISC_RING_BAD_LENGTH] = "bad_length",
	[FISC_RING_BAD_ADDRESS] = "bad_address",
	[FISC_RING_BAD_DIRECTION] = "bad_direction",
};

/**
 * fisc_device_count() - count events
 * @c: the kind of event
 * @n: number of events; negative to subtract
 *
 * Context: any.
 */
void fisc_device_count(enum fisc_device_count c, long n)
{
	atomic_long_add(n, &fisc_device_counts[c]);
}

/**
 * fisc_device_count_error() - count a broken ring
 * @error: what was wrong with it
 *
 * Context: any.
 */
void fisc_device_count_error(enum fisc_ring_error error)
{
	atomic_long_inc(&fisc_device_errors[error]);
}

/**
 * fisc_device_error_name() - return the name of what is wrong with a ring
 * @error: what is wrong
 *
 * Context: any.
 * Return: the name, as in debugfs.
 */
const char *fisc_device_error_name(enum fisc_ring_error error)
{
	return fisc_device_error_names[error];
}

static int fisc_device_stats_show(struct seq_file *m, void *v)
{
	unsigned int i;

	seq_printf(m, "ballooned: %ld\n", fisc_total_sum(FISC_BALLOON));
	seq_printf(m, "inflated: %ld\n", fisc_total_sum(FISC_BALLOON_INFLATED));
	seq_printf(m, "deflated: %ld\n", fisc_total_sum(FISC_BALLOON_DEFLATED));
	seq_printf(m, "popped: %ld\n", fisc_total_sum(FISC_BALLOON_POPPED));
	seq_printf(m, "duplicate: %ld\n",
		   fisc_total_sum(FISC_BALLOON_DUPLICATE));
	for (i = 0; i < FISC_NR_DEVICE_COUNTS; i++)
		seq_printf(m, "%s: %ld\n", fisc_device_names[i],
			   atomic_long_read(&fisc_device_counts[i]));
	for (i = FISC_RING_OK + 1; i < FISC_NR_RING_ERRORS; i++)
		seq_printf(m, "%s: %ld\n", fisc_device_error_names[i],
			   atomic_long_read(&fisc_device_errors[i]));

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(fisc_device_stats);

/**
 * fisc_device_debugfs_init() - show the counters in debugfs
 *
 * Context: may sleep.
 */
void fisc_device_debugfs_init(void)
{
	struct dentry *parent = debugfs_lookup("fisc", NULL);

	fisc_device_file = debugfs_create_file("balloon", 0444, parent, NULL,
					       &fisc_device_stats_fops);
	dput(parent);
}

/**
 * fisc_device_debugfs_exit() - undo fisc_device_debugfs_init()
 *
 * Context: may sleep.
 */
void fisc_device_debugfs_exit(void)
{
	debugfs_remove(fisc_device_file);
}
