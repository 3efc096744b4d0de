// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a running VM comes under management and leaves it again: what is
 * moved, what is left alone, and what automatic adoption adopts.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "adopt.h"
#include "fail.h"
#include "nullb.h"

#define DEVICE		"fiscadopt"

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
	EXPECT_EQ(-EALREADY, adopt());
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
	snprintf(path, sizeof(path), FISC_MNT "/" NAME "/ram-%lx",
		 (unsigned long)self->mem);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EBUSY, errno);
	ASSERT_EQ((ssize_t)PAGE_SIZE,
		  pread(fd, page, PAGE_SIZE, 5 * PAGE_SIZE));
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
		_exit(fisc_check_pages(self->mem + PAGE_SIZE, PAGES - 1,
				       2) >= 0);
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
}

/* What is left alone */

TEST_F(adopt, other_memory_is_left_alone)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);
	struct kvm_userspace_memory_region rom = {
		.slot = 3, .flags = KVM_MEM_READONLY,
		.guest_phys_addr = GPA + 3 * SIZE,
		.memory_size = CHUNK,
	};
	struct adoption now;
	char *locked, *file;

	ASSERT_EQ(0, ftruncate(fd, CHUNK));
	/* A private mapping of a memfd. */
	file = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, file);
	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	locked = map_memory(CHUNK);
	ASSERT_NE(NULL, locked);
	ASSERT_EQ(0, mlock(locked, CHUNK));
	rom.userspace_addr = (unsigned long)map_memory(CHUNK);
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 1, GPA + SIZE, file,
				  CHUNK / PAGE_SIZE));
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 2, GPA + 2 * SIZE, locked,
				  CHUNK / PAGE_SIZE));
	ASSERT_EQ(0, ioctl(self->vmm.vm, KVM_SET_USER_MEMORY_REGION, &rom));
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(3 * CHUNK));
	ASSERT_TRUE(look(&now));
	EXPECT_EQ(CHUNK, left(&now, " file "));
	EXPECT_EQ(CHUNK, left(&now, " locked "));
	EXPECT_EQ(CHUNK, left(&now, " rom "));
	/* What can be moved later is moved then. */
	ASSERT_EQ(0, munlock(locked, CHUNK));
	EXPECT_TRUE(wait_moved(2 * CHUNK));
	ASSERT_TRUE(release());
}

/* I/O under way: reads of 2 MiB that end a second and a half later */

struct slow_read {
	struct nullb_loop loop;
	pthread_t thread;
	void *to;
	ssize_t ret;
};

static void *read_device(void *arg)
{
	struct slow_read *slow = arg;
	int fd = open(slow->loop.path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	slow->ret = pread(fd, slow->to, CHUNK, 0);
	close(fd);
	return NULL;
}

/* Make a device that holds the pages 1 to 512. */
static void prepare_read(struct __test_metadata *_metadata,
			 struct slow_read *slow, char *mem)
{
	int fd;

	ASSERT_EQ(0, nullb_start(DEVICE, 16, 1500000));
	fisc_fill_pages(mem, CHUNK / PAGE_SIZE, 1);
	fd = open("/dev/" DEVICE, O_WRONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(CHUNK, pwrite(fd, mem, CHUNK, 0));
	close(fd);
	memset(mem, 0xff, SIZE);
	ASSERT_EQ(0, nullb_loop_start(DEVICE, &slow->loop));
	slow->to = mem;
}

static void start_read(struct __test_metadata *_metadata,
		       struct slow_read *slow)
{
	ASSERT_EQ(0, pthread_create(&slow->thread, NULL, read_device, slow));
	fisc_sleep_ms(300);
}

static void end_read(struct __test_metadata *_metadata, struct slow_read *slow)
{
	pthread_join(slow->thread, NULL);
	EXPECT_EQ(CHUNK, slow->ret);
}

static void remove_device(struct slow_read *slow)
{
	nullb_loop_stop(&slow->loop);
	nullb_stop(DEVICE);
}

TEST_F(adopt, io_under_way_ends_where_it_began)
{
	struct slow_read slow;
	struct adoption now;

	prepare_read(_metadata, &slow, self->mem);
	start_read(_metadata, &slow);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(CHUNK));
	ASSERT_TRUE(look(&now));
	EXPECT_EQ(CHUNK, left(&now, " busy "));
	end_read(_metadata, &slow);
	EXPECT_TRUE(wait_moved(0));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, CHUNK / PAGE_SIZE, 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, CHUNK / PAGE_SIZE, 1));
	remove_device(&slow);
}

