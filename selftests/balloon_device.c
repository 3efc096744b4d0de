// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon device: what it is for its driver, what is in sysfs, statistics,
 * reports of free pages, drivers that break the rules, and the driver on the same
 * kernel. (What becomes of pages is in balloon.c.)
 */
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>

#include "guest.h"
#include "nullb.h"

#define SWAP		"fiscswap"
#define SWAP_MIB	64

FIXTURE(device)
{
	struct fisc_before before;
};

FIXTURE_SETUP(device)
{
	set_up(_metadata, &self->before);
}

FIXTURE_TEARDOWN_PARENT(device)
{
	tear_down(_metadata, &self->before);
}

/* The device */

TEST_F(device, devices_come_and_go)
{
	static struct vdpa vdpa;
	char name[32];
	int i;

	ASSERT_EQ(0, vdpa_add("st-a"));
	EXPECT_TRUE(vdpa_exists("st-a"));
	EXPECT_EQ(1, fisc_balloon("devices"));
	EXPECT_NE(0, vdpa_add("st-a"));
	EXPECT_EQ(1, fisc_balloon("devices"));
	ASSERT_EQ(0, vdpa_open(&vdpa, "st-a"));
	/* One VMM at a time. */
	{
		static struct vdpa second;

		EXPECT_EQ(-EBUSY, vdpa_open(&second, "st-a"));
	}
	vdpa_close(&vdpa);
	for (i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "st-%d", i);
		ASSERT_EQ(0, vdpa_add(name));
	}
	EXPECT_EQ(9, fisc_balloon("devices"));
	ASSERT_EQ(0, vdpa_del("st-a"));
	EXPECT_FALSE(vdpa_exists("st-a"));
	EXPECT_NE(0, vdpa_del("st-a"));
	EXPECT_EQ(8, fisc_balloon("devices"));
	/* With the module go those that are left. */
	EXPECT_EQ(0, vdpa_unload());
	EXPECT_FALSE(vdpa_exists("st-0"));
	EXPECT_NE(0, vdpa_add("st-a"));
	ASSERT_EQ(0, vdpa_load());
	EXPECT_EQ(0, fisc_balloon("devices"));
	ASSERT_EQ(0, vdpa_add("st-a"));
}

TEST_F(device, open_device_keeps_the_modules)
{
	static struct guest guest;

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	ASSERT_TRUE(inflate(&guest, FIRST, 1));
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
	vdpa_close(&guest.vdpa);
	EXPECT_EQ(0, vdpa_unload());
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/actual"));
	ASSERT_EQ(0, vdpa_load());
}

TEST_F(device, device_is_a_balloon)
{
	static struct vdpa vdpa;
	__u32 nvqs, size;
	__u16 num;

	ASSERT_EQ(0, vdpa_add("st-a"));
	ASSERT_EQ(0, vdpa_open(&vdpa, "st-a"));
	EXPECT_EQ(VIRTIO_ID_BALLOON, vdpa_device_id(&vdpa));
	EXPECT_EQ(VDPA_PAIRED, vdpa_features(&vdpa));
	EXPECT_EQ(0, vdpa_status(&vdpa));
	EXPECT_EQ(0, ioctl(vdpa.fd, VHOST_VDPA_GET_VQS_COUNT, &nvqs));
	EXPECT_EQ(VDPA_NR_QUEUES, nvqs);
	EXPECT_EQ(0, ioctl(vdpa.fd, VHOST_VDPA_GET_VRING_NUM, &num));
	EXPECT_EQ(VDPA_NUM_MAX, num);
	EXPECT_EQ(0, ioctl(vdpa.fd, VHOST_VDPA_GET_CONFIG_SIZE, &size));
	EXPECT_EQ(sizeof(struct virtio_balloon_config), size);
	vdpa_close(&vdpa);
}

TEST_F(device, features_are_negotiated)
{
	static const int optional[] = {
		VIRTIO_F_ACCESS_PLATFORM, VIRTIO_BALLOON_F_MUST_TELL_HOST,
		VIRTIO_BALLOON_F_STATS_VQ, VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
		VIRTIO_BALLOON_F_PAGE_POISON,
		VIRTIO_BALLOON_F_REPORTING, FISC_BALLOON_F_PAIRED,
	};
	static const int none[] = {
		VIRTIO_BALLOON_F_FREE_PAGE_HINT, VIRTIO_RING_F_INDIRECT_DESC,
		VIRTIO_RING_F_EVENT_IDX, VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER, 63,
	};
	static struct guest guest;
	__u64 features;
	size_t i, j;

	boot(_metadata, &guest, 1024, VDPA_F(VIRTIO_F_VERSION_1));
	EXPECT_TRUE(works(&guest));
	for (i = 0; i < 1 << ARRAY_SIZE(optional); i++) {
		features = VDPA_F(VIRTIO_F_VERSION_1);
		for (j = 0; j < ARRAY_SIZE(optional); j++)
			if (i & 1 << j)
				features |= VDPA_F(optional[j]);
		EXPECT_EQ(0, vdpa_negotiate(&guest.vdpa, features))
			TH_LOG("features %#llx", features);
	}
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		EXPECT_NE(0, vdpa_negotiate(&guest.vdpa, VDPA_FEATURES | VDPA_F(none[i])))
			TH_LOG("feature %d", none[i]);
	}
	/* The standard is 1.0 at least. */
	EXPECT_NE(0, vdpa_negotiate(&guest.vdpa, VDPA_F(VIRTIO_BALLOON_F_STATS_VQ)));
	start(_metadata, &guest, VDPA_PAIRED);
	EXPECT_TRUE(works(&guest));
	/* They stay what they were until a reset. */
	features = VDPA_FEATURES;
	EXPECT_EQ(-1, ioctl(guest.vdpa.fd, VHOST_SET_FEATURES, &features));
	EXPECT_EQ(EBUSY, errno);
}

TEST_F(device, configuration_is_kept_but_for_actual)
{
	const size_t at_actual = offsetof(struct virtio_balloon_config, actual);
	const size_t at_poison = offsetof(struct virtio_balloon_config, poison_val);
	static struct guest guest;
	__u32 value = 0x12345678;
	char all[17];

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	ASSERT_TRUE(inflate(&guest, FIRST, 5));
	EXPECT_EQ(0, vdpa_write_config(&guest.vdpa, at_actual, &value, 4));
	EXPECT_EQ(5, vdpa_config(&guest.vdpa, at_actual));
	EXPECT_EQ(5, actual(&guest));
	EXPECT_EQ(0, vdpa_write_config(&guest.vdpa, at_poison, &value, 4));
	EXPECT_EQ(value, vdpa_config(&guest.vdpa, at_poison));
	/* What is the host's to say cannot be written. */
	vdpa_write_config(&guest.vdpa, 0, &value, 4);
	EXPECT_EQ(0, vdpa_config(&guest.vdpa, 0));
	/* In bytes, and at both ends. */
	EXPECT_EQ(0, vdpa_read_config(&guest.vdpa, at_actual, all, 1));
	EXPECT_EQ(5, all[0]);
	EXPECT_EQ(0, vdpa_read_config(&guest.vdpa, 0, all, 16));
	EXPECT_NE(0, vdpa_read_config(&guest.vdpa, 0, all, 17));
	EXPECT_NE(0, vdpa_read_config(&guest.vdpa, 16, all, 1));
	EXPECT_NE(0, vdpa_write_config(&guest.vdpa, 12, all, 5));
	EXPECT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_EQ(0, vdpa_config(&guest.vdpa, at_poison));
}

