// SPDX-License-Identifier: GPL-2.0
/* Sharing of equal pages, and the copy at the first write to one. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

#include "fixture.h"

/*
 * Let the scanner run until as many pages are saved as should be, and then for
 * two passes more, in which nothing may change. There must be no files but the
 * case's own.
 */
static void settle(struct __test_metadata *_metadata, long present, long frames)
{
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("share", "saved", present - frames));
	EXPECT_TRUE(fisc_wait_passes(2));
	ASSERT_EQ(0, fisc_scan_off());
	EXPECT_EQ(present, fisc_core("present"));
	EXPECT_EQ(frames, fisc_core("frames"));
	EXPECT_EQ(present - frames, fisc_share("saved"));
	EXPECT_EQ(fisc_share("saved"), fisc_share("sharing") -
					       fisc_share("shared") +
					       fisc_share("zero"));
	EXPECT_EQ(frames, fisc_core("private") + fisc_core("shared"));
	EXPECT_EQ(present, fisc_core("private") + fisc_core("sharing") +
				   fisc_core("zero"));
}

static void expect_shared(struct __test_metadata *_metadata, long sharing,
			  long shared, long zero)
{
	EXPECT_EQ(sharing, fisc_share("sharing"));
	EXPECT_EQ(shared, fisc_share("shared"));
	EXPECT_EQ(zero, fisc_share("zero"));
}

TEST_F(fisc, equal_pages_of_a_file_share_one_frame)
{
	int fd = fisc_create(ST "a", 16);
	char *map = fisc_map(fd, 16);
	long merged = fisc_share("merged");
	size_t i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 16; i++)
		fisc_fill(page_of(map, i), 1);
	EXPECT_EQ(16, fisc_core("frames"));
	settle(_metadata, 16, 1);
	expect_shared(_metadata, 16, 1, 0);
	EXPECT_LE(merged + 15, fisc_share("merged"));
	EXPECT_EQ(16 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	EXPECT_EQ(16, fisc_vm("st-a", "present_pages"));
	EXPECT_EQ(16, fisc_vm("st-a", "sharing_pages"));
	EXPECT_EQ(0, fisc_vm("st-a", "private_pages"));
	for (i = 0; i < 16; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 1));
	expect_shared(_metadata, 16, 1, 0);
}

TEST_F(fisc, different_pages_stay_private)
{
	int fd = fisc_create(ST "a", 64);
	char *map = fisc_map(fd, 64);
	long scanned, merged;
	size_t i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 64; i++)
		fisc_fill(page_of(map, i), 2);
	/* They differ in one bit: of the first byte, the last, or between. */
	for (i = 1; i < 64; i++)
		page_of(map, i)[i * 65] ^= 1;
	page_of(map, 0)[0] ^= 0x80;
	scanned = fisc_share("scanned");
	merged = fisc_share("merged");
	settle(_metadata, 64, 64);
	EXPECT_LE(scanned + 64, fisc_share("scanned"));
	EXPECT_EQ(merged, fisc_share("merged"));
	expect_shared(_metadata, 0, 0, 0);
}

TEST_F(fisc, equal_pages_of_several_vms_share)
{
	static const char * const paths[] = {
		ST "a", ST "b", ST "d/x", ST "d/y",
	};
	char *map[4], page[PAGE_SIZE];
	size_t i, j;
	int fd[4];

	ASSERT_EQ(0, mkdir(ST "d", 0755));
	for (i = 0; i < 4; i++) {
		fd[i] = fisc_create(paths[i], 9);
		map[i] = fisc_map(fd[i], 9);
		ASSERT_NE(NULL, map[i]);
		/* The same eight in another order, and one that is unique. */
		for (j = 0; j < 8; j++)
			fisc_fill(page_of(map[i], (j + i) % 8), j);
		fisc_fill(page_of(map[i], 8), 100 + i);
	}
	settle(_metadata, 36, 12);
	expect_shared(_metadata, 32, 8, 0);
	EXPECT_EQ(16, fisc_vm("st-d", "sharing_pages"));
	EXPECT_EQ(2, fisc_vm("st-d", "private_pages"));
	for (i = 0; i < 4; i++) {
		for (j = 0; j < 8; j++) {
			EXPECT_EQ(-1,
				  fisc_check(page_of(map[i], (j + i) % 8), j));
			EXPECT_EQ((ssize_t)PAGE_SIZE,
				  pread(fd[i], page, PAGE_SIZE,
					(j + i) % 8 * PAGE_SIZE));
			EXPECT_EQ(-1, fisc_check(page, j));
		}
		EXPECT_EQ(-1, fisc_check(page_of(map[i], 8), 100 + i));
	}
}

