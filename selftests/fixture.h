/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture that every case runs in: scanner stopped, at the highest rate
 * once started, nothing left of earlier cases. After each case, in the parent
 * (the case's own descriptors and mappings are gone by then), every counter of
 * memory must be back where it was.
 */
#ifndef FISC_SELFTESTS_FIXTURE_H
#define FISC_SELFTESTS_FIXTURE_H

#include "kselftest_harness.h"

#include "fisc.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	150

/**
 * struct fisc_before - what a case has to leave as it was
 * @frames: frames held for guests
 * @present: pages of guest memory
 * @map_bytes: memory of the frame maps
 * @run: the scanner's knob
 * @rate: its rate
 * @pid: process of the case
 */
struct fisc_before {
	long frames;
	long present;
	long map_bytes;
	char run[16];
	char rate[16];
	pid_t pid;
};

static inline void fisc_set_up(struct __test_metadata *_metadata, struct fisc_before *before)
{
	before->pid = getpid();
	fisc_sweep();
	fisc_catch_signals();
	ASSERT_EQ(0, fisc_read_str(SHARE_RUN, before->run, sizeof(before->run)));
	ASSERT_EQ(0, fisc_read_str(SHARE_RATE, before->rate, sizeof(before->rate)));
	ASSERT_EQ(0, fisc_scan_off());
	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, RATE_MAX));
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
	fisc_sweep();
	EXPECT_EQ(0, fisc_write_str(SHARE_RUN, before->run));
	EXPECT_EQ(0, fisc_write_str(SHARE_RATE, before->rate));
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
