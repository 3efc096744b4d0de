// SPDX-License-Identifier: GPL-2.0
/* Adoption of memory that the VMM has in a shared mapping of a memfd. */
#include <signal.h>
#include <sys/wait.h>

#include "adopt.h"

static void *map_again(int fd)
{
	return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    SHARED_OFFSET);
}

static bool wait_left_shared(long bytes)
{
	double end = fisc_now() + WAIT_S;
	struct adoption now;

	while (!look(&now) || left(&now, "shared") != bytes) {
		if (fisc_now() > end) {
			fprintf(stderr, "# " ADOPTION ": %s\n", now.text);
			return false;
		}
		fisc_sleep_ms(10);
	}
	return true;
}

TEST_F(adopt, shared_memory_is_moved_if_that_is_wanted)
{
	int fd = share_memory(self->mem);
	long i, half = PAGES / 2;

	ASSERT_LE(0, fd);
	fisc_fill_pages(self->mem, half, 1);
	/* Two pages of the other half exist: one unmapped, one all zeroes. */
	ASSERT_EQ(4, pwrite(fd, "word", 4,
			    SHARED_OFFSET + (half + 5) * PAGE_SIZE));
	self->mem[(half + 9) * PAGE_SIZE] = 0;
	ASSERT_EQ(0, adopt());
	EXPECT_TRUE(wait_left_shared(SIZE));
	ASSERT_TRUE(release());
	EXPECT_EQ(half + 2, held_pages(fd));

	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	EXPECT_EQ(0, held_pages(fd));
	EXPECT_EQ(MAP_FAILED, map_again(fd));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, fisc_check_pages(self->mem, half, 1));
	for (i = half; i < PAGES; i++)
		ASSERT_EQ(i == half + 5 ? 'w' : 0, self->mem[i * PAGE_SIZE]);
	fisc_fill_pages(self->mem, PAGES, 2);
	ASSERT_TRUE(release());
	EXPECT_FALSE(is_mapped());
	EXPECT_EQ(0, held_pages(fd));
	EXPECT_NE(MAP_FAILED, map_again(fd));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 2));
}

TEST_F(adopt, shared_memory_is_left_alone_while_others_have_it)
{
	int fd = share_memory(self->mem);
	char *again;
	pid_t pid;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	fisc_fill_pages(self->mem, PAGES, 1);
	pid = fork();
	if (!pid) {
		for (;;)
			pause();
	}
	again = map_again(fd);
	ASSERT_NE(MAP_FAILED, again);
	ASSERT_EQ(0, adopt());
	EXPECT_TRUE(wait_left_shared(SIZE));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* The module looks again every second. */
	fisc_sleep_ms(2500);
	EXPECT_TRUE(wait_left_shared(SIZE));
	EXPECT_EQ(PAGES, held_pages(fd));
	munmap(again, SIZE);
	EXPECT_TRUE(wait_moved(0));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
}

/* As QEMU does it. */
TEST_F(adopt, shared_memory_is_thrown_away_by_a_hole)
{
	int fd = share_memory(self->mem);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	fisc_fill_pages(self->mem, PAGES, 1);
	/* Split the mapping: each part gets a file. */
	madvise(self->mem + SIZE / 2, SIZE / 2, MADV_DONTDUMP);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	/* The advice alone only unmaps, also what was moved first. */
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, fallocate(fd, PUNCH,
			       SHARED_OFFSET, 7 * PAGE_SIZE));
	ASSERT_EQ(0, madvise(self->mem, 7 * PAGE_SIZE, MADV_DONTNEED));
	EXPECT_EQ(PAGES - 7, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check_zero(self->mem, 7 * PAGE_SIZE));
	EXPECT_EQ(-1,
		  fisc_check_pages(self->mem + 7 * PAGE_SIZE, PAGES - 7, 8));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	EXPECT_EQ(-1,
		  fisc_check_pages(self->mem + 7 * PAGE_SIZE, PAGES - 7, 8));
	/* In both files at once */
	ASSERT_EQ(0, fallocate(fd, PUNCH, SHARED_OFFSET, SIZE));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	EXPECT_EQ(-1, fisc_check_zero(self->mem, SIZE));
	ASSERT_TRUE(release());
}

/* Both punch a hole, then both give the advice. */
TEST_F(adopt, two_threads_throw_shared_memory_away)
{
	int fd = share_memory(self->mem);
	int i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, fallocate(fd, PUNCH, SHARED_OFFSET + i * CHUNK,
				       CHUNK));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, madvise(self->mem + i * CHUNK, CHUNK,
				     MADV_DONTNEED));
	EXPECT_EQ(-1, fisc_check_zero(self->mem, 2 * CHUNK));
	/* Each hole is followed by one advice. */
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	EXPECT_EQ(-1, fisc_check_pages(self->mem + 2 * CHUNK,
				       PAGES - 2 * CHUNK / PAGE_SIZE,
				       2 * CHUNK / PAGE_SIZE + 1));
	ASSERT_TRUE(release());
}

TEST_HARNESS_MAIN
