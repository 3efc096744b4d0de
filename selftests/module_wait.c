// SPDX-License-Identifier: GPL-2.0
/*
 * A fault that waits for memory holds the module: it has given the lock of the
 * address space back, so the mapping may go, and with it the file and the
 * mount. Then the VM has no memory, and the wait ends, while the module may be
 * unloaded.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "module.h"
#include "nullb.h"
#include "waiter.h"

#define DEVICE		"fiscwait"
#define DEVICE_MIB	64

#define PAGES		128
#define FILLED		64	/* the others are new to a fault */

/* Less than the module itself needs: memory stays short without any VM. */
#define POOL_BYTES	"32768"

enum step {
	STEP_FILLED = 1, STEP_FAULT, STEP_UNMAP, STEP_UNMAPPED, STEP_JOIN,
};

/* What the case and the process that is a VMM have in common. */
struct vmm {
	pid_t pid;
	char *map;
	enum step step;
	pid_t tid;		/* of the thread that waits */
	bool cover;		/* map other memory there instead of unmapping */
	int result;		/* of the access: 0 or a signal */
};

FIXTURE(wait)
{
	struct vmm *vmm;
};

FIXTURE_SETUP(wait)
{
	if (!getenv("FISC_KO"))
		SKIP(return, "FISC_KO does not name the module");
	module_set_up(_metadata);
	self->vmm = mmap(NULL, sizeof(*self->vmm), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->vmm);
	ASSERT_EQ(0, nullb_start(DEVICE, DEVICE_MIB, 0));
	ASSERT_EQ(0, nullb_swapon(DEVICE, DEVICE_MIB));
}

FIXTURE_TEARDOWN_PARENT(wait)
{
	fisc_sweep();
	umount_lazily();
	/* Settings of a case that has failed go, too. */
	if (loaded())
		EXPECT_EQ(0, fisc_unload_soon("fisc"));
	module_tear_down(_metadata);
	swapoff("/dev/" DEVICE);
	nullb_stop(DEVICE);
}

/* Wait for a step, or one that comes after it. */
static bool wait_step(const struct vmm *vmm, enum step step)
{
	double end = fisc_now() + WAIT_S;

	while (READ_ONCE(vmm->step) < step && fisc_now() < end)
		fisc_sleep_ms(1);
	return READ_ONCE(vmm->step) >= step;
}

static void *fault_thread(void *arg)
{
	struct vmm *vmm = arg;

	WRITE_ONCE(vmm->tid, gettid());
	vmm->result = fisc_try_write(page_of(vmm->map, FILLED), 1);
	return NULL;
}

static bool unmap_in_vmm(struct vmm *vmm)
{
	if (!vmm->cover)
		return !munmap(vmm->map, PAGES * PAGE_SIZE);
	return mmap(vmm->map, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == vmm->map;
}

static void run_vmm(struct vmm *vmm)
{
	int fd = fisc_create(ST "a", PAGES);
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	vmm->map = fisc_map(fd, PAGES);
	if (!vmm->map)
		_exit(1);
	fisc_fill_pages(vmm->map, FILLED, 1);
	WRITE_ONCE(vmm->step, STEP_FILLED);
	if (!wait_step(vmm, STEP_FAULT) ||
	    pthread_create(&thread, NULL, fault_thread, vmm) ||
	    !wait_step(vmm, STEP_UNMAP))
		_exit(2);
	close(fd);
	if (READ_ONCE(vmm->step) == STEP_UNMAP) {
		if (!unmap_in_vmm(vmm))
			_exit(3);
		WRITE_ONCE(vmm->step, STEP_UNMAPPED);
	}
	if (!wait_step(vmm, STEP_JOIN) || pthread_join(thread, NULL))
		_exit(4);
	_exit(0);
}

/* Make a VM that memory is very short for, and that could be paged out. */
static void make_short(struct __test_metadata *_metadata, struct vmm *vmm)
{
	pid_t pid = fork();

	if (!pid)
		run_vmm(vmm);
	vmm->pid = pid;
	ASSERT_TRUE(wait_step(vmm, STEP_FILLED));
	/* But not soon. */
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "600000"));
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, POOL_BYTES));
	ASSERT_EQ(0, fisc_low_on_memory(true));
	ASSERT_TRUE(waiter_word(RECLAIM_STATE, "low"));
	ASSERT_TRUE(waiter_word(RECLAIM_A, "blocked"));
}

/* Have a thread of the VMM wait. */
static void make_wait(struct __test_metadata *_metadata, struct vmm *vmm)
{
	make_short(_metadata, vmm);
	WRITE_ONCE(vmm->step, STEP_FAULT);
	while (!READ_ONCE(vmm->tid))
		fisc_sleep_ms(1);
	ASSERT_TRUE(waiter_gets_in(vmm->tid, WAITS));
}

