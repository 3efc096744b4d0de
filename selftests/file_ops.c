// SPDX-License-Identifier: GPL-2.0
/* Guest memory as files: everything a file system call can do to it. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "fixture.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

#define NOBODY	65534

static int rename2(const char *from, const char *to, unsigned int flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* Runs @fn as nobody in a child; its result, at most 255. */
static int as_nobody(int (*fn)(void))
{
	pid_t pid = fork();

	if (!pid) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(250);
		_exit(fn());
	}
	return fisc_wait_child(pid);
}

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* Fills @nr_pages of @fd from page @first with patterns seeded by the index. */
static bool write_pages(int fd, size_t first, size_t nr_pages, __u64 seed)
{
	char page[PAGE_SIZE];
	size_t i;

	for (i = first; i < first + nr_pages; i++) {
		fisc_fill(page, seed + i);
		if (pwrite(fd, page, PAGE_SIZE, i * PAGE_SIZE) != (ssize_t)PAGE_SIZE)
			return false;
	}
	return true;
}

static long check_pages(int fd, size_t first, size_t nr_pages, __u64 seed)
{
	char page[PAGE_SIZE];
	size_t i;

	for (i = first; i < first + nr_pages; i++) {
		if (pread(fd, page, PAGE_SIZE, i * PAGE_SIZE) != (ssize_t)PAGE_SIZE ||
		    fisc_check(page, seed + i) >= 0)
			return i;
	}
	return -1;
}

/* Offset of the first byte that is not zero in [from, to), or -1. */
static long check_zero(int fd, off_t from, off_t to)
{
	char buf[PAGE_SIZE];

	while (from < to) {
		size_t len = to - from < (off_t)sizeof(buf) ? to - from : (off_t)sizeof(buf);
		long bad;

		if (pread(fd, buf, len, from) != (ssize_t)len)
			return from;
		bad = fisc_check_zero(buf, len);
		if (bad >= 0)
			return from + bad;
		from += len;
	}
	return -1;
}

TEST_F(fisc, statfs_tells_the_type)
{
	struct statfs st;

	ASSERT_EQ(0, statfs(FISC_MNT, &st));
	EXPECT_EQ(FISC_SUPER_MAGIC, st.f_type);
	EXPECT_EQ(4096, st.f_bsize);
	EXPECT_LE(st.f_bfree, st.f_blocks);
	EXPECT_LE(255, st.f_namelen);
}

TEST_F(fisc, all_mounts_show_one_instance)
{
	char dir[] = "/tmp/fisc-XXXXXX", path[64];
	int fd;

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, fisc_mount(dir, NULL));
	fd = fisc_create(ST "a", 4);
	ASSERT_LE(0, fd);
	snprintf(path, sizeof(path), "%s/st-a", dir);
	EXPECT_EQ(0, access(path, F_OK));
	EXPECT_EQ(0, unlink(path));
	EXPECT_EQ(ENOENT, try_open(ST "a", O_RDONLY));
	EXPECT_EQ(0, umount(dir));
	rmdir(dir);
}

static int mount_again(void)
{
	return -fisc_mount("/mnt", NULL);
}

static int mount_in_user_namespace(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return 77;
	return -fisc_mount("/mnt", NULL);
}

TEST_F(fisc, only_root_mounts)
{
	EXPECT_EQ(EPERM, as_nobody(mount_again));
}

TEST_F(fisc, root_of_a_user_namespace_does_not_mount)
{
	int ret;

	if (access("/mnt", F_OK))
		SKIP(return, "no /mnt");
	ret = as_nobody(mount_in_user_namespace);
	if (ret == 77)
		SKIP(return, "no user namespaces");
	EXPECT_EQ(EPERM, ret);
}

