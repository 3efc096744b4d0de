// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon device of a VMM whose memory is adopted and released while it has
 * the device open. This process is the VMM of a KVM VM with ordinary memory at
 * GPA, and the driver, whose rings are in that memory.
 */
#include <errno.h>

#include "balloon.h"
#include "adoption.h"
#include "vmm.h"

#define PAGES		2048
#define SIZE		(PAGES * PAGE_SIZE)
#define NAME		"st-a"

FIXTURE(world)
{
	struct fisc_before before;
	struct vmm vmm;
	struct guest guest;
};

FIXTURE_SETUP(world)
{
	struct guest *guest = &self->guest;

	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "/dev/kvm: %s", strerror(errno));
	set_up(_metadata, &self->before);
	guest->map = map_memory(SIZE);
	ASSERT_NE(NULL, guest->map);
	guest->nr_pages = PAGES;
	guest->fd = -1;
	ASSERT_EQ(0, vmm_open(&self->vmm));
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 0, GPA, guest->map, PAGES));
	fill(guest, FIRST, PAGES - FIRST);
}

FIXTURE_TEARDOWN_PARENT(world)
{
	EXPECT_TRUE(wait_vm_gone(NAME));
	tear_down(_metadata, &self->before);
}

static bool take_over(void)
{
	return !adopt_as(getpid(), NAME) && wait_vm_moved(NAME, 0);
}

static bool give_back(void)
{
	return release_vm(NAME);
}

/* Tell the device of @nr pages, and expect that they were not ballooned. */
static void expect_nothing(struct __test_metadata *_metadata,
			   struct guest *guest, size_t first, size_t nr)
{
	long unmapped = fisc_balloon("unmapped");
	__u32 actual;

	ASSERT_TRUE(inflate(guest, first, nr));
	EXPECT_EQ(unmapped + (long)nr, fisc_balloon("unmapped"));
	actual = vdpa_config(&guest->vdpa,
			     offsetof(struct virtio_balloon_config, actual));
	EXPECT_EQ(0, actual);
	ASSERT_TRUE(deflate(guest, first, nr));
	EXPECT_EQ(-1, damaged(guest, first, nr));
	EXPECT_EQ(0, vdpa_status(&guest->vdpa) & NEEDS_RESET);
}

/* Wait until the device has found its VM: it tells the guest a target. */
static bool wait_bound(struct guest *guest)
{
	const size_t at = offsetof(struct virtio_balloon_config, num_pages);
	double end = fisc_now() + WAIT_S;

	if (fisc_vm_set(NAME, "balloon/target", "1M"))
		return false;
	while (vdpa_config(&guest->vdpa, at) != 256) {
		if (fisc_now() > end)
			return false;
		fisc_sleep_ms(10);
	}
	return true;
}

/* Tell the device of @nr pages, and expect that they are in the balloon. */
static void expect_balloon(struct __test_metadata *_metadata,
			   struct guest *guest, size_t first, size_t nr)
{
	ASSERT_TRUE(wait_bound(guest));
	ASSERT_TRUE(inflate(guest, first, nr));
	EXPECT_EQ((long)nr, actual(guest));
	EXPECT_EQ(-1, damaged(guest, first + nr, 64));
	EXPECT_EQ(0, vdpa_status(&guest->vdpa) & NEEDS_RESET);
}

TEST_F(world, rings_may_be_in_memory_that_is_nobodys)
{
	struct guest *guest = &self->guest;

	plug(_metadata, guest, "st-dev");
	start(_metadata, guest, VDPA_FEATURES);
	expect_nothing(_metadata, guest, 1024, 64);
	/* As often as it is started */
	start(_metadata, guest, VDPA_PAIRED);
	expect_nothing(_metadata, guest, 1024, 64);
}

TEST_F(world, device_may_come_before_adoption)
{
	struct guest *guest = &self->guest;

	plug(_metadata, guest, "st-dev");
	start(_metadata, guest, VDPA_FEATURES);
	expect_nothing(_metadata, guest, 1024, 64);
	ASSERT_TRUE(take_over());
	expect_balloon(_metadata, guest, 1024, 512);
	EXPECT_EQ(-1, damaged(guest, FIRST, 1024 - FIRST));
	ASSERT_TRUE(give_back());
	vdpa_close(&guest->vdpa);
}

