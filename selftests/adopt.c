// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a VM that runs comes under management and gets away again: what is
 * moved and what is left alone, under writes, I/O and changes by the VMM.
 *
 * The VMM is this process, with a VM of KVM that has ordinary memory in its slots.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FISC_OWN_FIXTURE
#define FISC_LARGE	"1"
#include "fail.h"
#include "fixture.h"
#include "nullb.h"
#include "vmm.h"

#define MIB		(1024 * 1024L)
#define CHUNK		(2 * MIB)
#define NAME		"st-adopted"
#define ADOPT		FISC_SYSFS "/adopt"
#define ADOPTION	FISC_SYSFS "/vms/" NAME "/adoption"
#define AUTO		FISC_SYSFS "/adoption/"
#define GPA		(16 * MIB)
#define SIZE		(8 * MIB)
#define PAGES		(SIZE / (long)PAGE_SIZE)
#define DEVICE		"fiscadopt"

/* How far it is */

/**
 * struct adoption - what the file says
 * @state: the first word
 * @moved: bytes that were moved
 * @all: bytes in slots
 * @text: all of it
 */
struct adoption {
	char state[16];
	long moved;
	long all;
	char text[256];
};

static bool look(struct adoption *now)
{
	memset(now, 0, sizeof(*now));
	return !fisc_read_str(ADOPTION, now->text, sizeof(now->text)) &&
	       sscanf(now->text, "%15s %ld of %ld", now->state, &now->moved, &now->all) >= 1;
}

/* What is left alone for @reason, in bytes. */
static long left(const struct adoption *now, const char *reason)
{
	const char *at = strstr(now->text, reason);
	long bytes = 0;

	return at && sscanf(at + strlen(reason), "%ld", &bytes) == 1 ? bytes : 0;
}

/* All but @unmoved bytes are moved. */
static bool wait_moved(long unmoved)
{
	double end = fisc_now() + WAIT_S;
	struct adoption now;

	do {
		if (look(&now) && !strcmp(now.state, "adopted") && now.all &&
		    now.moved == now.all - unmoved)
			return true;
		fisc_sleep_ms(10);
	} while (fisc_now() < end);
	fprintf(stderr, "# " ADOPTION ": %s\n", now.text);
	return false;
}

static int adopt_pid(int pid)
{
	char text[64];

	snprintf(text, sizeof(text), "%d " NAME, pid);
	return fisc_write_str(ADOPT, text);
}

static int adopt(void)
{
	return adopt_pid(getpid());
}

/* A VM has no adoption any more; there is no such VM then. */
static bool wait_vm_gone(const char *vm)
{
	char path[96];

	snprintf(path, sizeof(path), FISC_SYSFS "/vms/%s/adoption", vm);
	return fisc_wait_gone(path);
}

static bool wait_gone(void)
{
	return wait_vm_gone(NAME);
}

static bool release_vm(const char *vm)
{
	return !fisc_vm_set(vm, "adoption", "release") && wait_vm_gone(vm);
}

static bool release(void)
{
	return release_vm(NAME);
}

/* A release that fails for want of memory says so, and may be tried again. */
static bool release_in_the_end(void)
{
	double end = fisc_now() + WAIT_S;
	int err;

	while (!access(ADOPTION, F_OK)) {
		err = fisc_write_str(ADOPTION, "release");
		if ((err && err != -ENOENT && err != -ENODEV) || fisc_now() > end)
			return false;
		fisc_sleep_ms(100);
	}
	return true;
}

/* The fixture: a VM with ordinary memory in slot 0, and a page of code, empty still. */

FIXTURE(adopt)
{
	struct fisc_before before;
	struct vmm vmm;
	char *mem;
};

