// SPDX-License-Identifier: GPL-2.0
/* Free page reporting. */
#include "balloon.h"

static bool report(struct guest *guest, int index, size_t first, size_t nr)
{
	struct vdpa_queue *queue = &guest->vdpa.queues[index];

	vdpa_post(queue, GPA + first * PAGE_SIZE, nr * PAGE_SIZE,
		  VRING_DESC_F_WRITE);
	return vdpa_wait_used(queue);
}

TEST_F(balloon, reported_pages_are_free_but_not_in_the_balloon)
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
		/* A page, a chunk, a lot that ends in the middle of one. */
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
		vdpa_put(queue, 102, GPA + 3250 * PAGE_SIZE, PAGE_SIZE,
			 VRING_DESC_F_WRITE, 0);
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
	EXPECT_EQ(reported + 2 * (2 + 512 + 1999 + 111),
		  fisc_balloon("reported"));
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
}

TEST_F(balloon, report_of_what_is_in_the_balloon_leaves_it_there)
{
	static struct guest guest;

	boot_inflated(_metadata, &guest, VDPA_FEATURES);
	ASSERT_TRUE(report(&guest, VDPA_REPORT, 1000, 600));
	EXPECT_EQ(512, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1000 - FIRST));
	EXPECT_EQ(-1, damaged(&guest, 1600, 448));
	EXPECT_EQ(-1, not_zero(&guest, 1000, 600));
}

TEST_F(balloon, reports_of_poisoned_pages_are_ignored)
{
	const size_t at_poison = offsetof(struct virtio_balloon_config,
					  poison_val);
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
	/* Without the feature, the value does not matter. */
	start(_metadata, &guest,
	      VDPA_FEATURES & ~VDPA_F(VIRTIO_BALLOON_F_PAGE_POISON));
	fill(&guest, FIRST, 512);
	vdpa_write_config(&guest.vdpa, at_poison, &poison, 4);
	ASSERT_TRUE(report(&guest, VDPA_REPORT, FIRST, 512));
	EXPECT_EQ(-1, not_zero(&guest, FIRST, 512));
}

TEST_F(balloon, parts_of_pages_are_not_reported)
{
	static struct guest guest;
	struct vdpa_queue *queue;

	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	fill(&guest, FIRST, 16);
	queue = &guest.vdpa.queues[VDPA_REPORT];
	vdpa_post(queue, GPA + FIRST * PAGE_SIZE + 1, 3 * PAGE_SIZE,
		  VRING_DESC_F_WRITE);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1));
	EXPECT_EQ(-1, damaged(&guest, FIRST + 3, 13));
	vdpa_post(queue, GPA + (FIRST + 4) * PAGE_SIZE, PAGE_SIZE - 1,
		  VRING_DESC_F_WRITE);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(-1, damaged(&guest, FIRST + 4, 12));
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
}

TEST_HARNESS_MAIN
