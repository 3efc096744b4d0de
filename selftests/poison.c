// SPDX-License-Identifier: GPL-2.0
/*
 * Memory errors: a frame that has one is lost to its users, and to nobody else.
 * Nothing of it is copied, shared or read by a file call, and what is written
 * or punched over it is as good as new. madvise(MADV_HWPOISON) marks frames as
 * the kernel does on a machine check, but leaves them mapped; the frames stay
 * unusable until the next boot, so they are few.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define FISC_LARGE	"1"
#include "fixture.h"

/* Unmap everything, so that the next touch maps it anew. */
static void forget(char *map, size_t nr_pages)
{
	madvise(map, nr_pages * PAGE_SIZE, MADV_DONTNEED);
}

static bool lost_to_read(char *map, size_t i)
{
	unsigned char byte;

	return fisc_try_read(page_of(map, i), &byte) == SIGBUS &&
	       fisc_signal_code() == BUS_MCEERR_AR;
}

static bool lost_to_write(char *map, size_t i)
{
	return fisc_try_write(page_of(map, i), 1) == SIGBUS &&
	       fisc_signal_code() == BUS_MCEERR_AR;
}

static bool file_says_eio(int fd, size_t i)
{
	char page[PAGE_SIZE];

	return pread(fd, page, PAGE_SIZE, i * PAGE_SIZE) == -1 &&
	       errno == EIO && pwrite(fd, "x", 1, i * PAGE_SIZE) == -1 &&
	       errno == EIO;
}

/* Make a file of small frames, whatever the fixture says. */
static int small_file(const char *path, size_t nr_pages)
{
	fisc_write_str(LARGE_ENABLED, "0");
	return fisc_create(path, nr_pages);
}

TEST_F(fisc, private_page_is_lost_alone)
{
	int fd = small_file(ST "a", 3), i;
	char *map = fisc_map(fd, 3);

	ASSERT_NE(NULL, map);
	for (i = 0; i < 3; i++)
		fisc_fill(page_of(map, i), 1 + i);
	if (!fisc_poison(page_of(map, 1)))
		SKIP(return, "no CONFIG_MEMORY_FAILURE");
	forget(map, 3);
	EXPECT_TRUE(lost_to_read(map, 1));
	EXPECT_TRUE(lost_to_write(map, 1));
	EXPECT_TRUE(file_says_eio(fd, 1));
	EXPECT_EQ(-1, fisc_check(page_of(map, 0), 1));
	EXPECT_EQ(-1, fisc_check(page_of(map, 2), 3));
	/* A hole is new memory. */
	ASSERT_EQ(0, fallocate(fd, PUNCH, PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(page_of(map, 1), PAGE_SIZE));
	fisc_fill(page_of(map, 1), 9);
	EXPECT_EQ(-1, fisc_check(page_of(map, 1), 9));
	EXPECT_EQ(3, fisc_core("frames"));
}

TEST_F(fisc, shared_frame_is_lost_to_its_users_and_not_copied)
{
	int fd = small_file(ST "a", 8), i;
	char *map = fisc_map(fd, 8);
	long cow;

	ASSERT_NE(NULL, map);
	/* Pages 0 to 3 share a frame, 4 and 5 another; two are alone. */
	for (i = 0; i < 8; i++)
		fisc_fill(page_of(map, i), i < 4 ? 1 : i < 6 ? 2 : i);
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", 4));
	if (!fisc_poison(page_of(map, 2)))
		SKIP(return, "no CONFIG_MEMORY_FAILURE");
	cow = fisc_share("cow_breaks");
	/* A write to a mapped shared page would copy it. */
	for (i = 0; i < 4; i++)
		EXPECT_TRUE(lost_to_write(map, i));
	EXPECT_EQ(cow, fisc_share("cow_breaks"));
	forget(map, 8);
	for (i = 0; i < 4; i++) {
		EXPECT_TRUE(lost_to_read(map, i));
		EXPECT_TRUE(file_says_eio(fd, i));
	}
	for (i = 4; i < 8; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), i < 6 ? 2 : i));

	/* Pages with that content still share, but not in that frame. */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, fallocate(fd, PUNCH, i * PAGE_SIZE, PAGE_SIZE));
		fisc_fill(page_of(map, i), 1);
	}
	/* The lost one, that of 0 and 1, that of 4 and 5, and two alone. */
	EXPECT_TRUE(fisc_wait("core", "frames", 5));
	EXPECT_TRUE(fisc_wait_passes(3));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 1));
		EXPECT_TRUE(lost_to_read(map, 2 + i));
	}
}