/* Take away what it waits for. */
static void unmap(struct __test_metadata *_metadata, struct vmm *vmm)
{
	WRITE_ONCE(vmm->step, STEP_UNMAP);
	ASSERT_TRUE(wait_step(vmm, STEP_UNMAPPED));
	ASSERT_EQ(0, unlink(ST "a"));
	ASSERT_EQ(0, umount(FISC_MNT));
}

/* The module goes as soon as the wait has ended, or is kept by it. */
static void end_woken(struct __test_metadata *_metadata, struct vmm *vmm)
{
	EXPECT_EQ(0, fisc_unload_soon("fisc"));
	WRITE_ONCE(vmm->step, STEP_JOIN);
	EXPECT_EQ(0, fisc_wait_child(vmm->pid));
}

TEST_F(wait, fault_without_a_mapping_is_woken)
{
	make_wait(_metadata, self->vmm);
	unmap(_metadata, self->vmm);
	end_woken(_metadata, self->vmm);
	EXPECT_EQ(SIGSEGV, self->vmm->result);
}

TEST_F(wait, fault_that_waits_is_killed)
{
	int status;

	make_wait(_metadata, self->vmm);
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
	EXPECT_EQ(0, kill(self->vmm->pid, SIGKILL));
	EXPECT_EQ(self->vmm->pid, waitpid(self->vmm->pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(0, unlink(ST "a"));
	ASSERT_EQ(0, umount(FISC_MNT));
	EXPECT_EQ(0, fisc_unload_soon("fisc"));
}

TEST_F(wait, fault_in_what_became_other_memory_is_woken)
{
	self->vmm->cover = true;
	make_wait(_metadata, self->vmm);
	unmap(_metadata, self->vmm);
	end_woken(_metadata, self->vmm);
	EXPECT_EQ(0, self->vmm->result);
}

/* The hole leaves the mapping, which the fault then serves. */
TEST_F(wait, fault_is_woken_after_its_memory_was_discarded)
{
	int fd;

	make_wait(_metadata, self->vmm);
	fd = open(ST "a", O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fallocate(fd, PUNCH, 0, PAGES * PAGE_SIZE));
	close(fd);
	ASSERT_EQ(0, unlink(ST "a"));
	ASSERT_EQ(0, umount_lazily());
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc"));
	WRITE_ONCE(self->vmm->step, STEP_JOIN);
	EXPECT_EQ(0, fisc_wait_child(self->vmm->pid));
	EXPECT_EQ(0, self->vmm->result);
	EXPECT_EQ(0, fisc_unload_soon("fisc"));
}

/* A process that writes to another one's memory waits there only briefly. */
TEST_F(wait, fault_in_another_process_goes_on)
{
	struct iovec local = { "x", 1 }, remote = { NULL, 1 };
	pid_t pid;

	make_wait(_metadata, self->vmm);
	remote.iov_base = page_of(self->vmm->map, FILLED + 1);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(process_vm_writev(self->vmm->pid, &local, 1, &remote, 1,
					0) != 1);
	}
	EXPECT_EQ(0, fisc_wait_child(pid));
	/* The VMM's own fault waits still. */
	EXPECT_TRUE(waiter_gets_in(self->vmm->tid, WAITS));
	unmap(_metadata, self->vmm);
	end_woken(_metadata, self->vmm);
	EXPECT_EQ(SIGSEGV, self->vmm->result);
}

/* A request is still on its way when the module is unloaded. */

#define DISK		"fiscdisk"
#define DISK_MIB	16
#define SLOW_US		2000000
#define VM_PAGES	2048UL
#define HALF		"4194304"

TEST_F(wait, paging_device_is_given_back)
{
	int fd = fisc_create(ST "d", VM_PAGES);
	char *map = fisc_map(fd, VM_PAGES);
	pid_t pid;

	ASSERT_NE(NULL, map);
	close(fd);
	ASSERT_EQ(0, nullb_start(DISK, DISK_MIB, SLOW_US));
	ASSERT_EQ(0, nullb_mkswap(DISK, DISK_MIB));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_DEVICE, "/dev/" DISK));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "10"));
	fisc_fill_pages(map, VM_PAGES, 1);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, HALF));
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", 0));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, "0"));
	pid = fork();
	if (!pid) {
		fisc_check_pages(map, VM_PAGES, 1);
		_exit(0);
	}
	fisc_sleep_ms(300);
	kill(pid, SIGKILL);
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	munmap(map, VM_PAGES * PAGE_SIZE);
	fisc_sweep();
	EXPECT_EQ(-1, swapon("/dev/" DISK, 0));
	umount_lazily();
	EXPECT_EQ(0, fisc_unload_soon("fisc"));
	EXPECT_EQ(0, swapon("/dev/" DISK, 0));
	EXPECT_EQ(0, swapoff("/dev/" DISK));
	nullb_stop(DISK);
}

TEST_HARNESS_MAIN
