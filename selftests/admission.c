// SPDX-License-Identifier: GPL-2.0
/* Admission: min, max and file sizes are granted only within the capacity. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "tax.h"

TEST_F(fisc, min_and_max_keep_their_order)
{
	int fd = make_vm(ST "a", 64 * MIB);
	long refused = fisc_read_long(TAX_REFUSED);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fisc_vm("st-a", "min"));
	EXPECT_EQ(64 * MIB, fisc_vm("st-a", "max"));
	fisc_take(_metadata, VM("a", "min"), "16M", "16777216");
	fisc_refuse(_metadata, VM("a", "min"), "65M", -EINVAL);
	fisc_refuse(_metadata, VM("a", "min"), "1T", -EINVAL);
	fisc_refuse(_metadata, VM("a", "max"), "15M", -EINVAL);
	fisc_refuse(_metadata, VM("a", "max"), "1", -EINVAL);
	fisc_take(_metadata, VM("a", "max"), "32M", "33554432");
	fisc_refuse(_metadata, VM("a", "min"), "33M", -EINVAL);
	fisc_take(_metadata, VM("a", "min"), "32M", "33554432");
	fisc_refuse(_metadata, VM("a", "max"), "31M", -EINVAL);
	fisc_take(_metadata, VM("a", "min"), "\n", "0");
	/* An empty line or 0 means the VM's size, also when that changes. */
	fisc_take(_metadata, VM("a", "max"), "0", "67108864");
	fisc_take(_metadata, VM("a", "max"), "32M", "33554432");
	fisc_take(_metadata, VM("a", "max"), "\n", "67108864");
	ASSERT_EQ(0, ftruncate(fd, 128 * MIB));
	EXPECT_EQ(128 * MIB, fisc_vm("st-a", "max"));
	fisc_take(_metadata, VM("a", "min"), "128M", "134217728");
	/* Invalid values do not count as refused. */
	EXPECT_EQ(refused, fisc_read_long(TAX_REFUSED));
}

TEST_F(fisc, min_takes_what_capacity_has_left)
{
	long refused, capacity;

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	ASSERT_LE(0, make_vm(ST "b", 64 * MIB));
	refused = fisc_read_long(TAX_REFUSED);
	capacity = leave_room(_metadata, 24 * MIB);
	EXPECT_EQ(capacity - 24 * MIB, fisc_read_long(TAX_RESERVED));
	fisc_take(_metadata, VM("a", "min"), "16M", "16777216");
	EXPECT_EQ(capacity - 8 * MIB, fisc_read_long(TAX_RESERVED));
	EXPECT_EQ(refused, fisc_read_long(TAX_REFUSED));

	fisc_refuse(_metadata, VM("b", "min"), "16M", -ENOSPC);
	EXPECT_EQ(refused + 1, fisc_read_long(TAX_REFUSED));
	EXPECT_EQ(8 * MIB, fisc_read_long(TAX_MISSING));
	fisc_refuse(_metadata, VM("a", "min"), "25M", -ENOSPC);
	EXPECT_EQ(refused + 2, fisc_read_long(TAX_REFUSED));
	EXPECT_EQ(MIB, fisc_read_long(TAX_MISSING));
	EXPECT_EQ(capacity - 8 * MIB, fisc_read_long(TAX_RESERVED));

	/* To the last byte; what one gives back, the other can have. */
	fisc_take(_metadata, VM("b", "min"), "8M", "8388608");
	EXPECT_EQ(capacity, fisc_read_long(TAX_RESERVED));
	fisc_refuse(_metadata, VM("b", "min"), "8193K", -ENOSPC);
	EXPECT_EQ((long)PAGE_SIZE, fisc_read_long(TAX_MISSING));
	fisc_take(_metadata, VM("a", "min"), "0", "0");
	fisc_take(_metadata, VM("b", "min"), "24M", "25165824");
	EXPECT_EQ(refused + 3, fisc_read_long(TAX_REFUSED));
}

