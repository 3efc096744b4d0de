/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture that every case runs in: scanner stopped, as fast as can be once
 * started, all VMs in one domain, no large pages unless the program defines
 * FISC_LARGE, nothing left of earlier cases. After each case, in the parent
 * (the case's own descriptors and mappings are gone by then), every counter of
 * memory must be back where it was.
 */
#ifndef FISC_SELFTESTS_FIXTURE_H
#define FISC_SELFTESTS_FIXTURE_H

#include "kselftest_harness.h"

#include "fisc.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	150

#ifndef FISC_LARGE
#define FISC_LARGE	"0"
#endif

static const struct {
	const char *path;
	const char *value;
} fisc_knobs[] = {
	{ SHARE_RUN, "0" },
	{ SHARE_RATE, RATE_MAX },
	{ SHARE_CPU, "100" },
	{ SHARE_RECHECK, "10" },
	{ SHARE_PRESSURE, "0" },
	{ SHARE_USERS, "65536" },
	{ SHARE_ACROSS, "0" },
	{ SHARE_DOMAIN, "selftests" },
	{ LARGE_ENABLED, FISC_LARGE },
	{ LARGE_BREAK, "1" },
	{ LARGE_MIN_FREE, "0" },
};

#define FISC_NR_KNOBS	ARRAY_SIZE(fisc_knobs)

/**
 * struct fisc_before - what a case has to leave as it was
 * @frames: frames held for guests
 * @present: pages of guest memory
 * @map_bytes: memory of the frame maps
 * @knobs: what is in sysfs
 * @pid: process of the case
 */
struct fisc_before {
	long frames;
	long present;
	long map_bytes;
	char knobs[FISC_NR_KNOBS][80];
	pid_t pid;
};

static inline void fisc_set_up(struct __test_metadata *_metadata, struct fisc_before *before)
{
	size_t i;

	before->pid = getpid();
	fisc_sweep();
	fisc_catch_signals();
	for (i = 0; i < FISC_NR_KNOBS; i++) {
		ASSERT_EQ(0, fisc_read_str(fisc_knobs[i].path, before->knobs[i],
					   sizeof(before->knobs[i])));
		ASSERT_EQ(0, fisc_write_str(fisc_knobs[i].path, fisc_knobs[i].value));
	}
	before->frames = fisc_core("frames");
	ASSERT_LE(0, before->frames);
	before->present = fisc_core("present");
	ASSERT_LE(0, before->present);
	before->map_bytes = fisc_core("map_bytes");
	ASSERT_LE(0, before->map_bytes);
}

static inline void fisc_tear_down(struct __test_metadata *_metadata,
				  const struct fisc_before *before)
{
	size_t i;

	fisc_sweep();
	for (i = 0; i < FISC_NR_KNOBS; i++)
		EXPECT_EQ(0, fisc_write_str(fisc_knobs[i].path,
					    before->knobs[i][0] ? before->knobs[i] : "\n"));
	/*
	 * A case that fails by ASSERT_ may end up here itself (the harness jumps
	 * over a fork), with its mappings. It has failed already.
	 */
	if (before->pid == getpid())
		return;
	EXPECT_TRUE(fisc_wait_core("frames", before->frames));
	EXPECT_TRUE(fisc_wait_core("present", before->present));
	EXPECT_TRUE(fisc_wait_core("map_bytes", before->map_bytes));
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
