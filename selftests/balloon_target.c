// SPDX-License-Identifier: GPL-2.0
/* Targets that a balloon sets, and statistics that a guest gives. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>

#include "balloon.h"
#include "nullb.h"

#define SWAP		"fiscswap"
#define SWAP_MIB	64

/* Targets */

#define VM_PAGES	4096		/* 65 % may be in the balloon */
#define TARGET		FISC_SYSFS "/vms/st-a/balloon/target"
#define MAX		FISC_SYSFS "/vms/st-a/balloon/max"

static long wanted(struct guest *guest)
{
	return vdpa_config(&guest->vdpa,
			   offsetof(struct virtio_balloon_config, num_pages));
}

TEST_F(balloon, target_is_told_by_interrupt)
{
	static struct guest guest;

	boot(_metadata, &guest, VM_PAGES, VDPA_FEATURES);
	EXPECT_EQ(0, wanted(&guest));
	vdpa_wait_config(&guest.vdpa, 0);
	fisc_take(_metadata, TARGET, "4M", "4194304");
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	EXPECT_EQ(1024, wanted(&guest));
	/* The same target is not told again. */
	fisc_take(_metadata, TARGET, "4M", "4194304");
	EXPECT_FALSE(vdpa_wait_config(&guest.vdpa, QUIET_MS / 1000.0));
	fisc_take(_metadata, TARGET, "0", "0");
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	EXPECT_EQ(0, wanted(&guest));
	fisc_take(_metadata, TARGET, "4096", "4096");
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	EXPECT_EQ(1, wanted(&guest));
	/* The target survives a reset, and a device that goes and comes. */
	fisc_take(_metadata, TARGET, "2M", "2097152");
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_EQ(512, wanted(&guest));
	vdpa_close(&guest.vdpa);
	ASSERT_EQ(0, vdpa_open(&guest.vdpa, "st-a"));
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map,
			      guest.nr_pages * PAGE_SIZE));
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_EQ(512, wanted(&guest));
}

TEST_F(balloon, target_is_never_above_max)
{
	static struct guest guest;
	long max = VM_PAGES * 65L / 100 * PAGE_SIZE;
	char value[32];

	boot(_metadata, &guest, VM_PAGES, VDPA_FEATURES);
	EXPECT_EQ(max, fisc_vm("st-a", "balloon/max"));
	snprintf(value, sizeof(value), "%ld", max);
	fisc_take(_metadata, TARGET, "16M", value);
	EXPECT_EQ(max / (long)PAGE_SIZE, wanted(&guest));
	vdpa_wait_config(&guest.vdpa, 0);
	fisc_take(_metadata, MAX, "4M", "4194304");
	EXPECT_EQ(4 * MIB, fisc_read_long(TARGET));
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	EXPECT_EQ(1024, wanted(&guest));
	fisc_take(_metadata, MAX, "8M", "8388608");
	EXPECT_EQ(8 * MIB, fisc_read_long(TARGET));
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	EXPECT_EQ(2048, wanted(&guest));
	fisc_take(_metadata, MAX, "0", "0");
	EXPECT_EQ(0, fisc_read_long(TARGET));
	EXPECT_EQ(0, wanted(&guest));
	fisc_take(_metadata, MAX, "\n", value);
	EXPECT_EQ(max, fisc_read_long(TARGET));
	/* By default a part of the VM's size, also when that changes. */
	ASSERT_EQ(0, ftruncate(guest.fd, VM_PAGES / 2 * PAGE_SIZE));
	EXPECT_EQ(VM_PAGES / 2 * 65L / 100 * (long)PAGE_SIZE,
		  fisc_vm("st-a", "balloon/max"));
	/* A driver may go beyond it: it is its own memory. */
	fisc_take(_metadata, TARGET, "0", "0");
	ASSERT_TRUE(inflate(&guest, FIRST, 1900));
	EXPECT_EQ(1900, actual(&guest));
}

