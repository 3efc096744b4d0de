// SPDX-License-Identifier: GPL-2.0
/*
 * Faults that wait, for swap or for memory: what goes on meanwhile, and who can
 * be killed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define SWAP_DISK
#include "swap.h"
#include "vmm.h"
#include "waiter.h"

/* A device that takes its time for a request, in microseconds */
#define SLOW_US		2000000

/* Pages that are filled before memory becomes short: 3/4 of the pool */
#define FILLED		1536UL

/* A hole among these: its chunk is there, and is unmapped with the others. */
#define HOLE		100

/* What the kernel does in a read from swap, and in a worker of KVM */
#define READS		(swap_disk ? "fisc_read_end" : "fisc_swap_in")
#define WORKS		"async_pf_execute"

/* Is one of KVM's workers in @function? */
static bool worker_is_in(const char *function)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (proc && !found && (entry = readdir(proc)))
		found = atoi(entry->d_name) > 0 &&
			waiter_is_in(atoi(entry->d_name), function, WORKS);
	if (proc)
		closedir(proc);
	return found;
}

static bool wait_worker(const char *function)
{
	double end = fisc_now() + WAIT_S;
	bool found;

	while (!(found = worker_is_in(function)) && fisc_now() < end)
		fisc_sleep_ms(1);
	return found;
}

/* Page most of the VM out to a slow device. */
static void squeeze_slowly(struct __test_metadata *_metadata, char *map)
{
	swap_stop();
	ASSERT_EQ(0, swap_start_slow(SLOW_US));
	fisc_fill_pages(map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
}

/* Make memory short for the VM, in a way that lasts. */
static void make_low(struct __test_metadata *_metadata, char *map)
{
	double end;
	long armed;

	fisc_fill_pages(map, FILLED, 1);
	ASSERT_EQ(0, madvise(page_of(map, HOLE), PAGE_SIZE, MADV_REMOVE));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "600000"));
	ASSERT_EQ(0, fisc_low_on_memory(true));
	ASSERT_TRUE(waiter_word(RECLAIM_A, "blocked"));
	end = fisc_now() + WAIT_S;
	/* Each chunk is unmapped once, to see what is used: not in a moment. */
	do {
		armed = fisc_reclaim("armed");
		fisc_sleep_ms(1000);
	} while (armed != fisc_reclaim("armed") && fisc_now() < end);
}

/* Kill a process: how long that took in seconds, or -1. */
static double kill_and_wait(pid_t pid, double patience)
{
	double start = fisc_now();

	kill(pid, SIGKILL);
	while (fisc_now() < start + patience) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return fisc_now() - start;
		fisc_sleep_ms(1);
	}
	return -1;
}

/**
 * struct reader - a thread that reads a page
 * @map: the VM's memory
 * @page: the page's number
 * @gup: let the kernel find the page, which holds the lock of the address space
 * @tid: its ID
 * @done: the page has been read
 * @bad: it was not what it should be
 */
struct reader {
	char *map;
	size_t page;
	bool gup;
	pid_t tid;
	bool done;
	bool bad;
};

static void *reader(void *arg)
{
	struct reader *r = arg;
	char page[PAGE_SIZE];
	struct iovec to = { page, PAGE_SIZE };
	struct iovec from = { page_of(r->map, r->page), PAGE_SIZE };

	WRITE_ONCE(r->tid, gettid());
	if (!r->gup)
		memcpy(page, from.iov_base, PAGE_SIZE);
	else if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) !=
		 (ssize_t)PAGE_SIZE)
		r->bad = true;
	r->bad |= fisc_check(page, r->page + 1) != -1;
	WRITE_ONCE(r->done, true);
	return NULL;
}

