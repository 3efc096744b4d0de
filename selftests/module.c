// SPDX-License-Identifier: GPL-2.0
/* Loading and unloading. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "module.h"

#define RELOADS		20

FIXTURE(module)
{
	long refcount;
};

FIXTURE_SETUP(module)
{
	if (!getenv("FISC_KO"))
		SKIP(return, "FISC_KO does not name the module");
	module_set_up(_metadata);
	self->refcount = refcount();
	ASSERT_LT(0, self->refcount);
}

FIXTURE_TEARDOWN_PARENT(module)
{
	module_tear_down(_metadata);
}

TEST_F(module, mounted_module_stays)
{
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
	EXPECT_TRUE(loaded());
	ASSERT_EQ(0, umount(FISC_MNT));
	EXPECT_EQ(0, fisc_unload_soon("fisc"));
	EXPECT_FALSE(loaded());
	EXPECT_EQ(-ENOENT, fisc_unload("fisc"));
}

TEST_F(module, all_its_interfaces_go_and_come_with_it)
{
	static const char * const paths[] = {
		FISC_SYSFS, FISC_DEBUGFS, SHARE_RUN, "/sys/module/fisc",
	};
	char line[256];
	size_t i;
	FILE *f;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		EXPECT_EQ(0, access(paths[i], F_OK));
	ASSERT_EQ(0, umount(FISC_MNT));
	ASSERT_EQ(0, fisc_unload_soon("fisc"));
	for (i = 0; i < ARRAY_SIZE(paths); i++)
		EXPECT_EQ(-1, access(paths[i], F_OK));
	f = fopen("/proc/filesystems", "r");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f))
		EXPECT_EQ(NULL, strstr(line, "fisc"));
	fclose(f);
	EXPECT_EQ(-ENODEV, fisc_mount(FISC_MNT, NULL));
	ASSERT_EQ(0, fisc_load());
	for (i = 0; i < ARRAY_SIZE(paths); i++)
		EXPECT_EQ(0, access(paths[i], F_OK));
	/* With the documented defaults. */
	EXPECT_EQ(FISC_SHARE_STOP, fisc_read_long(SHARE_RUN));
	EXPECT_EQ(FISC_PAGES_PER_SEC_DEFAULT, fisc_read_long(SHARE_RATE));
	EXPECT_EQ(0, fisc_core("frames"));
	EXPECT_EQ(-EEXIST, fisc_load());
}

TEST_F(module, mapped_module_stays_after_lazy_unmount)
{
	int fd = fisc_create(ST "a", 8);
	char *map = fisc_map(fd, 8);

	ASSERT_NE(NULL, map);
	fisc_fill(map, 1);
	fisc_fill(map + PAGE_SIZE, 1);
	close(fd);
	ASSERT_EQ(0, umount_lazily());
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
	EXPECT_EQ(-1, fisc_check(map, 1));
	fisc_fill(map + 2 * PAGE_SIZE, 2);
	EXPECT_EQ(3, fisc_core("frames"));
	/* A VMM that lives on still takes part in sharing. */
	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, RATE_MAX));
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("core", "frames", 2));
	munmap(map, 8 * PAGE_SIZE);
	EXPECT_EQ(0, fisc_unload_soon("fisc"));
}

TEST_F(module, open_file_keeps_the_module)
{
	int fd = fisc_create(ST "a", 8);
	char page[PAGE_SIZE];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, umount_lazily());
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
	fisc_fill(page, 1);
	EXPECT_EQ((ssize_t)PAGE_SIZE, pwrite(fd, page, PAGE_SIZE, 0));
	EXPECT_EQ((ssize_t)PAGE_SIZE, pread(fd, page, PAGE_SIZE, 0));
	EXPECT_EQ(-1, fisc_check(page, 1));
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
	close(fd);
	EXPECT_EQ(0, fisc_unload_soon("fisc"));
}

TEST_F(module, directory_of_a_process_keeps_the_module)
{
	ASSERT_EQ(0, mkdir(ST "d", 0755));
	ASSERT_EQ(0, chdir(ST "d"));
	ASSERT_EQ(0, umount_lazily());
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
	ASSERT_EQ(0, chdir("/"));
	EXPECT_EQ(0, fisc_unload_soon("fisc"));
}

TEST_F(module, calls_under_way_keep_the_module)
{
	int fd = fisc_create(ST "a", 1024), fds[2], status, i;
	pid_t pid;
	char c;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pipe(fds));
	pid = fork();
	if (!pid) {
		char *buf = malloc(1024 * PAGE_SIZE);

		memset(buf, 1, 1024 * PAGE_SIZE);
		if (write(fds[1], "x", 1) != 1)
			_exit(1);
		for (;;) {
			if (pwrite(fd, buf, 1024 * PAGE_SIZE, 0) < 0 ||
			    pread(fd, buf, 1024 * PAGE_SIZE, 0) < 0)
				_exit(1);
		}
	}
	close(fd);
	ASSERT_EQ(1, read(fds[0], &c, 1));
	ASSERT_EQ(0, umount_lazily());
	for (i = 0; i < 50; i++) {
		EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
		fisc_sleep_ms(10);
	}
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(0, fisc_unload_soon("fisc"));
}