TEST_F(balloon, target_follows_the_tax)
{
	static struct guest guest;
	char value[32];
	double end;
	long sum = 0;

	boot(_metadata, &guest, VM_PAGES, VDPA_FEATURES);
	fill(&guest, FIRST, VM_PAGES - FIRST);
	EXPECT_EQ(0, fisc_read_long(TARGET));
	snprintf(value, sizeof(value), "%ld",
		 fisc_read_long(TAX_RESERVED) + 10 * MIB);
	/* The VM may be above its target as long as memory is not short. */
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, value));
	fisc_sleep_ms(2000);
	EXPECT_EQ(0, fisc_read_long(TARGET));
	EXPECT_GT(11 * MIB, fisc_vm("st-a", "target"));
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	for (end = fisc_now() + WAIT_S; fisc_now() < end; fisc_sleep_ms(20)) {
		sum = fisc_read_long(TARGET) + fisc_vm("st-a", "target");
		if (sum > 15 * MIB && sum < 17 * MIB &&
		    fisc_read_long(TARGET) > 4 * MIB)
			break;
	}
	EXPECT_LT(15 * MIB, sum);
	EXPECT_GT(17 * MIB, sum);
	EXPECT_EQ(fisc_read_long(TARGET) / (long)PAGE_SIZE, wanted(&guest));
	/* Having given that, it is asked for no more; a choice goes first. */
	ASSERT_TRUE(inflate(&guest, FIRST, wanted(&guest)));
	fisc_sleep_ms(2000);
	EXPECT_LT(4 * MIB, fisc_read_long(TARGET));
	EXPECT_GT(8 * MIB, fisc_read_long(TARGET));
	fisc_take(_metadata, TARGET, "1M", "1048576");
	fisc_sleep_ms(500);
	EXPECT_EQ(256, wanted(&guest));
	ASSERT_EQ(0, fisc_write_str(TARGET, "\n"));
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	/* With enough for all, it may have everything back. */
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, "0"));
	EXPECT_TRUE(fisc_wait_vm("st-a", "balloon/target", 0));
	EXPECT_EQ(0, wanted(&guest));
}

/* From a guest that gave nothing in time: it knows better what to give. */
TEST_F(balloon, what_was_paged_out_is_asked_for)
{
	static struct guest guest;
	char value[32];
	double end;

	ASSERT_EQ(0, nullb_start(SWAP, SWAP_MIB, 0));
	ASSERT_EQ(0, nullb_swapon(SWAP, SWAP_MIB));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "10"));
	boot(_metadata, &guest, VM_PAGES, VDPA_FEATURES);
	fill(&guest, FIRST, VM_PAGES - FIRST);
	fisc_take(_metadata, TARGET, "0", "0");
	snprintf(value, sizeof(value), "%ld",
		 fisc_read_long(TAX_RESERVED) + 10 * MIB);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, value));
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "swapped", 5 * MIB, 16 * MIB));
	EXPECT_EQ(0, fisc_read_long(TARGET));
	ASSERT_EQ(0, fisc_write_str(TARGET, "\n"));
	for (end = fisc_now() + WAIT_S; fisc_now() < end; fisc_sleep_ms(20))
		if (fisc_read_long(TARGET) > 4 * MIB)
			break;
	EXPECT_LT(4 * MIB, fisc_read_long(TARGET));
	EXPECT_GT(17 * MIB, fisc_read_long(TARGET) + fisc_vm("st-a", "target"));
	/* Once it gives that, all that it has is in memory. */
	ASSERT_TRUE(inflate(&guest, FIRST, wanted(&guest)));
	EXPECT_EQ(-1, damaged(&guest, FIRST + actual(&guest),
			      VM_PAGES - FIRST - actual(&guest)));
	ASSERT_EQ(0, fisc_short_of_memory(false));
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, "0"));
	vdpa_close(&guest.vdpa);
	munmap(guest.map, VM_PAGES * PAGE_SIZE);
	close(guest.fd);
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_TRUE(fisc_wait("core", "swapped", 0));
	EXPECT_EQ(0, swapoff("/dev/" SWAP));
	nullb_stop(SWAP);
}

