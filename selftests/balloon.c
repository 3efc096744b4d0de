// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon: what becomes of pages that a driver tells the device of, in both
 * formats; of the files that they are in; and of pages in the balloon when the
 * driver or the VMM goes.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "balloon_pages.h"

TEST_F(pages, frame_of_a_page_in_the_balloon_is_free)
{
	static struct guest guest;
	long frames, present;

	boot(_metadata, &guest, 1024, variant->features);
	fill(&guest, FIRST, 64);
	/* The first use of a queue may take frames, for its ring and buffer. */
	ASSERT_TRUE(inflate(&guest, FIRST + 63, 1));
	EXPECT_EQ(1, actual(&guest));
	frames = fisc_core("frames");
	present = fisc_vm("st-a", "present_pages");
	ASSERT_TRUE(inflate(&guest, FIRST + 1, 1));
	EXPECT_EQ(2, actual(&guest));
	EXPECT_EQ(2, fisc_balloon("ballooned"));
	EXPECT_EQ(frames - 1, fisc_core("frames"));
	EXPECT_EQ(present - 1, fisc_vm("st-a", "present_pages"));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1));
	EXPECT_EQ(-1, damaged(&guest, FIRST + 2, 61));
	EXPECT_EQ(2, actual(&guest));
}

TEST_F(pages, many_in_any_order)
{
	static const struct {
		size_t first;
		size_t nr;
		long step;
	} sets[] = {
		{ FIRST, 300, 1 }, { FIRST + 301, 200, 2 },
		{ FIRST + 701 + 599, 200, -3 },
		{ 1500, 1, 1 }, { 1600, 512, 1 }, { 2400, 130, 7 },
	};
	static struct guest guest;
	long frames, total = 0;
	size_t i, j;

	boot(_metadata, &guest, 4096, variant->features);
	fill(&guest, FIRST, 4096 - FIRST);
	ASSERT_TRUE(inflate(&guest, 4095, 1));
	ASSERT_TRUE(deflate(&guest, 4095, 1));
	frames = fisc_core("frames");
	for (i = 0; i < ARRAY_SIZE(sets); i++) {
		ASSERT_TRUE(tell_pages(&guest, VDPA_INFLATE, sets[i].first,
				       sets[i].nr, sets[i].step));
		total += sets[i].nr;
		EXPECT_EQ(total, actual(&guest));
		EXPECT_EQ(frames - total, fisc_core("frames"));
	}
	/* These are holes, and no other page is. */
	for (i = 0; i < ARRAY_SIZE(sets); i++) {
		for (j = 0; j < sets[i].nr; j++) {
			size_t page = sets[i].first + j * sets[i].step;

			EXPECT_EQ(-1, not_zero(&guest, page, 1));
			fill(&guest, page, 1);
		}
	}
	EXPECT_EQ(-1, damaged(&guest, FIRST, 4095 - FIRST));
	EXPECT_EQ(0, actual(&guest));
	EXPECT_EQ(total, fisc_vm("st-a", "balloon/popped"));
}

TEST_F(pages, twice_is_once)
{
	long duplicate = fisc_balloon("duplicate");
	long absent = fisc_balloon("absent");
	long inflated = fisc_balloon("inflated");
	long deflated = fisc_balloon("deflated");
	static struct guest guest;
	__u64 entries[8];
	size_t i;

	boot(_metadata, &guest, 1024, variant->features);
	fill(&guest, FIRST, 8);
	for (i = 0; i < 8; i++)
		entries[i] = entry(&guest, gfn(FIRST + i / 2));
	ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries, 8));
	EXPECT_EQ(4, actual(&guest));
	EXPECT_EQ(duplicate + 4, fisc_balloon("duplicate"));
	ASSERT_TRUE(inflate(&guest, FIRST, 6));
	EXPECT_EQ(6, actual(&guest));
	EXPECT_EQ(duplicate + 8, fisc_balloon("duplicate"));
	EXPECT_EQ(inflated + 6, fisc_balloon("inflated"));
	/* The other way round. */
	ASSERT_TRUE(tell(&guest, VDPA_DEFLATE, entries, 8));
	EXPECT_EQ(2, actual(&guest));
	EXPECT_EQ(deflated + 4, fisc_balloon("deflated"));
	EXPECT_EQ(absent + 4, fisc_balloon("absent"));
	ASSERT_TRUE(deflate(&guest, FIRST, 8));
	EXPECT_EQ(0, actual(&guest));
	EXPECT_EQ(deflated + 6, fisc_balloon("deflated"));
	EXPECT_EQ(absent + 4 + 6, fisc_balloon("absent"));
	EXPECT_EQ(-1, damaged(&guest, FIRST + 6, 2));
}