/* Ordinary memory, as a large page could be mapped in it. */
static char *map_memory(size_t size)
{
	char *area = mmap(NULL, size + CHUNK, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *mem;

	if (area == MAP_FAILED)
		return NULL;
	mem = (char *)(((unsigned long)area + CHUNK - 1) & -CHUNK);
	if (mem > area)
		munmap(area, mem - area);
	munmap(mem + size, area + CHUNK - mem);
	return mem;
}

FIXTURE_SETUP(adopt)
{
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "/dev/kvm: %s", strerror(errno));
	fisc_set_up(_metadata, &self->before);
	ASSERT_EQ(0, vmm_open(&self->vmm));
	self->mem = map_memory(SIZE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 0, GPA, self->mem, PAGES));
}

FIXTURE_TEARDOWN_PARENT(adopt)
{
	EXPECT_EQ(0, fisc_write_str(AUTO "policy", "none"));
	EXPECT_EQ(0, fisc_write_str(AUTO "names", "\n"));
	EXPECT_EQ(0, fisc_write_str(AUTO "uid", "any"));
	EXPECT_EQ(0, fisc_write_str(AUTO "shared", "0"));
	EXPECT_EQ(0, fisc_write_str(AUTO "min_bytes", "128M"));
	EXPECT_TRUE(wait_gone());
	fisc_tear_down(_metadata, &self->before);
}

/* Does any mapping refer to fisc? */
static bool is_mapped(void)
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

/* There and back */

TEST_F(adopt, content_is_the_same_there_and_back)
{
	long i;

	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	EXPECT_TRUE(is_mapped());
	EXPECT_EQ(PAGES, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	/* The guest writes the first byte of each page, and the VMM sees it. */
	EXPECT_EQ(KVM_EXIT_HLT, vmm_touch(&self->vmm, GPA, PAGES, true));
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(GUEST_BYTE, self->mem[i * PAGE_SIZE]);
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_TRUE(release());
	EXPECT_FALSE(is_mapped());
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	EXPECT_EQ(KVM_EXIT_HLT, vmm_touch(&self->vmm, GPA, PAGES, true));
	EXPECT_EQ(GUEST_BYTE, self->mem[0]);
}

TEST_F(adopt, large_pages_stay_large)
{
	madvise(self->mem, SIZE, MADV_HUGEPAGE);
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	EXPECT_EQ(SIZE / CHUNK, fisc_vm(NAME, "large_pages"));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
}

TEST_F(adopt, memory_that_was_never_touched_costs_nothing)
{
	long i;

	madvise(self->mem, SIZE, MADV_NOHUGEPAGE);
	for (i = 0; i < PAGES; i += 100)
		fisc_fill(self->mem + i * PAGE_SIZE, i);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	EXPECT_EQ((PAGES + 99) / 100, fisc_core("frames"));
	for (i = 0; i < PAGES; i++)
		if (i % 100)
			ASSERT_EQ(0, self->mem[i * PAGE_SIZE]);
	for (i = 0; i < PAGES; i += 100)
		ASSERT_EQ(-1, fisc_check(self->mem + i * PAGE_SIZE, i));
	ASSERT_TRUE(release());
	for (i = 0; i < PAGES; i += 100)
		EXPECT_EQ(-1, fisc_check(self->mem + i * PAGE_SIZE, i));
	EXPECT_EQ(0, self->mem[PAGE_SIZE]);
}

TEST_F(adopt, equal_pages_are_shared_and_come_apart_again)
{
	long i;

	for (i = 0; i < PAGES; i++)
		fisc_fill(self->mem + i * PAGE_SIZE, i % 8);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("core", "shared", 8));
	ASSERT_EQ(0, fisc_scan_off());
	ASSERT_TRUE(release());
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(-1, fisc_check(self->mem + i * PAGE_SIZE, i % 8));
	self->mem[0]++;
	EXPECT_EQ(-1, fisc_check(self->mem + 8 * PAGE_SIZE, 0));
}

/* Others */

