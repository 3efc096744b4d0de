// SPDX-License-Identifier: GPL-2.0
/* The balloon device: what it is to its driver, and what it does under load. */
#include <libgen.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "balloon.h"

/* The device */

TEST_F(balloon, devices_come_and_go)
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
	/* Only one VMM can have it open. */
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
	/* Unloading the module removes the devices that are left. */
	EXPECT_EQ(0, vdpa_unload());
	EXPECT_FALSE(vdpa_exists("st-0"));
	EXPECT_NE(0, vdpa_add("st-a"));
	ASSERT_EQ(0, vdpa_load());
	EXPECT_EQ(0, fisc_balloon("devices"));
	ASSERT_EQ(0, vdpa_add("st-a"));
}

TEST_F(balloon, open_device_keeps_the_modules)
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

TEST_F(balloon, device_is_a_balloon)
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

TEST_F(balloon, features_are_negotiated)
{
	static const int optional[] = {
		VIRTIO_F_ACCESS_PLATFORM, VIRTIO_BALLOON_F_MUST_TELL_HOST,
		VIRTIO_BALLOON_F_STATS_VQ, VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
		VIRTIO_BALLOON_F_PAGE_POISON,
		VIRTIO_BALLOON_F_REPORTING, FISC_BALLOON_F_PAIRED,
	};
	static const int none[] = {
		VIRTIO_BALLOON_F_FREE_PAGE_HINT, VIRTIO_RING_F_INDIRECT_DESC,
		VIRTIO_RING_F_EVENT_IDX, VIRTIO_F_RING_PACKED,
		VIRTIO_F_IN_ORDER, 63,
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
		EXPECT_NE(0, vdpa_negotiate(&guest.vdpa,
					    VDPA_FEATURES | VDPA_F(none[i])))
			TH_LOG("feature %d", none[i]);
	}
	/* Version 1.0 of the standard is required. */
	EXPECT_NE(0, vdpa_negotiate(&guest.vdpa,
				    VDPA_F(VIRTIO_BALLOON_F_STATS_VQ)));
	start(_metadata, &guest, VDPA_PAIRED);
	EXPECT_TRUE(works(&guest));
	/* Features stay as they are until a reset. */
	features = VDPA_FEATURES;
	EXPECT_EQ(-1, ioctl(guest.vdpa.fd, VHOST_SET_FEATURES, &features));
	EXPECT_EQ(EBUSY, errno);
}

