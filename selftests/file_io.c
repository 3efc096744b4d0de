// SPDX-License-Identifier: GPL-2.0
/* Guest memory as files: reading, writing, and what is allocated. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "fixture.h"

/* Return the offset of the first byte in [from, to) that is not zero, or -1. */
static long check_zero(int fd, off_t from, off_t to)
{
	char buf[PAGE_SIZE];

	while (from < to) {
		size_t len = sizeof(buf);
		long bad;

		if (to - from < (off_t)len)
			len = to - from;

		if (pread(fd, buf, len, from) != (ssize_t)len)
			return from;
		bad = fisc_check_zero(buf, len);
		if (bad >= 0)
			return from + bad;
		from += len;
	}
	return -1;
}

TEST_F(fisc, random_data_survives_odd_reads_and_writes)
{
	static const size_t sizes[] = {
		1, 4095, 4096, 4097, 777, 65536, 12345, 8192,
	};
	const size_t total = 2 * 1024 * 1024 + 123;
	char *in = malloc(total), *out = malloc(total);
	__u64 seed = 42;
	size_t done, i;
	int fd, copy;

	ASSERT_NE(NULL, in);
	ASSERT_NE(NULL, out);
	for (i = 0; i + 8 <= total; i += 8)
		*(__u64 *)(in + i) = fisc_rand(&seed);
	for (; i < total; i++)
		in[i] = i;
	fd = open(ST "a", O_RDWR | O_CREAT, 0600);
	ASSERT_LE(0, fd);
	for (done = i = 0; done < total; i++) {
		size_t len = sizes[i % ARRAY_SIZE(sizes)];

		if (len > total - done)
			len = total - done;
		ASSERT_EQ((ssize_t)len, write(fd, in + done, len));
		done += len;
	}
	EXPECT_EQ((off_t)total, fisc_size(fd));
	EXPECT_EQ((total + PAGE_SIZE - 1) / PAGE_SIZE * BLOCKS_PER_PAGE,
		  fisc_blocks(fd));

	ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
	for (done = i = 0; done < total; i++) {
		size_t len = sizes[(i * 3 + 1) % ARRAY_SIZE(sizes)];
		ssize_t got = read(fd, out + done, len);

		ASSERT_EQ((ssize_t)(len > total - done ? total - done : len),
			  got);
		done += got;
	}
	EXPECT_EQ(0, read(fd, out, 1));
	EXPECT_EQ(0, memcmp(in, out, total));

	/* As "cp --reflink=never" saves and restores a guest. */
	copy = open(ST "b", O_RDWR | O_CREAT, 0600);
	ASSERT_LE(0, copy);
	ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
	for (done = 0; done < total;) {
		ssize_t got = sendfile(copy, fd, NULL, total - done);

		ASSERT_LT(0, got);
		done += got;
	}
	memset(out, 0, total);
	ASSERT_EQ((ssize_t)total, pread(copy, out, total, 0));
	EXPECT_EQ(0, memcmp(in, out, total));
}

TEST_F(fisc, splice_moves_data_in_and_out)
{
	const size_t total = 9 * PAGE_SIZE + 55;
	int from, to, fds[2];
	size_t done = 0;
	char tail[55];

	from = fisc_create(ST "a", 0);
	to = fisc_create(ST "b", 0);
	ASSERT_LE(0, from);
	ASSERT_LE(0, to);
	ASSERT_EQ(0, pipe(fds));
	ASSERT_TRUE(fisc_fill_file(from, 0, 9, 5));
	memset(tail, 0x5a, sizeof(tail));
	ASSERT_EQ(55, pwrite(from, tail, 55, 9 * PAGE_SIZE));
	while (done < total) {
		ssize_t in = splice(from, NULL, fds[1], NULL, 3 * PAGE_SIZE + 7,
				    0);

		ASSERT_LT(0, in);
		while (in) {
			ssize_t out = splice(fds[0], NULL, to, NULL, in, 0);

			ASSERT_LT(0, out);
			in -= out;
			done += out;
		}
	}
	EXPECT_EQ(0, splice(from, NULL, fds[1], NULL, 1, SPLICE_F_NONBLOCK));
	EXPECT_EQ((off_t)total, fisc_size(to));
	EXPECT_EQ(-1, fisc_check_file(to, 0, 9, 5));
	ASSERT_EQ(55, pread(to, tail, 55, 9 * PAGE_SIZE));
	EXPECT_EQ(0x5a, tail[0]);
	EXPECT_EQ(0x5a, tail[54]);
}