TEST_F(adopt, process_is_adopted_once)
{
	char text[64];

	EXPECT_EQ(-ESRCH, adopt_pid(0x7ffffff0));
	EXPECT_EQ(-EINVAL, adopt_pid(0));
	EXPECT_EQ(-EINVAL, fisc_write_str(ADOPT, "x " NAME));
	EXPECT_EQ(-ENODEV, adopt_pid(1));
	ASSERT_EQ(0, adopt());
	EXPECT_EQ(-EEXIST, adopt());
	snprintf(text, sizeof(text), "%d st-other", getpid());
	EXPECT_EQ(-EALREADY, fisc_write_str(ADOPT, text));
	EXPECT_EQ(-EINVAL, fisc_write_str(ADOPT, "\n"));
	EXPECT_EQ(-EINVAL, fisc_write_str(ADOPTION, "nonsense"));
	ASSERT_TRUE(release());
}

TEST_F(adopt, files_are_for_the_vmm_only)
{
	char path[128], page[PAGE_SIZE];
	int fd;

	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	snprintf(path, sizeof(path), FISC_MNT "/" NAME "/ram-%lx", (unsigned long)self->mem);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EBUSY, errno);
	ASSERT_EQ((ssize_t)PAGE_SIZE, pread(fd, page, PAGE_SIZE, 5 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 6));
	close(fd);
	ASSERT_TRUE(release());
}

TEST_F(adopt, child_has_no_part_in_it)
{
	int status;
	pid_t pid;

	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	pid = fork();
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		self->mem[0] = 1;
		_exit(0);
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_TRUE(release());
	/* As before, it gets a copy. */
	pid = fork();
	if (!pid) {
		self->mem[0] = 1;
		_exit(fisc_check_pages(self->mem + PAGE_SIZE, PAGES - 1, 2) == -1 ? 0 : 1);
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
}

/* By themselves */

/* Is the VM of @pid adopted under a name of the module's, now or in a moment? */
static bool is_adopted_by_pid(int pid, double seconds)
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

/* Time in which a VM would have been looked at twice. */
#define NOT_S	2.5

static bool release_by_pid(int pid)
{
	char vm[32];

	snprintf(vm, sizeof(vm), "pid-%d", pid);
	return release_vm(vm);
}

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
	/* 8 MiB are less than is asked for. */
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
	/* Once released, it is left alone. */
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

/* As the udev rule tells: when there is a VM, but no memory yet. */
TEST_F(adopt, new_ones_follow)
{
	int status, to_child[2];
	char text[32], go = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, fisc_write_str(AUTO "min_bytes", "8M"));
	/* But for this one. */
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

/* What is left alone */

TEST_F(adopt, other_memory_is_left_alone)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);
	struct kvm_userspace_memory_region rom = {
		.slot = 3, .flags = KVM_MEM_READONLY, .guest_phys_addr = GPA + 3 * SIZE,
		.memory_size = CHUNK,
	};
	struct adoption now;
	char *locked, *file;

	ASSERT_EQ(0, ftruncate(fd, CHUNK));
	/* Of a memfd, but not shared. */
	file = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, file);
	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	locked = map_memory(CHUNK);
	ASSERT_NE(NULL, locked);
	ASSERT_EQ(0, mlock(locked, CHUNK));
	rom.userspace_addr = (unsigned long)map_memory(CHUNK);
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 1, GPA + SIZE, file, CHUNK / PAGE_SIZE));
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 2, GPA + 2 * SIZE, locked, CHUNK / PAGE_SIZE));
	ASSERT_EQ(0, ioctl(self->vmm.vm, KVM_SET_USER_MEMORY_REGION, &rom));
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(3 * CHUNK));
	ASSERT_TRUE(look(&now));
	EXPECT_EQ(CHUNK, left(&now, " file "));
	EXPECT_EQ(CHUNK, left(&now, " locked "));
	EXPECT_EQ(CHUNK, left(&now, " rom "));
	/* What can be moved later is. */
	ASSERT_EQ(0, munlock(locked, CHUNK));
	EXPECT_TRUE(wait_moved(2 * CHUNK));
	ASSERT_TRUE(release());
}

