/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture of programs that test host paging: a device and a small pool. The
 * device is the kernel's swap or, once more in programs that define SWAP_DISK,
 * the paging device.
 */
#ifndef FISC_SELFTESTS_SWAP_H
#define FISC_SELFTESTS_SWAP_H

#include <sys/mount.h>
#include <sys/swap.h>

#define FISC_OWN_FIXTURE
#include "fixture.h"
#include "nullb.h"

#define DEVICE		"fiscswap"
#define DEVICE_MIB	128

#define CGROUP		"/sys/fs/cgroup"

/* A VM, and a pool of half its size. */
#define PAGES		4096UL
#define POOL_BYTES	"8388608"
#define POOL_PAGES	2048L

/* What does not fit. Signed: a number that cannot be read is -1. */
#define OUT_PAGES	((long)PAGES - POOL_PAGES)

/* Slots that the kernel's per-CPU caches keep: far fewer than are paged out */
#define SLOT_CACHE	1024

/* The device is the paging device. */
static bool swap_disk;

/* Use a device that has been started: 0, or -1. */
static inline int swap_use(void)
{
	if (!swap_disk)
		return nullb_swapon(DEVICE, DEVICE_MIB);
	return nullb_mkswap(DEVICE, DEVICE_MIB) ||
	       fisc_write_str(RECLAIM_DEVICE, "/dev/" DEVICE) ? -1 : 0;
}

/* The same for a new device that takes @us for each request. */
static inline int swap_start_slow(unsigned long us)
{
	return nullb_start(DEVICE, DEVICE_MIB, us) ?: swap_use();
}

static inline int swap_start(void)
{
	return swap_start_slow(0);
}

static inline void swap_stop(void)
{
	fisc_write_str(RECLAIM_DEVICE, "none");
	swapoff("/dev/" DEVICE);
	nullb_stop(DEVICE);
}

FIXTURE(swap)
{
	struct fisc_before before;
	int fd;
	char *map;
};

FIXTURE_VARIANT(swap)
{
	bool disk;
};

FIXTURE_VARIANT_ADD(swap, kernel)
{
	.disk = false,
};

#ifdef SWAP_DISK
FIXTURE_VARIANT_ADD(swap, device)
{
	.disk = true,
};
#endif

FIXTURE_SETUP(swap)
{
	swap_disk = variant->disk;
	fisc_set_up(_metadata, &self->before);
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "10"));
	ASSERT_EQ(0, swap_start());
	self->fd = fisc_create(ST "a", PAGES);
	self->map = fisc_map(self->fd, PAGES);
	ASSERT_NE(NULL, self->map);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, POOL_BYTES));
}

FIXTURE_TEARDOWN_PARENT(swap)
{
	fisc_sweep();
	EXPECT_TRUE(fisc_wait("core", "swapped", 0));
	EXPECT_TRUE(fisc_wait("reclaim", "device_used", 0));
	fisc_tear_down(_metadata, &self->before);
	swap_stop();
}

static inline long meminfo_kb(const char *name)
{
	char line[128], format[64];
	FILE *f = fopen("/proc/meminfo", "re");
	long kb = 0;

	snprintf(format, sizeof(format), "%s: %%ld", name);
	while (f && fgets(line, sizeof(line), f) &&
	       sscanf(line, format, &kb) != 1)
		;
	if (f)
		fclose(f);
	return kb;
}

static inline bool mount_cgroups(void)
{
	return !mount("none", CGROUP, "cgroup2", 0, NULL) || errno == EBUSY;
}

/* Empty the swap cache, so that the kernel has to read its pages again. */
static inline void forget_swap_cache(void)
{
	char amount[64];

	if (!mount_cgroups())
		return;
	/* It may reclaim less than requested, and returns an error then. */
	snprintf(amount, sizeof(amount), "%ldK swappiness=200",
		 meminfo_kb("SwapCached"));
	fisc_write_str(CGROUP "/memory.reclaim", amount);
	umount2(CGROUP, MNT_DETACH);
}

/* Have most pages of a filled VM paged out. */
static inline bool squeeze(void)
{
	bool ok = !fisc_short_of_memory(true) &&
		  fisc_wait_above("reclaim", "swapped", OUT_PAGES);

	forget_swap_cache();
	return ok;
}

#endif /* FISC_SELFTESTS_SWAP_H */