TEST_F(device, nothing_happens_before_driver_ok)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	int i;

	make_memory(_metadata, &guest, ST "a", 1024);
	plug(_metadata, &guest, "st-a");
	fill(&guest, FIRST, 8);
	ASSERT_EQ(0, vdpa_negotiate(&guest.vdpa, VDPA_FEATURES));
	vdpa_lay_rings(&guest.vdpa, guest.map, GPA, 8);
	for (i = 0; i < VDPA_NR_QUEUES; i++) {
		queue = &guest.vdpa.queues[i];
		ASSERT_EQ(0, vdpa_set_ring(&guest.vdpa, i, 8, queue->iova, vdpa_avail_iova(queue),
					   vdpa_used_iova(queue)));
		ASSERT_EQ(0, vdpa_set_base(&guest.vdpa, i, 0));
		ASSERT_EQ(0, vdpa_set_eventfds(&guest.vdpa, i));
	}
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	*(__u32 *)queue->buffer = gfn(FIRST);
	vdpa_post(queue, queue->buffer_iova, 4, 0);
	ASSERT_EQ(0, vdpa_enable(&guest.vdpa, VDPA_DEFLATE, true));
	vdpa_kick(queue);
	EXPECT_FALSE(vdpa_wait_used_s(queue, QUIET_MS / 1000.0));
	/* A queue that is not enabled is dead, too. */
	ASSERT_EQ(0, vdpa_set_status(&guest.vdpa, vdpa_status(&guest.vdpa) | DRIVER_OK));
	vdpa_kick(queue);
	EXPECT_FALSE(vdpa_wait_used_s(queue, QUIET_MS / 1000.0));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 8));
	/* Rings of a running device stay where they are. */
	EXPECT_NE(0, vdpa_set_ring(&guest.vdpa, VDPA_DEFLATE, 8, GPA, GPA, GPA));
	EXPECT_NE(0, vdpa_set_base(&guest.vdpa, VDPA_DEFLATE, 3));
	EXPECT_EQ(0, actual(&guest));
	EXPECT_TRUE(works(&guest));
	/* Status bits do not go one by one. */
	EXPECT_NE(0, vdpa_set_status(&guest.vdpa, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	EXPECT_TRUE(works(&guest));
}

TEST_F(device, sizes_of_rings_have_bounds)
{
	static const unsigned int bad[] = { 0, 3, 255, 257, 1023, 2048, 32768, 65536 };
	static struct guest guest;
	size_t i;

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	ASSERT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_NE(0, vdpa_set_ring(&guest.vdpa, 0, bad[i], GPA, GPA, GPA))
			TH_LOG("num %u", bad[i]);
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_TRUE(works(&guest));
}

TEST_F(device, ring_can_go_on_from_its_index)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	struct vhost_vring_state state = { .index = VDPA_INFLATE };

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	fill(&guest, FIRST, 64);
	ASSERT_TRUE(inflate(&guest, FIRST, 1));
	ASSERT_TRUE(inflate(&guest, FIRST + 1, 1));
	EXPECT_EQ(0, ioctl(guest.vdpa.fd, VHOST_GET_VRING_BASE, &state));
	EXPECT_EQ(2, state.num);
	/* As a VMM does that stops and continues; here at the last index there is. */
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	ASSERT_EQ(0, vdpa_negotiate(&guest.vdpa, VDPA_FEATURES));
	vdpa_lay_rings(&guest.vdpa, guest.map, GPA, 16);
	ASSERT_EQ(0, vdpa_set_ring(&guest.vdpa, 0, 16, queue->iova, vdpa_avail_iova(queue),
				   vdpa_used_iova(queue)));
	ASSERT_EQ(0, vdpa_set_base(&guest.vdpa, VDPA_INFLATE, 65535));
	ASSERT_EQ(0, vdpa_set_eventfds(&guest.vdpa, VDPA_INFLATE));
	ASSERT_EQ(0, vdpa_enable(&guest.vdpa, VDPA_INFLATE, true));
	queue->next_avail = 65535;
	queue->used->idx = 65535;
	queue->avail->idx = 65535;
	ASSERT_EQ(0, vdpa_set_status(&guest.vdpa, vdpa_status(&guest.vdpa) | DRIVER_OK));
	ASSERT_TRUE(inflate(&guest, FIRST, 1));
	ASSERT_TRUE(inflate(&guest, FIRST + 1, 1));
	EXPECT_EQ(2, actual(&guest));
	EXPECT_EQ(1, queue->used->idx);
}

TEST_F(device, second_device_of_a_vm_does_nothing_to_it)
{
	static struct guest guest, second;
	long popped;

	boot_inflated(_metadata, &guest, VDPA_FEATURES);
	second = guest;
	second.map = fisc_map(guest.fd, guest.nr_pages);
	ASSERT_NE(NULL, second.map);
	plug(_metadata, &second, "st-b");
	/* Its rings do not get into those of the first. */
	vdpa_lay_rings(&second.vdpa, second.map + 512 * PAGE_SIZE, GPA + 512 * PAGE_SIZE, 64);
	if (!vdpa_start(&second.vdpa, second.map + 512 * PAGE_SIZE, GPA + 512 * PAGE_SIZE,
			VDPA_FEATURES, 64)) {
		struct vdpa_queue *queue = &second.vdpa.queues[VDPA_INFLATE];

		*(__u32 *)queue->buffer = gfn(FIRST);
		vdpa_post(queue, queue->buffer_iova, 4, 0);
		vdpa_wait_used_s(queue, 1);
		queue = &second.vdpa.queues[VDPA_DEFLATE];
		*(__u32 *)queue->buffer = gfn(1024);
		vdpa_post(queue, queue->buffer_iova, 4, 0);
		vdpa_wait_used_s(queue, 1);
	}
	EXPECT_EQ(512, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 512 - FIRST));
	vdpa_close(&second.vdpa);
	EXPECT_EQ(512, actual(&guest));
	ASSERT_EQ(0, vdpa_del("st-b"));
	EXPECT_EQ(512, actual(&guest));
	EXPECT_TRUE(works(&guest));
	/* Once the first is gone, another one can be the VM's. */
	popped = fisc_vm("st-a", "balloon/popped");
	vdpa_close(&guest.vdpa);
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/actual"));
	EXPECT_EQ(popped, fisc_vm("st-a", "balloon/popped"));
	plug(_metadata, &guest, "st-c");
	start(_metadata, &guest, VDPA_FEATURES);
	ASSERT_TRUE(inflate(&guest, 1024, 512));
	EXPECT_EQ(512, actual(&guest));
}

TEST_F(device, vms_have_a_balloon_each)
{
	static struct guest guests[2];
	char path[64], name[16];
	int i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), ST "%c", 'a' + i);
		snprintf(name, sizeof(name), "st-dev%d", i);
		make_memory(_metadata, &guests[i], path, 1024);
		fill(&guests[i], FIRST, 1024 - FIRST);
		plug(_metadata, &guests[i], name);
		start(_metadata, &guests[i], VDPA_FEATURES);
	}
	ASSERT_TRUE(inflate(&guests[0], FIRST, 100));
	ASSERT_TRUE(inflate(&guests[1], FIRST, 33));
	EXPECT_EQ(100 * (long)PAGE_SIZE, fisc_vm("st-a", "balloon/actual"));
	EXPECT_EQ(33 * (long)PAGE_SIZE, fisc_vm("st-b", "balloon/actual"));
	EXPECT_EQ(133, fisc_balloon("ballooned"));
	vdpa_close(&guests[0].vdpa);
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/actual"));
	EXPECT_EQ(33 * (long)PAGE_SIZE, fisc_vm("st-b", "balloon/actual"));
	EXPECT_EQ(-1, damaged(&guests[1], FIRST + 33, 1024 - FIRST - 33));
}