TEST_F(fisc, spliced_data_is_a_copy_or_the_page_itself)
{
	int fd = fisc_create(ST "a", 1), fds[2];
	char page[PAGE_SIZE];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pipe(fds));
	ASSERT_TRUE(fisc_fill_file(fd, 0, 1, 7));
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  splice(fd, NULL, fds[1], NULL, PAGE_SIZE, 0));
	ASSERT_EQ(0, ftruncate(fd, 0));
	/* The frame has left the file, but not the pipe. */
	ASSERT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 7));
}

TEST_F(fisc, write_beyond_the_end_leaves_zeros_between)
{
	int fd = fisc_create(ST "a", 0);
	char data[100];

	ASSERT_LE(0, fd);
	memset(data, 0xaa, sizeof(data));
	ASSERT_EQ(100, pwrite(fd, data, sizeof(data), 0));
	EXPECT_EQ(100, fisc_size(fd));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 3 * PAGE_SIZE + 9));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE + 10), fisc_size(fd));
	EXPECT_EQ(-1, check_zero(fd, 100, 3 * PAGE_SIZE + 9));
	EXPECT_EQ(2 * BLOCKS_PER_PAGE, fisc_blocks(fd));
}

TEST_F(fisc, reads_end_at_the_end)
{
	int fd = fisc_create(ST "a", 0);
	char buf[100];

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, read(fd, buf, sizeof(buf)));
	ASSERT_EQ(0, ftruncate(fd, PAGE_SIZE + 10));
	EXPECT_EQ(15, pread(fd, buf, sizeof(buf), PAGE_SIZE - 5));
	EXPECT_EQ(0, pread(fd, buf, sizeof(buf), PAGE_SIZE + 10));
	EXPECT_EQ(0, pread(fd, buf, sizeof(buf), 1L << 40));
	EXPECT_EQ(0, pread(fd, buf, 0, 0));
	EXPECT_EQ(0, pwrite(fd, buf, 0, 1L << 40));
	EXPECT_EQ((off_t)(PAGE_SIZE + 10), fisc_size(fd));
	EXPECT_EQ(0, fisc_blocks(fd));
}

TEST_F(fisc, impossible_offsets_fail_and_change_nothing)
{
	int fd = fisc_create(ST "a", 1);
	char page[PAGE_SIZE];

	ASSERT_LE(0, fd);
	fisc_fill(page, 1);
	EXPECT_EQ(-1, pread(fd, page, 1, -1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, pwrite(fd, page, 1, -1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, pwrite(fd, page, PAGE_SIZE, LLONG_MAX - 5));
	EXPECT_TRUE(errno == EINVAL || errno == EFBIG);
	EXPECT_EQ(-1, ftruncate(fd, -1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(fd, -1, SEEK_SET));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(fd, 0, 77));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fallocate(fd, 0, 0, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fallocate(fd, 0, -1, 10));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fallocate(fd, 0, LLONG_MAX - 5, 10));
	EXPECT_EQ(EFBIG, errno);
	EXPECT_EQ((off_t)PAGE_SIZE, fisc_size(fd));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames, fisc_core("frames"));
}

