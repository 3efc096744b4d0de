// SPDX-License-Identifier: GPL-2.0
/*
 * Out of memory. Each call is repeated with its first, second, third
 * ... allocation failing (/proc/self/fail-nth), until it makes none that could
 * fail. Each time it either fails, with ENOMEM and nothing changed, or succeeds
 * without that allocation; contents and counters are exact after each.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define FISC_OWN_FIXTURE
#include "fail.h"
#include "fixture.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define MAX_NTH		1000

FIXTURE(oom)
{
	struct fisc_before before;
};

FIXTURE_SETUP(oom)
{
	if (!fail_possible())
		SKIP(return, "kernel without fault injection");
	fisc_set_up(_metadata, &self->before);
}

FIXTURE_TEARDOWN_PARENT(oom)
{
	fisc_tear_down(_metadata, &self->before);
}

/**
 * struct injection - a call repeated with another allocation failing each time
 * @nth: the allocation that fails, from 1
 * @hit: whether the call got that far
 * @failures: how often the call has failed because of it
 * @error: errno after the call
 */
struct injection {
	int nth;
	bool hit;
	int failures;
	int error;
};

static int fail_fd = -1;

static void write_nth(int nth)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%d", nth);

	if (pwrite(fail_fd, buf, len, 0) != len)
		abort();
}

/* Condition of the loop: false once no allocation was left to fail. */
static bool next_failure(struct injection *inj)
{
	if (inj->nth && !inj->hit)
		return false;
	return ++inj->nth < MAX_NTH;
}

static void arm(struct injection *inj)
{
	if (fail_fd < 0)
		fail_fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	errno = 0;
	write_nth(inj->nth);
}

static void disarm(struct injection *inj, bool failed)
{
	char buf[16] = "";

	inj->error = errno;
	if (pread(fail_fd, buf, sizeof(buf) - 1, 0) <= 0)
		abort();
	write_nth(0);
	inj->hit = !atoi(buf);
	if (inj->hit && failed)
		inj->failures++;
}

static void expect_ended(struct __test_metadata *_metadata,
			 const struct injection *inj)
{
	/* Expect that there were failures, and success in the end. */
	EXPECT_FALSE(inj->hit);
	EXPECT_LT(0, inj->failures);
}

static void expect_counters(struct __test_metadata *_metadata, long vms,
			    long regions, long frames)
{
	EXPECT_TRUE(fisc_wait("core", "vms", vms));
	EXPECT_TRUE(fisc_wait("core", "regions", regions));
	EXPECT_TRUE(fisc_wait("core", "frames", frames));
}

static int nr_vm_directories(void)
{
	DIR *dir = opendir(FISC_SYSFS "/vms");
	struct dirent *entry;
	int nr = 0;

	while (dir && (entry = readdir(dir)))
		nr += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return nr;
}