TEST_F(fisc, min_percent_is_for_those_who_chose_none)
{
	long refused, reserved;

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	ASSERT_LE(0, make_vm(ST "b", 32 * MIB));
	fisc_take(_metadata, VM("b", "min"), "8M", "8388608");
	reserved = fisc_read_long(TAX_RESERVED);
	take(_metadata, TAX_MIN_PERCENT, "25");
	EXPECT_EQ(16 * MIB, fisc_vm("st-a", "min"));
	EXPECT_EQ(8 * MIB, fisc_vm("st-b", "min"));
	EXPECT_EQ(reserved + 16 * MIB, fisc_read_long(TAX_RESERVED));

	leave_room(_metadata, 8 * MIB);
	refused = fisc_read_long(TAX_REFUSED);
	fisc_refuse(_metadata, TAX_MIN_PERCENT, "50", -ENOSPC);
	EXPECT_EQ(refused + 1, fisc_read_long(TAX_REFUSED));
	EXPECT_EQ(8 * MIB, fisc_read_long(TAX_MISSING));
	EXPECT_EQ(16 * MIB, fisc_vm("st-a", "min"));
	fisc_refuse(_metadata, TAX_MIN_PERCENT, "101", -EINVAL);
	/* 25 % of this VM would not fit any more either. */
	fisc_take(_metadata, VM("a", "min"), "0", "0");
	fisc_take(_metadata, VM("b", "min"), "32M", "33554432");
	fisc_refuse(_metadata, VM("a", "min"), "\n", -ENOSPC);
	EXPECT_EQ(16 * MIB, fisc_read_long(TAX_MISSING));
	take(_metadata, TAX_MIN_PERCENT, "0");
	fisc_take(_metadata, VM("a", "min"), "\n", "0");
	EXPECT_EQ(refused + 2, fisc_read_long(TAX_REFUSED));
}

/* Ways to make a file larger */

static int grow_by_truncate(int fd, long bytes)
{
	return ftruncate(fd, bytes) ? -errno : 0;
}

static int grow_by_allocate(int fd, long bytes)
{
	return fallocate(fd, 0, bytes - PAGE_SIZE, PAGE_SIZE) ? -errno : 0;
}

static int grow_by_write(int fd, long bytes)
{
	char page[PAGE_SIZE] = { 1 };
	ssize_t done = pwrite(fd, page, PAGE_SIZE, bytes - PAGE_SIZE);

	if (done < 0)
		return -errno;
	return done == (ssize_t)PAGE_SIZE ? 0 : -EIO;
}

static void grow(struct __test_metadata *_metadata,
		 int (*how)(int fd, long bytes))
{
	int fd = make_vm(ST "a", 16 * MIB);
	long refused, capacity, missing;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fisc_write_str(TAX_MIN_PERCENT, "50"));
	refused = fisc_read_long(TAX_REFUSED);
	capacity = leave_room(_metadata, 4 * MIB);
	EXPECT_EQ(-ENOSPC, how(fd, 32 * MIB));
	EXPECT_EQ(16 * MIB, fisc_size(fd));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(8 * MIB, fisc_vm("st-a", "min"));
	EXPECT_EQ(capacity - 4 * MIB, fisc_read_long(TAX_RESERVED));
	EXPECT_EQ(refused + 1, fisc_read_long(TAX_REFUSED));
	/* The new min, less what was there, and what the map of it takes. */
	missing = fisc_read_long(TAX_MISSING);
	EXPECT_LE(4 * MIB, missing);
	EXPECT_GE(5 * MIB, missing);
	/* With what was missing, the file grows. */
	set_bytes(_metadata, TAX_CAPACITY, capacity + missing);
	EXPECT_EQ(0, how(fd, 32 * MIB));
	EXPECT_EQ(32 * MIB, fisc_size(fd));
	EXPECT_EQ(16 * MIB, fisc_vm("st-a", "min"));
	EXPECT_EQ(-ENOSPC, how(fd, 64 * MIB));
	EXPECT_EQ(refused + 2, fisc_read_long(TAX_REFUSED));
	EXPECT_EQ(32 * MIB, fisc_size(fd));
	/* Writes within the file and truncation need no capacity. */
	EXPECT_EQ(0, grow_by_write(fd, 4 * MIB));
	EXPECT_EQ(0, ftruncate(fd, 16 * MIB));
	EXPECT_EQ(8 * MIB, fisc_vm("st-a", "min"));
}

TEST_F(fisc, truncate_grows_a_file_within_capacity)
{
	grow(_metadata, grow_by_truncate);
}

