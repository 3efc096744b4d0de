/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs that load and unload the module share. FISC_KO names it.
 * Every case begins and ends with the module loaded and the file system mounted
 * and empty.
 */
#ifndef FISC_SELFTESTS_MODULE_H
#define FISC_SELFTESTS_MODULE_H

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define FISC_OWN_FIXTURE
#include "fixture.h"

static inline bool loaded(void)
{
	return !access("/sys/module/fisc", F_OK);
}

static inline long refcount(void)
{
	return fisc_read_long("/sys/module/fisc/refcnt");
}

static inline int umount_lazily(void)
{
	return umount2(FISC_MNT, MNT_DETACH) ? -errno : 0;
}

/* Restore what cases expect, whatever the last one left. */
static inline int restore(void)
{
	int ret = loaded() ? 0 : fisc_load();

	if (!ret && access(FISC_MNT, F_OK) && mkdir(FISC_MNT, 0755))
		ret = -errno;
	return ret ?: fisc_mount(FISC_MNT, NULL);
}

static inline void module_set_up(struct __test_metadata *_metadata)
{
	fisc_catch_signals();
	fisc_sweep();
	ASSERT_TRUE(loaded());
}

static inline void module_tear_down(struct __test_metadata *_metadata)
{
	fisc_sweep();
	while (!umount_lazily())
		;
	EXPECT_EQ(0, restore());
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
}

#endif /* FISC_SELFTESTS_MODULE_H */