TEST_F(pages, deflated_pages_are_holes)
{
	static struct guest guest;
	long frames;

	boot(_metadata, &guest, 1024, variant->features);
	fill(&guest, FIRST, 100);
	ASSERT_TRUE(inflate(&guest, FIRST, 100));
	ASSERT_TRUE(deflate(&guest, FIRST, 1));
	frames = fisc_core("frames");
	ASSERT_TRUE(deflate(&guest, FIRST + 1, 49));
	EXPECT_EQ(50, actual(&guest));
	EXPECT_EQ(frames, fisc_core("frames"));
	EXPECT_EQ(-1, not_zero(&guest, FIRST, 50));
	fill(&guest, FIRST, 50);
	EXPECT_EQ(50, actual(&guest));
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/popped"));
	/* Around again. */
	ASSERT_TRUE(inflate(&guest, FIRST, 50));
	EXPECT_EQ(100, actual(&guest));
	ASSERT_TRUE(deflate(&guest, FIRST, 100));
	EXPECT_EQ(0, actual(&guest));
	EXPECT_EQ(-1, not_zero(&guest, FIRST, 100));
}

TEST_F(pages, touched_page_is_zeroed_and_counts_as_popped)
{
	long popped = fisc_balloon("popped");
	static struct guest guest;
	char page[PAGE_SIZE];

	boot(_metadata, &guest, 1024, variant->features);
	fill(&guest, FIRST, 16);
	ASSERT_TRUE(inflate(&guest, FIRST, 16));
	/* Reading, writing, and both by system calls. */
	EXPECT_EQ(0, READ_ONCE(guest.map[FIRST * PAGE_SIZE + 100]));
	EXPECT_EQ(15, actual(&guest));
	WRITE_ONCE(guest.map[(FIRST + 1) * PAGE_SIZE + 100], 1);
	EXPECT_EQ(14, actual(&guest));
	EXPECT_EQ(99, not_zero(&guest, FIRST + 1, 1) - 1);
	fisc_fill(page, 7);
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pwrite(guest.fd, page, PAGE_SIZE, (FIRST + 2) * PAGE_SIZE));
	EXPECT_EQ(13, actual(&guest));
	EXPECT_EQ(-1, fisc_check(guest.map + (FIRST + 2) * PAGE_SIZE, 7));
	EXPECT_EQ(popped + 3, fisc_balloon("popped"));
	EXPECT_EQ(3, fisc_vm("st-a", "balloon/popped"));
	/* A read() sees zeroes; the page may be present after it or not. */
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pread(guest.fd, page, PAGE_SIZE, (FIRST + 3) * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(page, PAGE_SIZE));
	EXPECT_EQ(16 - actual(&guest), fisc_vm("st-a", "balloon/popped"));
	/* The driver takes it back, or says so again. */
	ASSERT_TRUE(deflate(&guest, FIRST, 4));
	EXPECT_EQ(12, actual(&guest));
	ASSERT_TRUE(inflate(&guest, FIRST, 4));
	EXPECT_EQ(16, actual(&guest));
	EXPECT_EQ(-1, not_zero(&guest, FIRST, 16));
	EXPECT_EQ(0, actual(&guest));
}