TEST_F(fisc, lost_page_is_neither_read_nor_shared_by_the_scanner)
{
	int fd = small_file(ST "a", 2), i;
	char *map = fisc_map(fd, 2);
	long merged;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 2; i++)
		fisc_fill(page_of(map, i), 1);
	if (!fisc_poison(page_of(map, 0)))
		SKIP(return, "no CONFIG_MEMORY_FAILURE");
	merged = fisc_share("merged");
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_passes(20));
	EXPECT_EQ(merged, fisc_share("merged"));
	EXPECT_EQ(2, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check(page_of(map, 1), 1));
}

TEST_F(fisc, page_that_was_hashed_before_its_error_is_not_shared)
{
	int fd = small_file(ST "a", 2);
	char *map = fisc_map(fd, 2);
	long merged;

	ASSERT_NE(NULL, map);
	fisc_fill(page_of(map, 0), 1);
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait_idle());
	if (!fisc_poison(page_of(map, 0)))
		SKIP(return, "no CONFIG_MEMORY_FAILURE");
	/* Its equal finds it by its hint. */
	merged = fisc_share("merged");
	fisc_fill(page_of(map, 1), 1);
	EXPECT_TRUE(fisc_wait_passes(20));
	EXPECT_EQ(merged, fisc_share("merged"));
	EXPECT_EQ(-1, fisc_check(page_of(map, 1), 1));
	forget(map, 2);
	EXPECT_TRUE(lost_to_read(map, 0));
	EXPECT_EQ(-1, fisc_check(page_of(map, 1), 1));
}

TEST_F(fisc, zero_frame_with_an_error_loses_nothing)
{
	int fd = small_file(ST "a", 64), i;
	char *map = fisc_map(fd, 64);

	ASSERT_NE(NULL, map);
	for (i = 0; i < 64; i++)
		EXPECT_EQ(0, READ_ONCE(*page_of(map, i)));
	if (!fisc_poison(page_of(map, 5)))
		SKIP(return, "no CONFIG_MEMORY_FAILURE");
	forget(map, 64);
	for (i = 0; i < 64; i++)
		EXPECT_EQ(-1, fisc_check_zero(page_of(map, i), PAGE_SIZE));
	for (i = 0; i < 64; i++)
		fisc_fill(page_of(map, i), 1 + i);
	for (i = 0; i < 64; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 1 + i));
	EXPECT_EQ(64, fisc_core("frames"));
}

TEST_F(fisc, large_frame_loses_one_page)
{
	int fd = fisc_create(ST "a", CHUNK_PAGES), i, lost = 77;
	char *map = fisc_map(fd, CHUNK_PAGES);

	ASSERT_NE(NULL, map);
	for (i = 0; i < CHUNK_PAGES; i++)
		fisc_fill(page_of(map, i), 1 + i / 2);
	ASSERT_EQ(1, fisc_core("large"));
	if (!fisc_poison(page_of(map, lost)))
		SKIP(return, "no CONFIG_MEMORY_FAILURE");
	/* It would be broken for 256 pages if it had no error. */
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_passes(20));
	EXPECT_EQ(1, fisc_core("large"));
	EXPECT_TRUE(file_says_eio(fd, lost));
	for (i = 0; i < CHUNK_PAGES; i++)
		if (i != lost)
			EXPECT_EQ(-1, fisc_check(page_of(map, i), 1 + i / 2));
	forget(map, CHUNK_PAGES);
	EXPECT_TRUE(lost_to_read(map, lost));
	EXPECT_TRUE(lost_to_write(map, lost));
	for (i = 0; i < CHUNK_PAGES; i++)
		if (i != lost)
			EXPECT_EQ(-1, fisc_check(page_of(map, i), 1 + i / 2));
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(0, fisc_core("frames"));
	ASSERT_EQ(0, ftruncate(fd, CHUNK_PAGES * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(map, CHUNK_PAGES * PAGE_SIZE));
}

TEST_HARNESS_MAIN