TEST_F(device, vm_may_go_before_its_device)
{
	static struct guest guest, other;

	boot_inflated(_metadata, &guest, VDPA_FEATURES);
	ASSERT_EQ(0, vdpa_unmap(&guest.vdpa, GPA, guest.nr_pages * PAGE_SIZE));
	munmap(guest.map, guest.nr_pages * PAGE_SIZE);
	close(guest.fd);
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_TRUE(fisc_wait("core", "regions", 0));
	EXPECT_EQ(0, fisc_balloon("ballooned"));
	/* It has nobody to serve until it is opened anew. */
	EXPECT_LE(0, vdpa_status(&guest.vdpa));
	EXPECT_EQ(0, vdpa_config(&guest.vdpa, offsetof(struct virtio_balloon_config, actual)));
	vdpa_kick(&guest.vdpa.queues[VDPA_INFLATE]);
	EXPECT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
	vdpa_close(&guest.vdpa);
	make_memory(_metadata, &other, ST "a", 1024);
	ASSERT_EQ(0, vdpa_open(&other.vdpa, "st-a"));
	ASSERT_EQ(0, vdpa_map(&other.vdpa, GPA, other.map, 1024 * PAGE_SIZE));
	start(_metadata, &other, VDPA_FEATURES);
	ASSERT_TRUE(inflate(&other, FIRST, 9));
	EXPECT_EQ(9, actual(&other));
}

TEST_F(device, device_without_guest_memory_does_no_harm)
{
	static struct vdpa vdpa;
	char *mem = mmap(NULL, 256 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	long bad_ring = fisc_balloon("bad_ring");

	ASSERT_EQ(0, vdpa_add("st-a"));
	ASSERT_EQ(0, vdpa_open(&vdpa, "st-a"));
	/* Nothing mapped; and memory that is no file of fisc. */
	ASSERT_EQ(0, vdpa_start(&vdpa, mem, GPA, VDPA_FEATURES, 16));
	vdpa_kick(&vdpa.queues[0]);
	EXPECT_TRUE(vdpa_wait_status(&vdpa, NEEDS_RESET));
	ASSERT_EQ(0, vdpa_map(&vdpa, GPA, mem, 256 * PAGE_SIZE));
	ASSERT_EQ(0, vdpa_start(&vdpa, mem, GPA, VDPA_FEATURES, 16));
	vdpa_kick(&vdpa.queues[0]);
	EXPECT_TRUE(vdpa_wait_status(&vdpa, NEEDS_RESET));
	EXPECT_EQ(bad_ring + 2, fisc_balloon("bad_ring"));
	vdpa_close(&vdpa);
}

/* Targets */

#define VM_PAGES	4096		/* 16 MiB, of which 65 % may be in the balloon */
#define TARGET		FISC_SYSFS "/vms/st-a/balloon/target"
#define MAX		FISC_SYSFS "/vms/st-a/balloon/max"

static long wanted(struct guest *guest)
{
	return vdpa_config(&guest->vdpa, offsetof(struct virtio_balloon_config, num_pages));
}

TEST_F(device, target_is_told_by_interrupt)
{
	static struct guest guest;

	boot(_metadata, &guest, VM_PAGES, VDPA_FEATURES);
	EXPECT_EQ(0, wanted(&guest));
	vdpa_wait_config(&guest.vdpa, 0);
	fisc_take(_metadata, TARGET, "4M", "4194304");
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	EXPECT_EQ(1024, wanted(&guest));
	/* Nothing new is not told. */
	fisc_take(_metadata, TARGET, "4M", "4194304");
	EXPECT_FALSE(vdpa_wait_config(&guest.vdpa, QUIET_MS / 1000.0));
	fisc_take(_metadata, TARGET, "0", "0");
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	EXPECT_EQ(0, wanted(&guest));
	fisc_take(_metadata, TARGET, "4096", "4096");
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	EXPECT_EQ(1, wanted(&guest));
	/* The VM's target stays when the device is reset, and when it goes and comes. */
	fisc_take(_metadata, TARGET, "2M", "2097152");
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_EQ(512, wanted(&guest));
	vdpa_close(&guest.vdpa);
	ASSERT_EQ(0, vdpa_open(&guest.vdpa, "st-a"));
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map, guest.nr_pages * PAGE_SIZE));
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_EQ(512, wanted(&guest));
}

TEST_F(device, target_is_never_above_max)
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
	/* A part of what the VM is, also when that changes. */
	ASSERT_EQ(0, ftruncate(guest.fd, VM_PAGES / 2 * PAGE_SIZE));
	EXPECT_EQ(VM_PAGES / 2 * 65L / 100 * (long)PAGE_SIZE, fisc_vm("st-a", "balloon/max"));
	/* A driver that goes beyond it is not kept from it: it is its memory. */
	fisc_take(_metadata, TARGET, "0", "0");
	ASSERT_TRUE(inflate(&guest, FIRST, 1900));
	EXPECT_EQ(1900, actual(&guest));
}

TEST_F(device, target_follows_the_tax)
{
	static struct guest guest;
	char value[32];
	double end;
	long sum = 0;

	boot(_metadata, &guest, VM_PAGES, VDPA_FEATURES);
	fill(&guest, FIRST, VM_PAGES - FIRST);
	EXPECT_EQ(0, fisc_read_long(TARGET));
	snprintf(value, sizeof(value), "%ld", fisc_read_long(TAX_RESERVED) + 10 * MIB);
	/* Above its target it may be, as long as memory is not short. */
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, value));
	fisc_sleep_ms(2000);
	EXPECT_EQ(0, fisc_read_long(TARGET));
	EXPECT_GT(11 * MIB, fisc_vm("st-a", "target"));
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	for (end = fisc_now() + WAIT_S; fisc_now() < end; fisc_sleep_ms(20)) {
		sum = fisc_read_long(TARGET) + fisc_vm("st-a", "target");
		if (sum > 15 * MIB && sum < 17 * MIB && fisc_read_long(TARGET) > 4 * MIB)
			break;
	}
	EXPECT_LT(15 * MIB, sum);
	EXPECT_GT(17 * MIB, sum);
	EXPECT_EQ(fisc_read_long(TARGET) / (long)PAGE_SIZE, wanted(&guest));
	/* Once it has given that, it is asked for no more; what is chosen goes first. */
	ASSERT_TRUE(inflate(&guest, FIRST, wanted(&guest)));
	fisc_sleep_ms(2000);
	EXPECT_LT(4 * MIB, fisc_read_long(TARGET));
	EXPECT_GT(8 * MIB, fisc_read_long(TARGET));
	fisc_take(_metadata, TARGET, "1M", "1048576");
	fisc_sleep_ms(500);
	EXPECT_EQ(256, wanted(&guest));
	ASSERT_EQ(0, fisc_write_str(TARGET, "\n"));
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
	/* Enough for all, and it may have all back. */
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, "0"));
	EXPECT_TRUE(fisc_wait_vm("st-a", "balloon/target", 0));
	EXPECT_EQ(0, wanted(&guest));
}