TEST_F(fisc, mount_options_set_the_root_and_bad_ones_fail)
{
	static const char * const bad[] = {
		"mode=99999", "mode=abc", "uid=-5", "gid=x", "size=1G", "nonsense",
	};
	struct stat st;
	size_t i;

	ASSERT_EQ(0, umount(FISC_MNT));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, fisc_mount(FISC_MNT, bad[i])) {
			TH_LOG("option %s", bad[i]);
			umount(FISC_MNT);
		}
	}
	EXPECT_EQ(0, fisc_mount(FISC_MNT, "mode=0750,uid=1234,gid=4321"));
	EXPECT_EQ(0, stat(FISC_MNT, &st));
	EXPECT_EQ(S_IFDIR | 0750, st.st_mode);
	EXPECT_EQ(1234, st.st_uid);
	EXPECT_EQ(4321, st.st_gid);
	EXPECT_EQ(0, umount(FISC_MNT));
	ASSERT_EQ(0, fisc_mount(FISC_MNT, NULL));
}

TEST_F(fisc, memory_goes_with_the_last_mount)
{
	int fd = fisc_create(ST "a", 4);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(write_pages(fd, 0, 4, 1));
	EXPECT_EQ(self->before.frames + 4, fisc_core("frames"));
	close(fd);
	ASSERT_EQ(0, umount(FISC_MNT));
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	ASSERT_EQ(0, fisc_mount(FISC_MNT, NULL));
	EXPECT_EQ(ENOENT, try_open(ST "a", O_RDONLY));
}

TEST_F(fisc, create_open_unlink_errors)
{
	char name[600];
	int fd;

	EXPECT_EQ(ENOENT, try_open(ST "a", O_RDWR));
	fd = open(ST "a", O_RDWR | O_CREAT | O_EXCL, 0640);
	ASSERT_LE(0, fd);
	EXPECT_EQ(EEXIST, try_open(ST "a", O_RDWR | O_CREAT | O_EXCL));
	EXPECT_EQ(ENOTDIR, try_open(ST "a/b", O_RDONLY));
	EXPECT_EQ(0, fisc_size(fd));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(-1, rmdir(ST "a"));
	EXPECT_EQ(ENOTDIR, errno);
	close(fd);

	ASSERT_EQ(0, mkdir(ST "d", 0755));
	EXPECT_EQ(-1, mkdir(ST "d", 0755));
	EXPECT_EQ(EEXIST, errno);
	EXPECT_EQ(EISDIR, try_open(ST "d", O_RDWR));
	EXPECT_EQ(-1, unlink(ST "d"));
	EXPECT_EQ(EISDIR, errno);
	EXPECT_EQ(0, try_open(ST "d/f", O_RDWR | O_CREAT));
	EXPECT_EQ(-1, rmdir(ST "d"));
	EXPECT_EQ(ENOTEMPTY, errno);
	EXPECT_EQ(0, unlink(ST "d/f"));
	EXPECT_EQ(0, rmdir(ST "d"));
	EXPECT_EQ(-1, unlink(ST "d"));
	EXPECT_EQ(ENOENT, errno);

	snprintf(name, sizeof(name), ST "%0252d", 1);
	EXPECT_EQ(0, try_open(name, O_RDWR | O_CREAT));
	EXPECT_EQ(0, unlink(name));
	snprintf(name, sizeof(name), ST "%0253d", 1);
	EXPECT_EQ(ENAMETOOLONG, try_open(name, O_RDWR | O_CREAT));
}

TEST_F(fisc, links_are_refused)
{
	ASSERT_EQ(0, mkdir(ST "d", 0755));
	ASSERT_EQ(0, try_open(ST "d/f", O_RDWR | O_CREAT));
	EXPECT_EQ(-1, link(ST "d/f", ST "d/g"));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, symlink("f", ST "d/g"));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, symlink("f", ST "g"));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, mknod(ST "d/g", S_IFCHR | 0600, 0x103));
	EXPECT_EQ(-1, mknod(ST "d/g", S_IFIFO | 0600, 0));
	EXPECT_EQ(-1, access(ST "d/g", F_OK));
}