TEST_F(fisc, fallocate_grows_a_file_within_capacity)
{
	grow(_metadata, grow_by_allocate);
}

TEST_F(fisc, write_grows_a_file_within_capacity)
{
	grow(_metadata, grow_by_write);
}

TEST_F(fisc, new_vm_needs_its_min)
{
	int fd;

	ASSERT_EQ(0, fisc_write_str(TAX_MIN_PERCENT, "100"));
	ASSERT_LE(0, make_vm(ST "a", 16 * MIB));
	leave_room(_metadata, 8 * MIB);
	fd = open(ST "b", O_RDWR | O_CREAT, 0600);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOSPC, grow_by_truncate(fd, 16 * MIB));
	EXPECT_EQ(0, fisc_size(fd));
	EXPECT_EQ(0, grow_by_truncate(fd, 4 * MIB));
	/* All files of a VM count together. */
	ASSERT_EQ(0, mkdir(ST "d", 0755));
	fd = fisc_create(ST "d/x", MIB_PAGES);
	ASSERT_LE(0, fd);
	fd = open(ST "d/y", O_RDWR | O_CREAT, 0600);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOSPC, grow_by_truncate(fd, 16 * MIB));
	EXPECT_EQ(0, grow_by_truncate(fd, MIB));
	EXPECT_EQ(2 * MIB, fisc_vm("st-d", "min"));
}

TEST_F(fisc, what_a_vm_reserved_ends_with_it)
{
	long before = fisc_read_long(TAX_RESERVED);
	int fd = make_vm(ST "a", 64 * MIB);
	double end = fisc_now() + PROMPT_S;

	ASSERT_LE(0, fd);
	EXPECT_LT(before, fisc_read_long(TAX_RESERVED));
	fisc_take(_metadata, VM("a", "min"), "32M", "33554432");
	EXPECT_LE(before + 32 * MIB, fisc_read_long(TAX_RESERVED));
	/* Once unlinked, the memory is still in use and reserved. */
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_LE(before + 32 * MIB, fisc_read_long(TAX_RESERVED));
	close(fd);
	while (fisc_read_long(TAX_RESERVED) != before && fisc_now() < end)
		fisc_sleep_ms(10);
	EXPECT_EQ(before, fisc_read_long(TAX_RESERVED));
}

TEST_F(fisc, capacity_is_not_below_what_is_reserved)
{
	long usual = fisc_read_long(TAX_CAPACITY), reserved;
	char value[32];

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	fisc_take(_metadata, VM("a", "min"), "32M", "33554432");
	reserved = fisc_read_long(TAX_RESERVED);
	ASSERT_LE(32 * MIB, reserved);
	snprintf(value, sizeof(value), "%ld", reserved - (long)PAGE_SIZE);
	fisc_refuse(_metadata, TAX_CAPACITY, value, -ENOSPC);
	fisc_refuse(_metadata, TAX_CAPACITY, "16M", -ENOSPC);
	fisc_refuse(_metadata, TAX_CAPACITY, "1", -ENOSPC);
	set_bytes(_metadata, TAX_CAPACITY, reserved);
	EXPECT_LE(reserved, fisc_read_long(TAX_CAPACITY));
	EXPECT_GT(reserved + (long)PAGE_SIZE, fisc_read_long(TAX_CAPACITY));
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, "0"));
	EXPECT_EQ(usual, fisc_read_long(TAX_CAPACITY));
}