TEST_F(pages, holes_can_be_in_the_balloon)
{
	static struct guest guest;
	long frames, map_bytes;

	boot(_metadata, &guest, 8192, variant->features);
	memset(guest.vdpa.queues[VDPA_INFLATE].buffer, 0,
	       FISC_BALLOON_BUFFER_MAX);
	ASSERT_TRUE(inflate(&guest, FIRST, 1));
	ASSERT_TRUE(deflate(&guest, FIRST, 1));
	frames = fisc_core("frames");
	map_bytes = fisc_core("map_bytes");
	ASSERT_TRUE(inflate(&guest, 4096, 4000));
	EXPECT_EQ(4000, actual(&guest));
	EXPECT_EQ(frames, fisc_core("frames"));
	/* The records of it are small. */
	EXPECT_GE(map_bytes + 4096 * 16, fisc_core("map_bytes"));
	EXPECT_EQ(-1, not_zero(&guest, 4096, 1));
	EXPECT_EQ(3999, actual(&guest));
	ASSERT_TRUE(deflate(&guest, 4096, 4000));
	EXPECT_EQ(0, actual(&guest));
}

TEST_F(pages, shared_frame_loses_a_user)
{
	static struct guest guest;
	long frames, sharing;
	size_t i;

	boot(_metadata, &guest, 1024, variant->features);
	fill(&guest, FIRST, 64);
	/* 64 frames with two users each, and one more with eight. */
	for (i = 0; i < 64; i++)
		fisc_fill(guest.map + (FIRST + 64 + i) * PAGE_SIZE, FIRST + i);
	for (i = 0; i < 8; i++)
		fisc_fill(guest.map + (FIRST + 128 + i) * PAGE_SIZE, 1);
	ASSERT_TRUE(inflate(&guest, 1023, 1));
	ASSERT_TRUE(deflate(&guest, 1023, 1));
	sharing = fisc_core("sharing");
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait_idle());
	ASSERT_EQ(0, fisc_scan_off());
	ASSERT_LE(sharing + 128 + 8, fisc_core("sharing"));
	/* The device writes to its rings, which were scanned as well. */
	ASSERT_TRUE(inflate(&guest, 1023, 1));
	ASSERT_TRUE(deflate(&guest, 1023, 1));
	frames = fisc_core("frames");
	sharing = fisc_core("sharing");
	ASSERT_TRUE(inflate(&guest, FIRST, 64));
	EXPECT_EQ(64, actual(&guest));
	EXPECT_EQ(frames, fisc_core("frames"));
	EXPECT_GE(sharing - 64, fisc_core("sharing"));
	for (i = 0; i < 64; i++)
		EXPECT_EQ(-1,
			  fisc_check(guest.map + (FIRST + 64 + i) * PAGE_SIZE,
				     FIRST + i));
	ASSERT_TRUE(inflate(&guest, FIRST + 64, 64));
	EXPECT_EQ(128, actual(&guest));
	EXPECT_EQ(frames - 64, fisc_core("frames"));
	/* All but one, and the last. */
	ASSERT_TRUE(inflate(&guest, FIRST + 128, 7));
	EXPECT_EQ(frames - 64, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check(guest.map + (FIRST + 135) * PAGE_SIZE, 1));
	ASSERT_TRUE(inflate(&guest, FIRST + 135, 1));
	EXPECT_EQ(frames - 65, fisc_core("frames"));
	EXPECT_EQ(136, actual(&guest));
}

TEST_F(pages, zero_pages_leave_the_zero_frame)
{
	static struct guest guest;
	long zero;

	boot(_metadata, &guest, 1024, variant->features);
	memset(guest.map + FIRST * PAGE_SIZE, 1, 200 * PAGE_SIZE);
	memset(guest.map + FIRST * PAGE_SIZE, 0, 200 * PAGE_SIZE);
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait_above("core", "zero", 199));
	ASSERT_TRUE(fisc_wait_idle());
	ASSERT_EQ(0, fisc_scan_off());
	ASSERT_TRUE(inflate(&guest, 1023, 1));
	ASSERT_TRUE(deflate(&guest, 1023, 1));
	zero = fisc_core("zero");
	ASSERT_LE(200, zero);
	ASSERT_TRUE(inflate(&guest, FIRST, 200));
	EXPECT_EQ(200, actual(&guest));
	EXPECT_EQ(zero - 200, fisc_core("zero"));
	ASSERT_TRUE(deflate(&guest, FIRST, 200));
	EXPECT_EQ(-1, not_zero(&guest, FIRST, 200));
}