TEST_F(balloon, sysfs_takes_what_it_should)
{
	static const char * const bad[] = {
		"x", "0x1000", "-1", "-1M", "M", "1Q", "1MM", "1 M", "1.5M",
		"16777216T", "18446744073709551615", "18446744073709551616",
		"99999999999999999999999",
	};
	static const char * const bad_ms[] = {
		"0", "99", "3600001", "-1", "x", "1x", "1.5", "1k", "\n",
		"4294967396", "18446744073709551716",
	};
	static struct guest guest;
	size_t i;

	make_memory(_metadata, &guest, ST "a", VM_PAGES);
	fisc_take(_metadata, TARGET, "1M", "1048576");
	fisc_take(_metadata, TARGET, "1024K\n", "1048576");
	fisc_take(_metadata, TARGET, "1048575", "1048576");
	fisc_take(_metadata, TARGET, "1", "4096");
	fisc_take(_metadata, MAX, "4096", "4096");
	fisc_take(_metadata, MAX, "2m", "2097152");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		fisc_refuse(_metadata, TARGET, bad[i], -EINVAL);
		fisc_refuse(_metadata, MAX, bad[i], -EINVAL);
	}
	/* More than the VM has. */
	fisc_refuse(_metadata, TARGET, "16777217", -EINVAL);
	fisc_refuse(_metadata, MAX, "17M", -EINVAL);
	fisc_take(_metadata, MAX, "16M", "16777216");
	fisc_take(_metadata, BALLOON_STATS, "100", "100");
	fisc_take(_metadata, BALLOON_STATS, "3600000", "3600000");
	for (i = 0; i < ARRAY_SIZE(bad_ms); i++)
		fisc_refuse(_metadata, BALLOON_STATS, bad_ms[i], -EINVAL);
	fisc_take(_metadata, BALLOON_STATS, "1000\n", "1000");
}

static const char * const stat_names[] = {
	"swap_in", "swap_out", "major_faults", "minor_faults", "free", "total",
	"available",
	"disk_caches", "hugetlb_allocations", "hugetlb_failures", "oom_kills",
};

static const struct {
	const char *name;
	__u16 tag;
} paired_stats[] = {
	{ "psi_some", FISC_BALLOON_S_PSI_SOME },
	{ "psi_full", FISC_BALLOON_S_PSI_FULL },
	{ "refaults", FISC_BALLOON_S_REFAULTS },
	{ "small", FISC_BALLOON_S_SMALL }, { "large", FISC_BALLOON_S_LARGE },
	{ "floor", FISC_BALLOON_S_FLOOR }, { "short", FISC_BALLOON_S_SHORT },
};

static int read_stat(const char *name, char *value, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), FISC_SYSFS "/vms/st-a/balloon/stat_%s",
		 name);
	return fisc_read_str(path, value, size);
}

TEST_F(balloon, what_is_measured_is_read_only)
{
	static const char * const files[] = {
		"actual", "popped", "stat_free", "stat_short",
	};
	static struct guest guest;
	char path[128], value[32];
	struct stat st;
	size_t i;

	make_memory(_metadata, &guest, ST "a", VM_PAGES);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), FISC_SYSFS "/vms/st-a/balloon/%s",
			 files[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(0444, (int)(st.st_mode & 0777));
		EXPECT_NE(0, fisc_write_str(path, "1"));
	}
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/actual"));
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/popped"));
	/* No statistics were given yet. */
	for (i = 0; i < ARRAY_SIZE(stat_names); i++)
		EXPECT_EQ(-ENODATA,
			  read_stat(stat_names[i], value, sizeof(value)))
			TH_LOG("%s", stat_names[i]);
	for (i = 0; i < ARRAY_SIZE(paired_stats); i++)
		EXPECT_EQ(-ENODATA,
			  read_stat(paired_stats[i].name, value, sizeof(value)))
			TH_LOG("%s", paired_stats[i].name);
	ASSERT_EQ(0, stat(TARGET, &st));
	EXPECT_EQ(0644, (int)(st.st_mode & 0777));
	ASSERT_EQ(0, stat(BALLOON_STATS, &st));
	EXPECT_EQ(0644, (int)(st.st_mode & 0777));
}

/* Statistics */

static void put_stat(struct guest *guest, size_t i, __u16 tag, __u64 value)
{
	struct virtio_balloon_stat *stats =
		(void *)guest->vdpa.queues[VDPA_STATS].buffer;

	stats[i].tag = tag;
	stats[i].val = value;
}

static void say(struct guest *guest, size_t nr)
{
	struct vdpa_queue *queue = &guest->vdpa.queues[VDPA_STATS];

	vdpa_post(queue, queue->buffer_iova,
		  nr * sizeof(struct virtio_balloon_stat), 0);
}