TEST_F(fisc, pages_written_by_write_share_too)
{
	int a = fisc_create(ST "a", 0), b = fisc_create(ST "b", 0);
	char page[PAGE_SIZE];
	size_t i;

	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	for (i = 0; i < 10; i++) {
		fisc_fill(page, i);
		ASSERT_EQ((ssize_t)PAGE_SIZE, write(a, page, PAGE_SIZE));
		ASSERT_EQ((ssize_t)PAGE_SIZE, write(b, page, PAGE_SIZE));
	}
	settle(_metadata, 20, 10);
	for (i = 0; i < 10; i++) {
		ASSERT_EQ((ssize_t)PAGE_SIZE,
			  pread(b, page, PAGE_SIZE, i * PAGE_SIZE));
		EXPECT_EQ(-1, fisc_check(page, i));
	}
}

TEST_F(fisc, thousands_may_share_one_frame)
{
	int fd = fisc_create(ST "a", 2048);
	char *map = fisc_map(fd, 2048);
	size_t i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 2048; i++)
		fisc_fill(page_of(map, i), 5);
	settle(_metadata, 2048, 1);
	for (i = 0; i < 2048; i += 31)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 5));
	for (i = 0; i < 2048; i += 2)
		page_of(map, i)[9] = i / 2;
	EXPECT_EQ(1025, fisc_core("frames"));
	for (i = 1; i < 2048; i += 62)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 5));
}

TEST_F(fisc, processes_share_what_each_wrote)
{
	int up[4][2], down[4][2], i, j;
	pid_t pid[4];
	char c, *map;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, pipe(up[i]));
		ASSERT_EQ(0, pipe(down[i]));
		pid[i] = fork();
		if (!pid[i]) {
			char path[64];

			snprintf(path, sizeof(path), ST "%d", i);
			map = fisc_map(fisc_create(path, 32), 32);
			if (!map)
				_exit(1);
			for (j = 0; j < 32; j++)
				fisc_fill(page_of(map, j), j);
			if (write(up[i][1], "x", 1) != 1 ||
			    read(down[i][0], &c, 1) != 1)
				_exit(2);
			for (j = 0; j < 32; j++) {
				if (fisc_check(page_of(map, j), j) >= 0)
					_exit(3);
				if (j % 4 == i)
					fisc_fill(page_of(map, j),
						  1000 + i * 32 + j);
			}
			if (write(up[i][1], "x", 1) != 1 ||
			    read(down[i][0], &c, 1) != 1)
				_exit(4);
			for (j = 0; j < 32; j++) {
				int seed = j % 4 == i ? 1000 + i * 32 + j : j;

				if (fisc_check(page_of(map, j), seed) >= 0)
					_exit(5);
			}
			_exit(0);
		}
	}
	for (i = 0; i < 4; i++)
		ASSERT_EQ(1, read(up[i][0], &c, 1));
	settle(_metadata, 128, 32);
	expect_shared(_metadata, 128, 32, 0);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(1, write(down[i][1], "x", 1));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(1, read(up[i][0], &c, 1));
	/* Three users of each pattern are left, and one private page. */
	settle(_metadata, 128, 64);
	expect_shared(_metadata, 96, 32, 0);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(1, write(down[i][1], "x", 1));
		EXPECT_EQ(0, fisc_wait_child(pid[i]));
	}
}

