// SPDX-License-Identifier: GPL-2.0
/* Guest memory as files: mounts, names, permissions and times. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
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

/* Run @fn as nobody in a child, and return its result, at most 255. */
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

/* Does /proc/mounts show @option for the mount of the tests? */
static bool mount_has(const char *option)
{
	FILE *mounts = fopen("/proc/mounts", "re");
	char line[512];
	bool found = false;

	while (mounts && fgets(line, sizeof(line), mounts))
		found |= strstr(line, " " FISC_MNT " ") && strstr(line, option);
	if (mounts)
		fclose(mounts);
	return found;
}

TEST_F(fisc, mount_options_set_the_root_and_bad_ones_fail)
{
	static const char * const bad[] = {
		"mode=99999", "mode=abc", "uid=-5", "gid=x", "size=1G",
		"nonsense", "fmask=1777", "fmask=9", "fmask",
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
	EXPECT_EQ(0, fisc_mount(FISC_MNT,
				"mode=0750,uid=1234,gid=4321,fmask=0007"));
	EXPECT_EQ(0, stat(FISC_MNT, &st));
	EXPECT_TRUE(mount_has("fmask=0007"));
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
	ASSERT_TRUE(fisc_fill_file(fd, 0, 4, 1));
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

TEST_F(fisc, unlinked_file_lives_until_closed)
{
	int fd = fisc_create(ST "a", 4);
	struct stat st;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(fisc_fill_file(fd, 0, 4, 1));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(1, st.st_nlink);
	ASSERT_EQ(0, unlink(ST "a"));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_EQ(-1, fisc_check_file(fd, 0, 4, 1));
	ASSERT_TRUE(fisc_fill_file(fd, 4, 4, 1));
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
		ASSERT_EQ(0, i % 10 ? try_open(path, O_RDWR | O_CREAT) :
				      mkdir(path, 0755));
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
	ASSERT_TRUE(fisc_fill_file(a, 0, 2, 1));
	ASSERT_TRUE(fisc_fill_file(b, 0, 3, 2));
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
	/* The VM that was replaced is freed. */
	ASSERT_EQ(0, rename(ST "v/a", ST "v/d/b"));
	EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames + 2));
	EXPECT_EQ(ENOENT, try_open(ST "v/a", O_RDONLY));
	b = open(ST "v/d/b", O_RDONLY);
	ASSERT_LE(0, b);
	EXPECT_EQ(-1, fisc_check_file(b, 0, 2, 1));
	ASSERT_EQ(0, rename(ST "v/d", ST "v/e"));
	EXPECT_EQ(0, try_open(ST "v/e/b", O_RDONLY));
	EXPECT_EQ(self->before.frames + 2, fisc_core("frames"));
}

TEST_F(fisc, rename_at_the_root_renames_the_vm)
{
	int fd = fisc_create(ST "a", 4);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(fisc_fill_file(fd, 0, 4, 1));
	EXPECT_EQ(4, fisc_vm("st-a", "present_pages"));
	ASSERT_EQ(0, rename(ST "a", ST "b"));
	EXPECT_EQ(ENOENT, try_open(ST "a", O_RDONLY));
	EXPECT_EQ(0, try_open(ST "b", O_RDONLY));
	EXPECT_EQ(-1, fisc_vm("st-a", "present_pages"));
	EXPECT_EQ(4, fisc_vm("st-b", "present_pages"));
	EXPECT_EQ(-1, fisc_check_file(fd, 0, 4, 1));
	/* A new VM may take the old name. */
	EXPECT_EQ(0, try_open(ST "a", O_RDWR | O_CREAT | O_EXCL));
	EXPECT_EQ(0, fisc_vm("st-a", "present_pages"));
	EXPECT_EQ(4, fisc_vm("st-b", "present_pages"));

	ASSERT_EQ(0, mkdir(ST "d", 0755));
	ASSERT_EQ(0, rename(ST "d", ST "e"));
	EXPECT_EQ(-1, fisc_vm("st-d", "present_pages"));
	EXPECT_EQ(0, fisc_vm("st-e", "present_pages"));
}

/* Not EXDEV: mv would copy the file and remove its name then. */
TEST_F(fisc, rename_between_vms_is_refused)
{
	static const struct {
		const char *from, *to;
	} renames[] = {
		{ ST "a/f", ST "b/f" }, { ST "a/d", ST "b/d" },
		{ ST "a/f", ST "g" }, { ST "f", ST "a/g" },
		{ ST "b", ST "a/b" },
	};
	size_t i;

	ASSERT_EQ(0, mkdir(ST "a", 0755));
	ASSERT_EQ(0, mkdir(ST "b", 0755));
	ASSERT_EQ(0, mkdir(ST "a/d", 0755));
	ASSERT_EQ(0, try_open(ST "a/f", O_RDWR | O_CREAT));
	ASSERT_EQ(0, try_open(ST "f", O_RDWR | O_CREAT));
	for (i = 0; i < ARRAY_SIZE(renames); i++) {
		EXPECT_EQ(-1, rename(renames[i].from, renames[i].to));
		EXPECT_EQ(EPERM, errno)
			TH_LOG("%s to %s", renames[i].from, renames[i].to);
	}
	EXPECT_EQ(0, access(ST "a/f", F_OK));
	EXPECT_EQ(0, access(ST "a/d", F_OK));
	EXPECT_EQ(0, access(ST "f", F_OK));
}