TEST_F(fisc, far_offsets_work_or_fail_as_a_whole)
{
	static const int shift[] = { 31, 32, 36, 40, 43, 44, 47, 52, 61, 62 };
	int fd = fisc_create(ST "a", 0);
	char page[PAGE_SIZE];
	ssize_t done;
	size_t i;

	ASSERT_LE(0, fd);
	/* The module's own memory for files of this size must not matter. */
	ASSERT_EQ(0, fisc_write_str(FISC_SYSFS "/tax/capacity", "1024T"));
	for (i = 0; i < ARRAY_SIZE(shift); i++) {
		off_t at = (1L << shift[i]) - 100;

		memset(page, 0, PAGE_SIZE);
		done = pwrite(fd, "stamp", 5, at + 98);
		if (done == 2) {
			/* The largest file ends here. */
			EXPECT_EQ(at + 100, fisc_size(fd));
			EXPECT_EQ(BLOCKS_PER_PAGE, fisc_blocks(fd));
			EXPECT_EQ(-1, pwrite(fd, "x", 1, at + 100));
			EXPECT_EQ(EFBIG, errno);
			EXPECT_EQ(-1, ftruncate(fd, at + 101));
			EXPECT_EQ(EFBIG, errno);
			EXPECT_EQ(-1, fallocate(fd, 0, at + 100, 1));
			EXPECT_EQ(EFBIG, errno);
		} else if (done == 5) {
			EXPECT_EQ(at + 103, fisc_size(fd));
			EXPECT_EQ(103, pread(fd, page, PAGE_SIZE, at));
			EXPECT_EQ(0, memcmp(page + 98, "stamp", 5));
			EXPECT_EQ(-1, fisc_check_zero(page, 98));
			EXPECT_EQ(2 * BLOCKS_PER_PAGE, fisc_blocks(fd));
			EXPECT_EQ(at - 3996, lseek(fd, 0, SEEK_DATA));
		} else {
			EXPECT_EQ(EFBIG, errno);
			EXPECT_EQ(0, fisc_size(fd));
			EXPECT_EQ(0, fisc_blocks(fd));
		}
		ASSERT_EQ(0, ftruncate(fd, 0));
		EXPECT_EQ(0, fisc_blocks(fd));
	}
	/* At least 4 GiB: guests are larger than that. */
	EXPECT_EQ(0, ftruncate(fd, 1L << 40));
	close(fd);
	fisc_sweep();
	EXPECT_EQ(0, fisc_write_str(FISC_SYSFS "/tax/capacity", "0"));
}

TEST_F(fisc, size_limit_of_the_process_holds)
{
	struct rlimit limit = { 2 * PAGE_SIZE, RLIM_INFINITY };
	int fd = fisc_create(ST "a", 0);
	char page[PAGE_SIZE];

	ASSERT_LE(0, fd);
	signal(SIGXFSZ, SIG_IGN);
	fisc_fill(page, 1);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	EXPECT_EQ((ssize_t)PAGE_SIZE - 10,
		  pwrite(fd, page, PAGE_SIZE, PAGE_SIZE + 10));
	EXPECT_EQ(-1, pwrite(fd, page, 1, 2 * PAGE_SIZE));
	EXPECT_EQ(EFBIG, errno);
	EXPECT_EQ(-1, ftruncate(fd, 3 * PAGE_SIZE));
	EXPECT_EQ(EFBIG, errno);
	EXPECT_EQ(-1, fallocate(fd, 0, 0, 3 * PAGE_SIZE));
	EXPECT_EQ(EFBIG, errno);
	EXPECT_EQ((off_t)(2 * PAGE_SIZE), fisc_size(fd));
}