TEST_F(fisc, pages_of_zeros_take_no_frame)
{
	int fd = fisc_create(ST "a", 8);
	char *map = fisc_map(fd, 8);
	long zeroed = fisc_share("merged_zero"), breaks;

	ASSERT_NE(NULL, map);
	memset(map, 1, 8 * PAGE_SIZE);
	memset(map, 0, 8 * PAGE_SIZE);
	EXPECT_EQ(8, fisc_core("frames"));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_DATA));
	settle(_metadata, 8, 0);
	expect_shared(_metadata, 0, 0, 8);
	EXPECT_EQ(zeroed + 8, fisc_share("merged_zero"));
	EXPECT_EQ(8, fisc_vm("st-a", "zero_pages"));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(-1, lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(0, lseek(fd, 0, SEEK_HOLE));
	EXPECT_EQ(-1, fisc_check_zero(map, 8 * PAGE_SIZE));

	breaks = fisc_share("cow_breaks");
	page_of(map, 3)[100] = 7;
	expect_shared(_metadata, 0, 0, 7);
	EXPECT_EQ(1, fisc_core("frames"));
	EXPECT_EQ(breaks + 1, fisc_share("cow_breaks"));
	EXPECT_EQ(-1, fisc_check_zero(map, 3 * PAGE_SIZE + 100));
	EXPECT_EQ(7, page_of(map, 3)[100]);
	EXPECT_EQ(-1,
		  fisc_check_zero(page_of(map, 3) + 101, 5 * PAGE_SIZE - 101));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE), lseek(fd, 0, SEEK_DATA));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 6 * PAGE_SIZE + 5));
	EXPECT_EQ('x', page_of(map, 6)[5]);
	EXPECT_EQ(-1, fisc_check_zero(page_of(map, 7), PAGE_SIZE));
	expect_shared(_metadata, 0, 0, 6);
}

TEST_F(fisc, zeros_written_into_holes_by_readers_stay_zero)
{
	int a = fisc_create(ST "a", 64), b = fisc_create(ST "b", 64);
	char *ma = fisc_map(a, 64), *mb = fisc_map(b, 64);
	size_t i;

	ASSERT_NE(NULL, ma);
	ASSERT_NE(NULL, mb);
	/* Reads map the same zeros in many places; a write shows in one. */
	EXPECT_EQ(-1, fisc_check_zero(ma, 64 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(mb, 64 * PAGE_SIZE));
	EXPECT_EQ(0, fisc_blocks(a));
	EXPECT_EQ(0, fisc_core("frames"));
	for (i = 0; i < 64; i += 2)
		fisc_fill(page_of(ma, i), i + 1);
	EXPECT_EQ(-1, fisc_check_zero(mb, 64 * PAGE_SIZE));
	for (i = 0; i < 64; i++)
		EXPECT_EQ(-1, fisc_check_or_zero(page_of(ma, i),
						 i & 1 ? 0 : i + 1));
	EXPECT_EQ(32, fisc_core("frames"));
}

TEST_F(fisc, write_to_a_shared_page_shows_nowhere_else)
{
	char *map[4], path[64], want[PAGE_SIZE];
	long breaks;
	int i, j;

	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), ST "%d", i);
		map[i] = fisc_map(fisc_create(path, 1), 1);
		ASSERT_NE(NULL, map[i]);
		fisc_fill(map[i], 1);
	}
	settle(_metadata, 4, 1);
	expect_shared(_metadata, 4, 1, 0);
	breaks = fisc_share("cow_breaks");
	for (i = 0; i < 4; i++) {
		map[i][i * 1000 + 7] ^= 0x5a;
		fisc_fill(want, 1);
		want[i * 1000 + 7] ^= 0x5a;
		EXPECT_EQ(0, memcmp(want, map[i], PAGE_SIZE));
		for (j = i + 1; j < 4; j++)
			EXPECT_EQ(-1, fisc_check(map[j], 1));
		if (i < 3)
			EXPECT_EQ(breaks + i + 1, fisc_share("cow_breaks"));
		/* The last user's frame may still count as shared. */
		EXPECT_EQ(i < 3 ? i + 2 : 4, fisc_core("frames"));
		EXPECT_EQ(4, fisc_core("private") + fisc_core("sharing"));
	}
	expect_shared(_metadata, 0, 0, 0);
	EXPECT_EQ(4, fisc_core("private"));
	snprintf(path, sizeof(path), "st-%d", 0);
	EXPECT_EQ(1, fisc_vm(path, "cow_breaks"));
}

