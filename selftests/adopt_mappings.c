// SPDX-License-Identifier: GPL-2.0
/*
 * What a VMM does with the mappings of its memory while that is adopted: it
 * moves and unmaps them, closes its VM, loses its first thread, and forks.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "adopt.h"

#define HALF_SIZE	(SIZE / 2)
#define HALF		(PAGES / 2)

/* What is filled in later: no page of it equals one of what was there first. */
#define OTHER_SEED	100000

/* Return how many bytes of a range are in mappings of fisc. */
static long bytes_of_ours(const char *mem, size_t size)
{
	unsigned long start, end, from = (unsigned long)mem, to = from + size;
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	long bytes = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (!strstr(line, "/ram-") ||
		    sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		start = start > from ? start : from;
		end = end < to ? end : to;
		if (start < end)
			bytes += end - start;
	}
	if (f)
		fclose(f);
	return bytes;
}

static bool wait_ours(const char *mem, size_t size)
{
	double end = fisc_now() + WAIT_S;

	while (bytes_of_ours(mem, size) != (long)size) {
		if (fisc_now() > end) {
			fprintf(stderr, "# %ld of %zu bytes are adopted\n",
				bytes_of_ours(mem, size), size);
			return false;
		}
		fisc_sleep_ms(10);
	}
	return true;
}

static char *move_mapping(char *from, size_t size, char *to)
{
	return mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

static char *map_at(char *at, size_t size)
{
	return mmap(at, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* Mappings */

TEST_F(adopt, moved_memory_keeps_its_content)
{
	char *half = self->mem + HALF_SIZE, *away = map_memory(HALF_SIZE);

	ASSERT_NE(NULL, away);
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	ASSERT_EQ(away, move_mapping(half, HALF_SIZE, away));
	/* The slot has new memory in its second half from now on. */
	ASSERT_EQ(half, map_at(half, HALF_SIZE));
	fisc_fill_pages(half, HALF, OTHER_SEED);
	EXPECT_TRUE(wait_ours(half, HALF_SIZE));
	EXPECT_TRUE(wait_moved(0));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, HALF, 1));
	EXPECT_EQ(-1, fisc_check_pages(half, HALF, OTHER_SEED));
	EXPECT_EQ(-1, fisc_check_pages(away, HALF, 1 + HALF));
	/* What is written to one is not written to the other. */
	fisc_fill(away + 5 * PAGE_SIZE, 2 * OTHER_SEED);
	EXPECT_EQ(-1, fisc_check_pages(half, HALF, OTHER_SEED));
	fisc_fill(away + 5 * PAGE_SIZE, 1 + HALF + 5);
	ASSERT_TRUE(release());
	EXPECT_FALSE(is_mapped());
	EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, HALF, 1));
	EXPECT_EQ(-1, fisc_check_pages(half, HALF, OTHER_SEED));
	EXPECT_EQ(-1, fisc_check_pages(away, HALF, 1 + HALF));
}

/* Adopt, move half of the memory and release, with or without a slot for it. */
static void move_and_release(struct __test_metadata *_metadata,
			     struct vmm *vmm, char *mem, bool in_slot)
{
	char *half = mem + HALF_SIZE, *away = map_memory(HALF_SIZE);
	long frames = fisc_core("frames");