TEST_F(fisc, random_data_survives_odd_reads_and_writes)
{
	static const size_t sizes[] = { 1, 4095, 4096, 4097, 777, 65536, 12345, 8192 };
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
	EXPECT_EQ((total + PAGE_SIZE - 1) / PAGE_SIZE * BLOCKS_PER_PAGE, fisc_blocks(fd));

	ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
	for (done = i = 0; done < total; i++) {
		size_t len = sizes[(i * 3 + 1) % ARRAY_SIZE(sizes)];
		ssize_t got = read(fd, out + done, len);

		ASSERT_EQ((ssize_t)(len > total - done ? total - done : len), got);
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
	ASSERT_TRUE(write_pages(from, 0, 9, 5));
	memset(tail, 0x5a, sizeof(tail));
	ASSERT_EQ(55, pwrite(from, tail, 55, 9 * PAGE_SIZE));
	while (done < total) {
		ssize_t in = splice(from, NULL, fds[1], NULL, 3 * PAGE_SIZE + 7, 0);

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
	EXPECT_EQ(-1, check_pages(to, 0, 9, 5));
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
	ASSERT_TRUE(write_pages(fd, 0, 1, 7));
	ASSERT_EQ((ssize_t)PAGE_SIZE, splice(fd, NULL, fds[1], NULL, PAGE_SIZE, 0));
	ASSERT_EQ(0, ftruncate(fd, 0));
	/* The frame is gone from the file, not from the pipe. */
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
	/* What the module needs to describe files of this size must not matter. */
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
	/* 4 GiB at least: guests are larger than that. */
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
	EXPECT_EQ((ssize_t)PAGE_SIZE - 10, pwrite(fd, page, PAGE_SIZE, PAGE_SIZE + 10));
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
	EXPECT_EQ((ssize_t)PAGE_SIZE, pwrite(fd, buf, 2 * PAGE_SIZE, 2 * PAGE_SIZE));
	ASSERT_EQ((ssize_t)PAGE_SIZE, pread(fd, page, PAGE_SIZE, 2 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 1));
	EXPECT_EQ(-1, check_zero(fd, 3 * PAGE_SIZE, 4 * PAGE_SIZE));
	EXPECT_EQ(-1, pread(fd, buf + PAGE_SIZE, 10, 0));
	EXPECT_EQ(EFAULT, errno);
	memset(buf, 0, PAGE_SIZE);
	EXPECT_EQ((ssize_t)PAGE_SIZE, pread(fd, buf, 2 * PAGE_SIZE, 2 * PAGE_SIZE));
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
				if (write(fd, record, sizeof(record)) != sizeof(record))
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
	ASSERT_TRUE(write_pages(fd, 3, 1, 1));
	ASSERT_TRUE(write_pages(fd, 10, 3, 1));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE), lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_HOLE));
	EXPECT_EQ(17, lseek(fd, 17, SEEK_HOLE));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE + 5), lseek(fd, 3 * PAGE_SIZE + 5, SEEK_DATA));
	EXPECT_EQ((off_t)(4 * PAGE_SIZE), lseek(fd, 3 * PAGE_SIZE + 5, SEEK_HOLE));
	EXPECT_EQ((off_t)(10 * PAGE_SIZE), lseek(fd, 4 * PAGE_SIZE, SEEK_DATA));
	EXPECT_EQ((off_t)(13 * PAGE_SIZE), lseek(fd, 10 * PAGE_SIZE, SEEK_HOLE));
	EXPECT_EQ(-1, lseek(fd, 13 * PAGE_SIZE, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ((off_t)(13 * PAGE_SIZE), lseek(fd, 13 * PAGE_SIZE, SEEK_HOLE));
	EXPECT_EQ(-1, lseek(fd, 64 * PAGE_SIZE, SEEK_HOLE));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(-1, lseek(fd, -1, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
	/* The end of the file is a hole. */
	ASSERT_EQ(0, ftruncate(fd, 12 * PAGE_SIZE + 100));
	EXPECT_EQ((off_t)(12 * PAGE_SIZE + 100), lseek(fd, 10 * PAGE_SIZE, SEEK_HOLE));
	EXPECT_EQ((off_t)(12 * PAGE_SIZE + 100), lseek(fd, 12 * PAGE_SIZE + 99, SEEK_HOLE));
	EXPECT_EQ((off_t)(12 * PAGE_SIZE + 99), lseek(fd, 12 * PAGE_SIZE + 99, SEEK_DATA));
	/* The others still work, and the position follows. */
	EXPECT_EQ(100, lseek(fd, 100, SEEK_SET));
	EXPECT_EQ(150, lseek(fd, 50, SEEK_CUR));
	EXPECT_EQ((off_t)(12 * PAGE_SIZE + 101), lseek(fd, 1, SEEK_END));
}

TEST_F(fisc, st_blocks_tells_what_is_allocated)
{
	int fd = fisc_create(ST "a", 16);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(write_pages(fd, 2, 5, 1));
	EXPECT_EQ(5 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames + 5, fisc_core("frames"));
	ASSERT_TRUE(write_pages(fd, 2, 5, 2));
	EXPECT_EQ(5 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
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
	int fd = fisc_create(ST "a", 4);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(write_pages(fd, 0, 4, 1));
	EXPECT_EQ(0, try_open(ST "a", O_WRONLY | O_TRUNC));
	EXPECT_EQ(0, fisc_size(fd));
	EXPECT_EQ(self->before.frames, fisc_core("frames"));
}

TEST_F(fisc, what_truncation_cut_off_comes_back_as_zeros)
{
	int fd = fisc_create(ST "a", 4);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(write_pages(fd, 0, 4, 1));
	ASSERT_EQ(0, ftruncate(fd, PAGE_SIZE + 100));
	ASSERT_EQ(0, ftruncate(fd, 4 * PAGE_SIZE));
	EXPECT_EQ(-1, check_zero(fd, PAGE_SIZE + 100, 4 * PAGE_SIZE));
	EXPECT_EQ(-1, check_pages(fd, 0, 1, 1));
	/* The same where a write, not a truncation, makes it grow. */
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
	/* What is there stays. */
	ASSERT_TRUE(write_pages(fd, 1, 1, 9));
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 3 * PAGE_SIZE));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE + 100), fisc_size(fd));
	ASSERT_EQ((ssize_t)PAGE_SIZE, pread(fd, page, PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 10));
	EXPECT_EQ(4 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	/* Beyond the end with KEEP_SIZE: the size stays. */
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10 * PAGE_SIZE));
	EXPECT_EQ((off_t)(3 * PAGE_SIZE + 100), fisc_size(fd));
	EXPECT_EQ(self->before.frames + (long)(fisc_blocks(fd) / BLOCKS_PER_PAGE),
		  fisc_core("frames"));
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(self->before.frames, fisc_core("frames"));
}