/* Of a guest that gave nothing when it was time; then it can choose better. */
TEST_F(device, what_was_paged_out_is_asked_for)
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
	snprintf(value, sizeof(value), "%ld", fisc_read_long(TAX_RESERVED) + 10 * MIB);
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
	/* It gives that, and all that it has is in memory. */
	ASSERT_TRUE(inflate(&guest, FIRST, wanted(&guest)));
	EXPECT_EQ(-1, damaged(&guest, FIRST + actual(&guest), VM_PAGES - FIRST - actual(&guest)));
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

TEST_F(device, sysfs_takes_what_it_should)
{
	static const char * const bad[] = {
		"x", "0x1000", "-1", "-1M", "M", "1Q", "1MM", "1 M", "1.5M", "16777216T",
		"18446744073709551615", "18446744073709551616", "99999999999999999999999",
	};
	static const char * const bad_ms[] = {
		"0", "99", "3600001", "-1", "x", "1x", "1.5", "1k", "\n", "4294967396",
		"18446744073709551716",
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
	"swap_in", "swap_out", "major_faults", "minor_faults", "free", "total", "available",
	"disk_caches", "hugetlb_allocations", "hugetlb_failures", "oom_kills",
};

static const struct {
	const char *name;
	__u16 tag;
} paired_stats[] = {
	{ "psi_some", FISC_BALLOON_S_PSI_SOME }, { "psi_full", FISC_BALLOON_S_PSI_FULL },
	{ "refaults", FISC_BALLOON_S_REFAULTS }, { "small", FISC_BALLOON_S_SMALL },
	{ "large", FISC_BALLOON_S_LARGE }, { "floor", FISC_BALLOON_S_FLOOR },
	{ "short", FISC_BALLOON_S_SHORT },
};

static int read_stat(const char *name, char *value, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), FISC_SYSFS "/vms/st-a/balloon/stat_%s", name);
	return fisc_read_str(path, value, size);
}

TEST_F(device, what_is_measured_is_read_only)
{
	static const char * const files[] = { "actual", "popped", "stat_free", "stat_short" };
	static struct guest guest;
	char path[128], value[32];
	struct stat st;
	size_t i;

	make_memory(_metadata, &guest, ST "a", VM_PAGES);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), FISC_SYSFS "/vms/st-a/balloon/%s", files[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(0444, (int)(st.st_mode & 0777));
		EXPECT_NE(0, fisc_write_str(path, "1"));
	}
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/actual"));
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/popped"));
	/* Nothing was said yet. */
	for (i = 0; i < ARRAY_SIZE(stat_names); i++)
		EXPECT_EQ(-ENODATA, read_stat(stat_names[i], value, sizeof(value)))
			TH_LOG("%s", stat_names[i]);
	for (i = 0; i < ARRAY_SIZE(paired_stats); i++)
		EXPECT_EQ(-ENODATA, read_stat(paired_stats[i].name, value, sizeof(value)))
			TH_LOG("%s", paired_stats[i].name);
	ASSERT_EQ(0, stat(TARGET, &st));
	EXPECT_EQ(0644, (int)(st.st_mode & 0777));
	ASSERT_EQ(0, stat(BALLOON_STATS, &st));
	EXPECT_EQ(0644, (int)(st.st_mode & 0777));
}

/* Statistics */

static void put_stat(struct guest *guest, size_t i, __u16 tag, __u64 value)
{
	struct virtio_balloon_stat *stats = (void *)guest->vdpa.queues[VDPA_STATS].buffer;

	stats[i].tag = tag;
	stats[i].val = value;
}

static void say(struct guest *guest, size_t nr)
{
	struct vdpa_queue *queue = &guest->vdpa.queues[VDPA_STATS];

	vdpa_post(queue, queue->buffer_iova, nr * sizeof(struct virtio_balloon_stat), 0);
}

TEST_F(device, statistics_are_asked_for_and_shown)
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
			put_stat(&guest, nr + i, paired_stats[i].tag, ~0ULL - 100 * round - i);
		begin = fisc_now();
		say(&guest, nr + ARRAY_SIZE(paired_stats));
		/* The buffer comes back when the next are wanted. */
		EXPECT_TRUE(vdpa_wait_used(queue));
		end = fisc_now();
		if (round)
			EXPECT_LT(0.2, end - begin);
		EXPECT_GT(5, end - begin);
		for (i = 0; i < nr; i++) {
			snprintf(path, sizeof(path), "balloon/stat_%s", stat_names[i]);
			EXPECT_EQ(1000 * (long)round + (long)i, fisc_vm("st-a", path))
				TH_LOG("%s", stat_names[i]);
		}
		for (i = 0; i < ARRAY_SIZE(paired_stats); i++) {
			ASSERT_EQ(0, read_stat(paired_stats[i].name, value, sizeof(value)));
			EXPECT_EQ(~0ULL - 100 * round - i, strtoull(value, NULL, 10));
		}
	}
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
}

TEST_F(device, odd_statistics_do_no_harm)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	char value[32];
	size_t i;

	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "100"));
	boot(_metadata, &guest, 1024, VDPA_PAIRED);
	queue = &guest.vdpa.queues[VDPA_STATS];
	/* Unknown tags, one that is said twice, and the rest of a number. */
	put_stat(&guest, 0, 4, 44);
	put_stat(&guest, 1, 100, 1);
	put_stat(&guest, 2, 65535, 2);
	put_stat(&guest, 3, FISC_BALLOON_S_SHORT + 1, 3);
	put_stat(&guest, 4, 4, 45);
	put_stat(&guest, 5, 5, 46);
	vdpa_post(queue, queue->buffer_iova, 5 * sizeof(struct virtio_balloon_stat) + 9, 0);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(45, fisc_vm("st-a", "balloon/stat_free"));
	EXPECT_EQ(-ENODATA, read_stat("total", value, sizeof(value)));
	/* As long as can be: 6553 of them, and the driver's last word counts. */
	for (i = 0; i < FISC_BALLOON_BUFFER_MAX / sizeof(struct virtio_balloon_stat); i++)
		put_stat(&guest, i, i % 16, i);
	vdpa_post(queue, queue->buffer_iova, FISC_BALLOON_BUFFER_MAX, 0);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ((long)(i - 1) / 16 * 16, fisc_vm("st-a", "balloon/stat_swap_in"));
	/* Several buffers at once are answered one after the other, or all. */
	for (i = 0; i < 8; i++) {
		put_stat(&guest, 0, 4, 100);
		say(&guest, 1);
	}
	EXPECT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(100, fisc_vm("st-a", "balloon/stat_free"));
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
	/* What a guest said that is gone is not shown any more. */
	vdpa_close(&guest.vdpa);
	EXPECT_EQ(-ENODATA, read_stat("free", value, sizeof(value)));
}

TEST_F(device, how_often_guests_are_asked_can_be_changed)
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

/* Free page reporting */

static bool report(struct guest *guest, int index, size_t first, size_t nr)
{
	struct vdpa_queue *queue = &guest->vdpa.queues[index];

	vdpa_post(queue, GPA + first * PAGE_SIZE, nr * PAGE_SIZE, VRING_DESC_F_WRITE);
	return vdpa_wait_used(queue);
}