TEST_F(world, device_may_stay_through_release_and_adoption)
{
	struct guest *guest = &self->guest;
	int i;

	ASSERT_TRUE(take_over());
	plug(_metadata, guest, "st-dev");
	start(_metadata, guest, VDPA_FEATURES);
	for (i = 0; i < 3; i++) {
		fill(guest, FIRST, PAGES - FIRST);
		expect_balloon(_metadata, guest, 1024, 512);
		ASSERT_TRUE(give_back());
		EXPECT_TRUE(fisc_wait("balloon", "ballooned", 0));
		EXPECT_EQ(-1, damaged(guest, FIRST, 1024 - FIRST));
		EXPECT_EQ(-1, not_zero(guest, 1024, 512));
		EXPECT_EQ(-1, damaged(guest, 1536, 512));
		expect_nothing(_metadata, guest, FIRST, 64);
		/* A driver may begin when nobody's memory is there. */
		if (i == 1) {
			ASSERT_EQ(0, vdpa_set_status(&guest->vdpa, 0));
			ASSERT_EQ(0, vdpa_unmap(&guest->vdpa, GPA, SIZE));
			ASSERT_EQ(0, vdpa_map(&guest->vdpa, GPA, guest->map,
					      SIZE));
			start(_metadata, guest, VDPA_FEATURES);
			expect_nothing(_metadata, guest, FIRST, 64);
		}
		ASSERT_TRUE(take_over());
	}
	fill(guest, FIRST, PAGES - FIRST);
	expect_balloon(_metadata, guest, 1024, 100);
	ASSERT_TRUE(give_back());
}

/* Buffers go around while memory changes hands, and none is lost. */
TEST_F(world, driver_does_not_notice_who_owns_memory)
{
	struct guest *guest = &self->guest;
	unsigned long rounds = 0;
	double end;
	pid_t pid;

	plug(_metadata, guest, "st-dev");
	start(_metadata, guest, VDPA_FEATURES);
	pid = fork();
	if (!pid) {
		char text[64];
		int i;

		snprintf(text, sizeof(text), "%d " NAME, getppid());
		for (i = 0; i < 5; i++) {
			while (fisc_write_str(FISC_SYSFS "/adopt", text))
				fisc_sleep_ms(10);
			fisc_sleep_ms(300);
			if (!give_back())
				_exit(1);
		}
		_exit(0);
	}
	for (end = fisc_now() + WAIT_S; fisc_now() < end; rounds++) {
		ASSERT_TRUE(inflate(guest, 1024, 512));
		ASSERT_TRUE(deflate(guest, 1024, 512));
		ASSERT_EQ(0, vdpa_status(&guest->vdpa) & NEEDS_RESET);
		if (waitpid(pid, NULL, WNOHANG) == pid)
			break;
	}
	EXPECT_GT(end, fisc_now());
	EXPECT_LT(0, rounds);
	EXPECT_EQ(-1, damaged(guest, FIRST, 1024 - FIRST));
	EXPECT_EQ(-1, damaged(guest, 1536, 512));
	expect_nothing(_metadata, guest, FIRST, 64);
}

TEST_F(world, one_device_before_adoption_and_after)
{
	struct guest *guest = &self->guest;
	static struct guest second;

	plug(_metadata, guest, "st-dev");
	ASSERT_EQ(0, vdpa_add("st-b"));
	EXPECT_EQ(-EBUSY, vdpa_open(&second.vdpa, "st-b"));
	ASSERT_TRUE(take_over());
	start(_metadata, guest, VDPA_FEATURES);
	ASSERT_TRUE(wait_bound(guest));
	EXPECT_EQ(-EBUSY, vdpa_open(&second.vdpa, "st-b"));
	vdpa_close(&guest->vdpa);
	second.map = guest->map;
	second.nr_pages = PAGES;
	ASSERT_EQ(0, vdpa_open(&second.vdpa, "st-b"));
	/* It is the VM's before any driver starts. */
	EXPECT_EQ(-EBUSY, vdpa_open(&guest->vdpa, "st-dev"));
	ASSERT_EQ(0, vdpa_map(&second.vdpa, GPA, second.map, SIZE));
	start(_metadata, &second, VDPA_FEATURES);
	expect_balloon(_metadata, &second, 1024, 512);
	vdpa_close(&second.vdpa);
	ASSERT_TRUE(give_back());
}

TEST_HARNESS_MAIN