TEST_F(fisc, punch_frees_whole_pages_and_zeroes_partial_ones)
{
	int fd = fisc_create(ST "a", 8), mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	char page[PAGE_SIZE], want[PAGE_SIZE];

	ASSERT_LE(0, fd);
	ASSERT_TRUE(write_pages(fd, 0, 8, 1));
	ASSERT_EQ(0, fallocate(fd, mode, PAGE_SIZE + 100, 3 * PAGE_SIZE));
	EXPECT_EQ((off_t)(8 * PAGE_SIZE), fisc_size(fd));
	EXPECT_EQ(6 * BLOCKS_PER_PAGE, fisc_blocks(fd));
	EXPECT_EQ(-1, check_zero(fd, PAGE_SIZE + 100, 4 * PAGE_SIZE + 100));
	fisc_fill(want, 2);
	ASSERT_EQ(100, pread(fd, page, 100, PAGE_SIZE));
	EXPECT_EQ(0, memcmp(want, page, 100));
	fisc_fill(want, 5);
	ASSERT_EQ((ssize_t)PAGE_SIZE, pread(fd, page, PAGE_SIZE, 4 * PAGE_SIZE));
	EXPECT_EQ(0, memcmp(want + 100, page + 100, PAGE_SIZE - 100));
	EXPECT_EQ(-1, check_pages(fd, 0, 1, 1));
	EXPECT_EQ(-1, check_pages(fd, 5, 3, 1));
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
		FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_UNSHARE_RANGE, 0x8000,
	};
	int fd = fisc_create(ST "a", 4), ro;
	size_t i;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(write_pages(fd, 0, 4, 1));
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
	EXPECT_EQ(-1, check_pages(fd, 0, 4, 1));
}