static void *read_device(void *arg)
{
	int fd = open("/dev/" DEVICE, O_RDONLY | O_DIRECT | O_CLOEXEC);
	long ret = pread(fd, arg, CHUNK, 0);

	close(fd);
	return (void *)ret;
}

TEST_F(adopt, io_under_way_ends_where_it_began)
{
	struct adoption now;
	pthread_t reader;
	void *ret;
	int fd;

	/* The device takes a second and a half for anything. */
	ASSERT_EQ(0, nullb_start(DEVICE, 16, 1500000));
	fisc_fill_pages(self->mem, CHUNK / PAGE_SIZE, 1);
	fd = open("/dev/" DEVICE, O_WRONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(CHUNK, pwrite(fd, self->mem, CHUNK, 0));
	close(fd);
	memset(self->mem, 0xff, SIZE);
	ASSERT_EQ(0, pthread_create(&reader, NULL, read_device, self->mem));
	fisc_sleep_ms(300);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(CHUNK));
	ASSERT_TRUE(look(&now));
	EXPECT_EQ(CHUNK, left(&now, " busy "));
	pthread_join(reader, &ret);
	EXPECT_EQ(CHUNK, (long)ret);
	EXPECT_TRUE(wait_moved(0));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, CHUNK / PAGE_SIZE, 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, CHUNK / PAGE_SIZE, 1));
	nullb_stop(DEVICE);
}

/* The VMM goes on */

TEST_F(adopt, memory_that_comes_later_follows)
{
	char *more = map_memory(CHUNK);

	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	ASSERT_NE(NULL, more);
	fisc_fill_pages(more, CHUNK / PAGE_SIZE, 1);
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 1, GPA + SIZE, more, CHUNK / PAGE_SIZE));
	fisc_sleep_ms(1500);
	EXPECT_TRUE(wait_moved(0));
	EXPECT_EQ((SIZE + CHUNK) / (long)PAGE_SIZE, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check_pages(more, CHUNK / PAGE_SIZE, 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(more, CHUNK / PAGE_SIZE, 1));
}

TEST_F(adopt, memory_that_is_mapped_anew_is_new)
{
	char *half = self->mem + SIZE / 2;
	long i;

	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	ASSERT_EQ(half, mmap(half, SIZE / 2, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	half[5 * PAGE_SIZE] = 1;
	fisc_sleep_ms(1500);
	EXPECT_TRUE(wait_moved(0));
	for (i = 0; i < PAGES / 2; i++)
		ASSERT_EQ(i == 5, half[i * PAGE_SIZE]);
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES / 2, 1));
	ASSERT_TRUE(release());
	for (i = 0; i < PAGES / 2; i++)
		ASSERT_EQ(i == 5, half[i * PAGE_SIZE]);
}

TEST_F(adopt, memory_that_is_thrown_away_is_given_back)
{
	char *half = self->mem + SIZE / 2;
	char *other = map_memory(CHUNK);

	madvise(self->mem, SIZE / 2, MADV_HUGEPAGE);
	madvise(half, SIZE / 2, MADV_NOHUGEPAGE);
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	EXPECT_EQ(PAGES, fisc_core("frames"));
	/* Large pages are mapped as such: the kernel splits the one that loses a part. */
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	fisc_fill_pages(self->mem, PAGES, 1);
	/* Small pages, part of a large one, all of one; and no more than that. */
	ASSERT_EQ(0, madvise(half + PAGE_SIZE, 9 * PAGE_SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, madvise(self->mem + 5 * PAGE_SIZE, 2 * PAGE_SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, madvise(self->mem + CHUNK, CHUNK, MADV_DONTNEED));
	EXPECT_EQ(PAGES - 11 - CHUNK / (long)PAGE_SIZE, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check_zero(half + PAGE_SIZE, 9 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(self->mem + 5 * PAGE_SIZE, 2 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(self->mem + CHUNK, CHUNK));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, 5, 1));
	EXPECT_EQ(-1, fisc_check_pages(self->mem + 7 * PAGE_SIZE,
				       CHUNK / PAGE_SIZE - 7, 8));
	fisc_fill_pages(self->mem, PAGES, 1);
	/* Advice that throws nothing away, and what is not the VM's. */
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_WILLNEED));
	madvise(self->mem, SIZE, MADV_COLD);
	madvise(self->mem, SIZE, MADV_PAGEOUT);
	memset(other, 1, CHUNK);
	ASSERT_EQ(0, madvise(other, CHUNK, MADV_DONTNEED));
	EXPECT_EQ(0, other[0]);
	EXPECT_EQ(PAGES, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
}

/* Shared memory */

/* A memfd takes the place of the VM's memory, and not at a multiple of a chunk. */
#define SHARED_OFFSET	(3 * (off_t)PAGE_SIZE)

static int share_memory(char *mem)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SIZE + SHARED_OFFSET) ||
	    mmap(mem, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 SHARED_OFFSET) == MAP_FAILED)
		return -1;
	return fd;
}

