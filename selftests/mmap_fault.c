// SPDX-License-Identifier: GPL-2.0
/* Guest memory as mappings: faults, their errors, and coherence. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>

#include "fixture.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_PAGEOUT
#define MADV_COLD		20
#define MADV_PAGEOUT		21
#endif

/* Return whether the kernel has logged @text since @kmsg was opened. */
static bool logged(int kmsg, const char *text)
{
	char record[8192];
	ssize_t len;

	for (;;) {
		len = read(kmsg, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			return false;
		record[len] = 0;
		if (strstr(record, text))
			return true;
	}
}

TEST_F(fisc, private_mapping_is_refused_and_the_log_says_why)
{
	int fd = fisc_create(ST "a", 4), kmsg, i;
	bool said = false;

	ASSERT_LE(0, fd);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	ASSERT_LE(0, kmsg);
	ASSERT_EQ(0, lseek(kmsg, 0, SEEK_END));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	/* The line is rate-limited. */
	for (i = 0; i < 10 && !said; i++) {
		EXPECT_EQ(MAP_FAILED,
			  mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE, fd, 0));
		EXPECT_EQ(EINVAL, errno);
		said = logged(kmsg, "share=on");
		if (!said)
			fisc_sleep_ms(1000);
	}
	EXPECT_TRUE(said);
	EXPECT_EQ(0, fisc_core("faults") < 0);
}

TEST_F(fisc, first_touch_finds_zeros_whatever_was_there_before)
{
	int fd = fisc_create(ST "a", 256);
	char *map = fisc_map(fd, 256);
	size_t i;

	ASSERT_NE(NULL, map);
	memset(map, 0xa5, 256 * PAGE_SIZE);
	EXPECT_EQ(self->before.frames + 256, fisc_core("frames"));
	munmap(map, 256 * PAGE_SIZE);
	close(fd);
	unlink(ST "a");
	ASSERT_TRUE(fisc_wait("core", "frames", self->before.frames));

	fd = fisc_create(ST "b", 256);
	map = fisc_map(fd, 256);
	ASSERT_NE(NULL, map);
	for (i = 0; i < 256; i++) {
		if (i & 1)
			map[i * PAGE_SIZE + 77] = 1;
		EXPECT_EQ(-1, fisc_check_zero(map + i * PAGE_SIZE, 77));
		EXPECT_EQ(-1, fisc_check_zero(map + i * PAGE_SIZE + 78,
					      PAGE_SIZE - 78));
	}
}