static int create(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

TEST_F(oom, mkdir_of_a_vm)
{
	struct injection inj = { 0 };
	int ret;

	while (next_failure(&inj)) {
		arm(&inj);
		ret = mkdir(ST "d", 0755);
		disarm(&inj, ret < 0);
		if (ret) {
			EXPECT_EQ(ENOMEM, inj.error);
			EXPECT_EQ(-1, access(ST "d", F_OK));
			EXPECT_EQ(0, nr_vm_directories());
		} else {
			EXPECT_EQ(0, fisc_vm("st-d", "size_bytes"));
			ASSERT_EQ(0, rmdir(ST "d"));
		}
		expect_counters(_metadata, 0, 0, 0);
	}
	expect_ended(_metadata, &inj);
}

TEST_F(oom, creation_of_a_vm_file)
{
	struct injection inj = { 0 };
	int fd;

	while (next_failure(&inj)) {
		arm(&inj);
		fd = create(ST "a");
		disarm(&inj, fd < 0);
		if (fd < 0) {
			EXPECT_TRUE(inj.error == ENOMEM || inj.error == ENFILE)
				TH_LOG("errno %d", inj.error);
			/* The file may exist, if only the open failed. */
			if (unlink(ST "a"))
				EXPECT_EQ(ENOENT, errno);
		} else {
			EXPECT_EQ(0, fisc_size(fd));
			close(fd);
			ASSERT_EQ(0, unlink(ST "a"));
		}
		expect_counters(_metadata, 0, 0, 0);
		EXPECT_EQ(0, nr_vm_directories());
	}
	expect_ended(_metadata, &inj);
}

TEST_F(oom, creation_of_a_file_in_a_vm)
{
	struct injection inj = { 0 };
	int fd;

	ASSERT_EQ(0, mkdir(ST "d", 0755));
	while (next_failure(&inj)) {
		arm(&inj);
		fd = create(ST "d/x");
		disarm(&inj, fd < 0);
		EXPECT_TRUE(fd < 0 ?
			    inj.error == ENOMEM || inj.error == ENFILE :
			    !close(fd));
		if (unlink(ST "d/x"))
			EXPECT_EQ(ENOENT, errno);
		expect_counters(_metadata, 1, 0, 0);
	}
	expect_ended(_metadata, &inj);
}

TEST_F(oom, mount_once_more)
{
	struct injection inj = { 0 };
	char dir[] = "/tmp/fisc-XXXXXX";
	int ret;

	ASSERT_NE(NULL, mkdtemp(dir));
	while (next_failure(&inj)) {
		arm(&inj);
		ret = mount("none", dir, "fisc", 0, NULL);
		disarm(&inj, ret < 0);
		EXPECT_EQ(ret ? ENOMEM : 0, ret ? inj.error : umount(dir));
	}
	expect_ended(_metadata, &inj);
	rmdir(dir);
}

TEST_F(oom, first_mount)
{
	struct injection inj = { 0 };
	int ret;

	ASSERT_EQ(0, umount(FISC_MNT));
	while (next_failure(&inj)) {
		arm(&inj);
		ret = mount("none", FISC_MNT, "fisc", 0, NULL);
		disarm(&inj, ret < 0);
		EXPECT_EQ(ret ? ENOMEM : 0, ret ? inj.error : umount(FISC_MNT));
	}
	ASSERT_EQ(0, fisc_mount(FISC_MNT, NULL));
	expect_ended(_metadata, &inj);
}

TEST_F(oom, rename_and_unlink_of_a_vm_in_use)
{
	struct injection inj = { 0 };
	int fd, ret;
	char *map;

	fd = fisc_create(ST "a", 2);
	map = fisc_map(fd, 2);
	ASSERT_NE(NULL, map);
	fisc_fill(map, 1);
	while (next_failure(&inj)) {
		arm(&inj);
		ret = rename(ST "a", ST "b");
		disarm(&inj, ret < 0);
		if (ret) {
			EXPECT_EQ(ENOMEM, inj.error);
			EXPECT_EQ(1, fisc_vm("st-a", "present_pages"));
			EXPECT_EQ(-1, fisc_vm("st-b", "present_pages"));
		} else {
			EXPECT_EQ(-1, fisc_vm("st-a", "present_pages"));
			EXPECT_EQ(1, fisc_vm("st-b", "present_pages"));
			ASSERT_EQ(0, rename(ST "b", ST "a"));
		}
		EXPECT_EQ(-1, fisc_check(map, 1));
		EXPECT_EQ(1, nr_vm_directories());
	}
	expect_ended(_metadata, &inj);
	munmap(map, 2 * PAGE_SIZE);
	close(fd);
	ASSERT_EQ(0, unlink(ST "a"));

	while (next_failure(&inj)) {
		fd = fisc_create(ST "a", 2);
		ASSERT_LE(0, fd);
		map = fisc_map(fd, 2);
		ASSERT_NE(NULL, map);
		fisc_fill(map, inj.nth);
		arm(&inj);
		ret = unlink(ST "a");
		disarm(&inj, ret < 0);
		if (ret) {
			EXPECT_EQ(ENOMEM, inj.error);
			EXPECT_EQ(0, unlink(ST "a"));
		}
		EXPECT_EQ(-1, fisc_check(map, inj.nth));
		munmap(map, 2 * PAGE_SIZE);
		close(fd);
		expect_counters(_metadata, 0, 0, 0);
		EXPECT_EQ(0, nr_vm_directories());
	}
	EXPECT_FALSE(inj.hit);
}

TEST_F(oom, write_into_holes)
{
	char page[2 * PAGE_SIZE];
	struct injection inj = { 0 };
	int fd;
	ssize_t ret;

	fisc_fill(page, 1);
	fisc_fill(page + PAGE_SIZE, 2);
	while (next_failure(&inj)) {
		char back[2 * PAGE_SIZE];

		fd = fisc_create(ST "a", 0);
		ASSERT_LE(0, fd);
		arm(&inj);
		ret = pwrite(fd, page, sizeof(page), PAGE_SIZE);
		disarm(&inj, ret < 0);
		if (ret < 0) {
			EXPECT_EQ(ENOMEM, inj.error);
			EXPECT_EQ(0, fisc_size(fd));
			/* A frame that stays beyond the size is counted. */
			EXPECT_EQ((long)(fisc_blocks(fd) / BLOCKS_PER_PAGE),
				  fisc_core("frames"));
			ret = 0;
		} else {
			EXPECT_EQ((off_t)PAGE_SIZE + ret, fisc_size(fd));
			ASSERT_EQ(ret, pread(fd, back, ret, PAGE_SIZE));
			EXPECT_EQ(0, memcmp(page, back, ret));
			EXPECT_EQ(ret, fisc_core("frames") * (long)PAGE_SIZE);
		}
		EXPECT_EQ((long)(fisc_blocks(fd) / BLOCKS_PER_PAGE),
			  fisc_core("frames"));
		/* Now it works, and nothing is left of the failure. */
		ASSERT_EQ((ssize_t)sizeof(page),
			  pwrite(fd, page, sizeof(page), PAGE_SIZE));
		EXPECT_EQ(2, fisc_core("frames"));
		close(fd);
		ASSERT_EQ(0, unlink(ST "a"));
		expect_counters(_metadata, 0, 0, 0);
	}
	expect_ended(_metadata, &inj);
}

TEST_F(oom, allocation_by_fallocate)
{
	struct injection inj = { 0 };
	int fd, ret;
	char *map;

	while (next_failure(&inj)) {
		fd = fisc_create(ST "a", 8);
		map = fisc_map(fd, 8);
		ASSERT_NE(NULL, map);
		fisc_fill(map + PAGE_SIZE, 7);
		arm(&inj);
		ret = fallocate(fd, 0, 0, 8 * PAGE_SIZE);
		disarm(&inj, ret < 0);
		EXPECT_EQ(ret ? ENOMEM : 8,
			  ret ? inj.error : fisc_core("frames"));
		EXPECT_EQ((long)(fisc_blocks(fd) / BLOCKS_PER_PAGE),
			  fisc_core("frames"));
		EXPECT_EQ(-1, fisc_check(map + PAGE_SIZE, 7));
		EXPECT_EQ(-1,
			  fisc_check_zero(map + 2 * PAGE_SIZE, 6 * PAGE_SIZE));
		munmap(map, 8 * PAGE_SIZE);
		close(fd);
		ASSERT_EQ(0, unlink(ST "a"));
		expect_counters(_metadata, 0, 0, 0);
	}
	expect_ended(_metadata, &inj);
}

static void fault_by_populate(struct __test_metadata *_metadata, int advice,
			      long frames)
{
	struct injection inj = { 0 };
	int fd, ret;
	char *map;

	while (next_failure(&inj)) {
		fd = fisc_create(ST "a", 2);
		map = fisc_map(fd, 2);
		ASSERT_NE(NULL, map);
		arm(&inj);
		ret = madvise(map, 2 * PAGE_SIZE, advice);
		disarm(&inj, ret < 0);
		EXPECT_TRUE(ret ? inj.error == ENOMEM || inj.error == EFAULT :
				  fisc_core("frames") == frames);
		EXPECT_EQ((long)(fisc_blocks(fd) / BLOCKS_PER_PAGE),
			  fisc_core("frames"));
		EXPECT_EQ(-1, fisc_check_zero(map, 2 * PAGE_SIZE));
		fisc_fill(map, 1);
		EXPECT_EQ(-1, fisc_check(map, 1));
		munmap(map, 2 * PAGE_SIZE);
		close(fd);
		ASSERT_EQ(0, unlink(ST "a"));
		expect_counters(_metadata, 0, 0, 0);
	}
	expect_ended(_metadata, &inj);
}

TEST_F(oom, write_faults)
{
	fault_by_populate(_metadata, MADV_POPULATE_WRITE, 2);
}

TEST_F(oom, read_faults)
{
	fault_by_populate(_metadata, MADV_POPULATE_READ, 0);
}

/* Less than a word: the kernel retries a faulting word byte by byte. */
TEST_F(oom, faults_of_a_system_call)
{
	struct injection inj = { 0 };
	int fd, from[2];
	ssize_t ret;
	char *map;

	ASSERT_EQ(0, pipe(from));
	while (next_failure(&inj)) {
		fd = fisc_create(ST "a", 1);
		map = fisc_map(fd, 1);
		ASSERT_NE(NULL, map);
		ASSERT_EQ(7, write(from[1], "abcdefg", 7));
		arm(&inj);
		ret = read(from[0], map + 100, 7);
		disarm(&inj, ret < 0);
		if (ret < 0) {
			EXPECT_EQ(EFAULT, inj.error);
			EXPECT_EQ(-1, fisc_check_zero(map, PAGE_SIZE));
			ASSERT_EQ(7, read(from[0], map + 100, 7));
		} else {
			ASSERT_EQ(7, ret);
		}
		EXPECT_EQ(0, memcmp(map + 100, "abcdefg", 7));
		EXPECT_EQ(-1, fisc_check_zero(map, 100));
		EXPECT_EQ(1, fisc_core("frames"));
		munmap(map, PAGE_SIZE);
		close(fd);
		ASSERT_EQ(0, unlink(ST "a"));
	}
	expect_ended(_metadata, &inj);
}

/* Two files share a page; a write to it finds no memory. */
static void copy_without_memory(struct __test_metadata *_metadata,
				bool by_fault, __u64 content)
{
	struct injection inj = { 0 };
	int a, b, ret;
	char *ma, *mb;

	while (next_failure(&inj)) {
		a = fisc_create(ST "a", 1);
		b = fisc_create(ST "b", 1);
		ma = fisc_map(a, 1);
		mb = fisc_map(b, 1);
		ASSERT_NE(NULL, ma);
		ASSERT_NE(NULL, mb);
		fisc_fill(ma, 1);
		fisc_fill(mb, 1);
		if (!content) {
			memset(ma, 0, PAGE_SIZE);
			memset(mb, 0, PAGE_SIZE);
		}
		ASSERT_EQ(0, fisc_scan_on());
		ASSERT_TRUE(fisc_wait("share", "saved", content ? 1 : 2));
		ASSERT_EQ(0, fisc_scan_off());
		arm(&inj);
		if (by_fault)
			ret = madvise(ma, PAGE_SIZE, MADV_POPULATE_WRITE);
		else
			ret = pwrite(a, "x", 1, 0);
		disarm(&inj, ret < 0);
		if (ret < 0) {
			EXPECT_TRUE(inj.error == ENOMEM ||
				    (by_fault && inj.error == EFAULT));
			EXPECT_EQ(content ? 1 : 2, fisc_share("saved"));
			EXPECT_EQ(content ? 1 : 0, fisc_core("frames"));
			EXPECT_EQ(content ? 2 : 0, fisc_share("sharing"));
		} else {
			EXPECT_EQ(content ? 2 : 1, fisc_core("frames"));
			EXPECT_EQ(by_fault, ma[0] != 'x');
		}
		if (ret < 0 || by_fault) {
			EXPECT_EQ(-1, content ? fisc_check(ma, 1) :
						fisc_check_zero(ma, PAGE_SIZE));
		}
		EXPECT_EQ(-1, content ? fisc_check(mb, 1) :
					fisc_check_zero(mb, PAGE_SIZE));
		munmap(ma, PAGE_SIZE);
		munmap(mb, PAGE_SIZE);
		close(a);
		close(b);
		unlink(ST "a");
		unlink(ST "b");
		expect_counters(_metadata, 0, 0, 0);
		EXPECT_EQ(0, fisc_share("shared"));
	}
	expect_ended(_metadata, &inj);
}

TEST_F(oom, copy_by_write_call)
{
	copy_without_memory(_metadata, false, 1);
}

TEST_F(oom, copy_by_write_fault)
{
	copy_without_memory(_metadata, true, 1);
}

TEST_F(oom, copy_of_the_zero_page_by_write_fault)
{
	copy_without_memory(_metadata, true, 0);
}

TEST_F(oom, truncation_and_holes_need_no_memory_for_whole_pages)
{
	struct injection inj = { 0 };
	int fd, ret;
	char *map;

	while (next_failure(&inj)) {
		fd = fisc_create(ST "a", 4);
		map = fisc_map(fd, 4);
		ASSERT_NE(NULL, map);
		memset(map, 1, 4 * PAGE_SIZE);
		arm(&inj);
		ret = fallocate(fd, PUNCH, 0, 2 * PAGE_SIZE) ?:
			      ftruncate(fd, 3 * PAGE_SIZE);
		disarm(&inj, ret < 0);
		EXPECT_EQ(0, ret)
			TH_LOG("errno %d", inj.error);
		EXPECT_EQ(1, fisc_core("frames"));
		munmap(map, 4 * PAGE_SIZE);
		close(fd);
		unlink(ST "a");
		expect_counters(_metadata, 0, 0, 0);
	}
	EXPECT_FALSE(inj.hit);
}

TEST_F(oom, scanner_without_memory_keeps_everything_right)
{
	int fd, pid = fail_kthread("fisc_share/"), i, round;
	char *map;

	ASSERT_LT(0, pid);
	ASSERT_EQ(0, fail_process(pid, 70));
	fd = fisc_create(ST "a", 600);
	map = fisc_map(fd, 600);
	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, fisc_scan_on());
	for (round = 0; round < 4; round++) {
		/* Many different pages, for the table of hints to grow. */
		for (i = 0; i < 600; i++)
			fisc_fill(map + i * PAGE_SIZE, i % (100 + 100 * round));
		EXPECT_TRUE(fisc_wait_passes(3));
		for (i = 0; i < 600; i++)
			EXPECT_EQ(-1, fisc_check(map + i * PAGE_SIZE,
						 i % (100 + 100 * round)));
	}
	EXPECT_EQ(0, fail_process(pid, 0));
	/* Once there is memory again, the scanner finishes. */
	EXPECT_TRUE(fisc_wait("core", "frames", 400));
}

TEST_HARNESS_MAIN