TEST_F(fisc, bad_buffers_end_the_transfer_where_they_begin)
{
	char *buf = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = fisc_create(ST "a", 4);
	char page[PAGE_SIZE];

	ASSERT_LE(0, fd);
	ASSERT_NE(MAP_FAILED, buf);
	fisc_fill(buf, 1);
	ASSERT_EQ(0, munmap(buf + PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(-1, pwrite(fd, buf + PAGE_SIZE, 10, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, check_zero(fd, 0, 4 * PAGE_SIZE));
	EXPECT_EQ((ssize_t)PAGE_SIZE,
		  pwrite(fd, buf, 2 * PAGE_SIZE, 2 * PAGE_SIZE));
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pread(fd, page, PAGE_SIZE, 2 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 1));
	EXPECT_EQ(-1, check_zero(fd, 3 * PAGE_SIZE, 4 * PAGE_SIZE));
	EXPECT_EQ(-1, pread(fd, buf + PAGE_SIZE, 10, 0));
	EXPECT_EQ(EFAULT, errno);
	memset(buf, 0, PAGE_SIZE);
	EXPECT_EQ((ssize_t)PAGE_SIZE,
		  pread(fd, buf, 2 * PAGE_SIZE, 2 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(buf, 1));
}

TEST_F(fisc, append_writes_at_the_end)
{
	int a, b, i;
	char c;

	a = open(ST "a", O_RDWR | O_CREAT | O_APPEND, 0600);
	b = open(ST "a", O_RDWR | O_APPEND);
	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	for (i = 0; i < 6000; i++)
		ASSERT_EQ(1, write(i & 1 ? b : a, i & 1 ? "b" : "a", 1));
	ASSERT_EQ(1, pwrite(a, "z", 1, 0));
	EXPECT_EQ(6001, fisc_size(a));
	for (i = 0; i < 6000; i++) {
		ASSERT_EQ(1, pread(a, &c, 1, i));
		ASSERT_EQ(i & 1 ? 'b' : 'a', c);
	}
	ASSERT_EQ(1, pread(a, &c, 1, 6000));
	EXPECT_EQ('z', c);
}

TEST_F(fisc, concurrent_appends_do_not_overlap)
{
	char record[100], seen[4][50] = { { 0 } };
	int fd = open(ST "a", O_RDWR | O_CREAT | O_APPEND, 0600), i, j;
	pid_t pid[4];

	ASSERT_LE(0, fd);
	for (i = 0; i < 4; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			for (j = 0; j < 50; j++) {
				memset(record, j + 1, sizeof(record));
				record[0] = i;
				if (write(fd, record, sizeof(record)) !=
				    sizeof(record))
					_exit(1);
			}
			_exit(0);
		}
	}
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, fisc_wait_child(pid[i]));
	ASSERT_EQ(4 * 50 * 100, fisc_size(fd));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(100, pread(fd, record, 100, i * 100));
		ASSERT_TRUE(record[0] >= 0 && record[0] < 4);
		ASSERT_TRUE(record[1] >= 1 && record[1] <= 50);
		for (j = 2; j < 100; j++)
			ASSERT_EQ(record[1], record[j]);
		seen[(int)record[0]][record[1] - 1]++;
	}
	for (i = 0; i < 4; i++)
		for (j = 0; j < 50; j++)
			EXPECT_EQ(1, seen[i][j]);
}

TEST_F(fisc, holes_read_zeros_and_take_no_frame)
{
	int fd = fisc_create(ST "a", 64);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, check_zero(fd, 0, 64 * PAGE_SIZE));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames, fisc_core("frames"));
}