TEST_F(fisc, read_of_a_hole_then_write_keeps_both_views_equal)
{
	int fd = fisc_create(ST "a", 8);
	char *a = fisc_map(fd, 8), *b = fisc_map(fd, 8), c;

	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	EXPECT_EQ(-1, fisc_check_zero(a, 8 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(b, 8 * PAGE_SIZE));
	a[5 * PAGE_SIZE + 1] = 'x';
	EXPECT_EQ('x', READ_ONCE(b[5 * PAGE_SIZE + 1]));
	ASSERT_EQ(1, pread(fd, &c, 1, 5 * PAGE_SIZE + 1));
	EXPECT_EQ('x', c);
	ASSERT_EQ(1, pwrite(fd, "y", 1, 6 * PAGE_SIZE));
	EXPECT_EQ('y', READ_ONCE(a[6 * PAGE_SIZE]));
	EXPECT_EQ('y', READ_ONCE(b[6 * PAGE_SIZE]));
	EXPECT_EQ(-1, fisc_check_zero(b, 5 * PAGE_SIZE));
}

TEST_F(fisc, access_past_the_end_raises_sigbus)
{
	int fd = fisc_create(ST "a", 2);
	char *map = fisc_map(fd, 4);

	ASSERT_NE(NULL, map);
	EXPECT_EQ(0, fisc_try_read(map + PAGE_SIZE, NULL));
	EXPECT_EQ(SIGBUS, fisc_try_read(map + 2 * PAGE_SIZE, NULL));
	EXPECT_EQ(SIGBUS, fisc_try_write(map + 3 * PAGE_SIZE, 1));
	ASSERT_EQ(0, ftruncate(fd, 3 * PAGE_SIZE));
	EXPECT_EQ(0, fisc_try_write(map + 2 * PAGE_SIZE, 1));
	EXPECT_EQ(SIGBUS, fisc_try_read(map + 3 * PAGE_SIZE, NULL));
}

TEST_F(fisc, empty_file_maps_and_raises_sigbus)
{
	int fd = fisc_create(ST "a", 0);
	char *map = fisc_map(fd, 1);

	ASSERT_NE(NULL, map);
	EXPECT_EQ(SIGBUS, fisc_try_read(map, NULL));
	EXPECT_EQ(SIGBUS, fisc_try_write(map, 1));
	EXPECT_EQ(self->before.frames, fisc_core("frames"));
}

TEST_F(fisc, truncation_under_a_mapping_raises_sigbus_then_zeros)
{
	int fd = fisc_create(ST "a", 4);
	char *map = fisc_map(fd, 4);
	unsigned char c = 1;

	ASSERT_NE(NULL, map);
	memset(map, 0x77, 4 * PAGE_SIZE);
	ASSERT_EQ(0, ftruncate(fd, PAGE_SIZE));
	EXPECT_EQ(self->before.frames + 1, fisc_core("frames"));
	EXPECT_EQ(0, fisc_try_read(map + PAGE_SIZE - 1, &c));
	EXPECT_EQ(0x77, c);
	EXPECT_EQ(SIGBUS, fisc_try_read(map + PAGE_SIZE, NULL));
	EXPECT_EQ(SIGBUS, fisc_try_write(map + 2 * PAGE_SIZE, 1));
	ASSERT_EQ(0, ftruncate(fd, 4 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(map + PAGE_SIZE, 3 * PAGE_SIZE));
	EXPECT_EQ(0, fisc_try_write(map + 2 * PAGE_SIZE, 1));
}

TEST_F(fisc, tail_of_the_last_page_is_zero_and_accessible)
{
	int fd = fisc_create(ST "a", 0);
	char *map;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE_SIZE + 100));
	map = fisc_map(fd, 3);
	ASSERT_NE(NULL, map);
	map[PAGE_SIZE + 99] = 'x';
	EXPECT_EQ(-1, fisc_check_zero(map + PAGE_SIZE + 100, PAGE_SIZE - 100));
	EXPECT_EQ(SIGBUS, fisc_try_read(map + 2 * PAGE_SIZE, NULL));
	/* Truncation within a mapped page zeroes its tail in place. */
	memset(map, 0x55, PAGE_SIZE);
	ASSERT_EQ(0, ftruncate(fd, 100));
	EXPECT_EQ(0x55, map[99]);
	EXPECT_EQ(-1, fisc_check_zero(map + 100, PAGE_SIZE - 100));
	EXPECT_EQ(SIGBUS, fisc_try_read(map + PAGE_SIZE, NULL));
}

TEST_F(fisc, mapping_at_an_offset_shows_that_part)
{
	int fd = fisc_create(ST "a", 8);
	char *map, page[PAGE_SIZE];

	ASSERT_LE(0, fd);
	fisc_fill(page, 3);
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pwrite(fd, page, PAGE_SIZE, 5 * PAGE_SIZE));
	map = mmap(NULL, 6 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   4 * PAGE_SIZE);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(-1, fisc_check_zero(map, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(map + PAGE_SIZE, 3));
	EXPECT_EQ(SIGBUS, fisc_try_read(map + 4 * PAGE_SIZE, NULL));
	fisc_fill(map + 3 * PAGE_SIZE, 4);
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pread(fd, page, PAGE_SIZE, 7 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 4));
}

TEST_F(fisc, processes_see_each_other_at_once)
{
	int fd = fisc_create(ST "a", 64), mine;
	__u64 *map, *own;
	pid_t pid;
	size_t i;

	map = (__u64 *)fisc_map(fd, 64);
	ASSERT_NE(NULL, map);
	pid = fork();
	if (!pid) {
		/* A mapping of the child's own, not the inherited one. */
		mine = open(ST "a", O_RDWR);
		own = (__u64 *)fisc_map(mine, 64);
		if (!own)
			_exit(1);
		for (i = 0; i < 64; i++) {
			while (__atomic_load_n(&own[i * 512],
					       __ATOMIC_ACQUIRE) != i + 1)
				fisc_sleep_ms(0);
			__atomic_store_n(&own[i * 512 + 511], i + 1,
					 __ATOMIC_RELEASE);
		}
		_exit(0);
	}
	for (i = 0; i < 64; i++) {
		__atomic_store_n(&map[i * 512], i + 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&map[i * 512 + 511], __ATOMIC_ACQUIRE) !=
		       i + 1)
			fisc_sleep_ms(0);
	}
	EXPECT_EQ(0, fisc_wait_child(pid));
	EXPECT_EQ(self->before.frames + 64, fisc_core("frames"));
}