/* Pages of a file that are in memory or swap. */
static long held_pages(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_blocks * 512 / (long)PAGE_SIZE;
}

static void *map_again(int fd)
{
	return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SHARED_OFFSET);
}

static bool wait_left_shared(long bytes)
{
	double end = fisc_now() + WAIT_S;
	struct adoption now;

	while (!look(&now) || left(&now, "shared") != bytes) {
		if (fisc_now() > end) {
			fprintf(stderr, "# " ADOPTION ": %s\n", now.text);
			return false;
		}
		fisc_sleep_ms(10);
	}
	return true;
}

TEST_F(adopt, shared_memory_is_moved_if_that_is_wanted)
{
	int fd = share_memory(self->mem);
	long i, half = PAGES / 2;

	ASSERT_LE(0, fd);
	fisc_fill_pages(self->mem, half, 1);
	/* Of the other half, two pages are there: one not mapped, one with zeroes. */
	ASSERT_EQ(4, pwrite(fd, "word", 4, SHARED_OFFSET + (half + 5) * PAGE_SIZE));
	self->mem[(half + 9) * PAGE_SIZE] = 0;
	ASSERT_EQ(0, adopt());
	EXPECT_TRUE(wait_left_shared(SIZE));
	ASSERT_TRUE(release());
	EXPECT_EQ(half + 2, held_pages(fd));

	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	EXPECT_EQ(0, held_pages(fd));
	EXPECT_EQ(MAP_FAILED, map_again(fd));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, fisc_check_pages(self->mem, half, 1));
	for (i = half; i < PAGES; i++)
		ASSERT_EQ(i == half + 5 ? 'w' : 0, self->mem[i * PAGE_SIZE]);
	fisc_fill_pages(self->mem, PAGES, 2);
	ASSERT_TRUE(release());
	EXPECT_FALSE(is_mapped());
	EXPECT_EQ(0, held_pages(fd));
	EXPECT_NE(MAP_FAILED, map_again(fd));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 2));
}

TEST_F(adopt, shared_memory_is_left_alone_while_others_have_it)
{
	int fd = share_memory(self->mem);
	char *again;
	pid_t pid;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	fisc_fill_pages(self->mem, PAGES, 1);
	pid = fork();
	if (!pid) {
		for (;;)
			pause();
	}
	again = map_again(fd);
	ASSERT_NE(MAP_FAILED, again);
	ASSERT_EQ(0, adopt());
	EXPECT_TRUE(wait_left_shared(SIZE));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* It is looked at again every second. */
	fisc_sleep_ms(2500);
	EXPECT_TRUE(wait_left_shared(SIZE));
	EXPECT_EQ(PAGES, held_pages(fd));
	munmap(again, SIZE);
	EXPECT_TRUE(wait_moved(0));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
}