TEST_F(pages, parts_of_large_pages)
{
	static struct guest guest;
	long frames, large;

	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "1"));
	boot(_metadata, &guest, 4 * CHUNK_PAGES, variant->features);
	fill(&guest, CHUNK_PAGES, 3 * CHUNK_PAGES);
	large = fisc_core("large");
	ASSERT_LE(3, large);
	ASSERT_TRUE(inflate(&guest, FIRST, 1));
	ASSERT_TRUE(deflate(&guest, FIRST, 1));
	frames = fisc_core("frames");
	/* All of a chunk, page by page; a single page; every second page. */
	ASSERT_TRUE(inflate(&guest, CHUNK_PAGES, CHUNK_PAGES));
	EXPECT_EQ(CHUNK_PAGES, actual(&guest));
	EXPECT_EQ(frames - CHUNK_PAGES, fisc_core("frames"));
	ASSERT_TRUE(inflate(&guest, 2 * CHUNK_PAGES + 77, 1));
	EXPECT_EQ(CHUNK_PAGES + 1, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, 2 * CHUNK_PAGES, 77));
	EXPECT_EQ(-1, damaged(&guest, 2 * CHUNK_PAGES + 78, CHUNK_PAGES - 78));
	ASSERT_TRUE(tell_pages(&guest, VDPA_INFLATE, 3 * CHUNK_PAGES,
			       CHUNK_PAGES / 2, 2));
	EXPECT_EQ(CHUNK_PAGES + 1 + CHUNK_PAGES / 2, actual(&guest));
	EXPECT_TRUE(fisc_wait("core", "frames",
			      frames - CHUNK_PAGES - 1 - CHUNK_PAGES / 2));
	EXPECT_EQ(-1, damaged(&guest, 3 * CHUNK_PAGES + 1, 1));
	/* Chunks with pages in the balloon are not made large again. */
	fill(&guest, 2 * CHUNK_PAGES + 77, 1);
	EXPECT_EQ(CHUNK_PAGES + CHUNK_PAGES / 2, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, 2 * CHUNK_PAGES, CHUNK_PAGES));
	ASSERT_TRUE(deflate(&guest, CHUNK_PAGES, CHUNK_PAGES));
	EXPECT_EQ(CHUNK_PAGES / 2, actual(&guest));
	EXPECT_EQ(-1, not_zero(&guest, CHUNK_PAGES, CHUNK_PAGES));
}

TEST_F(pages, pages_that_are_not_the_guests_are_ignored)
{
	long unmapped = fisc_balloon("unmapped"), frames;
	static struct guest guest, other;
	int memfd = memfd_create("beside", MFD_CLOEXEC);
	char *beside;
	bool paired = variant->features & VDPA_F(FISC_BALLOON_F_PAIRED);
	__u64 last = paired ? 1ULL << 58 : 1ULL << 32;
	__u64 entries[8], i;

	boot(_metadata, &guest, 1024, variant->features);
	fill(&guest, FIRST, 1024 - FIRST);
	/* Ordinary memory beside the file, and another VM's memory. */
	ASSERT_EQ(0, ftruncate(memfd, 64 * PAGE_SIZE));
	beside = fisc_map(memfd, 64);
	ASSERT_NE(NULL, beside);
	memset(beside, 5, 64 * PAGE_SIZE);
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA + 1024 * PAGE_SIZE, beside,
			      64 * PAGE_SIZE));
	make_memory(_metadata, &other, ST "b", 256);
	fill(&other, 0, 256);
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA_2, other.map, 256 * PAGE_SIZE));
	ASSERT_TRUE(works(&guest));

	entries[0] = entry(&guest, 0);
	entries[1] = entry(&guest, gfn(0) - 1);
	entries[2] = entry(&guest, gfn(1024));
	entries[3] = entry(&guest, gfn(1024 + 63));
	entries[4] = entry(&guest, gfn(1024 + 64));
	entries[5] = entry(&guest, last - 1);
	entries[6] = entry(&guest, GPA_2 / PAGE_SIZE);
	entries[7] = entry(&guest, GPA_2 / PAGE_SIZE + 255);
	ASSERT_TRUE(inflate(&guest, 1023, 1));
	ASSERT_TRUE(deflate(&guest, 1023, 1));
	frames = fisc_core("frames");
	for (i = 0; i < 8; i++) {
		unmapped = fisc_balloon("unmapped");
		ASSERT_TRUE(tell(&guest, VDPA_INFLATE, &entries[i], 1));
		EXPECT_LE(unmapped + 1, fisc_balloon("unmapped"))
			TH_LOG("entry %llu", i);
	}
	ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries, 8));
	ASSERT_TRUE(tell(&guest, VDPA_DEFLATE, entries, 8));
	EXPECT_EQ(frames, fisc_core("frames"));
	EXPECT_EQ(0, actual(&guest));
	EXPECT_EQ(0, fisc_vm("st-b", "balloon/actual"));
	EXPECT_EQ(-1, damaged(&other, 0, 256));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1023 - FIRST));
	for (i = 0; i < 64 * PAGE_SIZE; i++)
		ASSERT_EQ(5, beside[i]);
	EXPECT_TRUE(works(&guest));
}

