// SPDX-License-Identifier: GPL-2.0
/* Automatic adoption: which VMs, and what is not waited for. */
#include <linux/fuse.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "adopt.h"

TEST_F(adopt, nothing_is_adopted_by_itself_unless_told)
{
	char text[64];

	ASSERT_EQ(0, fisc_read_str(AUTO "policy", text, sizeof(text)));
	EXPECT_STREQ("none", text);
	ASSERT_EQ(0, fisc_write_str(AUTO "min_bytes", "1M"));
	snprintf(text, sizeof(text), "%d", getpid());
	EXPECT_EQ(0, fisc_write_str(AUTO "created", text));
	EXPECT_FALSE(is_adopted_by_pid(getpid(), NOT_S));
	fisc_refuse(_metadata, AUTO "policy", "some", -EINVAL);
	fisc_refuse(_metadata, AUTO "uid", "root", -EINVAL);
	fisc_refuse(_metadata, AUTO "uid", "-1", -EINVAL);
	fisc_refuse(_metadata, AUTO "min_bytes", "much", -EINVAL);
	EXPECT_EQ(-EINVAL, fisc_write_str(AUTO "created", "0"));
	EXPECT_EQ(-ESRCH, fisc_write_str(AUTO "created", "2147483647"));
	EXPECT_EQ(-EINVAL, fisc_write_str(AUTO "release_all", "0"));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	EXPECT_EQ(0, fisc_write_str(AUTO "names", text));
	fisc_take(_metadata, AUTO "names", " a\tb\n\nc* ", "a\nb\nc*");
}

TEST_F(adopt, all_are_adopted_but_for_the_small_and_others)
{
	fisc_fill_pages(self->mem, PAGES, 1);
	/* 8 MiB are less than min_bytes. */
	ASSERT_EQ(0, fisc_write_str(AUTO "policy", "all"));
	EXPECT_FALSE(is_adopted_by_pid(getpid(), NOT_S));
	ASSERT_EQ(0, fisc_write_str(AUTO "uid", "12345"));
	ASSERT_EQ(0, fisc_write_str(AUTO "min_bytes", "8M"));
	ASSERT_EQ(0, fisc_write_str(AUTO "policy", "all"));
	EXPECT_FALSE(is_adopted_by_pid(getpid(), NOT_S));
	ASSERT_EQ(0, fisc_write_str(AUTO "uid", "0"));
	ASSERT_EQ(0, fisc_write_str(AUTO "policy", "all"));
	EXPECT_TRUE(is_adopted_by_pid(getpid(), WAIT_S));
	EXPECT_TRUE(fisc_wait("core", "frames", PAGES));
	/* A VM that was released is left alone. */
	ASSERT_TRUE(release_by_pid(getpid()));
	EXPECT_FALSE(is_adopted_by_pid(getpid(), NOT_S));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
}

TEST_F(adopt, listed_ones_are_adopted)
{
	char pattern[32];

	ASSERT_EQ(0, fisc_write_str(AUTO "min_bytes", "1M"));
	ASSERT_EQ(0, fisc_write_str(AUTO "names", "web-* db pid-"));
	ASSERT_EQ(0, fisc_write_str(AUTO "policy", "listed"));
	EXPECT_FALSE(is_adopted_by_pid(getpid(), NOT_S));
	snprintf(pattern, sizeof(pattern), "db *-%d", getpid());
	ASSERT_EQ(0, fisc_write_str(AUTO "names", pattern));
	ASSERT_EQ(0, fisc_write_str(AUTO "policy", "listed"));
	EXPECT_TRUE(is_adopted_by_pid(getpid(), WAIT_S));
	ASSERT_TRUE(release_by_pid(getpid()));
}

/* As the udev rule does: the VM exists, but has no memory yet. */
TEST_F(adopt, new_ones_follow)
{
	int status, to_child[2];
	char text[32], go = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, fisc_write_str(AUTO "min_bytes", "8M"));
	/* This VM is not adopted. */
	ASSERT_EQ(0, fisc_write_str(AUTO "names", "none-such"));
	ASSERT_EQ(0, fisc_write_str(AUTO "policy", "listed"));
	pid = fork();
	if (!pid) {
		struct vmm own;
		char *mem = map_memory(SIZE);

		if (!mem || vmm_open(&own) || read(to_child[0], &go, 1) != 1 ||
		    vmm_set_slot(&own, 0, GPA, mem, PAGES))
			_exit(1);
		fisc_fill_pages(mem, PAGES, 1);
		if (read(to_child[0], &go, 1) != 1)
			_exit(1);
		_exit(fisc_check_pages(mem, PAGES, 1) == -1 ? 0 : 2);
	}
	fisc_sleep_ms(500);
	snprintf(text, sizeof(text), "pid-%d", pid);
	ASSERT_EQ(0, fisc_write_str(AUTO "names", text));
	snprintf(text, sizeof(text), "%d", pid);
	ASSERT_EQ(0, fisc_write_str(AUTO "created", text));
	EXPECT_FALSE(is_adopted_by_pid(pid, NOT_S));
	ASSERT_EQ(1, write(to_child[1], &go, 1));
	EXPECT_TRUE(is_adopted_by_pid(pid, WAIT_S));
	EXPECT_TRUE(fisc_wait("core", "frames", PAGES));
	EXPECT_EQ(0, fisc_write_str(AUTO "release_all", "1"));
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	ASSERT_EQ(1, write(to_child[1], &go, 1));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* VMs that are not adopted, so that they can still be set up */

