// SPDX-License-Identifier: GPL-2.0
/* The balloon's queues: buffers, chains and rings, in both formats. */
#include <sys/mman.h>

#include "balloon_pages.h"

TEST_F(pages, rest_of_a_buffer_is_ignored)
{
	size_t size = variant->features & VDPA_F(FISC_BALLOON_F_PAIRED) ? 8 : 4;
	size_t extra;
	static struct guest guest;
	struct vdpa_queue *queue;

	boot(_metadata, &guest, 1024, variant->features);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	for (extra = 1; extra < size; extra++) {
		ASSERT_TRUE(inflate(&guest, FIRST, 3));
		EXPECT_EQ(3, actual(&guest));
		ASSERT_TRUE(deflate(&guest, FIRST, 3));
		vdpa_post(queue, queue->buffer_iova, 2 * size + extra, 0);
		ASSERT_TRUE(vdpa_wait_used(queue));
		EXPECT_EQ(2, actual(&guest));
		ASSERT_TRUE(deflate(&guest, FIRST, 3));
		/* Less than one entry is nothing. */
		vdpa_post(queue, queue->buffer_iova, extra, 0);
		ASSERT_TRUE(vdpa_wait_used(queue));
		EXPECT_EQ(0, actual(&guest));
	}
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
}

TEST_F(pages, buffers_can_be_long)
{
	bool paired = variant->features & VDPA_F(FISC_BALLOON_F_PAIRED);
	size_t nr = FISC_BALLOON_BUFFER_MAX / (paired ? 8 : 4), i;
	long entries = fisc_balloon("entries");
	static struct guest guest;
	struct vdpa_queue *queue;

	boot(_metadata, &guest, 1024 + 16384, variant->features);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	for (i = 0; i < nr; i++) {
		if (paired)
			((__u64 *)queue->buffer)[i] =
				FISC_BALLOON_RANGE(gfn(1024 + i), 0);
		else
			((__u32 *)queue->buffer)[i] = gfn(1024 + i);
	}
	vdpa_post(queue, queue->buffer_iova, FISC_BALLOON_BUFFER_MAX, 0);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ((long)nr, actual(&guest));
	EXPECT_EQ(entries + (long)nr, fisc_balloon("entries"));
	memcpy(guest.vdpa.queues[VDPA_DEFLATE].buffer, queue->buffer,
	       FISC_BALLOON_BUFFER_MAX);
	queue = &guest.vdpa.queues[VDPA_DEFLATE];
	vdpa_post(queue, queue->buffer_iova, FISC_BALLOON_BUFFER_MAX, 0);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(0, actual(&guest));
}

TEST_F(pages, buffers_can_be_anywhere_and_in_pieces)
{
	size_t size = variant->features & VDPA_F(FISC_BALLOON_F_PAIRED) ? 8 : 4;
	size_t i;
	static const unsigned short offsets[] = {
		0, 1, 3, 4, 8, 4095, 4094, 4092, 2048,
	};
	static struct guest guest;
	struct vdpa_queue *queue;
	__u64 pfn;

	boot(_metadata, &guest, 1024, variant->features);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	/* Misaligned, and across the end of a page. */
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		pfn = entry(&guest, gfn(FIRST + i));
		memcpy(queue->buffer + offsets[i], &pfn, size);
		vdpa_post(queue, queue->buffer_iova + offsets[i], size, 0);
		ASSERT_TRUE(vdpa_wait_used(queue));
		EXPECT_EQ((long)i + 1, actual(&guest))
			TH_LOG("offset %u", offsets[i]);
	}
	/* A chain is one buffer, however it is divided. */
	for (i = 0; i < 4; i++) {
		pfn = entry(&guest, gfn(FIRST + 100 + i));
		memcpy(queue->buffer + i * size, &pfn, size);
	}
	vdpa_put(queue, 40, queue->buffer_iova, 1, VRING_DESC_F_NEXT, 200);
	vdpa_put(queue, 200, queue->buffer_iova + 1, 2 * size,
		 VRING_DESC_F_NEXT, 3);
	vdpa_put(queue, 3, queue->buffer_iova + 1 + 2 * size, 2 * size - 1, 0,
		 77);
	vdpa_expose(queue, 40, 1);
	vdpa_kick(queue);
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ((long)ARRAY_SIZE(offsets) + 4, actual(&guest));
	EXPECT_EQ(40,
		  queue->used->ring[(queue->next_avail - 1) % queue->num].id);
	EXPECT_EQ(0,
		  queue->used->ring[(queue->next_avail - 1) % queue->num].len);
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
}

TEST_F(pages, many_chains_are_answered_in_order_at_one_kick)
{
	bool paired = variant->features & VDPA_F(FISC_BALLOON_F_PAIRED);
	long kicks = fisc_balloon("kicks"), chains = fisc_balloon("chains");
	static struct guest guest;
	struct vdpa_queue *queue;
	size_t size = paired ? 8 : 4, i, round;

	boot(_metadata, &guest, 2048, variant->features);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 256; i++) {
			__u64 pfn = entry(&guest, gfn(1024 + round * 256 + i));

			memcpy(queue->buffer + i * size, &pfn, size);
			vdpa_put(queue, 255 - i, queue->buffer_iova + i * size,
				 size, 0, 0);
		}
		for (i = 0; i < 256; i++)
			queue->avail->ring[(queue->next_avail + i) % 256] =
				255 - i;
		queue->next_avail += 256;
		vdpa_expose(queue, 0, 0);
		vdpa_kick(queue);
		ASSERT_TRUE(vdpa_wait_used(queue));
		for (i = 0; i < 256; i++)
			EXPECT_EQ(255 - i, queue->used->ring[i].id);
		EXPECT_EQ(256 * ((long)round + 1), actual(&guest));
	}
	EXPECT_EQ(chains + 768, fisc_balloon("chains"));
	EXPECT_LE(kicks + 3, fisc_balloon("kicks"));
	/* A kick when there is nothing to do does nothing. */
	for (i = 0; i < 100; i++)
		vdpa_kick(queue);
	EXPECT_TRUE(works(&guest));
	EXPECT_EQ(chains + 769, fisc_balloon("chains"));
	EXPECT_EQ(768, actual(&guest));
}

TEST_F(pages, rings_of_all_sizes_go_around)
{
	static const unsigned int nums[] = { 1, 2, 8, 64, VDPA_NUM_MAX };
	static struct guest guest;
	size_t i, j;

	boot(_metadata, &guest, 4096, variant->features);
	for (i = 0; i < ARRAY_SIZE(nums); i++) {
		ASSERT_EQ(0, vdpa_start(&guest.vdpa, guest.map, GPA,
					variant->features, nums[i]));
		for (j = 0; j < 2 * nums[i] + 1; j++)
			ASSERT_TRUE(inflate(&guest, FIRST + j, 1));
		EXPECT_EQ((long)j, actual(&guest));
	}
}

TEST_F(pages, index_wraps_around)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	size_t i;

	boot(_metadata, &guest, 1024, variant->features);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	fill(&guest, FIRST, 1);
	ASSERT_TRUE(inflate(&guest, FIRST, 1));
	for (i = 0; i < 65536 / 256 + 2; i++) {
		vdpa_expose(queue, 0, 1);
		vdpa_expose(queue, 0, 1);
		queue->next_avail += 254;
		vdpa_expose(queue, 0, 0);
		vdpa_kick(queue);
		ASSERT_TRUE(vdpa_wait_used(queue));
	}
	EXPECT_EQ(1, actual(&guest));
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
}

TEST_HARNESS_MAIN