/* As QEMU does it. */
TEST_F(adopt, shared_memory_is_thrown_away_by_a_hole)
{
	int fd = share_memory(self->mem);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	fisc_fill_pages(self->mem, PAGES, 1);
	/* Two mappings, and a file for each. */
	madvise(self->mem + SIZE / 2, SIZE / 2, MADV_DONTDUMP);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	/* The advice alone is about what is mapped, also of what was moved first. */
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       SHARED_OFFSET, 7 * PAGE_SIZE));
	ASSERT_EQ(0, madvise(self->mem, 7 * PAGE_SIZE, MADV_DONTNEED));
	EXPECT_EQ(PAGES - 7, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check_zero(self->mem, 7 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_pages(self->mem + 7 * PAGE_SIZE, PAGES - 7, 8));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	EXPECT_EQ(-1, fisc_check_pages(self->mem + 7 * PAGE_SIZE, PAGES - 7, 8));
	ASSERT_TRUE(release());
}

/*
 * Numbers that only go up, in each page; whoever writes one checks the last. Where pages
 * are thrown away, they begin at 0 again.
 */
struct writer {
	pthread_t thread;
	char *mem;
	long first;
	long last;
	bool discard;
	bool stop;
	long bad;
	unsigned long done;
};

static void *write_numbers(void *arg)
{
	unsigned long *known;
	struct writer *w = arg;
	__u64 rnd = w->first + 1;

	known = calloc(w->last - w->first, sizeof(*known));
	w->bad = -1;
	while (!READ_ONCE(w->stop)) {
		long i = fisc_rand(&rnd) % (w->last - w->first);
		unsigned long *word = (void *)(w->mem + (w->first + i) * PAGE_SIZE + 512);

		if (READ_ONCE(*word) != known[i]) {
			w->bad = w->first + i;
			break;
		}
		WRITE_ONCE(*word, ++known[i]);
		if (w->discard && known[i] % 4 == 0) {
			known[i] = 0;
			madvise(w->mem + (w->first + i) * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED);
		}
		w->done++;
	}
	free(known);
	return NULL;
}

#define WRITERS	2

static void start_writers(struct writer *writers, char *mem, long pages, bool discard)
{
	int i;

	for (i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){
			.mem = mem, .first = pages / WRITERS * i,
			.last = pages / WRITERS * (i + 1), .discard = discard,
		};
		if (pthread_create(&writers[i].thread, NULL, write_numbers, &writers[i]))
			abort();
	}
}

static void stop_writers(struct __test_metadata *_metadata, struct writer *writers)
{
	int i;

	for (i = 0; i < WRITERS; i++) {
		WRITE_ONCE(writers[i].stop, true);
		pthread_join(writers[i].thread, NULL);
		EXPECT_EQ(-1, writers[i].bad)
			TH_LOG("page %ld", writers[i].bad);
		EXPECT_LT(10, writers[i].done);
	}
}

TEST_F(adopt, guest_and_vmm_write_all_the_time)
{
	double end = fisc_now() + fisc_stress_s(15);
	struct writer writers[WRITERS];
	int cycles = 0;

	ASSERT_EQ(0, vmm_aim(&self->vmm, GPA, PAGES, true));
	ASSERT_EQ(0, vmm_start(&self->vmm));
	start_writers(writers, self->mem, PAGES, false);
	ASSERT_EQ(0, fisc_scan_on());
	while (fisc_now() < end) {
		ASSERT_EQ(0, adopt());
		ASSERT_TRUE(wait_moved(0));
		fisc_sleep_ms(100);
		ASSERT_TRUE(release());
		cycles++;
	}
	stop_writers(_metadata, writers);
	vmm_stop(&self->vmm);
	EXPECT_LT(0, self->vmm.rounds);
	EXPECT_LT(0, cycles);
	TH_LOG("%d cycles, %lu rounds of the guest", cycles, self->vmm.rounds);
}