/* Change the address space where the page is not. */
static bool change(char *map)
{
	char *other = mmap(NULL, PAGE_SIZE, PROT_READ,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return other != MAP_FAILED && !munmap(other, PAGE_SIZE) &&
	       !mprotect(map, PAGE_SIZE, PROT_READ) &&
	       !mprotect(map, PAGE_SIZE, PROT_READ | PROT_WRITE);
}

/*
 * Read pages until one has to be waited for. Return whether the address space
 * can be changed during the wait.
 */
static bool changes_during_read(struct __test_metadata *_metadata, char *map,
				bool gup)
{
	struct reader r = { .map = map, .gup = gup };
	bool changed = false;
	pthread_t thread;
	int waits = 0;

	for (r.page = 1; r.page < PAGES && waits < 40 && !changed; r.page++) {
		r.tid = 0;
		r.done = false;
		if (pthread_create(&thread, NULL, reader, &r))
			return false;
		while (!READ_ONCE(r.done) &&
		       !waiter_is_in(READ_ONCE(r.tid), READS, NULL))
			fisc_sleep_ms(1);
		if (!READ_ONCE(r.done)) {
			waits++;
			changed = change(map) && waiter_is_in(r.tid, READS, NULL);
		}
		pthread_join(thread, NULL);
		EXPECT_FALSE(r.bad);
	}
	TH_LOG("%d reads were waited for", waits);
	EXPECT_LT(0, waits);
	return changed;
}

TEST_F(swap, reads_leave_the_address_space_alone)
{
	squeeze_slowly(_metadata, self->map);
	EXPECT_TRUE(changes_during_read(_metadata, self->map, false));
	EXPECT_TRUE(changes_during_read(_metadata, self->map, true));
	ASSERT_EQ(0, fisc_short_of_memory(false));
}

/* Many threads want the same page at the same time. */

#define MANY	6

struct crowd {
	pthread_barrier_t barrier;
	char *map;
	long bad;
};

static void *one_of_many(void *arg)
{
	struct crowd *crowd = arg;
	size_t i;

	for (i = 0; i < PAGES; i++) {
		pthread_barrier_wait(&crowd->barrier);
		if (fisc_check(page_of(crowd->map, i), i + 1) >= 0)
			WRITE_ONCE(crowd->bad, i);
	}
	return NULL;
}

TEST_F(swap, faults_on_one_page_leave_no_copy)
{
	struct crowd crowd = { .map = self->map, .bad = -1 };
	pthread_t threads[MANY];
	int i;

	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	ASSERT_EQ(0, fisc_short_of_memory(false));
	ASSERT_EQ(0, pthread_barrier_init(&crowd.barrier, NULL, MANY));
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, one_of_many,
					    &crowd));
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_EQ(-1, crowd.bad);
	EXPECT_EQ(0, fisc_reclaim("swapped"));
	EXPECT_EQ(0, fisc_reclaim("backing"));
}

/* The first write to a page that is mapped, by get_user_pages() */

struct writer {
	char *map;
	pid_t tid;
	bool changed;
};

static void *writer(void *arg)
{
	struct writer *w = arg;
	struct iovec from = { "x", 1 };
	struct iovec to = { page_of(w->map, HOLE), 1 };

	WRITE_ONCE(w->tid, gettid());
	process_vm_writev(getpid(), &from, 1, &to, 1, 0);
	return NULL;
}

static void run_writer(struct writer *w)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Mapped, but it has no frame of its own. */
	if (*page_of(w->map, HOLE) ||
	    pthread_create(&thread, NULL, writer, w))
		_exit(1);
	while (!READ_ONCE(w->tid))
		fisc_sleep_ms(1);
	/* It starts; and then some. */
	fisc_sleep_ms(300);
	WRITE_ONCE(w->changed, change(w->map));
	pthread_join(thread, NULL);
	_exit(0);
}

TEST_F(swap, first_writes_wait_without_a_lock)
{
	struct writer *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double end = fisc_now() + WAIT_S;
	double took;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, w);
	w->map = self->map;
	make_low(_metadata, self->map);
	pid = fork();
	if (!pid)
		run_writer(w);
	while (!READ_ONCE(w->changed) && fisc_now() < end)
		fisc_sleep_ms(1);
	EXPECT_TRUE(READ_ONCE(w->changed));
	EXPECT_TRUE(waiter_is_in(w->tid, WAITS, NULL));
	took = kill_and_wait(pid, WAIT_S);
	TH_LOG("gone after %.3f s", took);
	EXPECT_LE(0, took);
}

/* KVM's asynchronous page faults */

struct guest {
	struct vmm vmm;
	size_t first;
	size_t nr;
	bool write;
	pid_t tid;
	int result;
	bool done;
};