TEST_F(device, reported_pages_are_free_but_not_in_the_balloon)
{
	long reported = fisc_balloon("reported"), frames, popped;
	static struct guest guest;
	struct vdpa_queue *queue;
	int i;

	boot(_metadata, &guest, 4096, VDPA_PAIRED);
	fill(&guest, FIRST, 4096 - FIRST);
	for (i = VDPA_REPORT; i <= VDPA_REPORT_4; i++) {
		queue = &guest.vdpa.queues[i];
		ASSERT_TRUE(report(&guest, i, 4095, 1));
		frames = fisc_core("frames");
		popped = fisc_vm("st-a", "balloon/popped");
		/* A page, a chunk, a lot that ends anywhere. */
		ASSERT_TRUE(report(&guest, i, FIRST, 1));
		EXPECT_EQ(frames - 1, fisc_core("frames"));
		ASSERT_TRUE(report(&guest, i, 512, 512));
		ASSERT_TRUE(report(&guest, i, 1025, 1999));
		EXPECT_EQ(frames - 1 - 512 - 1999, fisc_core("frames"));
		/* Several at once, in one chain. */
		vdpa_put(queue, 100, GPA + 3100 * PAGE_SIZE, 100 * PAGE_SIZE,
			 VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 101);
		vdpa_put(queue, 101, GPA + 3300 * PAGE_SIZE, 10 * PAGE_SIZE,
			 VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 102);
		vdpa_put(queue, 102, GPA + 3250 * PAGE_SIZE, PAGE_SIZE, VRING_DESC_F_WRITE, 0);
		vdpa_expose(queue, 100, 1);
		vdpa_kick(queue);
		ASSERT_TRUE(vdpa_wait_used(queue));
		EXPECT_EQ(frames - 1 - 512 - 1999 - 111, fisc_core("frames"));
		EXPECT_EQ(0, actual(&guest));
		EXPECT_EQ(-1, damaged(&guest, 1024, 1));
		EXPECT_EQ(-1, damaged(&guest, 3024, 76));
		EXPECT_EQ(-1, damaged(&guest, 3251, 49));
		EXPECT_EQ(-1, not_zero(&guest, 512, 512));
		EXPECT_EQ(-1, not_zero(&guest, 1025, 1999));
		EXPECT_EQ(popped, fisc_vm("st-a", "balloon/popped"));
		fill(&guest, FIRST, 4096 - FIRST);
	}
	EXPECT_EQ(reported + 2 * (2 + 512 + 1999 + 111), fisc_balloon("reported"));
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
}

TEST_F(device, report_of_what_is_in_the_balloon_leaves_it_there)
{
	static struct guest guest;

	boot_inflated(_metadata, &guest, VDPA_FEATURES);
	ASSERT_TRUE(report(&guest, VDPA_REPORT, 1000, 600));
	EXPECT_EQ(512, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1000 - FIRST));
	EXPECT_EQ(-1, damaged(&guest, 1600, 448));
	EXPECT_EQ(-1, not_zero(&guest, 1000, 600));
}

TEST_F(device, reports_of_poisoned_pages_are_ignored)
{
	const size_t at_poison = offsetof(struct virtio_balloon_config, poison_val);
	__u32 poison = 0xaaaaaaaa, none = 0;
	static struct guest guest;

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	fill(&guest, FIRST, 512);
	ASSERT_EQ(0, vdpa_write_config(&guest.vdpa, at_poison, &poison, 4));
	ASSERT_TRUE(report(&guest, VDPA_REPORT, FIRST, 512));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 512));
	ASSERT_EQ(0, vdpa_write_config(&guest.vdpa, at_poison, &none, 4));
	ASSERT_TRUE(report(&guest, VDPA_REPORT, FIRST, 512));
	EXPECT_EQ(-1, not_zero(&guest, FIRST, 512));
	/* It takes the feature. */
	start(_metadata, &guest, VDPA_FEATURES & ~VDPA_F(VIRTIO_BALLOON_F_PAGE_POISON));
	fill(&guest, FIRST, 512);
	vdpa_write_config(&guest.vdpa, at_poison, &poison, 4);
	ASSERT_TRUE(report(&guest, VDPA_REPORT, FIRST, 512));
	EXPECT_EQ(-1, not_zero(&guest, FIRST, 512));
}

TEST_F(device, parts_of_pages_are_not_reported)
{
	static struct guest guest;
	struct vdpa_queue *queue;

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	fill(&guest, FIRST, 16);
	queue = &guest.vdpa.queues[VDPA_REPORT];
	vdpa_post(queue, GPA + FIRST * PAGE_SIZE + 1, 3 * PAGE_SIZE, VRING_DESC_F_WRITE);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1));
	EXPECT_EQ(-1, damaged(&guest, FIRST + 3, 13));
	vdpa_post(queue, GPA + (FIRST + 4) * PAGE_SIZE, PAGE_SIZE - 1, VRING_DESC_F_WRITE);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(-1, damaged(&guest, FIRST + 4, 12));
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
}

/* Drivers that break the rules */

/* Descriptors of an offender, relative to the first. */
struct part {
	__u64 addr;
	__u32 len;
	__u16 flags;
	int next;
};

/**
 * struct offence - a chain of descriptors that no driver may make available
 * @reason: the counter of those who do
 * @what: in words
 * @parts: its descriptors; an address of 0 is that of a good buffer, flags are those
 *	   that differ from good ones
 * @head: added to the number of the first descriptor when it is made available
 * @ahead: added to the index
 * @not_reports: it is none in reports
 */
struct offence {
	const char *reason;
	const char *what;
	struct part parts[3];
	unsigned int head;
	unsigned int ahead;
	bool not_reports;
};

#define GOOD		{ .len = 16 }
#define CHAINED(where)	{ .len = 4, .flags = VRING_DESC_F_NEXT, .next = where }
/* Memory that is reported may be any. */
#define OUTSIDE(_addr, _len)	.parts = { { .addr = _addr, .len = _len } }, .not_reports = true
#define LONG		FISC_BALLOON_BUFFER_MAX
#define OFFENDER_PAGES	1024
#define OFFENDER_END	(GPA + OFFENDER_PAGES * PAGE_SIZE)

static const struct offence offences[] = {
	{ "bad_avail", "index one too far", .parts = { GOOD }, .ahead = VDPA_NUM },
	{ "bad_avail", "index goes back", .parts = { GOOD }, .ahead = -2 },
	{ "bad_head", "head is num", .parts = { GOOD }, .head = VDPA_NUM },
	{ "bad_head", "head is the largest", .parts = { GOOD }, .head = 65535 },
	{ "bad_next", "next is num", .parts = { CHAINED(VDPA_NUM) } },
	{ "bad_next", "next is far off", .parts = { CHAINED(1), CHAINED(60000) } },
	{ "bad_loop", "itself is next", .parts = { CHAINED(0) } },
	{ "bad_loop", "ends in a loop", .parts = { CHAINED(1), CHAINED(2), CHAINED(1) } },
	{ "bad_indirect", "indirect", .parts = { { .len = 16, .flags = VRING_DESC_F_INDIRECT } } },
	{ "bad_indirect", "indirect at last",
	  .parts = { CHAINED(1), { .len = 16, .flags = VRING_DESC_F_INDIRECT } } },
	{ "bad_direction", "direction", .parts = { { .len = 16, .flags = VRING_DESC_F_WRITE } } },
	{ "bad_direction", "direction of the last",
	  .parts = { CHAINED(1), { .len = 16, .flags = VRING_DESC_F_WRITE } } },
	{ "bad_length", "no length", .parts = { { .len = 0 } } },
	{ "bad_length", "no length of the last", .parts = { CHAINED(1), { .len = 0 } } },
	{ "bad_length", "too long", .parts = { { .len = LONG + 1 } }, .not_reports = true },
	{ "bad_length", "too long together", .parts = { CHAINED(1), { .len = LONG - 3 } },
	  .not_reports = true },
	{ "bad_length", "sum overflows", .parts = { CHAINED(1), { .len = -4 } },
	  .not_reports = true },
	{ "bad_address", "nowhere", OUTSIDE(PAGE_SIZE, PAGE_SIZE) },
	{ "bad_address", "begins before memory", OUTSIDE(GPA - PAGE_SIZE, 2 * PAGE_SIZE) },
	{ "bad_address", "ends behind memory", OUTSIDE(OFFENDER_END - PAGE_SIZE, 2 * PAGE_SIZE) },
	{ "bad_address", "a byte too long", OUTSIDE(OFFENDER_END - PAGE_SIZE, PAGE_SIZE + 1) },
	{ "bad_address", "the last byte there is", OUTSIDE(-1ULL, 1) },
	{ "bad_address", "other memory", OUTSIDE(GPA_2, PAGE_SIZE) },
	{ "bad_address", "wraps around",
	  .parts = { { .addr = -PAGE_SIZE, .len = 2 * PAGE_SIZE } } },
};