/* Watch memory, or no longer: the descriptor of the watch, or -errno. */
static int watch(char *mem, size_t size)
{
	struct uffdio_register range = {
		.range = { .start = (unsigned long)mem, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &range))
		return -errno;
	return fd;
}

static int stop_watch(int fd, char *mem)
{
	struct uffdio_range range = {
		.start = (unsigned long)mem, .len = SIZE,
	};

	return ioctl(fd, UFFDIO_UNREGISTER, &range) ? -errno : 0;
}

/* As a VMM that a guest is migrated to, and that runs it in the end. */
static int run_late(const struct child *self)
{
	char *mem = map_memory(SIZE);
	struct vmm vmm;
	int fd;

	if (!mem || vmm_open_idle(&vmm) ||
	    vmm_set_slot(&vmm, 0, GPA, mem, PAGES))
		return 1;
	fisc_fill_pages(mem, PAGES, 1);
	if (!tell(self) || !hear(self))
		return 2;
	fd = watch(mem, SIZE);
	if (fd < 0)
		return 3;
	if (!tell(self) || !hear(self))
		return 4;
	if (stop_watch(fd, mem) || vmm_run_once(&vmm))
		return 5;
	if (!tell(self) || !hear(self))
		return 6;
	return fisc_check_pages(mem, PAGES, 1) == -1 ? 0 : 7;
}

TEST_F(adopt, vm_that_has_not_run_is_left_alone)
{
	struct child child;

	/* This VM has run, but is too small. */
	ASSERT_EQ(0, vmm_delete_slot(&self->vmm, 0));
	ASSERT_TRUE(start_child(&child));
	if (!child.pid)
		_exit(run_late(&child));
	ASSERT_TRUE(hear(&child));
	ASSERT_EQ(0, fisc_write_str(AUTO "min_bytes", "8M"));
	ASSERT_EQ(0, fisc_write_str(AUTO "policy", "all"));
	fisc_sleep_ms(NOT_S * 1000);
	EXPECT_FALSE(is_adopted_by_pid(child.pid, 0));
	EXPECT_EQ(-EAGAIN, adopt_pid(child.pid));
	ASSERT_TRUE(tell(&child));
	/* It can have its memory watched. */
	ASSERT_TRUE(hear(&child))
		TH_LOG("child: %d", fisc_wait_child(child.pid));
	fisc_sleep_ms(NOT_S * 1000);
	EXPECT_FALSE(is_adopted_by_pid(child.pid, 0));
	EXPECT_EQ(-EAGAIN, adopt_pid(child.pid));
	ASSERT_TRUE(tell(&child));
	ASSERT_TRUE(hear(&child));
	EXPECT_TRUE(is_adopted_by_pid(child.pid, WAIT_S + 10));
	EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames + PAGES));
	EXPECT_TRUE(release_by_pid(child.pid));
	EXPECT_TRUE(tell(&child));
	EXPECT_EQ(0, fisc_wait_child(child.pid));
}

/* A VMM whose memory is a file of fisc. */
static int use_file(const struct child *self)
{
	char *mem = fisc_map(fisc_create(ST "a", PAGES), PAGES);
	struct vmm vmm;

	if (!mem || vmm_open(&vmm) || vmm_set_slot(&vmm, 0, GPA, mem, PAGES))
		return 1;
	fisc_fill_pages(mem, PAGES, 1);
	if (!tell(self) || !hear(self))
		return 2;
	return fisc_check_pages(mem, PAGES, 1) == -1 ? 0 : 3;
}

TEST_F(adopt, vm_on_files_of_ours_is_not_adopted_by_policy)
{
	struct child child;

	/* This VM is too small. */
	ASSERT_EQ(0, vmm_delete_slot(&self->vmm, 0));
	ASSERT_TRUE(start_child(&child));
	if (!child.pid)
		_exit(use_file(&child));
	ASSERT_TRUE(hear(&child));
	ASSERT_EQ(0, fisc_write_str(AUTO "min_bytes", "8M"));
	ASSERT_EQ(0, fisc_write_str(AUTO "policy", "all"));
	EXPECT_FALSE(is_adopted_by_pid(child.pid, NOT_S));
	EXPECT_EQ(self->before.frames + PAGES, fisc_core("frames"));
	EXPECT_TRUE(tell(&child));
	EXPECT_EQ(0, fisc_wait_child(child.pid));
}