TEST_F(balloon, configuration_is_kept_but_for_actual)
{
	const size_t at_actual = offsetof(struct virtio_balloon_config, actual);
	const size_t at_poison = offsetof(struct virtio_balloon_config,
					  poison_val);
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
	/* What the host sets cannot be written. */
	vdpa_write_config(&guest.vdpa, 0, &value, 4);
	EXPECT_EQ(0, vdpa_config(&guest.vdpa, 0));
	/* Byte by byte, and at both ends. */
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

TEST_F(balloon, nothing_happens_before_driver_ok)
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
		ASSERT_EQ(0, vdpa_set_ring(&guest.vdpa, i, 8, queue->iova,
					   vdpa_avail_iova(queue),
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
	/* A queue that is not enabled stays dead after it. */
	ASSERT_EQ(0, vdpa_set_status(&guest.vdpa,
				     vdpa_status(&guest.vdpa) | DRIVER_OK));
	vdpa_kick(queue);
	EXPECT_FALSE(vdpa_wait_used_s(queue, QUIET_MS / 1000.0));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 8));
	/* Rings of a running device stay where they are. */
	EXPECT_NE(0,
		  vdpa_set_ring(&guest.vdpa, VDPA_DEFLATE, 8, GPA, GPA, GPA));
	EXPECT_NE(0, vdpa_set_base(&guest.vdpa, VDPA_DEFLATE, 3));
	EXPECT_EQ(0, actual(&guest));
	EXPECT_TRUE(works(&guest));
	/* Status bits cannot be cleared one by one. */
	EXPECT_NE(0, vdpa_set_status(&guest.vdpa, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	EXPECT_TRUE(works(&guest));
}

TEST_F(balloon, sizes_of_rings_have_bounds)
{
	static const unsigned int bad[] = {
		0, 3, 255, 257, 1023, 2048, 32768, 65536,
	};
	static struct guest guest;
	size_t i;

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	ASSERT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_NE(0,
			  vdpa_set_ring(&guest.vdpa, 0, bad[i], GPA, GPA, GPA))
			TH_LOG("num %u", bad[i]);
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_TRUE(works(&guest));
}

TEST_F(balloon, ring_can_go_on_from_its_index)
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
	/* As a VMM does that stops and continues; here at the last index. */
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	ASSERT_EQ(0, vdpa_negotiate(&guest.vdpa, VDPA_FEATURES));
	vdpa_lay_rings(&guest.vdpa, guest.map, GPA, 16);
	ASSERT_EQ(0,
		  vdpa_set_ring(&guest.vdpa, 0, 16, queue->iova,
				vdpa_avail_iova(queue), vdpa_used_iova(queue)));
	ASSERT_EQ(0, vdpa_set_base(&guest.vdpa, VDPA_INFLATE, 65535));
	ASSERT_EQ(0, vdpa_set_eventfds(&guest.vdpa, VDPA_INFLATE));
	ASSERT_EQ(0, vdpa_enable(&guest.vdpa, VDPA_INFLATE, true));
	queue->next_avail = 65535;
	queue->used->idx = 65535;
	queue->avail->idx = 65535;
	ASSERT_EQ(0, vdpa_set_status(&guest.vdpa,
				     vdpa_status(&guest.vdpa) | DRIVER_OK));
	ASSERT_TRUE(inflate(&guest, FIRST, 1));
	ASSERT_TRUE(inflate(&guest, FIRST + 1, 1));
	EXPECT_EQ(2, actual(&guest));
	EXPECT_EQ(1, queue->used->idx);
}

TEST_F(balloon, vms_have_a_balloon_each)
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

TEST_F(balloon, vm_may_go_before_its_device)
{
	static struct guest guest, other;

	boot_inflated(_metadata, &guest, VDPA_FEATURES);
	ASSERT_EQ(0, vdpa_unmap(&guest.vdpa, GPA, guest.nr_pages * PAGE_SIZE));
	munmap(guest.map, guest.nr_pages * PAGE_SIZE);
	close(guest.fd);
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_TRUE(fisc_wait("core", "regions", 0));
	EXPECT_EQ(0, fisc_balloon("ballooned"));
	/* It is in nobody's way any more. */
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_LE(0, vdpa_status(&guest.vdpa));
	EXPECT_EQ(0,
		  vdpa_config(&guest.vdpa,
			      offsetof(struct virtio_balloon_config, actual)));
	vdpa_kick(&guest.vdpa.queues[VDPA_INFLATE]);
	EXPECT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
	make_memory(_metadata, &other, ST "a", 1024);
	other.vdpa = guest.vdpa;
	ASSERT_EQ(0, vdpa_map(&other.vdpa, GPA, other.map, 1024 * PAGE_SIZE));
	start(_metadata, &other, VDPA_FEATURES);
	ASSERT_TRUE(inflate(&other, FIRST, 9));
	EXPECT_EQ(9, actual(&other));
}

/* Several things at once */

/* Post @nr long buffers, all the same one. */
#define MUCH		4096

static void post_much(struct vdpa_queue *queue, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		vdpa_put(queue, i, queue->buffer_iova, MUCH, 0, 0);
	vdpa_expose(queue, 0, nr);
	vdpa_kick(queue);
}

TEST_F(balloon, long_queue_does_not_keep_others_waiting)
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
	/* Its 64, those under way, and what is done until we are told. */
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

TEST_F(balloon, flooded_device_still_answers_stops_and_goes)
{
	static struct flood flood;
	static struct guest guest;
	unsigned int i;

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	for (i = 0; i < MUCH / 4; i++)
		((__u32 *)guest.vdpa.queues[VDPA_INFLATE].buffer)[i] =
			gfn(FIRST + i % 64);
	flood.guest = &guest;
	ASSERT_EQ(0, pthread_create(&flood.thread, NULL, flood_thread, &flood));
	for (i = 0; i < 20; i++) {
		ASSERT_TRUE(deflate(&guest, FIRST, 64));
		EXPECT_LE(0, vdpa_status(&guest.vdpa));
		EXPECT_LE(0, fisc_vm("st-a", "balloon/actual"));
	}
	/* Stopping it in the middle leaves nothing behind. */
	WRITE_ONCE(flood.stop, true);
	pthread_join(flood.thread, NULL);
	post_much(&guest.vdpa.queues[VDPA_INFLATE], 256);
	ASSERT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_EQ(0, actual(&guest));
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
				  vdpa_map(vdpa, GPA_2, remapper->mem,
					   remapper->len);
		remapper->rounds++;
	}
	return NULL;
}

TEST_F(balloon, memory_can_be_mapped_anew_at_any_time)
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
	ASSERT_EQ(0, pthread_create(&remapper.thread, NULL, remapper_thread,
				    &remapper));
	for (end = fisc_now() + 3; fisc_now() < end; ) {
		ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries,
				 ARRAY_SIZE(entries)));
		EXPECT_LE(32 * (long)PAGE_SIZE,
			  fisc_vm("st-a", "balloon/actual"));
		EXPECT_GE(64 * (long)PAGE_SIZE,
			  fisc_vm("st-a", "balloon/actual"));
	}
	WRITE_ONCE(remapper.stop, true);
	pthread_join(remapper.thread, NULL);
	EXPECT_EQ(0, remapper.error);
	EXPECT_LT(2, remapper.rounds);
	ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries, ARRAY_SIZE(entries)));
	EXPECT_EQ(64, actual(&guest));
	/* It is gone from its old address and can be deflated at the new. */
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

/* Run a malicious driver for a moment; see balloon_fuzz.c. */
TEST_F(balloon, fuzzer_finds_nothing_in_a_short_run)
{
	char self_path[256], path[300];
	ssize_t len = readlink("/proc/self/exe", self_path,
			       sizeof(self_path) - 1);
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