static void commit(const struct offence *offence, struct vdpa_queue *queue, __u16 good)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(offence->parts); i++) {
		const struct part *part = &offence->parts[i];

		vdpa_put(queue, i, part->addr ?: queue->buffer_iova, part->len, good ^ part->flags,
			 part->next);
	}
	queue->avail->ring[queue->next_avail % queue->num] = offence->head;
	queue->next_avail += 1 + offence->ahead;
	vdpa_expose(queue, 0, 0);
	vdpa_kick(queue);
}

static void boot_beside_memory(struct __test_metadata *_metadata, struct guest *guest)
{
	char *beside = mmap(NULL, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	boot(_metadata, guest, OFFENDER_PAGES, VDPA_FEATURES);
	ASSERT_EQ(0, vdpa_map(&guest->vdpa, GPA_2, beside, 16 * PAGE_SIZE));
	fill(guest, FIRST, OFFENDER_PAGES - FIRST);
}

TEST_F(device, offences_stop_the_queue_until_a_reset)
{
	static struct guest guest;
	long count, needs_reset;
	struct vdpa_queue *queue;
	size_t i;
	int index;

	boot_beside_memory(_metadata, &guest);
	for (index = 0; index < VDPA_NR_QUEUES; index++) {
		__u16 good = index < VDPA_REPORT ? 0 : VRING_DESC_F_WRITE;

		for (i = 0; i < ARRAY_SIZE(offences); i++) {
			if (good && offences[i].not_reports)
				continue;
			start(_metadata, &guest, VDPA_FEATURES);
			if (index != VDPA_INFLATE)
				ASSERT_TRUE(inflate(&guest, FIRST, 4));
			queue = &guest.vdpa.queues[index];
			vdpa_wait_config(&guest.vdpa, 0);
			count = fisc_balloon(offences[i].reason);
			needs_reset = fisc_balloon("needs_reset");
			commit(&offences[i], queue, good);
			ASSERT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET))
				TH_LOG("%s, queue %d", offences[i].what, index);
			EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
			EXPECT_EQ(count + 1, fisc_balloon(offences[i].reason))
				TH_LOG("%s, queue %d", offences[i].what, index);
			EXPECT_EQ(needs_reset + 1, fisc_balloon("needs_reset"));
		}
		/* The last one stays until it is reset. */
		queue = &guest.vdpa.queues[index];
		vdpa_lay_rings(&guest.vdpa, guest.map, GPA, VDPA_NUM);
		vdpa_put(queue, 0, queue->buffer_iova, 16, good, 0);
		vdpa_expose(queue, 0, 1);
		vdpa_kick(queue);
		EXPECT_FALSE(vdpa_wait_used_s(queue, QUIET_MS / 1000.0));
		EXPECT_EQ(NEEDS_RESET, vdpa_status(&guest.vdpa) & NEEDS_RESET);
	}
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_TRUE(works(&guest));
	EXPECT_EQ(0, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, FIRST + 4, 1024 - FIRST - 4));
}

TEST_F(device, what_came_before_an_offence_is_done)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	__u32 *pfns;
	int i;

	boot_beside_memory(_metadata, &guest);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	pfns = (__u32 *)queue->buffer;
	for (i = 0; i < 8; i++) {
		pfns[i] = gfn(FIRST + i);
		vdpa_put(queue, i, queue->buffer_iova + 4 * i, 4, i == 5 ? VRING_DESC_F_WRITE : 0,
			 0);
	}
	vdpa_expose(queue, 0, 8);
	vdpa_kick(queue);
	ASSERT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET));
	EXPECT_EQ(5, queue->used->idx);
	EXPECT_EQ(5, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, FIRST + 5, 100));
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_EQ(0, actual(&guest));
}

TEST_F(device, rings_have_to_be_in_guest_memory)
{
	static const int rings[] = { VDPA_INFLATE, VDPA_DEFLATE, VDPA_STATS, VDPA_REPORT };
	static struct guest guest;
	const __u64 end = GPA + 1024 * PAGE_SIZE;
	/* Where they cannot be: nowhere, in other memory, across an end. */
	const __u64 places[] = { 0, GPA_2, end, end - 16, GPA - 16, -32ULL, 1ULL << 63 };
	long bad_ring, other;
	size_t i, j, part;

	boot_beside_memory(_metadata, &guest);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		for (part = 0; part < 3; part++) {
			int index = rings[(i + part) % ARRAY_SIZE(rings)];
			struct vdpa_queue *queue = &guest.vdpa.queues[index];
			__u64 at[3];

			/* Where a ring begins well, what it says is wrong before. */
			if (places[i] == end - 16 && part < 2)
				continue;
			start(_metadata, &guest, VDPA_FEATURES);
			at[0] = queue->iova;
			at[1] = vdpa_avail_iova(queue);
			at[2] = vdpa_used_iova(queue);
			at[part] = places[i];
			ASSERT_EQ(0, vdpa_negotiate(&guest.vdpa, VDPA_FEATURES));
			ASSERT_EQ(0, vdpa_set_ring(&guest.vdpa, index, 256, at[0], at[1], at[2]));
			ASSERT_EQ(0, vdpa_set_base(&guest.vdpa, index, 0));
			ASSERT_EQ(0, vdpa_set_eventfds(&guest.vdpa, index));
			ASSERT_EQ(0, vdpa_enable(&guest.vdpa, index, true));
			bad_ring = fisc_balloon("bad_ring");
			other = fisc_balloon("needs_reset") - bad_ring;
			ASSERT_EQ(0, vdpa_set_status(&guest.vdpa,
						     vdpa_status(&guest.vdpa) | DRIVER_OK));
			/* All of the ring is used, so that its far end is, too. */
			for (j = 0; j < 256; j++)
				vdpa_put(queue, j, queue->buffer_iova, 16,
					 index < VDPA_REPORT ? 0 : VRING_DESC_F_WRITE, 0);
			vdpa_expose(queue, 0, 256);
			vdpa_kick(queue);
			EXPECT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET))
				TH_LOG("part %zu at %#llx", part, places[i]);
			EXPECT_EQ(bad_ring + 1, fisc_balloon("bad_ring"));
			EXPECT_EQ(other, fisc_balloon("needs_reset") - bad_ring - 1);
		}
	}
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_TRUE(works(&guest));
}