TEST_F(fisc, all_views_of_a_file_follow_a_copy)
{
	int a = fisc_create(ST "a", 4), b = fisc_create(ST "b", 4), down[2];
	int up[2];
	char *m1 = fisc_map(a, 4), *m2 = fisc_map(a, 4);
	char *other = fisc_map(b, 4), *ro;
	char c, page[PAGE_SIZE];
	pid_t pid;
	int i;

	ASSERT_NE(NULL, m1);
	ASSERT_NE(NULL, m2);
	ASSERT_NE(NULL, other);
	ro = mmap(NULL, 4 * PAGE_SIZE, PROT_READ, MAP_SHARED, a, 0);
	ASSERT_NE(MAP_FAILED, ro);
	ASSERT_EQ(0, pipe(down));
	ASSERT_EQ(0, pipe(up));
	for (i = 0; i < 4; i++) {
		fisc_fill(page_of(m1, i), 1);
		fisc_fill(page_of(other, i), 1);
	}
	settle(_metadata, 8, 1);
	pid = fork();
	if (!pid) {
		/* The child has it mapped before and after. */
		if (fisc_check(page_of(m2, 1), 1) >= 0 ||
		    fisc_check(page_of(ro, 2), 1) >= 0)
			_exit(1);
		if (write(up[1], "x", 1) != 1 || read(down[0], &c, 1) != 1)
			_exit(2);
		if (fisc_check(page_of(m2, 1), 2) >= 0 ||
		    fisc_check(page_of(ro, 1), 2) >= 0)
			_exit(3);
		if (fisc_check(page_of(ro, 2), 3) >= 0 ||
		    fisc_check(page_of(m2, 3), 1) >= 0)
			_exit(4);
		fisc_fill(page_of(m2, 3), 4);
		_exit(0);
	}
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(-1, fisc_check(page_of(m1, i), 1));
		EXPECT_EQ(-1, fisc_check(page_of(m2, i), 1));
		EXPECT_EQ(-1, fisc_check(page_of(ro, i), 1));
	}
	ASSERT_EQ(1, read(up[0], &c, 1));
	fisc_fill(page_of(m1, 1), 2);
	EXPECT_EQ(-1, fisc_check(page_of(m2, 1), 2));
	EXPECT_EQ(-1, fisc_check(page_of(ro, 1), 2));
	fisc_fill(page, 3);
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pwrite(a, page, PAGE_SIZE, 2 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page_of(m1, 2), 3));
	EXPECT_EQ(-1, fisc_check(page_of(ro, 2), 3));
	ASSERT_EQ(1, write(down[1], "x", 1));
	EXPECT_EQ(0, fisc_wait_child(pid));
	EXPECT_EQ(-1, fisc_check(page_of(m1, 3), 4));
	EXPECT_EQ(-1, fisc_check(page_of(ro, 3), 4));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-1, fisc_check(page_of(other, i), 1));
	EXPECT_EQ(4, fisc_core("frames"));
	/* Again, now that the page tables of the views differ. */
	fisc_fill(page_of(m1, 1), 1);
	fisc_fill(page_of(m2, 2), 1);
	settle(_metadata, 8, 2);
	EXPECT_EQ(-1, fisc_check(page_of(ro, 1), 1));
	EXPECT_EQ(-1, fisc_check(page_of(m2, 3), 4));
}