TEST_F(fisc, unlinked_file_lives_until_closed)
{
	int fd = fisc_create(ST "a", 4);
	struct stat st;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(write_pages(fd, 0, 4, 1));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(1, st.st_nlink);
	ASSERT_EQ(0, unlink(ST "a"));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_EQ(-1, check_pages(fd, 0, 4, 1));
	ASSERT_TRUE(write_pages(fd, 4, 4, 1));
	EXPECT_EQ(self->before.frames + 8, fisc_core("frames"));
	/* The name is free for another VM meanwhile. */
	EXPECT_EQ(0, try_open(ST "a", O_RDWR | O_CREAT | O_EXCL));
	EXPECT_EQ(0, unlink(ST "a"));
	close(fd);
	EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames));
}

TEST_F(fisc, readdir_lists_every_name_once)
{
	int seen[200] = { 0 }, dots = 0, i;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	ASSERT_EQ(0, mkdir(ST "d", 0755));
	for (i = 0; i < 200; i++) {
		snprintf(path, sizeof(path), ST "d/f%d", i);
		ASSERT_EQ(0, i % 10 ? try_open(path, O_RDWR | O_CREAT) : mkdir(path, 0755));
	}
	for (i = 1; i < 200; i += 20) {
		snprintf(path, sizeof(path), ST "d/f%d", i);
		ASSERT_EQ(0, unlink(path));
	}
	dir = opendir(ST "d");
	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.') {
			dots++;
			continue;
		}
		ASSERT_EQ(1, sscanf(entry->d_name, "f%d", &i));
		ASSERT_TRUE(i >= 0 && i < 200);
		EXPECT_EQ(i % 10 ? DT_REG : DT_DIR, entry->d_type);
		seen[i]++;
	}
	closedir(dir);
	EXPECT_EQ(2, dots);
	for (i = 0; i < 200; i++)
		EXPECT_EQ(i % 20 != 1, seen[i]);
}

TEST_F(fisc, rename_inside_a_vm)
{
	int a, b;

	ASSERT_EQ(0, mkdir(ST "v", 0755));
	ASSERT_EQ(0, mkdir(ST "v/d", 0755));
	ASSERT_EQ(0, mkdir(ST "v/e", 0755));
	a = fisc_create(ST "v/a", 2);
	b = fisc_create(ST "v/d/b", 3);
	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	ASSERT_TRUE(write_pages(a, 0, 2, 1));
	ASSERT_TRUE(write_pages(b, 0, 3, 2));
	EXPECT_EQ(-1, rename2(ST "v/a", ST "v/d/b", RENAME_NOREPLACE));
	EXPECT_EQ(EEXIST, errno);
	EXPECT_EQ(-1, rename(ST "v/a", ST "v/d"));
	EXPECT_EQ(EISDIR, errno);
	EXPECT_EQ(-1, rename(ST "v/d", ST "v/a"));
	EXPECT_EQ(ENOTDIR, errno);
	EXPECT_EQ(-1, rename(ST "v/d", ST "v/d/x"));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, rename(ST "v/e", ST "v/d"));
	EXPECT_EQ(ENOTEMPTY, errno);
	close(b);
	/* The one replaced is freed. */
	ASSERT_EQ(0, rename(ST "v/a", ST "v/d/b"));
	EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames + 2));
	EXPECT_EQ(ENOENT, try_open(ST "v/a", O_RDONLY));
	b = open(ST "v/d/b", O_RDONLY);
	ASSERT_LE(0, b);
	EXPECT_EQ(-1, check_pages(b, 0, 2, 1));
	ASSERT_EQ(0, rename(ST "v/d", ST "v/e"));
	EXPECT_EQ(0, try_open(ST "v/e/b", O_RDONLY));
	EXPECT_EQ(self->before.frames + 2, fisc_core("frames"));
}