/* There is no swap. */
TEST_F(fisc, what_is_promised_fits_into_capacity)
{
	int fd = make_vm(ST "a", 16 * MIB);
	long refused = fisc_read_long(TAX_REFUSED);
	long promised = fisc_read_long(TAX_PROMISED);

	ASSERT_LE(0, fd);
	EXPECT_LT(fisc_read_long(TAX_RESERVED) + 16 * MIB - MIB, promised);
	take(_metadata, TAX_OVERCOMMIT, "0");
	set_bytes(_metadata, TAX_CAPACITY, promised + 8 * MIB);
	EXPECT_EQ(-ENOSPC, grow_by_truncate(fd, 32 * MIB));
	EXPECT_EQ(refused + 1, fisc_read_long(TAX_REFUSED));
	EXPECT_LE(8 * MIB, fisc_read_long(TAX_MISSING));
	EXPECT_GE(9 * MIB, fisc_read_long(TAX_MISSING));
	EXPECT_EQ(promised, fisc_read_long(TAX_PROMISED));
	EXPECT_EQ(0, grow_by_truncate(fd, 23 * MIB));
	EXPECT_LE(promised + 7 * MIB, fisc_read_long(TAX_PROMISED));
	fisc_refuse(_metadata, TAX_CAPACITY, "16M", -ENOSPC);

	/* A lower max makes room for another VM, and then cannot be raised. */
	fisc_take(_metadata, VM("a", "max"), "12M", "12582912");
	ASSERT_LE(0, make_vm(ST "b", 11 * MIB));
	fisc_refuse(_metadata, VM("a", "max"), "\n", -ENOSPC);
	EXPECT_EQ(refused + 3, fisc_read_long(TAX_REFUSED));
	take(_metadata, TAX_OVERCOMMIT, "1");
	fisc_take(_metadata, VM("a", "max"), "\n", "24117248");
	EXPECT_EQ(0, grow_by_truncate(fd, 64 * MIB));

	/* Existing promises stay, and nothing is added. */
	take(_metadata, TAX_OVERCOMMIT, "0");
	EXPECT_EQ(-ENOSPC, grow_by_truncate(fd, 65 * MIB));
	EXPECT_EQ(0, grow_by_truncate(fd, 63 * MIB));
	fisc_refuse(_metadata, TAX_OVERCOMMIT, "2", -EINVAL);
}

/* Whatever a file got its frames by, they were admitted. */
#define EXPECT_ADMITTED(fd)						\
	EXPECT_LE((long)fisc_blocks(fd) * 512, fisc_vm("st-a", "max"))

TEST_F(fisc, pages_beyond_the_size_are_admitted)
{
	int fd = make_vm(ST "a", 4 * MIB);
	long promised = fisc_read_long(TAX_PROMISED);

	ASSERT_LE(0, fd);
	take(_metadata, TAX_OVERCOMMIT, "0");
	set_bytes(_metadata, TAX_CAPACITY, promised + 8 * MIB);
	EXPECT_EQ(-1, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 64 * MIB));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(-1, fallocate(fd, FALLOC_FL_KEEP_SIZE, 48 * MIB, MIB));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(promised, fisc_read_long(TAX_PROMISED));

	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 6 * MIB, 4 * MIB));
	EXPECT_EQ(4 * MIB, fisc_size(fd));
	EXPECT_EQ(4 * MIB, (long)fisc_blocks(fd) * 512);
	EXPECT_LE(promised + 6 * MIB, fisc_read_long(TAX_PROMISED));
	EXPECT_EQ(10 * MIB, fisc_vm("st-a", "max"));
	EXPECT_ADMITTED(fd);
	/* They stay while the file is written and grows into them. */
	EXPECT_EQ(0, grow_by_write(fd, 5 * MIB));
	EXPECT_EQ(10 * MIB, fisc_vm("st-a", "max"));
	EXPECT_ADMITTED(fd);
	/* Another file does not get what they have. */
	EXPECT_EQ(-ENOSPC,
		  grow_by_truncate(open(ST "b", O_RDWR | O_CREAT, 0600),
				   8 * MIB));
	/* Truncation removes them, also where the size stays. */
	EXPECT_EQ(0, ftruncate(fd, 5 * MIB));
	EXPECT_EQ(8, (long)fisc_blocks(fd));
	EXPECT_EQ(5 * MIB, fisc_vm("st-a", "max"));
	EXPECT_EQ(0, ftruncate(fd, 4 * MIB));
	EXPECT_EQ(promised, fisc_read_long(TAX_PROMISED));
	EXPECT_EQ(0, fisc_blocks(fd));
}