TEST_F(fisc, seek_finds_data_and_holes)
{
	int fd = fisc_create(ST "a", 64);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(0, lseek(fd, 0, SEEK_HOLE));
	ASSERT_TRUE(fisc_fill_file(fd, 3, 1, 1));
	ASSERT_TRUE(fisc_fill_file(fd, 10, 3, 1));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE), lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_HOLE));
	EXPECT_EQ(17, lseek(fd, 17, SEEK_HOLE));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE + 5),
		  lseek(fd, 3 * PAGE_SIZE + 5, SEEK_DATA));
	EXPECT_EQ((off_t)(4 * PAGE_SIZE),
		  lseek(fd, 3 * PAGE_SIZE + 5, SEEK_HOLE));
	EXPECT_EQ((off_t)(10 * PAGE_SIZE), lseek(fd, 4 * PAGE_SIZE, SEEK_DATA));
	EXPECT_EQ((off_t)(13 * PAGE_SIZE),
		  lseek(fd, 10 * PAGE_SIZE, SEEK_HOLE));
	EXPECT_EQ(-1, lseek(fd, 13 * PAGE_SIZE, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ((off_t)(13 * PAGE_SIZE),
		  lseek(fd, 13 * PAGE_SIZE, SEEK_HOLE));
	EXPECT_EQ(-1, lseek(fd, 64 * PAGE_SIZE, SEEK_HOLE));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(-1, lseek(fd, -1, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
	/* The end of the file is a hole. */
	ASSERT_EQ(0, ftruncate(fd, 12 * PAGE_SIZE + 100));
	EXPECT_EQ((off_t)(12 * PAGE_SIZE + 100),
		  lseek(fd, 10 * PAGE_SIZE, SEEK_HOLE));
	EXPECT_EQ((off_t)(12 * PAGE_SIZE + 100),
		  lseek(fd, 12 * PAGE_SIZE + 99, SEEK_HOLE));
	EXPECT_EQ((off_t)(12 * PAGE_SIZE + 99),
		  lseek(fd, 12 * PAGE_SIZE + 99, SEEK_DATA));
	/* The other values still work, and the position follows. */
	EXPECT_EQ(100, lseek(fd, 100, SEEK_SET));
	EXPECT_EQ(150, lseek(fd, 50, SEEK_CUR));
	EXPECT_EQ((off_t)(12 * PAGE_SIZE + 101), lseek(fd, 1, SEEK_END));
}

TEST_F(fisc, st_blocks_tells_what_is_allocated)
{
	int fd = fisc_create(ST "a", 16);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(fisc_fill_file(fd, 2, 5, 1));
	EXPECT_EQ(5 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames + 5, fisc_core("frames"));
	ASSERT_TRUE(fisc_fill_file(fd, 2, 5, 2));
	EXPECT_EQ(5 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	ASSERT_EQ(0, fallocate(fd, PUNCH,
			       3 * PAGE_SIZE, 2 * PAGE_SIZE));
	EXPECT_EQ(3 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	ASSERT_EQ(0, ftruncate(fd, 64 * PAGE_SIZE));
	EXPECT_EQ(3 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	ASSERT_EQ(0, ftruncate(fd, 3 * PAGE_SIZE));
	EXPECT_EQ(1 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames + 1, fisc_core("frames"));
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames, fisc_core("frames"));
}

TEST_F(fisc, open_with_trunc_frees)
{
	int fd = fisc_create(ST "a", 4), trunc;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(fisc_fill_file(fd, 0, 4, 1));
	trunc = open(ST "a", O_WRONLY | O_TRUNC | O_CLOEXEC);
	ASSERT_LE(0, trunc);
	close(trunc);
	EXPECT_EQ(0, fisc_size(fd));
	EXPECT_EQ(self->before.frames, fisc_core("frames"));
}

TEST_F(fisc, what_truncation_cut_off_comes_back_as_zeros)
{
	int fd = fisc_create(ST "a", 4);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(fisc_fill_file(fd, 0, 4, 1));
	ASSERT_EQ(0, ftruncate(fd, PAGE_SIZE + 100));
	ASSERT_EQ(0, ftruncate(fd, 4 * PAGE_SIZE));
	EXPECT_EQ(-1, check_zero(fd, PAGE_SIZE + 100, 4 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_file(fd, 0, 1, 1));
	/* The same if a write, not a truncation, makes the file grow. */
	ASSERT_EQ(0, ftruncate(fd, 50));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 5000));
	EXPECT_EQ(-1, check_zero(fd, 50, 5000));
}

TEST_F(fisc, fallocate_allocates_zeroed_frames)
{
	int fd = fisc_create(ST "a", 0);
	char page[PAGE_SIZE];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fallocate(fd, 0, 100, 3 * PAGE_SIZE));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE + 100), fisc_size(fd));
	EXPECT_EQ(4 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames + 4, fisc_core("frames"));
	EXPECT_EQ(-1, check_zero(fd, 0, 3 * PAGE_SIZE + 100));
	/* Existing pages stay. */
	ASSERT_TRUE(fisc_fill_file(fd, 1, 1, 9));
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 3 * PAGE_SIZE));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE + 100), fisc_size(fd));
	ASSERT_EQ((ssize_t)PAGE_SIZE, pread(fd, page, PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 10));
	EXPECT_EQ(4 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	/* Beyond the end with KEEP_SIZE: the size stays. */
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10 * PAGE_SIZE));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE + 100), fisc_size(fd));
	EXPECT_EQ(self->before.frames +
			  (long)(fisc_blocks(fd) / BLOCKS_PER_PAGE),
		  fisc_core("frames"));
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames, fisc_core("frames"));
}