	ASSERT_NE(NULL, away);
	fisc_fill_pages(mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	ASSERT_EQ(0, vmm_delete_slot(vmm, 0));
	ASSERT_EQ(away, move_mapping(half, HALF_SIZE, away));
	ASSERT_EQ(0, vmm_set_slot(vmm, 0, GPA, mem, HALF));
	if (in_slot)
		ASSERT_EQ(0, vmm_set_slot(vmm, 1, GPA + SIZE, away, HALF));
	/* The module has looked at the slots since. */
	fisc_sleep_ms(1500);
	EXPECT_TRUE(wait_moved(0));
	EXPECT_EQ(-1, fisc_check_pages(away, HALF, 1 + HALF));
	ASSERT_TRUE(release());
	EXPECT_EQ(0, bytes_of_ours(mem, HALF_SIZE));
	EXPECT_EQ(0, bytes_of_ours(away, HALF_SIZE));
	EXPECT_TRUE(fisc_wait("core", "frames", frames));
	EXPECT_EQ(-1, fisc_check_pages(mem, HALF, 1));
	EXPECT_EQ(-1, fisc_check_pages(away, HALF, 1 + HALF));
	/* It is ordinary memory. */
	ASSERT_EQ(0, madvise(away, PAGE_SIZE, MADV_DONTNEED));
	EXPECT_EQ(-1, fisc_check_zero(away, PAGE_SIZE));
}

/*
 * The second half of a chunk gets a slot when the first is a part of a large
 * frame already, and cannot be taken out of it.
 */
TEST_F(adopt, chunk_of_two_slots_keeps_its_content)
{
	struct iovec page = { .iov_base = self->mem, .iov_len = PAGE_SIZE };
	long half = CHUNK / PAGE_SIZE / 2, large = fisc_core("large");
	char *second = self->mem + CHUNK / 2, buffer[PAGE_SIZE];
	int ends[2];

	fisc_fill_pages(second, half, 1);
	ASSERT_EQ(0, pipe(ends));
	ASSERT_EQ(0, vmm_delete_slot(&self->vmm, 0));
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 0, GPA, self->mem, half));
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	self->mem[0] = 1;
	ASSERT_EQ(large + 1, fisc_core("large"));
	ASSERT_EQ((long)PAGE_SIZE, vmsplice(ends[1], &page, 1, 0));
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 1, GPA + CHUNK / 2, second, half));
	fisc_sleep_ms(NOT_S * 1000);
	EXPECT_EQ(-1, fisc_check_pages(second, half, 1));
	ASSERT_EQ((long)PAGE_SIZE, read(ends[0], buffer, PAGE_SIZE));
	EXPECT_TRUE(wait_moved(0));
	EXPECT_EQ(-1, fisc_check_pages(second, half, 1));
	EXPECT_EQ(1, self->mem[0]);
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(second, half, 1));
}

TEST_F(adopt, moved_memory_is_released)
{
	move_and_release(_metadata, &self->vmm, self->mem, true);
}

TEST_F(adopt, moved_memory_without_a_slot_is_released)
{
	move_and_release(_metadata, &self->vmm, self->mem, false);
}

TEST_F(adopt, unmapped_memory_is_freed)
{
	char *half = self->mem + HALF_SIZE, path[128];
	long frames = self->before.frames;

	snprintf(path, sizeof(path), FISC_MNT "/" NAME "/ram-%lx",
		 (unsigned long)self->mem);
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	EXPECT_EQ(frames + PAGES, fisc_core("frames"));
	ASSERT_EQ(0, vmm_delete_slot(&self->vmm, 0));
	ASSERT_EQ(0, munmap(half, HALF_SIZE));
	EXPECT_TRUE(fisc_wait("core", "frames", frames + HALF));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, HALF, 1));
	ASSERT_EQ(0, munmap(self->mem, HALF_SIZE));
	EXPECT_TRUE(fisc_wait("core", "frames", frames));
	/* The page of code is left, at any place in its chunk. */
	EXPECT_TRUE(fisc_wait_vm_between(NAME, "size_bytes", 0, CHUNK));
	EXPECT_TRUE(fisc_wait_gone(path));
	EXPECT_TRUE(wait_moved(0));
	ASSERT_TRUE(release());
}

#define ROUNDS		16
#define ROUND_SIZE	(4 * MIB)
#define ROUND_PAGES	(ROUND_SIZE / (long)PAGE_SIZE)