TEST_F(pages, all_files_of_a_vm_have_one_balloon)
{
	static struct guest guest, second;
	__u64 entries[2];
	long frames;

	ASSERT_EQ(0, mkdir(ST "a", 0755));
	make_memory(_metadata, &guest, ST "a/low", 1024);
	make_memory(_metadata, &second, ST "a/high", 512);
	fill(&guest, FIRST, 1024 - FIRST);
	fill(&second, 0, 512);
	plug(_metadata, &guest, "st-a");
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA_2, second.map, 512 * PAGE_SIZE));
	start(_metadata, &guest, variant->features);
	ASSERT_TRUE(inflate(&guest, 1023, 1));
	frames = fisc_core("frames");
	entries[0] = entry(&guest, gfn(FIRST));
	entries[1] = entry(&guest, GPA_2 / PAGE_SIZE + 511);
	ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries, 2));
	EXPECT_EQ(3, actual(&guest));
	EXPECT_EQ(frames - 2, fisc_core("frames"));
	EXPECT_EQ(-1, damaged(&second, 0, 511));
	EXPECT_EQ(-1, not_zero(&second, 511, 1));
	EXPECT_EQ(2, actual(&guest));
	/* A file goes, and with it what it had in the balloon. */
	ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries, 2));
	EXPECT_EQ(3, actual(&guest));
	ASSERT_EQ(0, vdpa_unmap(&guest.vdpa, GPA_2, 512 * PAGE_SIZE));
	munmap(second.map, 512 * PAGE_SIZE);
	close(second.fd);
	ASSERT_EQ(0, unlink(ST "a/high"));
	EXPECT_TRUE(fisc_wait_vm("st-a", "balloon/actual", 2 * PAGE_SIZE));
	EXPECT_TRUE(works(&guest));
}

TEST_F(pages, part_of_a_file_can_be_memory)
{
	static struct guest guest;
	__u64 entries[2];

	make_memory(_metadata, &guest, ST "a", 2048);
	fill(&guest, FIRST, 2048 - FIRST);
	ASSERT_EQ(0, vdpa_add("st-a"));
	ASSERT_EQ(0, vdpa_open(&guest.vdpa, "st-a"));
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map, 512 * PAGE_SIZE));
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA_2, guest.map + 1024 * PAGE_SIZE,
			      64 * PAGE_SIZE));
	start(_metadata, &guest, variant->features);
	entries[0] = entry(&guest, GPA_2 / PAGE_SIZE + 63);
	entries[1] = entry(&guest, GPA_2 / PAGE_SIZE + 64);
	ASSERT_TRUE(tell(&guest, VDPA_INFLATE, entries, 2));
	EXPECT_EQ(1, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1024 + 63 - FIRST));
	EXPECT_EQ(-1, not_zero(&guest, 1024 + 63, 1));
	EXPECT_EQ(-1, damaged(&guest, 1024 + 64, 2048 - 1024 - 64));
}

/* Ways to end the device's use, all with pages in the balloon */

