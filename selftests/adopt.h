/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture of programs that test adoption: this process is the VMM of a KVM
 * VM with ordinary memory in slot 0 and an empty page of code.
 */
#ifndef FISC_SELFTESTS_ADOPT_H
#define FISC_SELFTESTS_ADOPT_H

#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define FISC_OWN_FIXTURE
#define FISC_LARGE	"1"
#include "fixture.h"
#include "adoption.h"
#include "vmm.h"

#define NAME		"st-adopted"
#define ADOPTION	FISC_SYSFS "/vms/" NAME "/adoption"
#define AUTO		FISC_SYSFS "/adoption/"
#define UNMERGEABLE	FISC_SYSFS "/share/unmergeable"
#define GPA		(16 * MIB)
#define SIZE		(8 * MIB)
#define PAGES		(SIZE / (long)PAGE_SIZE)

static inline bool look(struct adoption *now)
{
	return look_at(NAME, now);
}

/* Return how many bytes are reported for @reason, such as "busy". */
static inline long left(const struct adoption *now, const char *reason)
{
	const char *at = strstr(now->text, reason);
	long bytes = 0;

	if (!at || sscanf(at + strlen(reason), "%ld", &bytes) != 1)
		return 0;
	return bytes;
}

/* Wait until as many bytes are reported for @reason. */
static inline bool wait_left(const char *reason, long bytes)
{
	double end = fisc_now() + WAIT_S;
	struct adoption now;

	while (!look(&now) || strcmp(now.state, "adopted") ||
	       left(&now, reason) != bytes) {
		if (fisc_now() > end) {
			fprintf(stderr, "# %s\n", now.text);
			return false;
		}
		fisc_sleep_ms(10);
	}
	return true;
}

static inline bool wait_moved(long unmoved)
{
	return wait_vm_moved(NAME, unmoved);
}

static inline int adopt_pid(int pid)
{
	return adopt_as(pid, NAME);
}

static inline int adopt(void)
{
	return adopt_pid(getpid());
}

static inline bool wait_gone(void)
{
	return wait_vm_gone(NAME);
}

static inline bool release(void)
{
	return release_vm(NAME);
}

/* Wait for the VM of @pid to be adopted, under a name that the module chose. */
static inline bool is_adopted_by_pid(int pid, double seconds)
{
	double end = fisc_now() + seconds;
	char path[96];

	snprintf(path, sizeof(path), FISC_SYSFS "/vms/pid-%d/adoption", pid);
	while (access(path, F_OK)) {
		if (fisc_now() > end)
			return false;
		fisc_sleep_ms(10);
	}
	return true;
}

/* Seconds in which a VM would have been looked at twice */
#define NOT_S	2.5

static inline bool release_by_pid(int pid)
{
	char vm[32];

	snprintf(vm, sizeof(vm), "pid-%d", pid);
	return release_vm(vm);
}

/**
 * struct child - another process, which takes its next step when told to
 * @pid: the process
 * @fd: socket, whose other end the child has
 */
struct child {
	pid_t pid;
	int fd;
};

/* Fork; @child->pid is 0 in the child. It does not outlive this process. */
static inline bool start_child(struct child *child)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return false;
	child->pid = fork();
	child->fd = fds[!child->pid];
	close(fds[!!child->pid]);
	if (!child->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(4 * WAIT_S);
	}
	return child->pid >= 0;
}

static inline bool tell(const struct child *child)
{
	return send(child->fd, "", 1, MSG_NOSIGNAL) == 1;
}

/* Wait to be told; false if the other process has ended. */
static inline bool hear(const struct child *child)
{
	char byte;

	return read(child->fd, &byte, 1) == 1;
}

FIXTURE(adopt)
{
	struct fisc_before before;
	struct vmm vmm;
	char *mem;
};

FIXTURE_SETUP(adopt)
{
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "/dev/kvm: %s", strerror(errno));
	fisc_set_up(_metadata, &self->before);
	ASSERT_EQ(0, vmm_open(&self->vmm));
	self->mem = map_memory(SIZE);
	ASSERT_NE(NULL, self->mem);
	/* As QEMU does; a kernel without KSM knows no such thing. */
	if (madvise(self->mem, SIZE, MADV_MERGEABLE))
		ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 0, GPA, self->mem, PAGES));
}

FIXTURE_TEARDOWN_PARENT(adopt)
{
	EXPECT_EQ(0, fisc_write_str(AUTO "policy", "none"));
	EXPECT_EQ(0, fisc_write_str(AUTO "names", "\n"));
	EXPECT_EQ(0, fisc_write_str(AUTO "uid", "any"));
	EXPECT_EQ(0, fisc_write_str(AUTO "shared", "0"));
	EXPECT_EQ(0, fisc_write_str(UNMERGEABLE, "0"));
	EXPECT_EQ(0, fisc_write_str(AUTO "min_bytes", "128M"));
	EXPECT_TRUE(wait_gone());
	fisc_tear_down(_metadata, &self->before);
}

/* Return whether any mapping of this process refers to fisc. */
static inline bool is_mapped(void)
{
	char line[512];
	bool found = false;
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, "/ram-");
	if (f)
		fclose(f);
	return found;
}

/* Where the VM's memory begins in its memfd: not at a multiple of a chunk. */
#define SHARED_OFFSET	(3 * (off_t)PAGE_SIZE)

/* Put a memfd in place of the VM's memory, and return its descriptor. */
static inline int share_memory(char *mem)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SIZE + SHARED_OFFSET) ||
	    mmap(mem, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 SHARED_OFFSET) == MAP_FAILED)
		return -1;
	return fd;
}

/* Return how many pages of a file are in memory or swap. */
static inline long held_pages(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_blocks * 512 / (long)PAGE_SIZE;
}

#endif /* FISC_SELFTESTS_ADOPT_H */