TEST_F(fisc, mv_between_vms_moves_nothing)
{
	static const char * const mv[] = { "mv", ST "a", ST "d/a", NULL };
	int fd = fisc_create(ST "a", 4);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(fisc_fill_file(fd, 0, 4, 1));
	ASSERT_EQ(0, mkdir(ST "d", 0755));
	EXPECT_NE(0, fisc_run(mv));
	EXPECT_EQ(0, access(ST "a", F_OK));
	EXPECT_EQ(-1, access(ST "d/a", F_OK));
	EXPECT_EQ(self->before.frames + 4, fisc_core("frames"));
}

TEST_F(fisc, rename_over_a_vm_replaces_it_or_fails)
{
	int a = fisc_create(ST "a", 2), b = fisc_create(ST "b", 3), ret;

	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	ASSERT_TRUE(fisc_fill_file(a, 0, 2, 1));
	ASSERT_TRUE(fisc_fill_file(b, 0, 3, 2));
	ret = rename(ST "a", ST "b");
	close(b);
	if (ret) {
		EXPECT_EQ(2, fisc_vm("st-a", "present_pages"));
		EXPECT_EQ(3, fisc_vm("st-b", "present_pages"));
		EXPECT_EQ(self->before.frames + 5, fisc_core("frames"));
	} else {
		EXPECT_TRUE(fisc_wait("core", "frames",
				      self->before.frames + 2));
		EXPECT_EQ(-1, fisc_vm("st-a", "present_pages"));
		EXPECT_EQ(2, fisc_vm("st-b", "present_pages"));
	}
	EXPECT_EQ(-1, fisc_check_file(a, 0, 2, 1));
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

static mode_t mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_mode & 07777;
}

static int create_for_all(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* What a VMM asks for does not let others read a guest's memory. */
TEST_F(fisc, memory_is_for_its_owner_only)
{
	mode_t mask = umask(0);

	EXPECT_EQ(0, create_for_all(ST "a"));
	EXPECT_EQ(0600, mode_of(ST "a"));
	EXPECT_EQ(EACCES, as_nobody(open_a_rdonly));
	/* In a VM's directory as well; directories hold no memory. */
	ASSERT_EQ(0, mkdir(ST "d", 0755));
	EXPECT_EQ(0755, mode_of(ST "d"));
	EXPECT_EQ(0, create_for_all(ST "d/f"));
	EXPECT_EQ(0600, mode_of(ST "d/f"));
	umask(mask);
}

TEST_F(fisc, fmask_lets_others_in)
{
	char dir[] = "/tmp/fisc-XXXXXX";
	mode_t mask = umask(0);

	EXPECT_EQ(0, mount("none", FISC_MNT, "fisc", MS_REMOUNT, "fmask=0017"));
	EXPECT_EQ(0, create_for_all(ST "a"));
	EXPECT_EQ(0660, mode_of(ST "a"));
	EXPECT_EQ(-1, mount("none", FISC_MNT, "fisc", MS_REMOUNT, "fmask=1000"));
	EXPECT_EQ(-1, mount("none", FISC_MNT, "fisc", MS_REMOUNT, "fmask=8"));
	/* A remount without it keeps it; another mount changes it for all. */
	EXPECT_EQ(0, mount("none", FISC_MNT, "fisc", MS_REMOUNT, NULL));
	EXPECT_EQ(0, create_for_all(ST "b"));
	EXPECT_EQ(0660, mode_of(ST "b"));
	ASSERT_NE(NULL, mkdtemp(dir));
	EXPECT_EQ(0, fisc_mount(dir, "fmask=0077"));
	EXPECT_EQ(0, umount(dir));
	rmdir(dir);
	EXPECT_EQ(0, create_for_all(ST "c"));
	EXPECT_EQ(0600, mode_of(ST "c"));
	EXPECT_EQ(0660, mode_of(ST "a"));
	umask(mask);
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
	ASSERT_TRUE(fisc_fill_file(fd, 0, 4, 1));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(0, fdatasync(fd));
	EXPECT_EQ(0, syncfs(fd));
	EXPECT_EQ(-1, fisc_check_file(fd, 0, 4, 1));
}

TEST_HARNESS_MAIN