TEST_F(fisc, fork_shares_the_mapping)
{
	int fd = fisc_create(ST "a", 16);
	char *map = fisc_map(fd, 16);
	pid_t pid;
	size_t i;

	ASSERT_NE(NULL, map);
	close(fd);
	for (i = 0; i < 8; i++)
		fisc_fill(map + i * PAGE_SIZE, i);
	pid = fork();
	if (!pid) {
		for (i = 0; i < 8; i++)
			if (fisc_check(map + i * PAGE_SIZE, i) >= 0)
				_exit(1);
		for (i = 4; i < 16; i++)
			fisc_fill(map + i * PAGE_SIZE, 100 + i);
		_exit(0);
	}
	ASSERT_EQ(0, fisc_wait_child(pid));
	for (i = 0; i < 16; i++)
		EXPECT_EQ(-1,
			  fisc_check(map + i * PAGE_SIZE, i < 4 ? i : 100 + i));
	EXPECT_EQ(self->before.frames + 16, fisc_core("frames"));
}

TEST_F(fisc, mremap_grows_moves_and_duplicates)
{
	int fd = fisc_create(ST "a", 8);
	char *map = fisc_map(fd, 4), *blocker, *moved, *twin;
	size_t i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 4; i++)
		fisc_fill(map + i * PAGE_SIZE, i);
	/* Something in the way, so that growing has to move it. */
	blocker = mmap(map + 4 * PAGE_SIZE, PAGE_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		       0);
	(void)blocker;
	moved = mremap(map, 4 * PAGE_SIZE, 10 * PAGE_SIZE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, moved);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-1, fisc_check(moved + i * PAGE_SIZE, i));
	fisc_fill(moved + 7 * PAGE_SIZE, 7);
	EXPECT_EQ(SIGBUS, fisc_try_write(moved + 8 * PAGE_SIZE, 1));
	twin = mremap(moved, 0, 8 * PAGE_SIZE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, twin);
	EXPECT_EQ(-1, fisc_check(twin + 7 * PAGE_SIZE, 7));
	twin[0] ^= 0xff;
	EXPECT_EQ(twin[0], moved[0]);
	moved = mremap(moved, 10 * PAGE_SIZE, 2 * PAGE_SIZE, 0);
	ASSERT_NE(MAP_FAILED, moved);
	EXPECT_EQ(SIGSEGV, fisc_try_read(moved + 2 * PAGE_SIZE, NULL));
	EXPECT_EQ(-1, fisc_check(twin + 3 * PAGE_SIZE, 3));
}

TEST_F(fisc, unmapping_the_middle_leaves_the_rest)
{
	int fd = fisc_create(ST "a", 9);
	char *map = fisc_map(fd, 9);
	size_t i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 9; i++)
		fisc_fill(map + i * PAGE_SIZE, i);
	ASSERT_EQ(0, munmap(map + 3 * PAGE_SIZE, 3 * PAGE_SIZE));
	for (i = 0; i < 9; i++) {
		if (i / 3 == 1)
			continue;
		EXPECT_EQ(-1, fisc_check(map + i * PAGE_SIZE, i));
		fisc_fill(map + i * PAGE_SIZE, 10 + i);
	}
	EXPECT_EQ(SIGSEGV, fisc_try_read(map + 4 * PAGE_SIZE, NULL));
	/* Back at the same place, as QEMU does it. */
	ASSERT_EQ(map + 3 * PAGE_SIZE,
		  mmap(map + 3 * PAGE_SIZE, 3 * PAGE_SIZE,
		       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		       3 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(map + 4 * PAGE_SIZE, 4));
	EXPECT_EQ(-1, fisc_check(map + 8 * PAGE_SIZE, 18));
}