TEST_F(adopt, memory_at_new_addresses_does_not_pile_up)
{
	char *area = map_memory(ROUNDS * ROUND_SIZE), *mem;
	int i;

	ASSERT_NE(NULL, area);
	ASSERT_EQ(0, mprotect(area, ROUNDS * ROUND_SIZE, PROT_NONE));
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	for (i = 0; i < ROUNDS; i++) {
		mem = area + i * ROUND_SIZE;
		ASSERT_EQ(mem, map_at(mem, ROUND_SIZE));
		ASSERT_EQ(0, vmm_set_slot(&self->vmm, 1, GPA + SIZE, mem,
					  ROUND_PAGES));
		fisc_fill_pages(mem, ROUND_PAGES, OTHER_SEED);
		ASSERT_TRUE(wait_ours(mem, ROUND_SIZE));
		ASSERT_TRUE(wait_moved(0));
		ASSERT_EQ(-1, fisc_check_pages(mem, ROUND_PAGES, OTHER_SEED));
		ASSERT_EQ(0, vmm_delete_slot(&self->vmm, 1));
		ASSERT_EQ(0, munmap(mem, ROUND_SIZE));
	}
	/* Each file begins at a multiple of a chunk. */
	EXPECT_TRUE(fisc_wait_vm_between(NAME, "size_bytes", SIZE,
					 SIZE + 2 * CHUNK));
	EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames + PAGES));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
}

/* How much memory is given back at a time */
#define RELEASE_SIZE	(64 * MIB)

/* Map memory of which one half is given back before the other. */
static char *map_across_releases(void)
{
	char *area = mmap(NULL, 2 * RELEASE_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned long border = ((unsigned long)area / RELEASE_SIZE + 1) *
			       RELEASE_SIZE;

	if (area == MAP_FAILED)
		return MAP_FAILED;
	if (border - (unsigned long)area < HALF_SIZE)
		border += RELEASE_SIZE;
	return map_at((char *)border - HALF_SIZE, SIZE);
}

/*
 * What could not be given back is the file's, whatever else is unmapped, and
 * whether its mapping has been replaced already or not.
 */
TEST_F(adopt, failed_release_loses_nothing)
{
	const long bad = 100;
	char *mem = map_across_releases(), *bad_page = mem + bad * PAGE_SIZE;
	double end = fisc_now() + WAIT_S;
	struct adoption now;

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "0"));
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 1, GPA + 2 * SIZE, mem, PAGES));
	fisc_fill_pages(mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	if (!fisc_poison(bad_page))
		SKIP(return, "no CONFIG_MEMORY_FAILURE");
	ASSERT_EQ(0, fisc_vm_set(NAME, "adoption", "release"));
	do {
		ASSERT_TRUE(look(&now));
		fisc_sleep_ms(10);
	} while (!strstr(now.text, "not released") && fisc_now() < end);
	EXPECT_NE(NULL, strstr(now.text, "not released"));
	EXPECT_EQ(HALF_SIZE, bytes_of_ours(mem, SIZE));
	ASSERT_EQ(0, munmap(map_memory(CHUNK), CHUNK));
	fisc_sleep_ms(NOT_S * 1000);
	EXPECT_EQ(-1, fisc_check_pages(mem, bad, 1));
	EXPECT_EQ(-1, fisc_check_pages(bad_page + PAGE_SIZE, PAGES - bad - 1,
				       2 + bad));
	fisc_write_str(LARGE_ENABLED, "1");
}

/* The VM, and the process's first thread */

TEST_F(adopt, closed_vm_gives_memory_back)
{
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	vmm_close(&self->vmm);
	EXPECT_TRUE(wait_gone());
	EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames));
	EXPECT_EQ(0, bytes_of_ours(self->mem, SIZE));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_EQ(0, madvise(self->mem + 7 * PAGE_SIZE, PAGE_SIZE,
			     MADV_DONTNEED));
	EXPECT_EQ(-1, fisc_check_zero(self->mem + 7 * PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, 7, 1));
	EXPECT_EQ(-1, fisc_check_pages(self->mem + 8 * PAGE_SIZE, PAGES - 8,
				       9));
}

/*
 * Adopt this process, whose last adoption may be about to end, until all of its
 * memory is adopted.
 */