TEST_F(fisc, rename_at_the_root_renames_the_vm)
{
	int fd = fisc_create(ST "a", 4);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(write_pages(fd, 0, 4, 1));
	EXPECT_EQ(4, fisc_vm("st-a", "present_pages"));
	ASSERT_EQ(0, rename(ST "a", ST "b"));
	EXPECT_EQ(ENOENT, try_open(ST "a", O_RDONLY));
	EXPECT_EQ(0, try_open(ST "b", O_RDONLY));
	EXPECT_EQ(-1, fisc_vm("st-a", "present_pages"));
	EXPECT_EQ(4, fisc_vm("st-b", "present_pages"));
	EXPECT_EQ(-1, check_pages(fd, 0, 4, 1));
	/* A new one may take the old name. */
	EXPECT_EQ(0, try_open(ST "a", O_RDWR | O_CREAT | O_EXCL));
	EXPECT_EQ(0, fisc_vm("st-a", "present_pages"));
	EXPECT_EQ(4, fisc_vm("st-b", "present_pages"));

	ASSERT_EQ(0, mkdir(ST "d", 0755));
	ASSERT_EQ(0, rename(ST "d", ST "e"));
	EXPECT_EQ(-1, fisc_vm("st-d", "present_pages"));
	EXPECT_EQ(0, fisc_vm("st-e", "present_pages"));
}

TEST_F(fisc, rename_between_vms_is_refused)
{
	ASSERT_EQ(0, mkdir(ST "a", 0755));
	ASSERT_EQ(0, mkdir(ST "b", 0755));
	ASSERT_EQ(0, mkdir(ST "a/d", 0755));
	ASSERT_EQ(0, try_open(ST "a/f", O_RDWR | O_CREAT));
	ASSERT_EQ(0, try_open(ST "f", O_RDWR | O_CREAT));
	EXPECT_EQ(-1, rename(ST "a/f", ST "b/f"));
	EXPECT_EQ(EXDEV, errno);
	EXPECT_EQ(-1, rename(ST "a/d", ST "b/d"));
	EXPECT_EQ(EXDEV, errno);
	EXPECT_EQ(-1, rename(ST "a/f", ST "g"));
	EXPECT_EQ(EXDEV, errno);
	EXPECT_EQ(-1, rename(ST "f", ST "a/g"));
	EXPECT_EQ(EXDEV, errno);
	EXPECT_EQ(-1, rename(ST "b", ST "a/b"));
	EXPECT_EQ(EXDEV, errno);
	EXPECT_EQ(0, access(ST "a/f", F_OK));
	EXPECT_EQ(0, access(ST "a/d", F_OK));
	EXPECT_EQ(0, access(ST "f", F_OK));
}

TEST_F(fisc, rename_over_a_vm_replaces_it_or_fails)
{
	int a = fisc_create(ST "a", 2), b = fisc_create(ST "b", 3), ret;

	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	ASSERT_TRUE(write_pages(a, 0, 2, 1));
	ASSERT_TRUE(write_pages(b, 0, 3, 2));
	ret = rename(ST "a", ST "b");
	close(b);
	if (ret) {
		EXPECT_EQ(2, fisc_vm("st-a", "present_pages"));
		EXPECT_EQ(3, fisc_vm("st-b", "present_pages"));
		EXPECT_EQ(self->before.frames + 5, fisc_core("frames"));
	} else {
		EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames + 2));
		EXPECT_EQ(-1, fisc_vm("st-a", "present_pages"));
		EXPECT_EQ(2, fisc_vm("st-b", "present_pages"));
	}
	EXPECT_EQ(-1, check_pages(a, 0, 2, 1));
}

static int open_a_rdonly(void)
{
	return try_open(ST "a", O_RDONLY);
}

static int open_a_rdwr(void)
{
	return try_open(ST "a", O_RDWR);
}

static int create_in_d(void)
{
	return try_open(ST "d/f", O_RDWR | O_CREAT);
}