/* Expect that pages that were in the balloon are like all others now. */
static void expect_empty(struct __test_metadata *_metadata, struct guest *guest)
{
	long popped = fisc_vm("st-a", "balloon/popped"), frames;

	EXPECT_EQ(0, fisc_vm("st-a", "balloon/actual"));
	EXPECT_EQ(0, fisc_balloon("ballooned"));
	frames = fisc_core("frames");
	EXPECT_EQ(-1, damaged(guest, FIRST, 1024 - FIRST));
	EXPECT_EQ(-1, damaged(guest, 1536, 512));
	EXPECT_EQ(frames, fisc_core("frames"));
	EXPECT_EQ(-1, not_zero(guest, 1024, 512));
	fill(guest, 1024, 512);
	EXPECT_EQ(-1, damaged(guest, 1024, 512));
	EXPECT_EQ(frames + 512, fisc_core("frames"));
	EXPECT_EQ(popped, fisc_vm("st-a", "balloon/popped"));
}

TEST_F(pages, new_driver_begins_with_an_empty_one)
{
	static struct guest guest;

	boot_inflated(_metadata, &guest, variant->features);
	ASSERT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
	EXPECT_EQ(0, vdpa_status(&guest.vdpa));
	/* The VMM may go on with the same driver. */
	EXPECT_EQ(512, actual(&guest));
	start(_metadata, &guest, variant->features);
	expect_empty(_metadata, &guest);
	/* It works again afterwards. */
	ASSERT_TRUE(inflate(&guest, 1024, 512));
	EXPECT_EQ(512, actual(&guest));
}

/* Do as a VMM does that stops its guest for a while. */
static void stop(struct __test_metadata *_metadata, struct guest *guest,
		 struct vhost_vring_state *bases)
{
	int i;

	for (i = 0; i < VDPA_NR_QUEUES; i++) {
		bases[i].index = i;
		ASSERT_EQ(0, ioctl(guest->vdpa.fd, VHOST_GET_VRING_BASE,
				   &bases[i]));
	}
	ASSERT_EQ(0, vdpa_set_status(&guest->vdpa, 0));
	ASSERT_EQ(0, vdpa_unmap(&guest->vdpa, GPA,
				guest->nr_pages * PAGE_SIZE));
}

static void cont(struct __test_metadata *_metadata, struct guest *guest,
		 __u64 features, const struct vhost_vring_state *bases)
{
	struct vdpa *vdpa = &guest->vdpa;
	int i;

	ASSERT_EQ(0, vdpa_map(vdpa, GPA, guest->map,
			      guest->nr_pages * PAGE_SIZE));
	ASSERT_EQ(0, vdpa_negotiate(vdpa, features));
	for (i = 0; i < VDPA_NR_QUEUES; i++) {
		const struct vdpa_queue *queue = &vdpa->queues[i];

		ASSERT_EQ(0, vdpa_set_ring(vdpa, i, queue->num, queue->iova,
					   vdpa_avail_iova(queue),
					   vdpa_used_iova(queue)));
		ASSERT_EQ(0, vdpa_set_base(vdpa, i, bases[i].num));
		ASSERT_EQ(0, vdpa_set_eventfds(vdpa, i));
		ASSERT_EQ(0, vdpa_enable(vdpa, i, true));
	}
	ASSERT_EQ(0, vdpa_set_status(vdpa, vdpa_status(vdpa) | DRIVER_OK));
}

TEST_F(pages, driver_that_goes_on_still_has_its_pages)
{
	struct vhost_vring_state bases[VDPA_NR_QUEUES];
	static struct guest guest;

	boot_inflated(_metadata, &guest, variant->features);
	stop(_metadata, &guest, bases);
	EXPECT_EQ(512 * (long)PAGE_SIZE, fisc_vm("st-a", "balloon/actual"));
	cont(_metadata, &guest, variant->features, bases);
	EXPECT_EQ(512, actual(&guest));
	ASSERT_TRUE(deflate(&guest, 1024, 100));
	EXPECT_EQ(412, actual(&guest));
	/* What is touched in between counts no more. */
	stop(_metadata, &guest, bases);
	EXPECT_EQ(-1, not_zero(&guest, 1124, 12));
	cont(_metadata, &guest, variant->features, bases);
	EXPECT_EQ(400, actual(&guest));
	/* A VMM may end while the guest is stopped. */
	stop(_metadata, &guest, bases);
	vdpa_close(&guest.vdpa);
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/actual"));
	EXPECT_EQ(0, fisc_balloon("ballooned"));
}