static bool adopt_again(const char *mem)
{
	double end = fisc_now() + WAIT_S;
	struct adoption now;
	int err;

	do {
		err = adopt();
		/* The name is in use until the last adoption has ended. */
		if (err && err != -EALREADY && err != -EEXIST)
			break;
		if (look(&now) && !strcmp(now.state, "adopted") && now.all &&
		    now.moved == now.all && bytes_of_ours(mem, SIZE) == SIZE)
			return true;
		fisc_sleep_ms(10);
	} while (fisc_now() < end);
	fprintf(stderr, "# adopt: %s; adoption: %s\n", strerror(-err),
		now.text);
	return false;
}

/* The VMM is without a VM for longer than the module takes to look, or not. */
TEST_F(adopt, vm_made_anew_stays_adopted_or_is_released)
{
	static const int pauses_ms[] = { 0, 300, 1500 };
	size_t i;
	int err;

	fisc_fill_pages(self->mem, PAGES, 1);
	for (i = 0; i < ARRAY_SIZE(pauses_ms); i++) {
		ASSERT_EQ(0, adopt());
		ASSERT_TRUE(wait_moved(0));
		vmm_close(&self->vmm);
		fisc_sleep_ms(pauses_ms[i]);
		ASSERT_EQ(0, vmm_open(&self->vmm));
		ASSERT_EQ(0, vmm_set_slot(&self->vmm, 0, GPA, self->mem,
					  PAGES));
		EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
		ASSERT_TRUE(adopt_again(self->mem))
			TH_LOG("after %d ms without a VM", pauses_ms[i]);
		EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
		/* It may end by itself. */
		err = fisc_vm_set(NAME, "adoption", "release");
		EXPECT_TRUE(!err || err == -ENOENT || err == -ENODEV);
		ASSERT_TRUE(wait_gone());
		EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames));
		EXPECT_FALSE(is_mapped());
		EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	}
}

static void *check_when_told(void *arg)
{
	const struct child *self = arg;
	char *mem = map_memory(SIZE);
	struct vmm vmm;

	if (!mem || vmm_open(&vmm) || vmm_set_slot(&vmm, 0, GPA, mem, PAGES))
		_exit(1);
	fisc_fill_pages(mem, PAGES, 1);
	if (!tell(self) || !hear(self))
		_exit(2);
	_exit(fisc_check_pages(mem, PAGES, 1) == -1 ? 0 : 3);
}

/* Wait until the first thread of a process has exited. */
static bool wait_leader_gone(pid_t pid)
{
	double end = fisc_now() + WAIT_S;
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	while (fisc_read_str(path, text, sizeof(text)) ||
	       !strstr(text, ") Z ")) {
		if (fisc_now() > end)
			return false;
		fisc_sleep_ms(10);
	}
	return true;
}

TEST_F(adopt, leader_may_exit)
{
	struct adoption now, before;
	struct child child;
	pthread_t thread;
	double end;
	bool same;

	ASSERT_TRUE(start_child(&child));
	if (!child.pid) {
		/* This thread's stack stays while the process lives. */
		if (pthread_create(&thread, NULL, check_when_told, &child))
			_exit(4);
		/* Do not exit before all is adopted. */
		if (!wait_moved(0))
			_exit(5);
		pthread_exit(NULL);
	}
	ASSERT_TRUE(hear(&child));
	ASSERT_EQ(0, adopt_pid(child.pid));
	ASSERT_TRUE(wait_moved(0));
	ASSERT_TRUE(look(&before));
	ASSERT_TRUE(wait_leader_gone(child.pid));
	end = fisc_now() + 3;
	do {
		fisc_sleep_ms(100);
		same = look(&now) && !strcmp(now.state, "adopted") &&
		       now.moved == before.moved && now.all == before.all;
	} while (same && fisc_now() < end);
	EXPECT_TRUE(same)
		TH_LOG("adoption: '%s' after '%s'", now.text, before.text);
	EXPECT_EQ(self->before.frames + PAGES, fisc_core("frames"));
	EXPECT_TRUE(release());
	EXPECT_TRUE(fisc_wait("core", "frames", self->before.frames));
	EXPECT_TRUE(tell(&child));
	EXPECT_EQ(0, fisc_wait_child(child.pid));
}