static int unlink_in_d(void)
{
	return unlink(ST "d/f") ? errno : 0;
}

static int truncate_a(void)
{
	return truncate(ST "a", 0) ? errno : 0;
}

static int chmod_a(void)
{
	return chmod(ST "a", 0777) ? errno : 0;
}

static int chown_a(void)
{
	return chown(ST "a", NOBODY, NOBODY) ? errno : 0;
}

static int write_a(void)
{
	int fd = open(ST "a", O_RDWR);

	return fd < 0 || write(fd, "x", 1) != 1 ? errno : 0;
}

TEST_F(fisc, permissions_hold_for_others)
{
	struct stat st;

	ASSERT_EQ(0, try_open(ST "a", O_RDWR | O_CREAT));
	ASSERT_EQ(0, mkdir(ST "d", 0755));
	EXPECT_EQ(EACCES, as_nobody(open_a_rdonly));
	EXPECT_EQ(EACCES, as_nobody(truncate_a));
	EXPECT_EQ(EPERM, as_nobody(chmod_a));
	EXPECT_EQ(EPERM, as_nobody(chown_a));
	EXPECT_EQ(EACCES, as_nobody(create_in_d));
	ASSERT_EQ(0, chmod(ST "a", 0644));
	EXPECT_EQ(0, as_nobody(open_a_rdonly));
	EXPECT_EQ(EACCES, as_nobody(open_a_rdwr));
	ASSERT_EQ(0, chown(ST "a", NOBODY, NOBODY));
	EXPECT_EQ(0, as_nobody(open_a_rdwr));
	EXPECT_EQ(0, as_nobody(truncate_a));
	EXPECT_EQ(0, as_nobody(chmod_a));
	ASSERT_EQ(0, stat(ST "a", &st));
	EXPECT_EQ(S_IFREG | 0777, st.st_mode);
	EXPECT_EQ(NOBODY, (int)st.st_uid);
	EXPECT_EQ(NOBODY, (int)st.st_gid);
	ASSERT_EQ(0, chown(ST "d", NOBODY, NOBODY));
	EXPECT_EQ(0, as_nobody(create_in_d));
	ASSERT_EQ(0, stat(ST "d/f", &st));
	EXPECT_EQ(NOBODY, (int)st.st_uid);
	ASSERT_EQ(0, chown(ST "d", 0, 0));
	EXPECT_EQ(EACCES, as_nobody(unlink_in_d));
	ASSERT_EQ(0, chmod(ST "d", 0700));
	EXPECT_EQ(EACCES, as_nobody(unlink_in_d));
}

TEST_F(fisc, write_of_others_drops_setuid)
{
	struct stat st;

	ASSERT_EQ(0, try_open(ST "a", O_RDWR | O_CREAT));
	ASSERT_EQ(0, chmod(ST "a", 06777));
	EXPECT_EQ(0, as_nobody(write_a));
	ASSERT_EQ(0, stat(ST "a", &st));
	EXPECT_EQ(S_IFREG | 0777, st.st_mode);
}

TEST_F(fisc, times_follow_writes_and_utimens)
{
	struct timespec set[2] = { { 1000, 5 }, { 2000, 7 } };
	int fd = fisc_create(ST "a", 1);
	struct stat st;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, futimens(fd, set));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(1000, st.st_atim.tv_sec);
	EXPECT_EQ(2000, st.st_mtim.tv_sec);
	EXPECT_EQ(7, st.st_mtim.tv_nsec);
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_LT(2000, st.st_mtim.tv_sec);
	ASSERT_EQ(0, futimens(fd, set));
	ASSERT_EQ(0, ftruncate(fd, 0));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_LT(2000, st.st_mtim.tv_sec);
}

TEST_F(fisc, sync_succeeds)
{
	int fd = fisc_create(ST "a", 4);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(write_pages(fd, 0, 4, 1));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(0, fdatasync(fd));
	EXPECT_EQ(0, syncfs(fd));
	EXPECT_EQ(-1, check_pages(fd, 0, 4, 1));
}

TEST_HARNESS_MAIN