TEST_F(adopt, shared_memory_is_written_all_the_time)
{
	double end = fisc_now() + fisc_stress_s(15);
	struct writer writers[WRITERS];
	int cycles = 0;

	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	ASSERT_EQ(0, vmm_aim(&self->vmm, GPA, PAGES, true));
	ASSERT_EQ(0, vmm_start(&self->vmm));
	while (fisc_now() < end) {
		int fd = share_memory(self->mem);

		ASSERT_LE(0, fd);
		start_writers(writers, self->mem, PAGES, false);
		fisc_sleep_ms(100);
		ASSERT_EQ(0, adopt());
		ASSERT_TRUE(wait_moved(0));
		fisc_sleep_ms(100);
		EXPECT_EQ(0, held_pages(fd));
		ASSERT_TRUE(release());
		stop_writers(_metadata, writers);
		close(fd);
		cycles++;
	}
	vmm_stop(&self->vmm);
	EXPECT_LT(0, cycles);
}

/* Thrown away before, while and after it is moved; never while it is released. */
TEST_F(adopt, vmm_throws_memory_away_meanwhile)
{
	double end = fisc_now() + fisc_stress_s(15);
	struct writer writers[WRITERS];
	int round = 0;

	ASSERT_EQ(0, fisc_scan_on());
	while (fisc_now() < end) {
		start_writers(writers, self->mem, PAGES, true);
		ASSERT_EQ(0, adopt());
		ASSERT_TRUE(wait_moved(0));
		ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, round++ % 2 ? "1" : "0"));
		fisc_sleep_ms(1000);
		stop_writers(_metadata, writers);
		ASSERT_TRUE(release());
		memset(self->mem, 0, SIZE);
	}
}