TEST_F(device, ring_that_is_cut_off_is_noticed)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	long bad_ring;

	boot_beside_memory(_metadata, &guest);
	/* The file ends before it. */
	bad_ring = fisc_balloon("bad_ring");
	ASSERT_EQ(0, ftruncate(guest.fd, 0));
	vdpa_kick(&guest.vdpa.queues[VDPA_INFLATE]);
	EXPECT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET));
	EXPECT_EQ(bad_ring + 1, fisc_balloon("bad_ring"));
	ASSERT_EQ(0, ftruncate(guest.fd, 1024 * PAGE_SIZE));
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_TRUE(works(&guest));
	/* It may not be read, or written. */
	ASSERT_EQ(0, vdpa_unmap(&guest.vdpa, GPA, 1024 * PAGE_SIZE));
	ASSERT_EQ(0, vdpa_map_perm(&guest.vdpa, GPA, guest.map, 1024 * PAGE_SIZE,
				   VHOST_ACCESS_RO));
	start(_metadata, &guest, VDPA_FEATURES);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	vdpa_post(queue, queue->buffer_iova, 16, 0);
	EXPECT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET));
	EXPECT_EQ(0, queue->used->idx);
	ASSERT_EQ(0, vdpa_unmap(&guest.vdpa, GPA, 1024 * PAGE_SIZE));
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map, 1024 * PAGE_SIZE));
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_TRUE(works(&guest));
}

TEST_F(device, ring_itself_can_go_into_the_balloon)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	size_t i;

	boot_beside_memory(_metadata, &guest);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	/* All that the driver has; and then the same driver once more. */
	for (i = 0; i < FIRST; i++)
		((__u32 *)queue->buffer)[i] = gfn(i);
	vdpa_post(queue, queue->buffer_iova, FIRST * sizeof(__u32), 0);
	ASSERT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET));
	EXPECT_GE(FIRST, (size_t)fisc_balloon("ballooned"));
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_TRUE(works(&guest));
	EXPECT_EQ(0, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1024 - FIRST));
}

/* Several things at once */

/* Long buffers, @nr times the same one. */
#define MUCH		4096

static void post_much(struct vdpa_queue *queue, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		vdpa_put(queue, i, queue->buffer_iova, MUCH, 0, 0);
	vdpa_expose(queue, 0, nr);
	vdpa_kick(queue);
}

TEST_F(device, long_queue_does_not_keep_others_waiting)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	unsigned int i;

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	for (i = 0; i < MUCH / 4; i++)
		((__u32 *)queue->buffer)[i] = gfn(FIRST + i % 64);
	post_much(queue, 256);
	ASSERT_TRUE(deflate(&guest, 1023, 1));
	/* Its 64, those that may be under way, and some time until we are told. */
	EXPECT_GE(192, READ_ONCE(queue->used->idx));
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(256, queue->used->idx);
	EXPECT_EQ(64, actual(&guest));
}

struct flood {
	struct guest *guest;
	pthread_t thread;
	bool stop;
	unsigned long rounds;
};

static void *flood_thread(void *argument)
{
	struct flood *flood = argument;
	struct vdpa_queue *queue = &flood->guest->vdpa.queues[VDPA_INFLATE];

	while (!READ_ONCE(flood->stop)) {
		post_much(queue, 256);
		if (!vdpa_wait_used(queue))
			break;
		flood->rounds++;
	}
	return NULL;
}

TEST_F(device, flooded_device_still_answers_stops_and_goes)
{
	static struct flood flood;
	static struct guest guest;
	unsigned int i;

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	for (i = 0; i < MUCH / 4; i++)
		((__u32 *)guest.vdpa.queues[VDPA_INFLATE].buffer)[i] = gfn(FIRST + i % 64);
	flood.guest = &guest;
	ASSERT_EQ(0, pthread_create(&flood.thread, NULL, flood_thread, &flood));
	for (i = 0; i < 20; i++) {
		ASSERT_TRUE(deflate(&guest, FIRST, 64));
		EXPECT_LE(0, vdpa_status(&guest.vdpa));
		EXPECT_LE(0, fisc_vm("st-a", "balloon/actual"));
	}
	/* Stopped in the middle, it leaves nothing. */
	WRITE_ONCE(flood.stop, true);
	pthread_join(flood.thread, NULL);
	post_much(&guest.vdpa.queues[VDPA_INFLATE], 256);
	ASSERT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
	EXPECT_EQ(0, actual(&guest));
	start(_metadata, &guest, VDPA_FEATURES);
	post_much(&guest.vdpa.queues[VDPA_INFLATE], 256);
	vdpa_close(&guest.vdpa);
	EXPECT_EQ(0, fisc_balloon("ballooned"));
}

struct remapper {
	struct guest *guest;
	char *mem;
	size_t len;
	pthread_t thread;
	bool stop;
	int error;
	unsigned long rounds;
};

static void *remapper_thread(void *argument)
{
	struct remapper *remapper = argument;
	struct vdpa *vdpa = &remapper->guest->vdpa;

	while (!READ_ONCE(remapper->stop) && !remapper->error) {
		remapper->error = vdpa_unmap(vdpa, GPA_2, remapper->len) ?:
				  vdpa_map(vdpa, GPA_2, remapper->mem, remapper->len);
		remapper->rounds++;
	}
	return NULL;
}

TEST_F(device, memory_can_be_mapped_anew_at_any_time)
{
	static struct guest guest, second;
	static struct remapper remapper;
	__u64 entries[64];
	double end;
	size_t i;

	ASSERT_EQ(0, mkdir(ST "a", 0755));
	make_memory(_metadata, &guest, ST "a/low", 1024);
	make_memory(_metadata, &second, ST "a/high", 512);
	fill(&guest, FIRST, 1024 - FIRST);
	plug(_metadata, &guest, "st-a");
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA_2, second.map, 512 * PAGE_SIZE));
	start(_metadata, &guest, VDPA_FEATURES);
	for (i = 0; i < ARRAY_SIZE(entries); i++)
		entries[i] = i & 1 ? GPA_2 / PAGE_SIZE + i : gfn(FIRST + i);
	remapper.guest = &guest;
	remapper.mem = second.map;
	remapper.len = 512 * PAGE_SIZE;
	ASSERT_EQ(0, pthread_create(&remapper.thread, NULL, remapper_thread, &remapper));
	for (end = fisc_now() + 3; fisc_now() < end; ) {
		ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries, ARRAY_SIZE(entries)));
		EXPECT_LE(32 * (long)PAGE_SIZE, fisc_vm("st-a", "balloon/actual"));
		EXPECT_GE(64 * (long)PAGE_SIZE, fisc_vm("st-a", "balloon/actual"));
	}
	WRITE_ONCE(remapper.stop, true);
	pthread_join(remapper.thread, NULL);
	EXPECT_EQ(0, remapper.error);
	EXPECT_LT(2, remapper.rounds);
	ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries, ARRAY_SIZE(entries)));
	EXPECT_EQ(64, actual(&guest));
	/* Where it was it is no more; where it is now it can be taken back. */
	ASSERT_EQ(0, vdpa_unmap(&guest.vdpa, GPA_2, 512 * PAGE_SIZE));
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA_3, second.map, 512 * PAGE_SIZE));
	EXPECT_EQ(-1, not_zero(&second, 0, 512));
	EXPECT_EQ(32, actual(&guest));
	ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries, ARRAY_SIZE(entries)));
	EXPECT_EQ(32, actual(&guest));
	for (i = 0; i < ARRAY_SIZE(entries); i++)
		if (i & 1)
			entries[i] += (GPA_3 - GPA_2) / PAGE_SIZE;
	ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries, ARRAY_SIZE(entries)));
	EXPECT_EQ(64, actual(&guest));
}

