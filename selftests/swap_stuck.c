// SPDX-License-Identifier: GPL-2.0
/*
 * Nobody waits for ever: VMs whose pages cannot go to swap although there is
 * room in it.
 */
#include <fcntl.h>
#include <sys/uio.h>

#include "swap.h"
#include "waiter.h"

/* Pages that make memory short and are above the target: half the pool is. */
#define FILLED		1500
#define NEXT		3000		/* a page that is not there yet */

#define PIPE_PAGES	256
#define PIPES		((FILLED + PIPE_PAGES - 1) / PIPE_PAGES)

#define OVERCOMMIT	"/proc/sys/vm/overcommit_memory"
#define OVERCOMMIT_KB	"/proc/sys/vm/overcommit_kbytes"

static bool pin(char *map, size_t nr_pages)
{
	struct iovec iov = { map, nr_pages * PAGE_SIZE };
	int fds[2];

	return !pipe(fds) &&
	       fcntl(fds[1], F_SETPIPE_SZ, PIPE_PAGES * PAGE_SIZE) >= 0 &&
	       vmsplice(fds[1], &iov, 1, 0) == (ssize_t)iov.iov_len;
}

TEST_F(swap, pinned_pages_are_not_waited_for)
{
	struct waiter waiter;
	size_t i;

	fisc_fill_pages(self->map, FILLED, 1);
	for (i = 0; i + PIPE_PAGES <= FILLED; i += PIPE_PAGES)
		ASSERT_TRUE(pin(page_of(self->map, i), PIPE_PAGES));
	ASSERT_TRUE(pin(page_of(self->map, i), FILLED - i));
	ASSERT_TRUE(waiter_start(&waiter, page_of(self->map, NEXT)));
	ASSERT_EQ(0, fisc_low_on_memory(true));
	ASSERT_TRUE(waiter_word(RECLAIM_STATE, "low"));
	waiter_go(&waiter);
	EXPECT_TRUE(waiter_end(&waiter, WAIT_S, NULL, NULL));
	EXPECT_TRUE(waiter_word(RECLAIM_A, "paging"));
	EXPECT_EQ(-1, fisc_check_pages(self->map, FILLED, 1));
	ASSERT_EQ(0, fisc_low_on_memory(false));
}

TEST_F(swap, shared_pages_are_not_waited_for)
{
	char *map = fisc_map(fisc_create(ST "b", PAGES), PAGES);
	struct waiter waiter;

	ASSERT_NE(NULL, map);
	fisc_fill_pages(self->map, FILLED, 1);
	fisc_fill_pages(map, FILLED, 1);
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", FILLED));
	ASSERT_EQ(0, fisc_scan_off());
	ASSERT_TRUE(waiter_start(&waiter, page_of(self->map, NEXT)));
	ASSERT_EQ(0, fisc_low_on_memory(true));
	ASSERT_TRUE(waiter_word(RECLAIM_STATE, "low"));
	waiter_go(&waiter);
	EXPECT_TRUE(waiter_end(&waiter, WAIT_S, NULL, NULL));
	ASSERT_EQ(0, fisc_low_on_memory(false));
}

/* The kernel refuses to swap if that needs memory it has not promised. */
TEST_F(swap, refused_pages_are_not_waited_for)
{
	size_t much = 2UL * DEVICE_MIB * MIB;
	struct waiter waiter;
	char before[32];

	fisc_fill_pages(self->map, FILLED, 1);
	ASSERT_EQ(0, fisc_read_str(OVERCOMMIT, before, sizeof(before)));
	ASSERT_NE(MAP_FAILED, mmap(NULL, much, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ASSERT_TRUE(waiter_start(&waiter, page_of(self->map, NEXT)));
	EXPECT_EQ(0, fisc_write_str(OVERCOMMIT_KB, "4"));
	EXPECT_EQ(0, fisc_write_str(OVERCOMMIT, "2"));
	EXPECT_EQ(0, fisc_low_on_memory(true));
	EXPECT_TRUE(waiter_word(RECLAIM_STATE, "low"));
	waiter_go(&waiter);
	EXPECT_TRUE(waiter_end(&waiter, WAIT_S, NULL, NULL));
	EXPECT_EQ(0, fisc_write_str(OVERCOMMIT, before));
	EXPECT_EQ(0, fisc_write_str(OVERCOMMIT_KB, "0"));
	/* With memory to promise, it is paged after all. */
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", 0));
	EXPECT_EQ(-1, fisc_check_pages(self->map, FILLED, 1));
	ASSERT_EQ(0, fisc_low_on_memory(false));
}

TEST_HARNESS_MAIN
