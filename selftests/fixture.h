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

FIXTURE(fisc)
{
	long frames;
	long present;
	long map_bytes;
	char run[16];
	char rate[16];
};

FIXTURE_SETUP(fisc)
{
	fisc_sweep();
	fisc_catch_signals();
	ASSERT_EQ(0, fisc_read_str(SHARE_RUN, self->run, sizeof(self->run)));
	ASSERT_EQ(0, fisc_read_str(SHARE_RATE, self->rate, sizeof(self->rate)));
	ASSERT_EQ(0, fisc_scan_off());
	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, RATE_MAX));
	self->frames = fisc_core("frames");
	ASSERT_LE(0, self->frames);
	self->present = fisc_core("present");
	ASSERT_LE(0, self->present);
	self->map_bytes = fisc_core("map_bytes");
	ASSERT_LE(0, self->map_bytes);
}

FIXTURE_TEARDOWN_PARENT(fisc)
{
	fisc_sweep();
	EXPECT_EQ(0, fisc_write_str(SHARE_RUN, self->run));
	EXPECT_EQ(0, fisc_write_str(SHARE_RATE, self->rate));
	EXPECT_TRUE(fisc_wait_core("frames", self->frames));
	EXPECT_TRUE(fisc_wait_core("present", self->present));
	EXPECT_TRUE(fisc_wait_core("map_bytes", self->map_bytes));
}

#endif /* FISC_SELFTESTS_FIXTURE_H */