/* The driver on the same kernel */

#define LOOPBACK_TARGET	"/sys/module/fisc_vdpa/parameters/loopback_pages"

static int modprobe(const char *module, bool remove)
{
	const char * const argv[] = { "modprobe", remove ? "-r" : "-q", module, NULL };

	return vdpa_run(argv);
}

/* Is there a virtio device behind @device that a balloon driver has? */
static bool has_balloon_driver(const char *device)
{
	char pattern[128];
	glob_t found;
	bool has;

	snprintf(pattern, sizeof(pattern), VDPA_DEVICES "/%s/virtio*/driver", device);
	has = !glob(pattern, 0, NULL, &found);
	if (has)
		globfree(&found);
	return has;
}

FIXTURE(loopback)
{
	struct fisc_before before;
};

FIXTURE_SETUP(loopback)
{
	set_up(_metadata, &self->before);
	if (modprobe("virtio_vdpa", false) || modprobe("virtio_balloon", false))
		SKIP(return, "no virtio_vdpa, or no virtio_balloon");
}

FIXTURE_TEARDOWN_PARENT(loopback)
{
	tear_down(_metadata, &self->before);
	EXPECT_EQ(0, modprobe("virtio_balloon", true));
	EXPECT_EQ(0, modprobe("virtio_vdpa", true));
}

/* The statistics that a driver has given so far, each in a chain. */
static bool more_chains(long nr)
{
	return fisc_wait_above("balloon", "chains", fisc_balloon("chains") + nr - 1);
}

TEST_F(loopback, host_itself_can_have_a_balloon)
{
	long frames = fisc_core("frames"), needs_reset = fisc_balloon("needs_reset");

	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "100"));
	ASSERT_EQ(0, vdpa_add("st-a"));
	ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
	EXPECT_TRUE(has_balloon_driver("st-a"));
	/* It is asked for statistics, again and again; nothing of it is fisc's. */
	EXPECT_TRUE(more_chains(5));
	EXPECT_EQ(0, fisc_balloon("ballooned"));
	EXPECT_EQ(frames, fisc_core("frames"));
	EXPECT_EQ(needs_reset, fisc_balloon("needs_reset"));
}

TEST_F(loopback, memory_of_the_host_is_in_no_file)
{
	long frames = fisc_core("frames"), entries, unmapped;

	ASSERT_EQ(0, vdpa_add("st-a"));
	entries = fisc_balloon("entries");
	unmapped = fisc_balloon("unmapped");
	ASSERT_EQ(0, fisc_write_str(LOOPBACK_TARGET, "2048"));
	ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
	EXPECT_TRUE(fisc_wait("balloon", "entries", entries + 2048));
	/* The last chain's entries are counted before they are looked at. */
	EXPECT_TRUE(fisc_wait_above("balloon", "unmapped", unmapped + 2048 - 1));
	EXPECT_EQ(0, fisc_balloon("ballooned"));
	EXPECT_EQ(frames, fisc_core("frames"));
	/* A driver that goes takes everything back before. */
	ASSERT_EQ(0, fisc_write_str(LOOPBACK_TARGET, "0"));
	ASSERT_EQ(0, vdpa_unbind("st-a"));
	EXPECT_EQ(entries + 2 * 2048, fisc_balloon("entries"));
	ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
	fisc_sleep_ms(QUIET_MS);
	EXPECT_EQ(entries + 2 * 2048, fisc_balloon("entries"));
}

TEST_F(loopback, driver_may_go_and_come_back)
{
	long chains;
	int i;

	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "100"));
	ASSERT_EQ(0, vdpa_add("st-a"));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
		EXPECT_TRUE(more_chains(2));
		/* The bus's driver, or the balloon's. */
		if (i & 1) {
			ASSERT_EQ(0, modprobe("virtio_balloon", true));
			EXPECT_FALSE(has_balloon_driver("st-a"));
			chains = fisc_balloon("chains");
			fisc_sleep_ms(QUIET_MS);
			EXPECT_EQ(chains, fisc_balloon("chains"));
			ASSERT_EQ(0, modprobe("virtio_balloon", false));
			EXPECT_TRUE(has_balloon_driver("st-a"));
			EXPECT_TRUE(more_chains(2));
		}
		ASSERT_EQ(0, vdpa_unbind("st-a"));
		chains = fisc_balloon("chains");
		fisc_sleep_ms(QUIET_MS);
		EXPECT_EQ(chains, fisc_balloon("chains"));
	}
	/* After a loop-back, addresses are those of a guest again. */
	{
		static struct guest guest;

		ASSERT_EQ(0, vdpa_bind("st-a", "vhost_vdpa"));
		make_memory(_metadata, &guest, ST "a", 1024);
		ASSERT_EQ(0, vdpa_open(&guest.vdpa, "st-a"));
		ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map, 1024 * PAGE_SIZE));
		start(_metadata, &guest, VDPA_PAIRED);
		ASSERT_TRUE(inflate(&guest, FIRST, 3));
		EXPECT_EQ(3, actual(&guest));
		ASSERT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
		ASSERT_EQ(0, vdpa_unmap(&guest.vdpa, GPA, 1024 * PAGE_SIZE));
		ASSERT_EQ(0, vdpa_start(&guest.vdpa, guest.map, GPA, VDPA_PAIRED, 16));
		vdpa_kick(&guest.vdpa.queues[0]);
		EXPECT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET));
	}
}

TEST_F(loopback, device_may_go_with_its_driver)
{
	int i;

	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "100"));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vdpa_add("st-a"));
		ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
		EXPECT_TRUE(more_chains(i));
		ASSERT_EQ(0, vdpa_del("st-a"));
		EXPECT_FALSE(vdpa_exists("st-a"));
	}
	/* So may all of them, with the module. */
	ASSERT_EQ(0, vdpa_add("st-a"));
	ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
	EXPECT_TRUE(more_chains(2));
	EXPECT_EQ(0, vdpa_unload());
	EXPECT_FALSE(vdpa_exists("st-a"));
	ASSERT_EQ(0, vdpa_load());
}

TEST_F(loopback, free_memory_of_the_host_is_nobodys)
{
	static struct guest guest;
	long unmapped, reported;

	/* A guest beside it keeps what it has. */
	make_memory(_metadata, &guest, ST "a", 1024);
	fill(&guest, FIRST, 1024 - FIRST);
	ASSERT_EQ(0, vdpa_add("st-a"));
	unmapped = fisc_balloon("unmapped");
	reported = fisc_balloon("reported");
	ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
	/* The kernel reports what is free once it is up, two seconds later. */
	EXPECT_TRUE(fisc_wait_above("balloon", "unmapped", unmapped));
	EXPECT_EQ(reported, fisc_balloon("reported"));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1024 - FIRST));
}

/* A malicious driver, for a moment; see balloon_fuzz.c. */
TEST_F(device, fuzzer_finds_nothing_in_a_short_run)
{
	char self_path[256], path[300];
	ssize_t len = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);
	pid_t pid;

	ASSERT_LT(0, len);
	self_path[len] = 0;
	snprintf(path, sizeof(path), "%s/balloon_fuzz", dirname(self_path));
	if (access(path, X_OK))
		SKIP(return, "no balloon_fuzz");
	pid = fork();
	if (!pid) {
		execl(path, path, "-s", "1", "-n", "20000", (char *)NULL);
		_exit(127);
	}
	EXPECT_EQ(0, fisc_wait_child(pid));
}

TEST_HARNESS_MAIN