TEST_F(fisc, punch_frees_whole_pages_and_zeroes_partial_ones)
{
	int fd = fisc_create(ST "a", 8), mode = PUNCH;
	char page[PAGE_SIZE], want[PAGE_SIZE];

	ASSERT_LE(0, fd);
	ASSERT_TRUE(fisc_fill_file(fd, 0, 8, 1));
	ASSERT_EQ(0, fallocate(fd, mode, PAGE_SIZE + 100, 3 * PAGE_SIZE));
	EXPECT_EQ((off_t)(8 * PAGE_SIZE), fisc_size(fd));
	EXPECT_EQ(6 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	EXPECT_EQ(-1, check_zero(fd, PAGE_SIZE + 100, 4 * PAGE_SIZE + 100));
	fisc_fill(want, 2);
	ASSERT_EQ(100, pread(fd, page, 100, PAGE_SIZE));
	EXPECT_EQ(0, memcmp(want, page, 100));
	fisc_fill(want, 5);
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pread(fd, page, PAGE_SIZE, 4 * PAGE_SIZE));
	EXPECT_EQ(0, memcmp(want + 100, page + 100, PAGE_SIZE - 100));
	EXPECT_EQ(-1, fisc_check_file(fd, 0, 1, 1));
	EXPECT_EQ(-1, fisc_check_file(fd, 5, 3, 1));
	/* Inside one page, in a hole, and beyond the end. */
	ASSERT_EQ(0, fallocate(fd, mode, 5 * PAGE_SIZE + 8, 16));
	EXPECT_EQ(-1, check_zero(fd, 5 * PAGE_SIZE + 8, 5 * PAGE_SIZE + 24));
	ASSERT_EQ(0, fallocate(fd, mode, 2 * PAGE_SIZE + 8, 16));
	ASSERT_EQ(0, fallocate(fd, mode, 20 * PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(6 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	ASSERT_EQ(0, fallocate(fd, mode, 0, 1L << 40));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ((off_t)(8 * PAGE_SIZE), fisc_size(fd));
}

TEST_F(fisc, other_fallocate_modes_are_refused)
{
	static const int modes[] = {
		FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE, 0x8000,
	};
	int fd = fisc_create(ST "a", 4), ro;
	size_t i;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(fisc_fill_file(fd, 0, 4, 1));
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		EXPECT_EQ(-1, fallocate(fd, modes[i], 0, PAGE_SIZE));
		EXPECT_EQ(EOPNOTSUPP, errno) TH_LOG("mode %#x", modes[i]);
	}
	ro = open(ST "a", O_RDONLY);
	ASSERT_LE(0, ro);
	EXPECT_EQ(-1, fallocate(ro, 0, 0, PAGE_SIZE));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, write(ro, "x", 1));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, ftruncate(ro, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fisc_check_file(fd, 0, 4, 1));
}

TEST_HARNESS_MAIN