/* Forks */

static sigjmp_buf inaccessible;

static void on_no_access(int sig)
{
	siglongjmp(inaccessible, sig);
}

static bool is_right_if_readable(const char *page, __u64 seed)
{
	return sigsetjmp(inaccessible, 1) || fisc_check(page, seed) == -1;
}

static void fill_if_writable(char *page, __u64 seed)
{
	if (!sigsetjmp(inaccessible, 1))
		fisc_fill(page, seed);
}

/* Return whether all pages that can be read have their content. */
static bool are_right_if_readable(const char *mem, __u64 seed)
{
	long i;

	signal(SIGSEGV, on_no_access);
	signal(SIGBUS, on_no_access);
	for (i = 0; i < PAGES; i++)
		if (!is_right_if_readable(mem + i * PAGE_SIZE, seed + i))
			return false;
	return true;
}

#define CHILDREN	10

/* Fork during releases; MADV_DOFORK is before or after adoption. */
static void fork_during_releases(struct __test_metadata *_metadata, char *mem,
				 bool after)
{
	double end = fisc_now() + fisc_stress_s(8);
	int cycles = 0, wrong = 0, i;
	pid_t pids[CHILDREN];
	__u64 seed = 1;

	do {
		fisc_fill_pages(mem, PAGES, seed);
		if (!after)
			ASSERT_EQ(0, madvise(mem, SIZE, MADV_DOFORK));
		ASSERT_EQ(0, adopt());
		ASSERT_TRUE(wait_moved(0));
		/* This may be refused. */
		if (after)
			madvise(mem, SIZE, MADV_DOFORK);
		ASSERT_EQ(0, fisc_vm_set(NAME, "adoption", "release"));
		for (i = 0; i < CHILDREN; i++) {
			pids[i] = fork();
			if (pids[i])
				continue;
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			alarm(2 * WAIT_S);
			/* Some read at once, some after the release. */
			if (i % 2)
				wait_gone();
			_exit(!are_right_if_readable(mem, seed));
		}
		for (i = 0; i < CHILDREN; i++)
			wrong += fisc_wait_child(pids[i]) != 0;
		ASSERT_TRUE(wait_gone());
		ASSERT_EQ(-1, fisc_check_pages(mem, PAGES, seed));
		seed += PAGES;
		cycles++;
	} while (fisc_now() < end);
	EXPECT_EQ(0, wrong);
	TH_LOG("%d cycles, %d of %d children were wrong", cycles, wrong,
	       cycles * CHILDREN);
}

TEST_F(adopt, child_of_a_release_reads_no_zeroes)
{
	fork_during_releases(_metadata, self->mem, false);
}

TEST_F(adopt, child_of_a_release_reads_no_zeroes_if_told_late)
{
	fork_during_releases(_metadata, self->mem, true);
}

TEST_F(adopt, child_has_its_own_copy_or_none)
{
	struct child child;

	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	/* This may be refused. */
	madvise(self->mem, SIZE, MADV_DOFORK);
	ASSERT_TRUE(start_child(&child));
	if (!child.pid) {
		int wrong = !hear(&child) ? 1 :
			    !are_right_if_readable(self->mem, 1) ? 2 : 0;

		fill_if_writable(self->mem + 5 * PAGE_SIZE, OTHER_SEED);
		_exit(wrong);
	}
	/* What is written after the fork is not for the child. */
	fisc_fill(self->mem + 3 * PAGE_SIZE, OTHER_SEED);
	ASSERT_TRUE(tell(&child));
	EXPECT_EQ(0, fisc_wait_child(child.pid));
	EXPECT_EQ(-1, fisc_check(self->mem + 3 * PAGE_SIZE, OTHER_SEED));
	fisc_fill(self->mem + 3 * PAGE_SIZE, 4);
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
}

TEST_HARNESS_MAIN