TEST_F(module, page_in_a_pipe_outlives_the_module)
{
	int fd = fisc_create(ST "a", 2), fds[2];
	char *map = fisc_map(fd, 2), page[PAGE_SIZE];
	struct iovec { void *base; size_t len; } iov = { map, 2 * PAGE_SIZE };

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, pipe(fds));
	fisc_fill(map, 1);
	fisc_fill(map + PAGE_SIZE, 2);
	ASSERT_EQ(2 * (ssize_t)PAGE_SIZE,
		  syscall(SYS_vmsplice, fds[1], &iov, 1, 0));
	munmap(map, 2 * PAGE_SIZE);
	close(fd);
	ASSERT_EQ(0, umount(FISC_MNT));
	ASSERT_EQ(0, fisc_unload_soon("fisc"));
	ASSERT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 1));
	ASSERT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 2));
}

TEST_F(module, open_sysfs_and_debugfs_files_do_no_harm)
{
	int run = open(SHARE_RUN, O_RDWR);
	int core = open(FISC_DEBUGFS "/core", O_RDONLY), vm;
	char buf[64];

	ASSERT_LE(0, run);
	ASSERT_LE(0, core);
	close(fisc_create(ST "a", 1));
	vm = open(FISC_SYSFS "/vms/st-a/present_pages", O_RDONLY);
	ASSERT_LE(0, vm);
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_GE(0, pread(vm, buf, sizeof(buf), 0));
	ASSERT_EQ(0, umount(FISC_MNT));
	if (fisc_unload("fisc")) {
		/* They keep the module, or stop working once it is gone. */
		close(core);
		EXPECT_EQ(0, fisc_unload_soon("fisc"));
	}
	EXPECT_FALSE(loaded());
	EXPECT_GE(0, pread(run, buf, sizeof(buf), 0));
	EXPECT_EQ(-1, pwrite(run, "1", 1, 0));
	EXPECT_GE(0, pread(core, buf, sizeof(buf), 0));
	EXPECT_GE(0, pread(vm, buf, sizeof(buf), 0));
}

TEST_F(module, reference_count_follows_mounts)
{
	char dir[] = "/tmp/fisc-XXXXXX";

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, umount(FISC_MNT));
	EXPECT_EQ(0, refcount());
	ASSERT_EQ(0, fisc_mount(FISC_MNT, NULL));
	EXPECT_EQ(self->refcount, refcount());
	ASSERT_EQ(0, fisc_mount(dir, NULL));
	EXPECT_LE(self->refcount, refcount());
	ASSERT_EQ(0, umount(FISC_MNT));
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
	ASSERT_EQ(0, umount(dir));
	EXPECT_EQ(0, refcount());
	rmdir(dir);
}

TEST_F(module, failed_calls_leave_the_reference_count)
{
	int i;

	for (i = 0; i < 10; i++) {
		EXPECT_GT(0, fisc_mount(FISC_MNT, "nonsense"));
		EXPECT_GT(0, open(ST "none", O_RDONLY));
		EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
	}
	EXPECT_EQ(self->refcount, refcount());
}

TEST_F(module, loads_and_unloads_again_and_again)
{
	int fd, i, j;
	char *map;

	ASSERT_EQ(0, umount(FISC_MNT));
	ASSERT_EQ(0, fisc_unload_soon("fisc"));
	for (i = 0; i < RELOADS; i++) {
		ASSERT_EQ(0, fisc_load());
		ASSERT_EQ(0, fisc_mount(FISC_MNT, NULL));
		ASSERT_EQ(0, fisc_write_str(SHARE_RATE, RATE_MAX));
		ASSERT_EQ(0, fisc_scan_on());
		fd = fisc_create(ST "a", 64);
		map = fisc_map(fd, 64);
		ASSERT_NE(NULL, map);
		for (j = 0; j < 64; j++)
			fisc_fill(map + j * PAGE_SIZE, j / 4);
		/* At various moments of a pass. */
		fisc_sleep_ms(i * 3);
		munmap(map, 64 * PAGE_SIZE);
		close(fd);
		/* While the scanner runs and the file still exists. */
		ASSERT_EQ(0, umount(FISC_MNT));
		ASSERT_EQ(0, fisc_unload_soon("fisc"));
	}
}

TEST_HARNESS_MAIN