TEST_F(pages, driver_of_another_boot_does_not_go_on)
{
	struct vhost_vring_state bases[VDPA_NR_QUEUES];
	static struct guest guest;

	boot_inflated(_metadata, &guest, variant->features);
	stop(_metadata, &guest, bases);
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map,
			      guest.nr_pages * PAGE_SIZE));
	start(_metadata, &guest, variant->features);
	expect_empty(_metadata, &guest);
	ASSERT_TRUE(inflate(&guest, 1024, 512));
	EXPECT_EQ(512, actual(&guest));
}

TEST_F(pages, close_empties_it)
{
	static struct guest guest;

	boot_inflated(_metadata, &guest, variant->features);
	vdpa_close(&guest.vdpa);
	expect_empty(_metadata, &guest);
	ASSERT_EQ(0, vdpa_open(&guest.vdpa, "st-a"));
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map,
			      guest.nr_pages * PAGE_SIZE));
	start(_metadata, &guest, variant->features);
	ASSERT_TRUE(inflate(&guest, 1024, 512));
	EXPECT_EQ(512, actual(&guest));
}

TEST_F(pages, unmapped_memory_is_out_of_reach)
{
	static struct guest guest;

	boot_inflated(_metadata, &guest, variant->features);
	ASSERT_EQ(0, vdpa_unmap(&guest.vdpa, GPA, guest.nr_pages * PAGE_SIZE));
	EXPECT_GE(512, actual(&guest));
	/* The ring is gone as well. */
	vdpa_kick(&guest.vdpa.queues[VDPA_INFLATE]);
	EXPECT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET));
	ASSERT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map,
			      guest.nr_pages * PAGE_SIZE));
	start(_metadata, &guest, variant->features);
	expect_empty(_metadata, &guest);
	ASSERT_TRUE(inflate(&guest, 1024, 512));
	EXPECT_EQ(512, actual(&guest));
}

TEST_F(pages, deleting_the_device_empties_it)
{
	static struct guest guest;

	boot_inflated(_metadata, &guest, variant->features);
	vdpa_close(&guest.vdpa);
	ASSERT_EQ(0, vdpa_del("st-a"));
	EXPECT_FALSE(vdpa_exists("st-a"));
	expect_empty(_metadata, &guest);
	EXPECT_EQ(0, fisc_balloon("devices"));
}

TEST_F(pages, unbinding_the_driver_empties_it)
{
	static struct guest guest;

	boot_inflated(_metadata, &guest, variant->features);
	vdpa_close(&guest.vdpa);
	ASSERT_EQ(0, vdpa_unbind("st-a"));
	expect_empty(_metadata, &guest);
	EXPECT_NE(0, vdpa_open(&guest.vdpa, "st-a"));
	/* The next user is told of targets, not the last one. */
	ASSERT_EQ(0, vdpa_bind("st-a", "vhost_vdpa"));
	ASSERT_EQ(0, vdpa_open(&guest.vdpa, "st-a"));
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map,
			      guest.nr_pages * PAGE_SIZE));
	ASSERT_EQ(0, fisc_vm_set("st-a", "balloon/target", "1M"));
	start(_metadata, &guest, variant->features);
	ASSERT_EQ(0, fisc_vm_set("st-a", "balloon/target", "2M"));
	EXPECT_TRUE(vdpa_wait_config(&guest.vdpa, WAIT_S));
}