/* What fails half-way leaves nothing beyond the end. */
TEST_F(fisc, failed_writes_leave_no_pages_behind)
{
	int fd = make_vm(ST "a", MIB), i;
	char *bad = mmap(NULL, PAGE_SIZE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long promised = fisc_read_long(TAX_PROMISED);

	ASSERT_LE(0, fd);
	ASSERT_NE(MAP_FAILED, bad);
	for (i = 0; i < 64; i++) {
		EXPECT_EQ(-1, pwrite(fd, bad, PAGE_SIZE, (2 + i) * MIB));
		EXPECT_EQ(EFAULT, errno);
	}
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(MIB, fisc_size(fd));
	EXPECT_EQ(promised, fisc_read_long(TAX_PROMISED));
	/* Within the file the page stays: it is admitted. */
	EXPECT_EQ(-1, pwrite(fd, bad, PAGE_SIZE, 0));
	EXPECT_GE(8, (long)fisc_blocks(fd));
}

static void ignore(int sig)
{
	(void)sig;
}

TEST_F(fisc, interrupted_fallocate_leaves_no_pages_behind)
{
	struct sigaction action = { .sa_handler = ignore };
	int fd = make_vm(ST "a", MIB), mode, ret;
	struct itimerval timer = {
		.it_value.tv_usec = 20000,
		.it_interval.tv_usec = 20000,
	};
	long promised = fisc_read_long(TAX_PROMISED);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
	for (mode = 0; mode <= FALLOC_FL_KEEP_SIZE; mode++) {
		ret = fallocate(fd, mode, MIB, 1024 * MIB);
		EXPECT_EQ(-1, ret);
		EXPECT_EQ(EINTR, errno);
		EXPECT_EQ(0, fisc_blocks(fd));
		EXPECT_EQ(MIB, fisc_size(fd));
		EXPECT_EQ(promised, fisc_read_long(TAX_PROMISED));
	}
}

/*
 * A large page that somebody holds a reference on is not split when the file
 * ends in it. It is paid for as long as it is there.
 */
TEST_F(fisc, pinned_large_page_beyond_the_end_is_admitted)
{
	int fd = make_vm(ST "a", 4 * MIB), fds[2];
	char *map = fisc_map(fd, 4 * MIB / PAGE_SIZE);
	struct iovec iov = { map + MIB, PAGE_SIZE };

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "1"));
	map[0] = 1;
	if (fisc_vm("st-a", "large_pages") < 1)
		SKIP(return, "no large page");
	/* A pipe holds a page. */
	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ((ssize_t)PAGE_SIZE, vmsplice(fds[1], &iov, 1, 0));
	ASSERT_EQ(0, ftruncate(fd, PAGE_SIZE));
	EXPECT_ADMITTED(fd);
	close(fds[0]);
	close(fds[1]);
	ASSERT_EQ(0, ftruncate(fd, PAGE_SIZE));
	EXPECT_EQ(8, (long)fisc_blocks(fd));
	EXPECT_EQ((long)PAGE_SIZE, fisc_vm("st-a", "max"));
	EXPECT_EQ(1, map[0]);
}

TEST_F(fisc, capacity_is_host_memory_less_a_reserve)
{
	long all, ninety, half;

	ASSERT_EQ(0, fisc_write_str(TAX_RESERVE, "0"));
	all = fisc_read_long(TAX_CAPACITY);
	EXPECT_LE(sysconf(_SC_PHYS_PAGES) / 100 * 95 * (long)PAGE_SIZE, all);
	EXPECT_GE(sysconf(_SC_PHYS_PAGES) / 100 * 105 * (long)PAGE_SIZE, all);
	ASSERT_EQ(0, fisc_write_str(TAX_RESERVE, "10"));
	ninety = fisc_read_long(TAX_CAPACITY);
	ASSERT_EQ(0, fisc_write_str(TAX_RESERVE, "50"));
	half = fisc_read_long(TAX_CAPACITY);
	EXPECT_GE(MIB, labs(all / 10 * 9 - ninety));
	EXPECT_GE(MIB, labs(all / 2 - half));
	/* A capacity that was set has no reserve. */
	fisc_take(_metadata, TAX_CAPACITY, "1G", "1073741824");
	ASSERT_EQ(0, fisc_write_str(TAX_RESERVE, "0"));
	EXPECT_EQ(GIB, fisc_read_long(TAX_CAPACITY));
	EXPECT_EQ(GIB, fisc_tax("capacity"));
	EXPECT_EQ(fisc_read_long(TAX_RESERVED), fisc_tax("reserved"));
}

TEST_HARNESS_MAIN