TEST_F(fisc, write_call_into_a_shared_page_copies)
{
	int a = fisc_create(ST "a", 1), b = fisc_create(ST "b", 1);
	char *ma = fisc_map(a, 1), *mb = fisc_map(b, 1), want[PAGE_SIZE];

	ASSERT_NE(NULL, ma);
	ASSERT_NE(NULL, mb);
	fisc_fill(ma, 1);
	fisc_fill(mb, 1);
	fisc_fill(want, 1);
	settle(_metadata, 2, 1);
	ASSERT_EQ(3, pwrite(a, "abc", 3, 500));
	memcpy(want + 500, "abc", 3);
	EXPECT_EQ(0, memcmp(want, ma, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(mb, 1));
	EXPECT_EQ(2, fisc_core("frames"));
}

TEST_F(fisc, punch_of_a_shared_page_leaves_the_others)
{
	int a = fisc_create(ST "a", 4), b = fisc_create(ST "b", 4);
	char *ma = fisc_map(a, 4), *mb = fisc_map(b, 4);
	int i;

	ASSERT_NE(NULL, ma);
	ASSERT_NE(NULL, mb);
	for (i = 0; i < 4; i++) {
		fisc_fill(page_of(ma, i), 1);
		fisc_fill(page_of(mb, i), 1);
	}
	settle(_metadata, 8, 1);
	ASSERT_EQ(0, fallocate(a, PUNCH, 0, 2 * PAGE_SIZE));
	EXPECT_EQ(2 * BLOCKS_PER_PAGE, fisc_blocks(a));
	expect_shared(_metadata, 6, 1, 0);
	EXPECT_EQ(-1, fisc_check_zero(ma, 2 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page_of(ma, 2), 1));
	/* Punching part of a shared page is a write to it. */
	ASSERT_EQ(0, fallocate(a, PUNCH, 3 * PAGE_SIZE + 8, 8));
	EXPECT_EQ(-1, fisc_check_zero(page_of(ma, 3) + 8, 8));
	expect_shared(_metadata, 5, 1, fisc_share("zero"));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-1, fisc_check(page_of(mb, i), 1));
	/* Down to the last user. */
	ASSERT_EQ(0, fallocate(b, PUNCH, 0, 4 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page_of(ma, 2), 1));
	EXPECT_EQ(2, fisc_core("frames"));
	ASSERT_EQ(0, fallocate(a, PUNCH, 0, 4 * PAGE_SIZE));
	EXPECT_EQ(0, fisc_core("frames"));
	EXPECT_EQ(0, fisc_share("shared"));
}

TEST_F(fisc, truncation_and_unlink_of_shared_pages_leave_the_others)
{
	int a = fisc_create(ST "a", 4), b = fisc_create(ST "b", 4);
	int c = fisc_create(ST "c", 4);
	char *ma = fisc_map(a, 4), *mb = fisc_map(b, 4), *mc = fisc_map(c, 4);
	int i;

	ASSERT_NE(NULL, ma);
	ASSERT_NE(NULL, mb);
	ASSERT_NE(NULL, mc);
	for (i = 0; i < 4; i++) {
		fisc_fill(page_of(ma, i), i);
		fisc_fill(page_of(mb, i), i);
		fisc_fill(page_of(mc, i), i);
	}
	settle(_metadata, 12, 4);
	ASSERT_EQ(0, ftruncate(a, PAGE_SIZE + 100));
	expect_shared(_metadata, 9, 4, 0);
	ASSERT_EQ(0, ftruncate(a, 2 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(page_of(ma, 1) + 100, PAGE_SIZE - 100));
	EXPECT_EQ(SIGBUS, fisc_try_read(page_of(ma, 2), NULL));
	munmap(mb, 4 * PAGE_SIZE);
	close(b);
	ASSERT_EQ(0, unlink(ST "b"));
	EXPECT_TRUE(fisc_wait("share", "sharing", 5));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-1, fisc_check(page_of(mc, i), i));
	EXPECT_EQ(5, fisc_core("frames"));
	munmap(mc, 4 * PAGE_SIZE);
	close(c);
	ASSERT_EQ(0, unlink(ST "c"));
	EXPECT_TRUE(fisc_wait("core", "frames", 2));
	EXPECT_EQ(-1, fisc_check(ma, 0));
}