TEST_F(fisc, protection_is_kept)
{
	int fd = fisc_create(ST "a", 2), ro = open(ST "a", O_RDONLY), wo;
	char *map = fisc_map(fd, 2), *view;
	unsigned char c;

	ASSERT_NE(NULL, map);
	fisc_fill(map, 1);
	ASSERT_EQ(0, mprotect(map, PAGE_SIZE, PROT_READ));
	EXPECT_EQ(SIGSEGV, fisc_try_write(map, 1));
	EXPECT_EQ(-1, fisc_check(map, 1));
	EXPECT_EQ(0, fisc_try_write(map + PAGE_SIZE, 1));
	ASSERT_EQ(0, mprotect(map, PAGE_SIZE, PROT_NONE));
	EXPECT_EQ(SIGSEGV, fisc_try_read(map, NULL));
	ASSERT_EQ(0, mprotect(map, PAGE_SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-1, fisc_check(map, 1));
	EXPECT_EQ(0, fisc_try_write(map, 0x42));

	ASSERT_LE(0, ro);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
				   MAP_SHARED, ro, 0));
	EXPECT_EQ(EACCES, errno);
	view = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_NE(MAP_FAILED, view);
	EXPECT_EQ(0, fisc_try_read(view, &c));
	EXPECT_EQ(0x42, c);
	EXPECT_EQ(SIGSEGV, fisc_try_write(view, 1));
	EXPECT_EQ(-1, mprotect(view, PAGE_SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	wo = open(ST "a", O_WRONLY);
	ASSERT_LE(0, wo);
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE_SIZE, PROT_WRITE, MAP_SHARED, wo, 0));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(fisc, read_only_mapping_of_holes_follows_writes)
{
	int fd = fisc_create(ST "a", 4), ro = open(ST "a", O_RDONLY);
	char *map = fisc_map(fd, 4);
	char *view = mmap(NULL, 4 * PAGE_SIZE, PROT_READ, MAP_SHARED, ro, 0);

	ASSERT_NE(NULL, map);
	ASSERT_NE(MAP_FAILED, view);
	EXPECT_EQ(-1, fisc_check_zero(view, 4 * PAGE_SIZE));
	map[PAGE_SIZE] = 'm';
	EXPECT_EQ('m', READ_ONCE(view[PAGE_SIZE]));
	ASSERT_EQ(1, pwrite(fd, "w", 1, 2 * PAGE_SIZE));
	EXPECT_EQ('w', READ_ONCE(view[2 * PAGE_SIZE]));
}

TEST_F(fisc, dontneed_and_reclaim_advice_keep_data)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED,
	};
	int fd = fisc_create(ST "a", 16);
	char *map = fisc_map(fd, 16);
	size_t i, j;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 16; i++)
		fisc_fill(map + i * PAGE_SIZE, i);
	for (j = 0; j < ARRAY_SIZE(advice); j++) {
		/* What advice returns is the kernel's: it loses nothing. */
		if (madvise(map, 16 * PAGE_SIZE, advice[j]))
			EXPECT_NE(MADV_DONTNEED, advice[j]);
		for (i = 0; i < 16; i++)
			EXPECT_EQ(-1, fisc_check(map + i * PAGE_SIZE, i));
	}
	EXPECT_EQ(self->before.frames + 16, fisc_core("frames"));
}

TEST_F(fisc, madv_remove_punches)
{
	int fd = fisc_create(ST "a", 8);
	char *map = fisc_map(fd, 8);
	size_t i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 8; i++)
		fisc_fill(map + i * PAGE_SIZE, i);
	ASSERT_EQ(0, madvise(map + 2 * PAGE_SIZE, 4 * PAGE_SIZE, MADV_REMOVE));
	EXPECT_EQ(4 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames + 4, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check_zero(map + 2 * PAGE_SIZE, 4 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(map + PAGE_SIZE, 1));
	EXPECT_EQ(-1, fisc_check(map + 6 * PAGE_SIZE, 6));
}