/* Kill VMMs at any moment; their rounds are counted in shared memory. */
TEST_F(pages, killed_vmm_leaves_nothing)
{
	unsigned int *rounds = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static struct guest guest;
	double end;
	pid_t pid;
	int i;

	make_memory(_metadata, &guest, ST "a", 2048);
	ASSERT_EQ(0, vdpa_add("st-a"));
	for (i = 0; i < 12; i++) {
		*rounds = 0;
		fill(&guest, FIRST, 2048 - FIRST);
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (vdpa_open(&guest.vdpa, "st-a") ||
			    vdpa_map(&guest.vdpa, GPA, guest.map,
				     guest.nr_pages * PAGE_SIZE))
				_exit(1);
			for (;;) {
				if (vdpa_start(&guest.vdpa, guest.map, GPA,
					       variant->features, 64) ||
				    !inflate(&guest, 1024, 512) ||
				    !deflate(&guest, 1024, 77))
					_exit(1);
				__atomic_add_fetch(rounds, 1, __ATOMIC_RELAXED);
			}
		}
		/* In the first rounds, it may be killed before it begins. */
		end = fisc_now() + WAIT_S;
		while (i > 3 && !READ_ONCE(*rounds)) {
			ASSERT_GT(end, fisc_now());
			fisc_sleep_ms(1);
		}
		fisc_sleep_ms(i * 3);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		EXPECT_EQ(-1, fisc_wait_child(pid));
		EXPECT_TRUE(fisc_wait_vm("st-a", "balloon/actual", 0));
		EXPECT_EQ(0, fisc_balloon("ballooned"));
		EXPECT_EQ(-1, damaged(&guest, FIRST, 1024 - FIRST));
		EXPECT_EQ(-1, damaged(&guest, 1536, 512));
	}
}

/* Files that change under the device */

TEST_F(pages, truncated_pages_leave_the_balloon)
{
	static struct guest guest;
	long frames;

	boot_inflated(_metadata, &guest, variant->features);
	ASSERT_EQ(0, ftruncate(guest.fd, 1280 * PAGE_SIZE));
	EXPECT_EQ(256, actual(&guest));
	/* Pages beyond the end cannot be in the balloon. */
	ASSERT_TRUE(inflate(&guest, 1270, 512));
	EXPECT_EQ(256, actual(&guest));
	ASSERT_EQ(0, ftruncate(guest.fd, 2048 * PAGE_SIZE));
	EXPECT_EQ(256, actual(&guest));
	frames = fisc_core("frames");
	ASSERT_TRUE(inflate(&guest, 1280, 256));
	EXPECT_EQ(512, actual(&guest));
	EXPECT_EQ(frames, fisc_core("frames"));
	EXPECT_EQ(-1, not_zero(&guest, 1024, 1024));
	EXPECT_EQ(0, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1024 - FIRST));
}

TEST_F(pages, punching_holes_in_the_balloon_does_no_harm)
{
	static struct guest guest;

	boot_inflated(_metadata, &guest, variant->features);
	ASSERT_EQ(0, fallocate(guest.fd, PUNCH, 1280 * PAGE_SIZE,
			       512 * PAGE_SIZE));
	EXPECT_LE(256, actual(&guest));
	EXPECT_GE(512, actual(&guest));
	EXPECT_EQ(-1, not_zero(&guest, 1024, 768));
	EXPECT_EQ(0, actual(&guest));
	ASSERT_TRUE(inflate(&guest, 1024, 512));
	EXPECT_EQ(512, actual(&guest));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1024 - FIRST));
	EXPECT_EQ(-1, damaged(&guest, 1792, 256));
}

TEST_F(pages, unlinked_file_still_has_a_balloon)
{
	static struct guest guest;
	long frames;

	boot_inflated(_metadata, &guest, variant->features);
	ASSERT_EQ(0, unlink(ST "a"));
	frames = fisc_core("frames");
	ASSERT_TRUE(inflate(&guest, 1536, 100));
	EXPECT_EQ(frames - 100, fisc_core("frames"));
	EXPECT_EQ(-1, not_zero(&guest, 1024, 1));
	/* The device is the last user. */
	munmap(guest.map, guest.nr_pages * PAGE_SIZE);
	close(guest.fd);
	EXPECT_LT(0, fisc_core("vms"));
	vdpa_close(&guest.vdpa);
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_EQ(0, fisc_balloon("ballooned"));
}

TEST_HARNESS_MAIN