TEST_F(fisc, pages_share_again_once_equal_again)
{
	int fd = fisc_create(ST "a", 8), round, i;
	char *map = fisc_map(fd, 8);

	ASSERT_NE(NULL, map);
	for (round = 0; round < 6; round++) {
		for (i = 0; i < 8; i++)
			fisc_fill(page_of(map, i), round);
		settle(_metadata, 8, 1);
		for (i = 0; i < 8; i++)
			EXPECT_EQ(-1, fisc_check(page_of(map, i), round));
	}
	/* By way of zeros, and beside a page that never changes. */
	memset(map, 0, 7 * PAGE_SIZE);
	settle(_metadata, 8, 1);
	for (i = 0; i < 7; i++)
		fisc_fill(page_of(map, i), 5);
	settle(_metadata, 8, 1);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 5));
}

TEST_F(fisc, fork_shares_shared_pages)
{
	int fd = fisc_create(ST "a", 8), i;
	char *map = fisc_map(fd, 8);
	pid_t pid;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 8; i++)
		fisc_fill(page_of(map, i), 1);
	settle(_metadata, 8, 1);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 1));
	pid = fork();
	if (!pid) {
		fisc_fill(page_of(map, 0), 2);
		fisc_fill(page_of(map, 1), 3);
		_exit(fisc_check(page_of(map, 2), 1) < 0 ? 0 : 1);
	}
	EXPECT_EQ(0, fisc_wait_child(pid));
	EXPECT_EQ(-1, fisc_check(page_of(map, 0), 2));
	EXPECT_EQ(-1, fisc_check(page_of(map, 1), 3));
	for (i = 2; i < 8; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 1));
	expect_shared(_metadata, 6, 1, 0);
	EXPECT_EQ(3, fisc_core("frames"));
}

TEST_F(fisc, stopped_scanner_shares_nothing)
{
	int fd = fisc_create(ST "a", 8), i;
	char *map = fisc_map(fd, 8);
	long scanned;

	ASSERT_NE(NULL, map);
	scanned = fisc_share("scanned");
	for (i = 0; i < 8; i++)
		fisc_fill(page_of(map, i), 1);
	fisc_sleep_ms(500);
	EXPECT_EQ(8, fisc_core("frames"));
	EXPECT_EQ(scanned, fisc_share("scanned"));
}

/* A model: what each page of each file should hold; 0 is zeros. */
#define MODEL_FILES	4
#define MODEL_PAGES	96
#define MODEL_ALPHABET	12

static size_t model_frames(__u64 model[][MODEL_PAGES])
{
	__u64 seen[MODEL_FILES * MODEL_PAGES];
	size_t n = 0, i, j, k;

	for (i = 0; i < MODEL_FILES; i++) {
		for (j = 0; j < MODEL_PAGES; j++) {
			for (k = 0; k < n && seen[k] != model[i][j]; k++)
				;
			if (k == n && model[i][j])
				seen[n++] = model[i][j];
		}
	}
	return n;
}

