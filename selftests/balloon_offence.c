// SPDX-License-Identifier: GPL-2.0
/* Drivers that break the rules are stopped until they reset the device. */
#include <sys/mman.h>

#include "balloon.h"

/* A descriptor of an offence, relative to the first */
struct part {
	__u64 addr;
	__u32 len;
	__u16 flags;
	int next;
};

/**
 * struct offence - a chain that no driver may make available
 * @reason: the counter of this offence
 * @what: description
 * @parts: its descriptors; an address of 0 means a good buffer, and flags are
 *	   those that differ from good ones
 * @head: added to the index of the first descriptor when it is made available
 * @ahead: added to the available index
 * @not_reports: allowed in reports
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
/* Reports may be about any memory. */
#define OUTSIDE(_addr, _len)					\
	.parts = { { .addr = _addr, .len = _len } }, .not_reports = true
#define LONG		FISC_BALLOON_BUFFER_MAX
#define OFFENDER_PAGES	1024
#define OFFENDER_END	(GPA + OFFENDER_PAGES * PAGE_SIZE)

static const struct offence offences[] = {
	{
		"bad_avail", "index one too far", .parts = { GOOD },
		.ahead = VDPA_NUM,
	},
	{ "bad_avail", "index goes back", .parts = { GOOD }, .ahead = -2 },
	{ "bad_head", "head is num", .parts = { GOOD }, .head = VDPA_NUM },
	{ "bad_head", "head is the largest", .parts = { GOOD }, .head = 65535 },
	{ "bad_next", "next is num", .parts = { CHAINED(VDPA_NUM) } },
	{
		"bad_next", "next is far off",
		.parts = { CHAINED(1), CHAINED(60000) },
	},
	{ "bad_loop", "itself is next", .parts = { CHAINED(0) } },
	{
		"bad_loop", "ends in a loop",
		.parts = { CHAINED(1), CHAINED(2), CHAINED(1) },
	},
	{
		"bad_indirect", "indirect",
		.parts = { { .len = 16, .flags = VRING_DESC_F_INDIRECT } },
	},
	{
		"bad_indirect", "indirect at last",
		.parts = {
			CHAINED(1),
			{ .len = 16, .flags = VRING_DESC_F_INDIRECT },
		},
	},
	{
		"bad_direction", "direction",
		.parts = { { .len = 16, .flags = VRING_DESC_F_WRITE } },
	},
	{ "bad_direction", "direction of the last",
	  .parts = { CHAINED(1), { .len = 16, .flags = VRING_DESC_F_WRITE } } },
	{ "bad_length", "no length", .parts = { { .len = 0 } } },
	{
		"bad_length", "no length of the last",
		.parts = { CHAINED(1), { .len = 0 } },
	},
	{
		"bad_length", "too long", .parts = { { .len = LONG + 1 } },
		.not_reports = true,
	},
	{
		"bad_length", "too long together",
		.parts = { CHAINED(1), { .len = LONG - 3 },
	},
	  .not_reports = true },
	{ "bad_length", "sum overflows", .parts = { CHAINED(1), { .len = -4 } },
	  .not_reports = true },
	{ "bad_address", "nowhere", OUTSIDE(PAGE_SIZE, PAGE_SIZE) },
	{
		"bad_address", "begins before memory",
		OUTSIDE(GPA - PAGE_SIZE, 2 * PAGE_SIZE),
	},
	{
		"bad_address", "ends behind memory",
		OUTSIDE(OFFENDER_END - PAGE_SIZE, 2 * PAGE_SIZE),
	},
	{
		"bad_address", "a byte too long",
		OUTSIDE(OFFENDER_END - PAGE_SIZE, PAGE_SIZE + 1),
	},
	{ "bad_address", "the last byte there is", OUTSIDE(-1ULL, 1) },
	{ "bad_address", "wraps around",
	  .parts = { { .addr = -PAGE_SIZE, .len = 2 * PAGE_SIZE } } },
};

static void commit(const struct offence *offence, struct vdpa_queue *queue,
		   __u16 good)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(offence->parts); i++) {
		const struct part *part = &offence->parts[i];

		vdpa_put(queue, i, part->addr ?: queue->buffer_iova, part->len,
			 good ^ part->flags, part->next);
	}
	queue->avail->ring[queue->next_avail % queue->num] = offence->head;
	queue->next_avail += 1 + offence->ahead;
	vdpa_expose(queue, 0, 0);
	vdpa_kick(queue);
}