TEST_F(fisc, punch_reaches_every_mapping)
{
	int fd = fisc_create(ST "a", 4), to_child[2], to_parent[2];
	char *a = fisc_map(fd, 4), *b = fisc_map(fd, 4), c;
	pid_t pid;

	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(to_parent));
	memset(a, 0x33, 4 * PAGE_SIZE);
	EXPECT_EQ(0x33, READ_ONCE(b[PAGE_SIZE]));
	pid = fork();
	if (!pid) {
		if (READ_ONCE(a[PAGE_SIZE]) != 0x33)
			_exit(1);
		if (write(to_parent[1], "r", 1) != 1 ||
		    read(to_child[0], &c, 1) != 1)
			_exit(2);
		_exit(fisc_check_zero(a + PAGE_SIZE, PAGE_SIZE) < 0 ? 0 : 3);
	}
	ASSERT_EQ(1, read(to_parent[0], &c, 1));
	ASSERT_EQ(0, fallocate(fd, PUNCH, PAGE_SIZE,
			       PAGE_SIZE));
	ASSERT_EQ(1, write(to_child[1], "g", 1));
	EXPECT_EQ(-1, fisc_check_zero(a + PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(b + PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(0, fisc_wait_child(pid));
	EXPECT_EQ(0x33, READ_ONCE(b[2 * PAGE_SIZE]));
}

TEST_F(fisc, populate_allocates_what_it_says)
{
	int fd = fisc_create(ST "a", 16);
	char *map = fisc_map(fd, 20);

	ASSERT_NE(NULL, map);
	fisc_fill(map + 3 * PAGE_SIZE, 3);
	ASSERT_EQ(0, madvise(map, 16 * PAGE_SIZE, MADV_POPULATE_READ));
	EXPECT_EQ(-1, fisc_check_zero(map, 3 * PAGE_SIZE));
	ASSERT_EQ(0, madvise(map, 16 * PAGE_SIZE, MADV_POPULATE_WRITE));
	EXPECT_EQ(16 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames + 16, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check(map + 3 * PAGE_SIZE, 3));
	EXPECT_EQ(-1, fisc_check_zero(map + 4 * PAGE_SIZE, 12 * PAGE_SIZE));
	EXPECT_EQ(-1, madvise(map, 17 * PAGE_SIZE, MADV_POPULATE_WRITE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, madvise(map, 17 * PAGE_SIZE, MADV_POPULATE_READ));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(fisc, populated_mapping_is_there)
{
	int fd = fisc_create(ST "a", 16);
	char *map;

	ASSERT_LE(0, fd);
	map = mmap(NULL, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	/* The kernel populates a shared mapping by reading. */
	EXPECT_EQ(16, fisc_vm("st-a", "present_pages"));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(0, mlock(map, 16 * PAGE_SIZE));
	fisc_fill(map, 1);
	EXPECT_EQ(0, munlock(map, 16 * PAGE_SIZE));
	EXPECT_EQ(0, msync(map, 16 * PAGE_SIZE, MS_SYNC));
	EXPECT_EQ(-1, fisc_check(map, 1));
}

TEST_F(fisc, unlinked_file_lives_until_unmapped)
{
	int fd = fisc_create(ST "a", 8);
	char *map = fisc_map(fd, 8);
	size_t i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 4; i++)
		fisc_fill(map + i * PAGE_SIZE, i);
	close(fd);
	ASSERT_EQ(0, unlink(ST "a"));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-1, fisc_check(map + i * PAGE_SIZE, i));
	for (i = 4; i < 8; i++)
		fisc_fill(map + i * PAGE_SIZE, i);
	EXPECT_EQ(self->before.frames + 8, fisc_core("frames"));
	munmap(map, 4 * PAGE_SIZE);
	EXPECT_EQ(-1, fisc_check(map + 5 * PAGE_SIZE, 5));
	munmap(map + 4 * PAGE_SIZE, 4 * PAGE_SIZE);
	EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames));
}

TEST_F(fisc, other_processes_reach_it_by_proc_mem)
{
	int fd = fisc_create(ST "a", 4), mem;
	char *map = fisc_map(fd, 4), page[PAGE_SIZE];

	ASSERT_NE(NULL, map);
	fisc_fill(map, 1);
	mem = open("/proc/self/mem", O_RDWR);
	ASSERT_LE(0, mem);
	ASSERT_EQ((ssize_t)PAGE_SIZE, pread(mem, page, PAGE_SIZE, (off_t)map));
	EXPECT_EQ(-1, fisc_check(page, 1));
	fisc_fill(page, 2);
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pwrite(mem, page, PAGE_SIZE, (off_t)map + PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(map + PAGE_SIZE, 2));
	ASSERT_EQ((ssize_t)PAGE_SIZE, pread(fd, page, PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 2));
}

TEST_F(fisc, other_processes_reach_it_by_process_vm_calls)
{
	int fd = fisc_create(ST "a", 4);
	struct iovec local, remote;
	char *map = fisc_map(fd, 4), page[PAGE_SIZE];

	ASSERT_NE(NULL, map);
	fisc_fill(map + PAGE_SIZE, 2);
	local = (struct iovec){ page, PAGE_SIZE };
	remote = (struct iovec){ map + 2 * PAGE_SIZE, PAGE_SIZE };
	fisc_fill(page, 3);
	if (process_vm_writev(getpid(), NULL, 0, NULL, 0, 0))
		SKIP(return, "kernel without process_vm_writev");
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(-1, fisc_check(map + 2 * PAGE_SIZE, 3));
	remote.iov_base = map + PAGE_SIZE;
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(-1, fisc_check(page, 2));
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pread(fd, page, PAGE_SIZE, 2 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 3));
}

