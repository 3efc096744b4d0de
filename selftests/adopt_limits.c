// SPDX-License-Identifier: GPL-2.0
/*
 * When memory is adopted, and when not yet; and what else of it must be as it
 * was.
 */
#include <sys/resource.h>
#include <sys/swap.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "adopt.h"
#include "nullb.h"

#define CORE_PATTERN	"/proc/sys/kernel/core_pattern"
#define CORE		"/tmp/st-core"
#define SWAP		"fiscswap"
#define SWAP_MIB	64

/* Return how often a mapping was replaced, with or without success. */
static long attempts(void)
{
	FILE *f = fopen("/sys/kernel/debug/fisc/adopt", "re");
	char line[128];
	long sum = 0, n;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "map_us_%*d: %ld", &n) == 1)
			sum += n;
	if (f)
		fclose(f);
	return sum;
}

TEST_F(adopt, nothing_is_moved_while_memory_is_short)
{
	long all = SIZE + PAGE_SIZE, pages = 40 * MIB / PAGE_SIZE;
	char state[16] = "", *other;
	double end = fisc_now() + WAIT_S;

	/* Another VM has more than half of what there is. */
	other = fisc_map(fisc_create(ST "other", pages), pages);
	ASSERT_NE(NULL, other);
	fisc_fill_pages(other, pages, 1);
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, "64M"));
	ASSERT_EQ(0, fisc_low_on_memory(true));
	while (strcmp(state, "low") && fisc_now() < end) {
		ASSERT_EQ(0, fisc_read_str(RECLAIM_STATE, state, sizeof(state)));
		fisc_sleep_ms(10);
	}
	ASSERT_STREQ("low", state);
	ASSERT_EQ(0, adopt());
	EXPECT_TRUE(wait_left(" memory ", all));
	EXPECT_EQ(0, fisc_vm(NAME, "private_pages"));
	ASSERT_EQ(0, fisc_short_of_memory(false));
	EXPECT_TRUE(wait_moved(0));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_TRUE(release());
}

/* Put a page of each chunk into a pipe, which holds it. */
static bool hold_chunks(int fd, char *mem)
{
	size_t at;

	for (at = 0; at < SIZE; at += CHUNK) {
		struct iovec iov = { mem + at, PAGE_SIZE };

		if (vmsplice(fd, &iov, 1, 0) != (ssize_t)PAGE_SIZE)
			return false;
	}
	return true;
}

TEST_F(adopt, busy_memory_is_tried_less_and_less_often)
{
	char page[PAGE_SIZE];
	int fds[2], i;
	long before;

	ASSERT_EQ(0, pipe(fds));
	fisc_fill_pages(self->mem, PAGES, 1);
	ASSERT_TRUE(hold_chunks(fds[1], self->mem));
	ASSERT_EQ(0, adopt());
	EXPECT_TRUE(wait_left(" busy ", SIZE));
	before = attempts();
	fisc_sleep_ms(10000);
	/* Ten looks, of which three try each of four chunks. */
	EXPECT_LE(attempts() - before, 4 * SIZE / CHUNK);
	for (i = 0; i < SIZE / CHUNK; i++)
		EXPECT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
	EXPECT_TRUE(wait_moved(0));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	ASSERT_TRUE(release());
	close(fds[0]);
	close(fds[1]);
}

/* Locked pages of one file: the whole file stays. */
TEST_F(adopt, memory_that_is_locked_later_stays)
{
	char *other = map_memory(SIZE);

	ASSERT_NE(NULL, other);
	ASSERT_EQ(0, nullb_start(SWAP, SWAP_MIB, 0));
	ASSERT_EQ(0, nullb_swapon(SWAP, SWAP_MIB));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "10"));
	fisc_fill_pages(self->mem, PAGES, 1);
	fisc_fill_pages(other, PAGES, PAGES + 1);
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 1, GPA + SIZE, other, PAGES));
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	ASSERT_EQ(0, mlock(self->mem, PAGE_SIZE));
	/* It has been looked at since. */
	fisc_sleep_ms(2500);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, "8M"));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_BLOCKING, "0"));
	ASSERT_EQ(0, fisc_low_on_memory(true));
	EXPECT_TRUE(fisc_wait_vm_between(NAME, "swapped", SIZE * 3 / 4, SIZE));
	fisc_sleep_ms(2000);
	EXPECT_GE(SIZE + (long)PAGE_SIZE, fisc_vm(NAME, "swapped"));
	ASSERT_EQ(0, munlock(self->mem, PAGE_SIZE));
	EXPECT_TRUE(fisc_wait_vm_between(NAME, "swapped", SIZE * 5 / 4,
					 2 * SIZE));
	ASSERT_EQ(0, fisc_short_of_memory(false));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	EXPECT_EQ(-1, fisc_check_pages(other, PAGES, PAGES + 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(0, swapoff("/dev/" SWAP));
	nullb_stop(SWAP);
}

/* A VMM of its own, which dumps core when it is told to. */
static void dump_core(const struct child *child)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	char *mem = map_memory(CHUNK), *secret = map_memory(CHUNK);
	struct vmm vmm;

	memset(mem, 'm', CHUNK);
	memset(secret, 's', CHUNK);
	if (vmm_open(&vmm) ||
	    vmm_set_slot(&vmm, 0, GPA, mem, CHUNK / PAGE_SIZE) ||
	    vmm_set_slot(&vmm, 1, GPA + CHUNK, secret, CHUNK / PAGE_SIZE) ||
	    madvise(secret, CHUNK, MADV_DONTDUMP) ||
	    setrlimit(RLIMIT_CORE, &all) || prctl(PR_SET_DUMPABLE, 1))
		_exit(1);
	signal(SIGABRT, SIG_DFL);
	if (tell(child) && hear(child))
		abort();
	_exit(1);
}

/* Count bytes of a file in rows of 4096 of the same one. */
static long count_rows(const char *path, char byte)
{
	FILE *f = fopen(path, "re");
	long rows = 0, run = 0;
	int c;

	while (f && (c = getc(f)) != EOF) {
		run = c == byte ? run + 1 : 0;
		if (run == 4096) {
			run = 0;
			rows++;
		}
	}
	if (f)
		fclose(f);
	return rows;
}

TEST_F(adopt, core_dump_has_the_memory_that_it_had)
{
	char before[256];
	struct child child;
	int status;

	ASSERT_EQ(0, fisc_read_str(CORE_PATTERN, before, sizeof(before)));
	ASSERT_EQ(0, fisc_write_str(CORE_PATTERN, CORE));
	unlink(CORE);
	ASSERT_TRUE(start_child(&child));
	if (!child.pid)
		dump_core(&child);
	ASSERT_TRUE(hear(&child));
	ASSERT_EQ(0, adopt_pid(child.pid));
	EXPECT_TRUE(wait_moved(0));
	ASSERT_TRUE(tell(&child));
	EXPECT_EQ(child.pid, waitpid(child.pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WCOREDUMP(status));
	EXPECT_EQ((long)(CHUNK / PAGE_SIZE), count_rows(CORE, 'm'));
	EXPECT_EQ(0, count_rows(CORE, 's'));
	unlink(CORE);
	EXPECT_EQ(0, fisc_write_str(CORE_PATTERN, before));
}

TEST_HARNESS_MAIN