/*
 * A file system of one file that can be opened, but whose content never comes.
 * It ends with the process.
 */

#define FUSE_DIR	"/tmp/fisc-fuse"
#define FUSE_FILE	FUSE_DIR "/file"
#define FUSE_FILE_ID	2

union fuse_answer {
	struct fuse_init_out init;
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
};

static void set_attr(struct fuse_attr *attr, __u64 id)
{
	attr->ino = id;
	attr->nlink = 1;
	attr->size = PAGE_SIZE;
	attr->mode = id == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
}

/* Fill in an answer: its size, -errno, or -EAGAIN for none at all. */
static int answer(const struct fuse_in_header *in, union fuse_answer *out)
{
	memset(out, 0, sizeof(*out));
	switch (in->opcode) {
	case FUSE_INIT:
		out->init.major = FUSE_KERNEL_VERSION;
		out->init.minor = 31;
		out->init.max_write = PAGE_SIZE;
		return sizeof(out->init);
	case FUSE_LOOKUP:
		out->entry.nodeid = FUSE_FILE_ID;
		set_attr(&out->entry.attr, FUSE_FILE_ID);
		return sizeof(out->entry);
	case FUSE_GETATTR:
		set_attr(&out->attr.attr, in->nodeid);
		return sizeof(out->attr);
	case FUSE_OPEN:
		return sizeof(out->open);
	case FUSE_READ:
		return -EAGAIN;
	default:
		return -EOPNOTSUPP;
	}
}

static void *serve(void *arg)
{
	static char buffer[64 << 10];
	const struct fuse_in_header *in = (void *)buffer;
	int fd = *(int *)arg;

	while (read(fd, buffer, sizeof(buffer)) > 0) {
		union fuse_answer body;
		struct fuse_out_header head = { .unique = in->unique };
		struct iovec parts[] = {
			{ &head, sizeof(head) }, { &body, 0 },
		};
		int ret = answer(in, &body);

		if (ret == -EAGAIN)
			continue;
		if (ret < 0)
			head.error = ret;
		else
			parts[1].iov_len = ret;
		head.len = sizeof(head) + parts[1].iov_len;
		writev(fd, parts, 2);
	}
	return NULL;
}

/* Return a page of that file, or NULL. */
static char *map_page_that_never_comes(void)
{
	static int fd;
	pthread_t thread;
	char options[96];
	char *page;
	int file;

	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	mkdir(FUSE_DIR, 0700);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || mount("fisc", FUSE_DIR, "fuse", 0, options) ||
	    pthread_create(&thread, NULL, serve, &fd))
		return NULL;
	file = open(FUSE_FILE, O_RDONLY | O_CLOEXEC);
	page = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE, file, 0);
	/* Nobody would answer to that at the end of the process. */
	close(file);
	return page == MAP_FAILED ? NULL : page;
}

/* A VMM whose arguments cannot be read. */
static int hide_args(const struct child *self)
{
	char *mem = map_memory(SIZE), *args = map_page_that_never_comes();
	struct vmm vmm;

	if (!mem || vmm_open(&vmm) || vmm_set_slot(&vmm, 0, GPA, mem, PAGES))
		return 1;
	if (!args)
		return 2;
	/* The start may be before the old end or after it. */
	if ((prctl(PR_SET_MM, PR_SET_MM_ARG_START, args, 0, 0) ||
	     prctl(PR_SET_MM, PR_SET_MM_ARG_END, args + PAGE_SIZE, 0, 0)) &&
	    (prctl(PR_SET_MM, PR_SET_MM_ARG_END, args + PAGE_SIZE, 0, 0) ||
	     prctl(PR_SET_MM, PR_SET_MM_ARG_START, args, 0, 0)))
		return 3;
	if (!tell(self) || !hear(self))
		return 4;
	return 0;
}

TEST_F(adopt, arguments_that_cannot_be_read_hold_up_nobody)
{
	struct child child;

	if (access("/dev/fuse", R_OK | W_OK))
		SKIP(return, "/dev/fuse: %s", strerror(errno));
	ASSERT_TRUE(start_child(&child));
	if (!child.pid)
		_exit(hide_args(&child));
	ASSERT_TRUE(hear(&child))
		TH_LOG("child: %d", fisc_wait_child(child.pid));
	ASSERT_EQ(0, fisc_write_str(AUTO "min_bytes", "8M"));
	/* The latest processes are considered first. */
	ASSERT_EQ(0, fisc_write_str(AUTO "policy", "all"));
	EXPECT_TRUE(is_adopted_by_pid(getpid(), 10));
	kill(child.pid, SIGKILL);
	waitpid(child.pid, NULL, 0);
	umount2(FUSE_DIR, MNT_DETACH);
	ASSERT_TRUE(is_adopted_by_pid(getpid(), WAIT_S));
	EXPECT_TRUE(release_by_pid(getpid()));
}

TEST_HARNESS_MAIN
