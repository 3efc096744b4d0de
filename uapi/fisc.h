/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Constants that user space and the module share.
 */
#ifndef _UAPI_FISC_H
#define _UAPI_FISC_H

/* "fisc": f_type of statfs(2) on a mounted fisc file system. */
#define FISC_SUPER_MAGIC		0x66697363

/* /sys/kernel/fisc/share/pages_per_sec: pages the scanner reads per second. */
#define FISC_PAGES_PER_SEC_MIN		1
#define FISC_PAGES_PER_SEC_MAX		10000000
#define FISC_PAGES_PER_SEC_DEFAULT	20000

/* /sys/kernel/fisc/share/cpu_percent: the scanner's limit, of one CPU. */
#define FISC_CPU_PERCENT_DEFAULT	25

/* /sys/kernel/fisc/share/recheck_ms: length of the scanner's epoch. */
#define FISC_RECHECK_MS_MIN		10
#define FISC_RECHECK_MS_MAX		60000
#define FISC_RECHECK_MS_DEFAULT		1000

/*
 * /sys/kernel/fisc/share/pressure_percent: memory is short below this. By
 * default not before it is so for reclaim (FISC_HIGH_PERCENT_DEFAULT).
 */
#define FISC_PRESSURE_PERCENT_MAX	50
#define FISC_PRESSURE_PERCENT_DEFAULT	6

/* /sys/kernel/fisc/share/max_users: most users of one shared frame. */
#define FISC_MAX_USERS_MIN		2
#define FISC_MAX_USERS_MAX		1000000
#define FISC_MAX_USERS_DEFAULT		65536

/* /sys/kernel/fisc/large/ */
#define FISC_LARGE_MIN_FREE_DEFAULT	6
#define FISC_LARGE_BREAK_DEFAULT	128

/* /sys/kernel/fisc/balloon/stats_ms: how often guests send statistics. */
#define FISC_BALLOON_STATS_MS_MIN	100
#define FISC_BALLOON_STATS_MS_MAX	3600000
#define FISC_BALLOON_STATS_MS_DEFAULT	1000

/* /sys/kernel/fisc/sample/, and sample_* of a VM */
#define FISC_SAMPLE_PAGES_MIN		10
#define FISC_SAMPLE_PAGES_MAX		1000
#define FISC_SAMPLE_PAGES_DEFAULT	100
#define FISC_SAMPLE_PERIOD_MS_MIN	100
#define FISC_SAMPLE_PERIOD_MS_MAX	3600000
#define FISC_SAMPLE_PERIOD_MS_DEFAULT	30000
#define FISC_SAMPLE_SLOW_DEFAULT	30
#define FISC_SAMPLE_FAST_DEFAULT	70

/* /sys/kernel/fisc/tax/, and tax_rate and shares of a VM */
#define FISC_TAX_RATE_MAX		99
#define FISC_TAX_RATE_DEFAULT		75
#define FISC_RESERVE_PERCENT_MAX	90
#define FISC_RESERVE_PERCENT_DEFAULT	10
#define FISC_SHARES_LOW			5	/* per MiB */
#define FISC_SHARES_NORMAL		10
#define FISC_SHARES_HIGH		20
#define FISC_SHARES_MAX			1000000000

/* /sys/kernel/fisc/reclaim/: percent free below which the next state begins. */
#define FISC_STATE_PERCENT_MAX		50
#define FISC_HIGH_PERCENT_DEFAULT	6
#define FISC_SOFT_PERCENT_DEFAULT	4
#define FISC_HARD_PERCENT_DEFAULT	2
#define FISC_LOW_PERCENT_DEFAULT	1

/* /sys/kernel/fisc/reclaim/cold_ms: a page unused for this long is cold. */
#define FISC_COLD_MS_MIN		10
#define FISC_COLD_MS_MAX		600000
#define FISC_COLD_MS_DEFAULT		1000

/* /sys/kernel/fisc/share/run */
#define FISC_SHARE_STOP			0
#define FISC_SHARE_RUN			1

#endif /* _UAPI_FISC_H */