TEST_F(fisc, file_reads_into_its_own_mapping)
{
	int fd = fisc_create(ST "a", 8);
	char *map = fisc_map(fd, 8);

	ASSERT_NE(NULL, map);
	fisc_fill(map, 1);
	/* The buffer faults while the call is inside the same file. */
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pread(fd, map + 4 * PAGE_SIZE, PAGE_SIZE, 0));
	EXPECT_EQ(-1, fisc_check(map + 4 * PAGE_SIZE, 1));
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pwrite(fd, map, PAGE_SIZE, 5 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(map + 5 * PAGE_SIZE, 1));
	/* From a hole, and from a page to itself. */
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pwrite(fd, map + 7 * PAGE_SIZE, PAGE_SIZE, 5 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(map + 5 * PAGE_SIZE, PAGE_SIZE));
	ASSERT_EQ((ssize_t)PAGE_SIZE, pwrite(fd, map, PAGE_SIZE, 0));
	EXPECT_EQ(-1, fisc_check(map, 1));
}

#define TOUCHERS	4
#define TOUCH_PAGES	256

struct toucher {
	pthread_t thread;
	pthread_barrier_t *barrier;
	__u64 *map;
	size_t nr;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;
	size_t i;

	for (i = 0; i < TOUCH_PAGES; i++) {
		if (i % 16 == 0)
			pthread_barrier_wait(t->barrier);
		WRITE_ONCE(t->map[i * 512 + t->nr], i * TOUCHERS + t->nr + 1);
	}
	return NULL;
}

TEST_F(fisc, racing_first_touches_lose_nothing)
{
	int fd = fisc_create(ST "a", TOUCH_PAGES);
	struct toucher t[TOUCHERS];
	pthread_barrier_t barrier;
	size_t i, j;
	__u64 *map;

	map = (__u64 *)fisc_map(fd, TOUCH_PAGES);
	ASSERT_NE(NULL, map);
	pthread_barrier_init(&barrier, NULL, TOUCHERS);
	for (j = 0; j < TOUCHERS; j++) {
		/* Two threads share a mapping, two have another. */
		t[j] = (struct toucher){ .barrier = &barrier,
					 .nr = j,
					 .map = map };
		if (j & 1)
			t[j].map = (__u64 *)fisc_map(fd, TOUCH_PAGES);
		ASSERT_NE(NULL, t[j].map);
		ASSERT_EQ(0, pthread_create(&t[j].thread, NULL, touch, &t[j]));
	}
	for (j = 0; j < TOUCHERS; j++)
		pthread_join(t[j].thread, NULL);
	for (i = 0; i < TOUCH_PAGES; i++)
		for (j = 0; j < TOUCHERS; j++)
			EXPECT_EQ(i * TOUCHERS + j + 1, map[i * 512 + j]);
	EXPECT_EQ(self->before.frames + TOUCH_PAGES, fisc_core("frames"));
}

TEST_HARNESS_MAIN