/* Changes of a part that nobody else uses, of any kind. */
static void *change_mappings(void *arg)
{
	struct writer *w = arg;
	__u64 rnd = 7;

	while (!READ_ONCE(w->stop)) {
		long first = w->first + fisc_rand(&rnd) % (w->last - w->first);
		long nr = 1 + fisc_rand(&rnd) % (w->last - first);
		char *at = w->mem + first * PAGE_SIZE;
		size_t size = nr * PAGE_SIZE;

		switch (fisc_rand(&rnd) % 6) {
		case 0:
			madvise(at, size, MADV_DONTNEED);
			break;
		case 1:
		case 2:
			if (nr & 1)
				munmap(at, size);
			mmap(at, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		case 3:
			mprotect(at, size, PROT_READ);
			mprotect(at, size, PROT_READ | PROT_WRITE);
			break;
		case 4:
			if (!fork())
				_exit(0);
			wait(NULL);
			break;
		default:
			memset(at, first, PAGE_SIZE);
		}
		w->done++;
	}
	return NULL;
}

/* Adopted and released, after more time and less: how often, or -1. */
static int cycle_until(double end)
{
	int cycles = 0;

	while (fisc_now() < end) {
		if (adopt())
			return -1;
		fisc_sleep_ms(cycles % 4 * 100);
		if (!release())
			return -1;
		cycles++;
	}
	return cycles;
}

TEST_F(adopt, vmm_may_change_its_mappings_meanwhile)
{
	double end = fisc_now() + fisc_stress_s(15);
	struct writer writers[WRITERS], changer = {
		.mem = self->mem, .first = PAGES / 2, .last = PAGES,
	};

	start_writers(writers, self->mem, PAGES / 2, false);
	ASSERT_EQ(0, pthread_create(&changer.thread, NULL, change_mappings, &changer));
	ASSERT_LT(0, cycle_until(end));
	WRITE_ONCE(changer.stop, true);
	pthread_join(changer.thread, NULL);
	stop_writers(_metadata, writers);
	EXPECT_LT(10, changer.done);
}

/**
 * struct changer - changes a VM's slots
 * @vmm: the VM
 * @mem: its memory
 * @stop: shall end
 * @err: of the call that failed
 * @done: changes
 */
struct changer {
	struct vmm *vmm;
	char *mem;
	bool stop;
	int err;
	unsigned long done;
};

/* Memory is in one slot or two, here or there, or in none at all. */
static void *change_slots(void *arg)
{
	struct changer *c = arg;
	size_t half = PAGES / 2;
	__u64 gpa = GPA;

	while (!READ_ONCE(c->stop) && !c->err) {
		gpa = gpa == GPA ? GPA + 2 * SIZE : GPA;
		c->err = vmm_delete_slot(c->vmm, 0) ?:
			 vmm_set_slot(c->vmm, 1, gpa, c->mem, half) ?:
			 vmm_set_slot(c->vmm, 2, gpa + SIZE, c->mem + SIZE / 2, half) ?:
			 vmm_delete_slot(c->vmm, 1) ?: vmm_delete_slot(c->vmm, 2) ?:
			 vmm_set_slot(c->vmm, 0, gpa, c->mem, PAGES);
		c->done++;
	}
	return NULL;
}

TEST_F(adopt, slots_may_change_meanwhile)
{
	struct changer changer = { .vmm = &self->vmm, .mem = self->mem };
	double end = fisc_now() + fisc_stress_s(15);
	struct writer writers[WRITERS];
	pthread_t thread;
	int cycles;

	start_writers(writers, self->mem, PAGES, false);
	ASSERT_EQ(0, pthread_create(&thread, NULL, change_slots, &changer));
	cycles = cycle_until(end);
	ASSERT_LT(0, cycles);
	/* A slow host needs longer for as many. */
	end = fisc_now() + WAIT_S;
	while (READ_ONCE(changer.done) <= 10 && !READ_ONCE(changer.err) && fisc_now() < end)
		fisc_sleep_ms(100);
	WRITE_ONCE(changer.stop, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, changer.err);
	EXPECT_LT(10, changer.done);
	/* All of it, once they stay what they are. */
	ASSERT_EQ(0, adopt());
	EXPECT_TRUE(wait_moved(0));
	stop_writers(_metadata, writers);
	ASSERT_TRUE(release());
	TH_LOG("%d cycles, %lu changes", cycles, changer.done);
}

/* Ends */

TEST_F(adopt, killed_vmm_leaves_nothing)
{
	int i, status, err;
	double end;

	for (i = 0; i < 8; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct vmm own;
			char *mem = map_memory(SIZE);

			if (!mem || vmm_open(&own) || vmm_set_slot(&own, 0, GPA, mem, PAGES))
				_exit(1);
			for (;;)
				fisc_fill_pages(mem, PAGES, 1);
		}
		/* It has to have a VM first. */
		end = fisc_now() + WAIT_S;
		do {
			fisc_sleep_ms(10);
			err = adopt_pid(pid);
		} while (err == -ENODEV && fisc_now() < end);
		EXPECT_EQ(0, err);
		fisc_sleep_ms(i * 30);
		EXPECT_EQ(0, kill(pid, SIGKILL));
		EXPECT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		ASSERT_TRUE(wait_gone());
		EXPECT_TRUE(fisc_wait("core", "frames", 0));
	}
}

TEST_F(adopt, nothing_is_lost_when_allocations_fail)
{
	bool ok = true;
	int i, pid;

	if (!fail_possible())
		SKIP(return, "kernel without fault injection");
	fisc_fill_pages(self->mem, PAGES, 1);
	for (i = 0; i < 5 && ok; i++) {
		ASSERT_EQ(0, adopt());
		pid = fail_kthread("fisc_adopt/");
		ASSERT_LT(0, pid);
		ok = !fail_process(pid, 5 + 5 * i);
		ok = ok && wait_moved(0) && fisc_check_pages(self->mem, PAGES, 1) == -1;
		/* The thread ends with it. */
		ok = release_in_the_end() && fisc_check_pages(self->mem, PAGES, 1) == -1 && ok;
		fail_process(getpid(), 0);
		EXPECT_TRUE(ok);
	}
}

TEST_HARNESS_MAIN
