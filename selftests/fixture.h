/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture that every case runs in: scanner stopped, as fast as can be once
 * started, all VMs in one domain, no large pages unless the program defines
 * FISC_LARGE, no sampling to speak of, memory never short, VMs of any size,
 * nothing left of earlier cases. After each case, in the parent (the case's own
 * descriptors and mappings are gone by then), every counter of memory must be
 * back where it was.
 */
#ifndef FISC_SELFTESTS_FIXTURE_H
#define FISC_SELFTESTS_FIXTURE_H

#include <signal.h>
#include <sys/prctl.h>

#include "kselftest_harness.h"

#include "fisc.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	450

#ifndef FISC_LARGE
#define FISC_LARGE	"0"
#endif

/* @after: what to restore if reading does not return what was written */
static const struct {
	const char *path;
	const char *value;
	const char *after;
} fisc_knobs[] = {
	{ SHARE_RUN, "0", NULL },
	{ SHARE_RATE, RATE_MAX, NULL },
	{ SHARE_CPU, "100", NULL },
	{ SHARE_RECHECK, "10", NULL },
	{ SHARE_PRESSURE, "0", NULL },
	{ SHARE_USERS, "65536", NULL },
	{ SHARE_ACROSS, "0", NULL },
	{ SHARE_DOMAIN, "selftests", NULL },
	{ LARGE_ENABLED, FISC_LARGE, NULL },
	{ LARGE_BREAK, "1", NULL },
	{ LARGE_MIN_FREE, "0", NULL },
	{ TAX_OVERCOMMIT, "1", NULL },
	{ TAX_MIN_PERCENT, "0", NULL },
	{ TAX_RESERVE, "10", NULL },
	{ TAX_CAPACITY, "0", "0" },
	{ TAX_RATE, "75", NULL },
	{ RECLAIM_LOW, "0", NULL },
	{ RECLAIM_HARD, "0", NULL },
	{ RECLAIM_SOFT, "0", NULL },
	{ RECLAIM_HIGH, "0", NULL },
	{ RECLAIM_SLIDING, "0", NULL },
	{ RECLAIM_PAGING, "1", NULL },
	{ RECLAIM_BLOCKING, "1", NULL },
	{ RECLAIM_COLD, "1000", NULL },
	{ SAMPLE_PAGES, "100", NULL },
	{ SAMPLE_PERIOD, "3600000", NULL },
	{ SAMPLE_SLOW, "20", NULL },
	{ SAMPLE_FAST, "60", NULL },
};

#define FISC_NR_KNOBS	ARRAY_SIZE(fisc_knobs)

/**
 * struct fisc_before - what a case must leave unchanged
 * @frames: frames held for guests
 * @present: pages of guest memory
 * @map_bytes: memory of the frame maps
 * @vms: VMs, those without a name included
 * @knobs: the settings in sysfs
 * @pid: process of the case
 */
struct fisc_before {
	long frames;
	long present;
	long map_bytes;
	long vms;
	char knobs[FISC_NR_KNOBS][80];
	pid_t pid;
};

static inline void fisc_set_up(struct __test_metadata *_metadata,
			       struct fisc_before *before)
{
	size_t i;

	before->pid = getpid();
	/* When a case times out, the harness kills only the parent. */
	ASSERT_EQ(0, prctl(PR_SET_PDEATHSIG, SIGKILL));
	fisc_sweep();
	fisc_catch_signals();
	for (i = 0; i < FISC_NR_KNOBS; i++) {
		ASSERT_EQ(0, fisc_read_str(fisc_knobs[i].path, before->knobs[i],
					   sizeof(before->knobs[i])));
		ASSERT_EQ(0, fisc_write_str(fisc_knobs[i].path,
					    fisc_knobs[i].value));
	}
	before->frames = fisc_core("frames");
	ASSERT_LE(0, before->frames);
	before->present = fisc_core("present");
	ASSERT_LE(0, before->present);
	before->map_bytes = fisc_core("map_bytes");
	ASSERT_LE(0, before->map_bytes);
	before->vms = fisc_core("vms");
	ASSERT_LE(0, before->vms);
}

static inline void fisc_tear_down(struct __test_metadata *_metadata,
				  const struct fisc_before *before)
{
	size_t i;

	fisc_sweep();
	EXPECT_EQ(0, fisc_short_of_memory(false));
	/* Backwards, as the percents must stay in order all the time. */
	for (i = FISC_NR_KNOBS; i--; ) {
		const char *after = fisc_knobs[i].after ?: before->knobs[i];

		EXPECT_EQ(0, fisc_write_str(fisc_knobs[i].path,
					    *after ? after : "\n"))
			TH_LOG("%s", fisc_knobs[i].path);
	}
	/*
	 * A case that fails an ASSERT_ may get here itself (the harness jumps
	 * over a fork), with its mappings. It has failed already.
	 */
	if (before->pid == getpid())
		return;
	EXPECT_TRUE(fisc_wait("core", "frames", before->frames));
	EXPECT_TRUE(fisc_wait("core", "present", before->present));
	EXPECT_TRUE(fisc_wait("core", "map_bytes", before->map_bytes));
	EXPECT_TRUE(fisc_wait("core", "vms", before->vms));
}

/* Expect that @path takes @value and then reads @now. */
static inline void fisc_take(struct __test_metadata *_metadata,
			     const char *path, const char *value,
			     const char *now)
{
	char buf[80];

	EXPECT_EQ(0, fisc_write_str(path, value))
		TH_LOG("%s did not take '%s'", path, value);
	ASSERT_EQ(0, fisc_read_str(path, buf, sizeof(buf)));
	EXPECT_STREQ(now, buf)
		TH_LOG("%s was given '%s'", path, value);
}

/* Expect that @path refuses @value with @error and keeps its value. */
static inline void fisc_refuse(struct __test_metadata *_metadata,
			       const char *path, const char *value, int error)
{
	char before[80], after[80];

	ASSERT_EQ(0, fisc_read_str(path, before, sizeof(before)));
	EXPECT_EQ(error, fisc_write_str(path, value))
		TH_LOG("%s and '%s'", path, value);
	ASSERT_EQ(0, fisc_read_str(path, after, sizeof(after)));
	EXPECT_STREQ(before, after);
}

#ifndef FISC_OWN_FIXTURE
FIXTURE(fisc)
{
	struct fisc_before before;
};

FIXTURE_SETUP(fisc)
{
	fisc_set_up(_metadata, &self->before);
}

FIXTURE_TEARDOWN_PARENT(fisc)
{
	fisc_tear_down(_metadata, &self->before);
}
#endif

#endif /* FISC_SELFTESTS_FIXTURE_H */