TEST_F(fisc, random_changes_follow_a_model)
{
	static __u64 model[MODEL_FILES][MODEL_PAGES];
	__u64 rnd = 20241, unique = 1000;
	char *map[MODEL_FILES], path[64], page[PAGE_SIZE];
	int fd[MODEL_FILES], i, j, step;

	for (i = 0; i < MODEL_FILES; i++) {
		snprintf(path, sizeof(path), ST "%d", i);
		fd[i] = fisc_create(path, MODEL_PAGES);
		map[i] = fisc_map(fd[i], MODEL_PAGES);
		ASSERT_NE(NULL, map[i]);
		/* All are present, so that the number of pages is known. */
		memset(map[i], 0, MODEL_PAGES * PAGE_SIZE);
	}
	ASSERT_EQ(0, fisc_scan_on());
	for (step = 0; step < 4000; step++) {
		__u64 r = fisc_rand(&rnd), seed;
		char *at;

		i = r % MODEL_FILES;
		j = (r >> 8) % MODEL_PAGES;
		at = page_of(map[i], j);
		switch ((r >> 16) % 8) {
		case 0:
			seed = ++unique;
			break;
		case 1:
			seed = 0;
			break;
		default:
			seed = 1 + (r >> 24) % MODEL_ALPHABET;
		}
		if (seed)
			fisc_fill(page, seed);
		else
			memset(page, 0, PAGE_SIZE);
		switch ((r >> 32) % 4) {
		case 0:
			ASSERT_EQ((ssize_t)PAGE_SIZE,
				  pwrite(fd[i], page, PAGE_SIZE,
					 j * PAGE_SIZE));
			break;
		case 1:
			/* In two steps, each of them visible. */
			memcpy(at + PAGE_SIZE / 2, page + PAGE_SIZE / 2,
			       PAGE_SIZE / 2);
			sched_yield();
			memcpy(at, page, PAGE_SIZE / 2);
			break;
		case 2:
			/* Punched, then present again at once. */
			ASSERT_EQ(0, fallocate(fd[i], PUNCH, j * PAGE_SIZE,
					       PAGE_SIZE));
			memcpy(at, page, PAGE_SIZE);
			break;
		default:
			memcpy(at, page, PAGE_SIZE);
		}
		model[i][j] = seed;
		/* At any time, any page is what the model says. */
		i = (r >> 40) % MODEL_FILES;
		j = (r >> 44) % MODEL_PAGES;
		ASSERT_EQ(-1, fisc_check_or_zero(page_of(map[i], j),
						 model[i][j]));
	}
	settle(_metadata, MODEL_FILES * MODEL_PAGES, model_frames(model));
	for (i = 0; i < MODEL_FILES; i++)
		for (j = 0; j < MODEL_PAGES; j++)
			ASSERT_EQ(-1, fisc_check_or_zero(page_of(map[i], j),
							 model[i][j]));
}

TEST_F(fisc, all_counters_return_to_zero)
{
	char *map[3], path[64];
	int fd[3], i, j;

	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), ST "%d", i);
		fd[i] = fisc_create(path, 700);
		map[i] = fisc_map(fd[i], 700);
		ASSERT_NE(NULL, map[i]);
		for (j = 0; j < 600; j++) {
			if (j % 3)
				fisc_fill(page_of(map[i], j), j);
			else
				memset(page_of(map[i], j), 0, PAGE_SIZE);
		}
	}
	settle(_metadata, 1800, 400);
	expect_shared(_metadata, 1200, 400, 600);
	for (i = 0; i < 3; i++) {
		munmap(map[i], 700 * PAGE_SIZE);
		close(fd[i]);
		snprintf(path, sizeof(path), ST "%d", i);
		ASSERT_EQ(0, unlink(path));
	}
	EXPECT_TRUE(fisc_wait("core", "present", 0));
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_TRUE(fisc_wait("core", "map_bytes", 0));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_TRUE(fisc_wait("core", "regions", 0));
	expect_shared(_metadata, 0, 0, 0);
	EXPECT_EQ(0, fisc_share("saved"));
}

TEST_HARNESS_MAIN