TEST_F(balloon, statistics_are_asked_for_and_shown)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	char path[64], value[32];
	double begin, end;
	size_t i, round, nr = ARRAY_SIZE(stat_names);

	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "500"));
	boot(_metadata, &guest, 1024, VDPA_PAIRED);
	queue = &guest.vdpa.queues[VDPA_STATS];
	for (round = 0; round < 4; round++) {
		for (i = 0; i < nr; i++)
			put_stat(&guest, i, i, 1000 * round + i);
		for (i = 0; i < ARRAY_SIZE(paired_stats); i++)
			put_stat(&guest, nr + i, paired_stats[i].tag,
				 ~0ULL - 100 * round - i);
		begin = fisc_now();
		say(&guest, nr + ARRAY_SIZE(paired_stats));
		/* The buffer comes back when the next are wanted. */
		EXPECT_TRUE(vdpa_wait_used(queue));
		end = fisc_now();
		if (round)
			EXPECT_LT(0.2, end - begin);
		EXPECT_GT(5, end - begin);
		for (i = 0; i < nr; i++) {
			snprintf(path, sizeof(path), "balloon/stat_%s",
				 stat_names[i]);
			EXPECT_EQ(1000 * (long)round + (long)i,
				  fisc_vm("st-a", path))
				TH_LOG("%s", stat_names[i]);
		}
		for (i = 0; i < ARRAY_SIZE(paired_stats); i++) {
			ASSERT_EQ(0, read_stat(paired_stats[i].name, value,
					       sizeof(value)));
			EXPECT_EQ(~0ULL - 100 * round - i,
				  strtoull(value, NULL, 10));
		}
	}
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
}

TEST_F(balloon, odd_statistics_do_no_harm)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	char value[32];
	size_t i;

	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "100"));
	boot(_metadata, &guest, 1024, VDPA_PAIRED);
	queue = &guest.vdpa.queues[VDPA_STATS];
	/* Unknown tags, a tag given twice, and part of a value. */
	put_stat(&guest, 0, 4, 44);
	put_stat(&guest, 1, 100, 1);
	put_stat(&guest, 2, 65535, 2);
	put_stat(&guest, 3, FISC_BALLOON_S_SHORT + 1, 3);
	put_stat(&guest, 4, 4, 45);
	put_stat(&guest, 5, 5, 46);
	vdpa_post(queue, queue->buffer_iova,
		  5 * sizeof(struct virtio_balloon_stat) + 9, 0);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(45, fisc_vm("st-a", "balloon/stat_free"));
	EXPECT_EQ(-ENODATA, read_stat("total", value, sizeof(value)));
	/* The maximum of 6553; the last value of a tag counts. */
	for (i = 0;
	     i < FISC_BALLOON_BUFFER_MAX / sizeof(struct virtio_balloon_stat);
	     i++)
		put_stat(&guest, i, i % 16, i);
	vdpa_post(queue, queue->buffer_iova, FISC_BALLOON_BUFFER_MAX, 0);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ((long)(i - 1) / 16 * 16,
		  fisc_vm("st-a", "balloon/stat_swap_in"));
	/* Several buffers at once are answered one by one, or all together. */
	for (i = 0; i < 8; i++) {
		put_stat(&guest, 0, 4, 100);
		say(&guest, 1);
	}
	EXPECT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(100, fisc_vm("st-a", "balloon/stat_free"));
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
	/* Statistics of a guest that is gone are not shown any more. */
	vdpa_close(&guest.vdpa);
	EXPECT_EQ(-ENODATA, read_stat("free", value, sizeof(value)));
}

TEST_F(balloon, how_often_guests_are_asked_can_be_changed)
{
	static struct guest guest;
	struct vdpa_queue *queue;

	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "3600000"));
	boot(_metadata, &guest, 1024, VDPA_PAIRED);
	queue = &guest.vdpa.queues[VDPA_STATS];
	put_stat(&guest, 0, 4, 7);
	say(&guest, 1);
	EXPECT_TRUE(fisc_wait_vm("st-a", "balloon/stat_free", 7));
	EXPECT_FALSE(vdpa_wait_used_s(queue, 1.5));
	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "100"));
	EXPECT_TRUE(vdpa_wait_used_s(queue, 5));
}

TEST_HARNESS_MAIN