TEST_F(adopt, io_under_way_at_a_release_is_not_lost)
{
	struct slow_read slow;

	prepare_read(_metadata, &slow, self->mem);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	start_read(_metadata, &slow);
	ASSERT_EQ(0, fisc_vm_set(NAME, "adoption", "release"));
	/* An access meanwhile copies nothing that is still to change. */
	fisc_sleep_ms(300);
	fisc_check_pages(self->mem, 1, 1);
	end_read(_metadata, &slow);
	ASSERT_TRUE(wait_gone());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, CHUNK / PAGE_SIZE, 1));
	remove_device(&slow);
}

/* Does the kernel say of a mapping that it can have large pages? */
static bool can_be_large(const char *at)
{
	char text[16];

	return fisc_smaps(at, "THPeligible:", text, sizeof(text)) &&
	       atoi(text) == 1;
}

TEST_F(adopt, large_pages_of_released_memory)
{
	struct slow_read slow;

	prepare_read(_metadata, &slow, self->mem);
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	/* The release waits for the first pages. */
	start_read(_metadata, &slow);
	ASSERT_EQ(0, fisc_vm_set(NAME, "adoption", "release"));
	fisc_sleep_ms(300);
	madvise(self->mem + CHUNK, CHUNK, MADV_COLLAPSE);
	end_read(_metadata, &slow);
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_TRUE(wait_gone());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_HUGEPAGE));
	EXPECT_TRUE(can_be_large(self->mem));
	EXPECT_EQ(0, madvise(self->mem + CHUNK, CHUNK, MADV_COLLAPSE));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	remove_device(&slow);
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
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 1, GPA + SIZE, more,
				  CHUNK / PAGE_SIZE));
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
	/* They are mapped large: the kernel splits one that loses a part. */
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	fisc_fill_pages(self->mem, PAGES, 1);
	/* Discard small pages, part of a large one and a whole large one. */
	ASSERT_EQ(0, madvise(half + PAGE_SIZE, 9 * PAGE_SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, madvise(self->mem + 5 * PAGE_SIZE, 2 * PAGE_SIZE,
			     MADV_DONTNEED));
	ASSERT_EQ(0, madvise(self->mem + CHUNK, CHUNK, MADV_DONTNEED));
	EXPECT_EQ(PAGES - 11 - CHUNK / (long)PAGE_SIZE, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check_zero(half + PAGE_SIZE, 9 * PAGE_SIZE));
	EXPECT_EQ(-1,
		  fisc_check_zero(self->mem + 5 * PAGE_SIZE, 2 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(self->mem + CHUNK, CHUNK));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, 5, 1));
	EXPECT_EQ(-1, fisc_check_pages(self->mem + 7 * PAGE_SIZE,
				       CHUNK / PAGE_SIZE - 7, 8));
	fisc_fill_pages(self->mem, PAGES, 1);
	/* Advice that discards nothing, and memory that is not the VM's. */
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

			if (!mem || vmm_open(&own) ||
			    vmm_set_slot(&own, 0, GPA, mem, PAGES))
				_exit(1);
			for (;;)
				fisc_fill_pages(mem, PAGES, 1);
		}
		/* Wait until it has a VM, and that has run. */
		end = fisc_now() + WAIT_S;
		do {
			fisc_sleep_ms(10);
			err = adopt_pid(pid);
		} while ((err == -ENODEV || err == -EAGAIN) &&
			 fisc_now() < end);
		EXPECT_EQ(0, err);
		fisc_sleep_ms(i * 30);
		EXPECT_EQ(0, kill(pid, SIGKILL));
		EXPECT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		ASSERT_TRUE(wait_gone());
		EXPECT_TRUE(fisc_wait("core", "frames", 0));
	}
}

/* Release with retries, as it may fail for want of memory. */
static bool release_in_the_end(void)
{
	double end = fisc_now() + 3 * WAIT_S;
	int err;

	while (!access(ADOPTION, F_OK)) {
		err = fisc_write_str(ADOPTION, "release");
		if ((err && err != -ENOENT && err != -ENODEV) ||
		    fisc_now() > end)
			return false;
		fisc_sleep_ms(100);
	}
	return true;
}

TEST_F(adopt, nothing_is_lost_when_allocations_fail)
{
	long wrong, wrong_later;
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
		ok = ok && wait_moved(0);
		wrong = fisc_check_pages(self->mem, PAGES, 1);
		/* The thread ends with the release. */
		ok = release_in_the_end() && ok;
		wrong_later = fisc_check_pages(self->mem, PAGES, 1);
		fail_process(getpid(), 0);
		EXPECT_TRUE(ok);
		EXPECT_EQ(-1, wrong);
		EXPECT_EQ(-1, wrong_later);
	}
}

TEST_HARNESS_MAIN