static void boot_beside_memory(struct __test_metadata *_metadata,
			       struct guest *guest)
{
	char *beside = mmap(NULL, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	boot(_metadata, guest, OFFENDER_PAGES, VDPA_FEATURES);
	ASSERT_EQ(0, vdpa_map(&guest->vdpa, GPA_2, beside, 16 * PAGE_SIZE));
	fill(guest, FIRST, OFFENDER_PAGES - FIRST);
}

TEST_F(balloon, offences_stop_the_queue_until_a_reset)
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
		/* The state persists until a reset. */
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

TEST_F(balloon, what_came_before_an_offence_is_done)
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
		vdpa_put(queue, i, queue->buffer_iova + 4 * i, 4,
			 i == 5 ? VRING_DESC_F_WRITE : 0, 0);
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

/* Start the device with a @part of a ring, its descriptors first, at @place. */
static void start_with_ring(struct __test_metadata *_metadata,
			    struct guest *guest, int index, int part,
			    __u64 place)
{
	struct vdpa_queue *queue = &guest->vdpa.queues[index];
	struct vdpa *vdpa = &guest->vdpa;
	__u64 at[3];

	start(_metadata, guest, VDPA_FEATURES);
	at[0] = queue->iova;
	at[1] = vdpa_avail_iova(queue);
	at[2] = vdpa_used_iova(queue);
	at[part] = place;
	ASSERT_EQ(0, vdpa_negotiate(vdpa, VDPA_FEATURES));
	ASSERT_EQ(0, vdpa_set_ring(vdpa, index, 256, at[0], at[1], at[2]));
	ASSERT_EQ(0, vdpa_set_base(vdpa, index, 0));
	ASSERT_EQ(0, vdpa_set_eventfds(vdpa, index));
	ASSERT_EQ(0, vdpa_enable(vdpa, index, true));
	ASSERT_EQ(0, vdpa_set_status(vdpa, vdpa_status(vdpa) | DRIVER_OK));
}

/* Use the whole ring, and so its far end. */
static void use_ring(struct vdpa_queue *queue, int index)
{
	__u16 good = index < VDPA_REPORT ? 0 : VRING_DESC_F_WRITE;
	int i;

	for (i = 0; i < 256; i++)
		vdpa_put(queue, i, queue->buffer_iova, 16, good, 0);
	vdpa_expose(queue, 0, 256);
	vdpa_kick(queue);
}

TEST_F(balloon, rings_have_to_be_in_guest_memory)
{
	static const int rings[] = {
		VDPA_INFLATE, VDPA_DEFLATE, VDPA_STATS, VDPA_REPORT,
	};
	static struct guest guest;
	const __u64 end = GPA + 1024 * PAGE_SIZE;
	/* Bad places: nowhere, across an end. */
	const __u64 places[] = {
		0, GPA_2 - 64, end, end - 16, GPA - 16, -32ULL, 1ULL << 63,
	};
	long bad_ring, other;
	size_t i, part;

	boot_beside_memory(_metadata, &guest);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		for (part = 0; part < 3; part++) {
			int index = rings[(i + part) % ARRAY_SIZE(rings)];

			/* What begins in memory fails for its contents. */
			if (places[i] == end - 16 && part < 2)
				continue;
			bad_ring = fisc_balloon("bad_ring");
			other = fisc_balloon("needs_reset") - bad_ring;
			start_with_ring(_metadata, &guest, index, part,
					places[i]);
			use_ring(&guest.vdpa.queues[index], index);
			EXPECT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET))
				TH_LOG("part %zu at %#llx", part, places[i]);
			EXPECT_EQ(bad_ring + 1, fisc_balloon("bad_ring"));
			EXPECT_EQ(other,
				  fisc_balloon("needs_reset") - bad_ring - 1);
		}
	}
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_TRUE(works(&guest));
}

TEST_F(balloon, ring_that_is_cut_off_is_noticed)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	long bad_ring;

	boot_beside_memory(_metadata, &guest);
	/* The file ends before the ring. */
	bad_ring = fisc_balloon("bad_ring");
	ASSERT_EQ(0, ftruncate(guest.fd, 0));
	vdpa_kick(&guest.vdpa.queues[VDPA_INFLATE]);
	EXPECT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET));
	EXPECT_EQ(bad_ring + 1, fisc_balloon("bad_ring"));
	ASSERT_EQ(0, ftruncate(guest.fd, 1024 * PAGE_SIZE));
	start(_metadata, &guest, VDPA_FEATURES);
	EXPECT_TRUE(works(&guest));
	/* The ring may not be written. */
	ASSERT_EQ(0, vdpa_unmap(&guest.vdpa, GPA, 1024 * PAGE_SIZE));
	ASSERT_EQ(0, vdpa_map_perm(&guest.vdpa, GPA, guest.map,
				   1024 * PAGE_SIZE, VHOST_ACCESS_RO));
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

TEST_F(balloon, ring_itself_can_go_into_the_balloon)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	size_t i;

	boot_beside_memory(_metadata, &guest);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	/* All memory of the driver; then start the same driver again. */
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

TEST_HARNESS_MAIN