static void *guest(void *arg)
{
	struct guest *g = arg;

	WRITE_ONCE(g->tid, gettid());
	g->result = vmm_touch(&g->vmm, GUEST_MEM + g->first * PAGE_SIZE, g->nr,
			      g->write);
	WRITE_ONCE(g->done, true);
	return NULL;
}

static int open_guest(struct guest *g, char *map)
{
	return vmm_open_async(&g->vmm) ?:
	       vmm_set_slot(&g->vmm, 0, GUEST_MEM, map, PAGES);
}

/* Pages of each chunk that its guest reads: not too many, at that speed */
#define GUEST_READS	16UL

/* Which chunks are in swap is chance: have the guest read a bit of each. */
static void *guest_of_chunks(void *arg)
{
	struct guest *g = arg;
	size_t first;

	WRITE_ONCE(g->tid, gettid());
	for (first = 0; first < PAGES; first += CHUNK_PAGES) {
		g->result = vmm_touch(&g->vmm, GUEST_MEM + first * PAGE_SIZE,
				      GUEST_READS, false);
		if (g->result != KVM_EXIT_IO)
			break;
	}
	WRITE_ONCE(g->done, true);
	return NULL;
}

TEST_F(swap, guests_are_not_kept_by_reads)
{
	bool worked = false, changed = false;
	struct guest g = { 0 };
	pthread_t thread;
	size_t first;

	if (access("/dev/kvm", F_OK))
		SKIP(return, "no KVM");
	squeeze_slowly(_metadata, self->map);
	ASSERT_EQ(0, open_guest(&g, self->map));
	ASSERT_EQ(0, pthread_create(&thread, NULL, guest_of_chunks, &g));
	while (!READ_ONCE(g.done) && !changed) {
		if (worker_is_in(READS)) {
			worked = true;
			changed = change(self->map) && worker_is_in(READS);
			EXPECT_FALSE(waiter_is_in(g.tid, READS, NULL));
		}
		fisc_sleep_ms(1);
	}
	EXPECT_TRUE(worked);
	EXPECT_TRUE(changed);
	ASSERT_EQ(0, fisc_short_of_memory(false));
	pthread_join(thread, NULL);
	EXPECT_EQ(KVM_EXIT_IO, g.result);
	vmm_close(&g.vmm);
	for (first = 0; first < PAGES; first += CHUNK_PAGES)
		EXPECT_EQ(-1, fisc_check_pages(page_of(self->map, first),
					       GUEST_READS, first + 1));
}

static void run_guest(char *map)
{
	struct guest g = { .first = FILLED, .nr = PAGES - FILLED, .write = true };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (open_guest(&g, map))
		_exit(1);
	guest(&g);
	_exit(0);
}

/* How long a worker may go on, in seconds: far longer than it takes */
#define PATIENCE_S	20

/* Kill a VMM when one of KVM's workers is in @function on its behalf. */
static void kill_guest(struct __test_metadata *_metadata, char *map,
		       const char *function)
{
	double took, start;
	pid_t pid = fork();

	if (!pid)
		run_guest(map);
	EXPECT_TRUE(wait_worker(function));
	took = kill_and_wait(pid, WAIT_S);
	EXPECT_LE(0, took);
	/* A worker keeps the VMM's memory, which keeps KVM's VM. */
	start = fisc_now();
	while (worker_is_in(WORKS) && fisc_now() < start + PATIENCE_S)
		fisc_sleep_ms(1);
	EXPECT_FALSE(worker_is_in(WORKS));
	TH_LOG("gone after %.3f s", took + fisc_now() - start);
}

TEST_F(swap, vmm_that_waits_for_memory_can_be_killed)
{
	if (access("/dev/kvm", F_OK))
		SKIP(return, "no KVM");
	make_low(_metadata, self->map);
	kill_guest(_metadata, self->map, WAITS);
}

TEST_F(swap, vmm_that_waits_for_swap_can_be_killed)
{
	if (access("/dev/kvm", F_OK))
		SKIP(return, "no KVM");
	squeeze_slowly(_metadata, self->map);
	kill_guest(_metadata, self->map, READS);
	ASSERT_EQ(0, fisc_short_of_memory(false));
}

TEST_HARNESS_MAIN
