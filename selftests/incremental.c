// SPDX-License-Identifier: GPL-2.0
/*
 * What the scanner reads, and when: everything new, everything written, nothing
 * twice without need, and little of what is written all the time.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fixture.h"

#define RUN_MS		3000

/* Make a file of @nr_pages different pages: page i has seed @seed + i. */
static char *make_unique(const char *path, int nr_pages, __u64 seed)
{
	char *map = fisc_map(fisc_create(path, nr_pages), nr_pages);
	int i;

	for (i = 0; map && i < nr_pages; i++)
		fisc_fill(page_of(map, i), seed + i);
	return map;
}

/* Wait until all is read and the running scanner has nothing to do. */
static void settle(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait_passes(2));
	ASSERT_TRUE(fisc_wait_idle());
}

/* When it has been told to stop, it has stopped. */
TEST_F(fisc, nothing_is_read_after_a_stop)
{
	char *map = make_unique(ST "a", 2048, 1);
	long scanned, begin = fisc_share("scanned");
	int round, i;

	ASSERT_NE(NULL, map);
	for (round = 0; round < 50; round++) {
		for (i = 0; i < 2048; i++)
			map[i * PAGE_SIZE]++;
		ASSERT_EQ(0, fisc_scan_on());
		fisc_sleep_ms(15);
		ASSERT_EQ(0, fisc_scan_off());
		scanned = fisc_share("scanned");
		fisc_sleep_ms(15);
		ASSERT_EQ(scanned, fisc_share("scanned"));
	}
	EXPECT_LT(begin, fisc_share("scanned"));
}

TEST_F(fisc, idle_memory_is_not_read_again)
{
	long scanned = fisc_share("scanned"), rounds, faults;
	char *map = make_unique(ST "a", 700, 1);
	__u64 rnd = 1;
	int i;

	ASSERT_NE(NULL, map);
	/* Pages of every kind: shared, zero, private, punched. */
	for (i = 0; i < 100; i++) {
		fisc_fill(page_of(map, i), 1000 + i % 7);
		memset(page_of(map, 100 + i), 0, PAGE_SIZE);
	}
	ASSERT_EQ(0, madvise(page_of(map, 200), 50 * PAGE_SIZE, MADV_REMOVE));
	settle(_metadata);
	EXPECT_EQ(7 + 450, fisc_core("frames"));
	/* Each page was read once, and few of the equal ones a second time. */
	EXPECT_LE(scanned + 650, fisc_share("scanned"));
	EXPECT_GE(scanned + 650 + 200, fisc_share("scanned"));

	scanned = fisc_share("scanned");
	rounds = fisc_share("unmap_rounds");
	faults = fisc_core("faults");
	EXPECT_TRUE(fisc_wait_passes(50));
	EXPECT_EQ(scanned, fisc_share("scanned"));
	EXPECT_EQ(rounds, fisc_share("unmap_rounds"));
	EXPECT_EQ(faults, fisc_core("faults"));

	/* Reads are not writes, and pages stay mapped. */
	for (i = 0; i < 200; i++) {
		char byte = READ_ONCE(map[fisc_rand(&rnd) % (700 * PAGE_SIZE)]);

		(void)byte;
	}
	faults = fisc_core("faults");
	EXPECT_TRUE(fisc_wait_passes(50));
	for (i = 250; i < 700; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 1 + i));
	EXPECT_TRUE(fisc_wait_passes(20));
	EXPECT_EQ(scanned, fisc_share("scanned"));
	EXPECT_EQ(rounds, fisc_share("unmap_rounds"));
}

TEST_F(fisc, more_memory_costs_only_itself)
{
	char *map = make_unique(ST "a", 1024, 1), *more;
	long scanned;

	ASSERT_NE(NULL, map);
	settle(_metadata);
	scanned = fisc_share("scanned");
	more = make_unique(ST "b", 16, 5000);
	ASSERT_NE(NULL, more);
	settle(_metadata);
	EXPECT_LE(scanned + 16, fisc_share("scanned"));
	EXPECT_GE(scanned + 2 * 16, fisc_share("scanned"));
	/* What is gone costs nothing. */
	scanned = fisc_share("scanned");
	munmap(more, 16 * PAGE_SIZE);
	ASSERT_EQ(0, unlink(ST "b"));
	EXPECT_TRUE(fisc_wait_passes(20));
	EXPECT_EQ(scanned, fisc_share("scanned"));
}

/**
 * struct target - ways to write to a page that the scanner knows
 * @fd: the file
 * @map: a mapping of it
 * @view: another mapping of it
 */
struct target {
	int fd;
	char *map;
	char *view;
};

static bool write_by_store(struct target *t, size_t i, const char *page)
{
	memcpy(page_of(t->map, i), page, PAGE_SIZE);
	return true;
}

static bool write_by_other_mapping(struct target *t, size_t i, const char *page)
{
	memcpy(page_of(t->view, i), page, PAGE_SIZE);
	return true;
}

static bool write_by_one_byte(struct target *t, size_t i, const char *page)
{
	size_t at;

	for (at = 0; at < PAGE_SIZE; at++)
		if (page_of(t->map, i)[at] != page[at])
			page_of(t->map, i)[at] = page[at];
	return true;
}

static bool write_by_call(struct target *t, size_t i, const char *page)
{
	return pwrite(t->fd, page, PAGE_SIZE, i * PAGE_SIZE) ==
	       (ssize_t)PAGE_SIZE;
}

static bool write_by_read(struct target *t, size_t i, const char *page)
{
	bool ok;
	int fds[2];

	if (pipe(fds))
		return false;
	ok = write(fds[1], page, PAGE_SIZE) == (ssize_t)PAGE_SIZE &&
	     read(fds[0], page_of(t->map, i), PAGE_SIZE) == (ssize_t)PAGE_SIZE;
	close(fds[0]);
	close(fds[1]);
	return ok;
}

static bool write_by_proc_mem(struct target *t, size_t i, const char *page)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ssize_t done = pwrite(fd, page, PAGE_SIZE, (off_t)page_of(t->map, i));

	close(fd);
	return done == (ssize_t)PAGE_SIZE;
}

static bool write_by_process_vm(struct target *t, size_t i, const char *page)
{
	struct iovec from = { (void *)page, PAGE_SIZE };
	struct iovec to = { page_of(t->map, i), PAGE_SIZE };

	return process_vm_writev(getpid(), &from, 1, &to, 1, 0) ==
	       (ssize_t)PAGE_SIZE;
}

static bool write_by_child(struct target *t, size_t i, const char *page)
{
	pid_t pid = fork();

	if (!pid) {
		memcpy(page_of(t->map, i), page, PAGE_SIZE);
		_exit(0);
	}
	return !fisc_wait_child(pid);
}

static bool write_into_hole(struct target *t, size_t i, const char *page)
{
	return !fallocate(t->fd, PUNCH, i * PAGE_SIZE, PAGE_SIZE) &&
	       write_by_store(t, i, page);
}

static bool write_after_mprotect(struct target *t, size_t i, const char *page)
{
	return !mprotect(page_of(t->map, i), PAGE_SIZE, PROT_READ) &&
	       !mprotect(page_of(t->map, i), PAGE_SIZE,
			 PROT_READ | PROT_WRITE) &&
	       write_by_store(t, i, page);
}

static bool write_after_mremap(struct target *t, size_t i, const char *page)
{
	char *moved = mremap(page_of(t->view, i), 0, PAGE_SIZE, MREMAP_MAYMOVE);

	if (moved == MAP_FAILED)
		return false;
	memcpy(moved, page, PAGE_SIZE);
	munmap(moved, PAGE_SIZE);
	return true;
}

static bool (* const writers[])(struct target *t, size_t i,
				const char *page) = {
	write_by_store, write_by_other_mapping, write_by_one_byte,
	write_by_call, write_by_read, write_by_proc_mem, write_by_process_vm,
	write_by_child, write_into_hole, write_after_mprotect,
	write_after_mremap,
};

#define NR_WRITERS	((int)ARRAY_SIZE(writers))

TEST_F(fisc, no_way_to_write_escapes)
{
	struct target t = { .fd = fisc_create(ST "a", NR_WRITERS + 1) };
	char page[PAGE_SIZE];
	int i, mapped;

	t.map = fisc_map(t.fd, NR_WRITERS + 1);
	t.view = fisc_map(t.fd, NR_WRITERS + 1);
	ASSERT_NE(NULL, t.map);
	ASSERT_NE(NULL, t.view);
	/* Page tables are empty, as the scanner left them, or filled. */
	for (mapped = 0; mapped < 2; mapped++) {
		for (i = 0; i <= NR_WRITERS; i++)
			fisc_fill(page_of(t.map, i), 100 * mapped + i);
		settle(_metadata);
		EXPECT_EQ(NR_WRITERS + 1, fisc_core("frames"));
		for (i = 0; mapped && i <= NR_WRITERS; i++) {
			EXPECT_EQ(-1, fisc_check(page_of(t.map, i), 100 + i));
			EXPECT_EQ(-1, fisc_check(page_of(t.view, i), 100 + i));
		}
		/* Each becomes equal to the last page, which nobody touches. */
		fisc_fill(page, 100 * mapped + NR_WRITERS);
		for (i = 0; i < NR_WRITERS; i++) {
			ASSERT_TRUE(writers[i](&t, i, page))
				TH_LOG("writer %d: errno %d", i, errno);
			EXPECT_TRUE(fisc_wait("core", "frames", NR_WRITERS - i))
				TH_LOG("writer %d, %smapped", i,
				       mapped ? "" : "not ");
			EXPECT_EQ(-1, fisc_check(page_of(t.view, i),
						 100 * mapped + NR_WRITERS));
		}
	}
}

TEST_F(fisc, one_write_costs_one_read)
{
	char *map = make_unique(ST "a", 512, 1);
	long scanned, written;
	int i;

	ASSERT_NE(NULL, map);
	settle(_metadata);
	scanned = fisc_share("scanned");
	written = fisc_share("written");
	for (i = 0; i < 512; i += 32)
		fisc_fill(page_of(map, i), 2000 + i);
	EXPECT_EQ(written + 16, fisc_share("written"));
	settle(_metadata);
	EXPECT_LE(scanned + 16, fisc_share("scanned"));
	EXPECT_GE(scanned + 2 * 16, fisc_share("scanned"));
	EXPECT_EQ(written + 16, fisc_share("written"));
	for (i = 0; i < 512; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i),
					 i % 32 ? 1 + i : 2000 + i));
}

TEST_F(fisc, written_page_waits_for_recheck_ms)
{
	char *map = make_unique(ST "a", 16, 1);
	long scanned;

	ASSERT_NE(NULL, map);
	settle(_metadata);
	ASSERT_EQ(0, fisc_write_str(SHARE_RECHECK, "60000"));
	scanned = fisc_share("scanned");
	fisc_fill(page_of(map, 3), 5);
	fisc_sleep_ms(1000);
	EXPECT_EQ(scanned, fisc_share("scanned"));
	EXPECT_EQ(16, fisc_core("frames"));
	/* Page 4 now equals page 3. */
	ASSERT_EQ(0, fisc_write_str(SHARE_RECHECK, "10"));
	EXPECT_TRUE(fisc_wait("core", "frames", 15));
	EXPECT_EQ(-1, fisc_check(page_of(map, 3), 5));
	EXPECT_EQ(-1, fisc_check(page_of(map, 4), 5));
}

/**
 * struct rewriter - a thread that writes to pages all the time
 * @thread: the thread
 * @map: the pages, which nobody else writes
 * @nr_pages: number of pages
 * @stop: tells the thread to end
 * @writes: pages written so far
 * @bad: pages with wrong contents
 */
struct rewriter {
	pthread_t thread;
	char *map;
	int nr_pages;
	bool stop;
	unsigned long writes;
	unsigned long bad;
};

/* Contents never repeat: the counter is part of the page. */
static void *rewrite(void *arg)
{
	struct rewriter *r = arg;
	__u64 n;
	int i;

	for (n = 1; !READ_ONCE(r->stop); n++) {
		for (i = 0; i < r->nr_pages && !READ_ONCE(r->stop); i++) {
			__u64 *word = (__u64 *)page_of(r->map, i) + 7;

			if (n > 1 && READ_ONCE(*word) != (n - 1) * 100000 + i)
				r->bad++;
			WRITE_ONCE(*word, n * 100000 + i);
			WRITE_ONCE(r->writes, r->writes + 1);
		}
		fisc_sleep_ms(1);
	}
	return NULL;
}

static void start(struct __test_metadata *_metadata, struct rewriter *r,
		  char *map, int nr_pages)
{
	memset(r, 0, sizeof(*r));
	r->map = map;
	r->nr_pages = nr_pages;
	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, pthread_create(&r->thread, NULL, rewrite, r));
}

static void stop(struct __test_metadata *_metadata, struct rewriter *r)
{
	WRITE_ONCE(r->stop, true);
	pthread_join(r->thread, NULL);
	EXPECT_EQ(0, r->bad);
	EXPECT_LT(0, r->writes);
}

#define HOT_PAGES	16

TEST_F(fisc, page_that_is_written_all_the_time_is_left_alone)
{
	char *map = make_unique(ST "a", 2 * HOT_PAGES, 1);
	struct rewriter r;
	long scanned;
	int i;

	settle(_metadata);
	start(_metadata, &r, map, HOT_PAGES);
	/* The first intervals are short. */
	fisc_sleep_ms(RUN_MS / 3);
	scanned = fisc_share("scanned");
	fisc_sleep_ms(RUN_MS);
	scanned = fisc_share("scanned") - scanned;
	stop(_metadata, &r);
	TH_LOG("%lu writes, %ld reads in the last %d ms", r.writes, scanned,
	       RUN_MS);
	/* With doubling, a page is read twice in that time; else 150 times. */
	EXPECT_GE(HOT_PAGES * 30, scanned);
	EXPECT_GE((long)r.writes, 4 * scanned);
	/* A page that is left alone is not forgotten. */
	for (i = 0; i < HOT_PAGES; i++)
		fisc_fill(page_of(map, i), 1 + HOT_PAGES + i);
	EXPECT_TRUE(fisc_wait("core", "frames", HOT_PAGES));
	for (i = 0; i < HOT_PAGES; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 1 + HOT_PAGES + i));
}

TEST_F(fisc, page_that_is_shared_and_written_in_turn_is_left_alone)
{
	char *map = make_unique(ST "a", 2, 1);
	double end = fisc_now() + RUN_MS / 1000.0;
	long merged, rounds = 0;

	ASSERT_NE(NULL, map);
	settle(_metadata);
	merged = fisc_share("merged");
	while (fisc_now() < end) {
		fisc_fill(page_of(map, 0), 2);
		fisc_sleep_ms(1);
		page_of(map, 0)[rounds % PAGE_SIZE] ^= 1;
		fisc_sleep_ms(1);
		rounds++;
	}
	merged = fisc_share("merged") - merged;
	TH_LOG("written %ld times, shared %ld times", 2 * rounds, merged);
	EXPECT_GE(60, merged);
	fisc_fill(page_of(map, 0), 2);
	EXPECT_TRUE(fisc_wait("core", "frames", 1));
}

TEST_F(fisc, busy_vm_does_not_keep_others_waiting)
{
	char *busy = make_unique(ST "a", 4096, 1), *map;
	struct rewriter r;
	int i;

	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, "2000"));
	ASSERT_EQ(0, fisc_scan_on());
	start(_metadata, &r, busy, 4096);
	fisc_sleep_ms(300);
	map = fisc_map(fisc_create(ST "b", 64), 64);
	ASSERT_NE(NULL, map);
	for (i = 0; i < 64; i++)
		fisc_fill(page_of(map, i), 77);
	EXPECT_TRUE(fisc_wait_vm("st-b", "sharing_pages", 64));
	stop(_metadata, &r);
	for (i = 0; i < 64; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 77));
}

/* Only logged: what is too much depends on the host's other load. */
TEST_F(fisc, ceiling_on_cpu_time)
{
	static const char * const percents[] = { "1", "10", "50" };
	char *map = make_unique(ST "a", 4096, 1);
	struct rewriter r;
	size_t i;

	ASSERT_EQ(0, fisc_scan_on());
	start(_metadata, &r, map, 4096);
	for (i = 0; i < ARRAY_SIZE(percents); i++) {
		double begin;
		long cpu_us;

		EXPECT_EQ(0, fisc_write_str(SHARE_CPU, percents[i]));
		fisc_sleep_ms(200);
		cpu_us = fisc_share("cpu_us");
		begin = fisc_now();
		/* New pages keep coming: there is always something to do. */
		while (fisc_now() < begin + 2) {
			EXPECT_EQ(0, madvise(page_of(map, 2048),
					     2048 * PAGE_SIZE, MADV_DONTNEED));
			fisc_sleep_ms(20);
		}
		cpu_us = fisc_share("cpu_us") - cpu_us;
		TH_LOG("cpu_percent %s: %.1f %% of a CPU", percents[i],
		       cpu_us / (fisc_now() - begin) / 1e4);
	}
	stop(_metadata, &r);
}

#define USERS_PAGES	200

/* Return the highest number of pages that one frame serves. */
static int most_users(struct __test_metadata *_metadata, const char *map)
{
	__u64 pfns[USERS_PAGES];
	int i, j, users, most = 0;

	EXPECT_EQ(0, fisc_read_pfns(map, USERS_PAGES, pfns));
	for (i = 0; i < USERS_PAGES; i++) {
		for (users = 0, j = 0; j < USERS_PAGES; j++)
			users += pfns[j] && pfns[j] == pfns[i];
		most = users > most ? users : most;
	}
	return most;
}

TEST_F(fisc, frame_has_no_more_users_than_allowed)
{
	static const struct {
		const char *max_users;
		int max;
	} limits[] = {
		{ "2", 2 }, { "10", 10 }, { "64", 64 }, { "65536", USERS_PAGES }
	};
	char *map = fisc_map(fisc_create(ST "a", USERS_PAGES), USERS_PAGES);
	size_t k;
	int i;

	ASSERT_NE(NULL, map);
	for (k = 0; k < ARRAY_SIZE(limits); k++) {
		int least = (USERS_PAGES + limits[k].max - 1) / limits[k].max;

		ASSERT_EQ(0, fisc_scan_off());
		ASSERT_EQ(0, fisc_write_str(SHARE_USERS, limits[k].max_users));
		ASSERT_EQ(0,
			  madvise(map, USERS_PAGES * PAGE_SIZE, MADV_REMOVE));
		for (i = 0; i < USERS_PAGES; i++)
			fisc_fill(page_of(map, i), 1 + k);
		settle(_metadata);
		EXPECT_GE(limits[k].max, most_users(_metadata, map));
		EXPECT_LE(least, fisc_core("frames"));
		/* A few may have met no frame with room for them. */
		EXPECT_GE(least + 4, fisc_core("frames"));
		for (i = 0; i < USERS_PAGES; i++)
			EXPECT_EQ(-1, fisc_check(page_of(map, i), 1 + k));
	}
	/* Frames that now have more users than allowed keep them. */
	ASSERT_EQ(0, fisc_write_str(SHARE_USERS, "2"));
	EXPECT_TRUE(fisc_wait_passes(5));
	EXPECT_EQ(1, fisc_core("frames"));
	fisc_fill(page_of(map, 0), k);
	settle(_metadata);
	EXPECT_EQ(2, fisc_core("frames"));
	EXPECT_EQ(USERS_PAGES - 1, most_users(_metadata, map));
}

static ssize_t splice_in(int pipe_fd, char *page)
{
	struct iovec iov = { page, PAGE_SIZE };

	return vmsplice(pipe_fd, &iov, 1, 0);
}

TEST_F(fisc, known_page_in_a_pipe_is_not_shared)
{
	char *map = make_unique(ST "a", 2, 1), page[PAGE_SIZE];
	long pinned;
	int fds[2];

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, pipe(fds));
	/* Hashed first, then pinned: its equal finds it by its hint. */
	settle(_metadata);
	ASSERT_EQ((ssize_t)PAGE_SIZE, splice_in(fds[1], page_of(map, 0)));
	pinned = fisc_share("pinned");
	fisc_fill(page_of(map, 1), 1);
	EXPECT_TRUE(fisc_wait_above("share", "pinned", pinned));
	EXPECT_TRUE(fisc_wait_passes(10));
	EXPECT_EQ(2, fisc_core("frames"));
	ASSERT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 1));
	EXPECT_TRUE(fisc_wait("core", "frames", 1));
	EXPECT_EQ(-1, fisc_check(page_of(map, 0), 1));
	EXPECT_EQ(-1, fisc_check(page_of(map, 1), 1));
}

TEST_F(fisc, pipe_sees_writes_to_a_known_page)
{
	char *map = make_unique(ST "a", 1, 1), page[PAGE_SIZE], want[PAGE_SIZE];
	int fds[2];

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, pipe(fds));
	settle(_metadata);
	ASSERT_EQ((ssize_t)PAGE_SIZE, splice_in(fds[1], map));
	/* Private pages are written in place, hashed or not. */
	map[99] ^= 0x55;
	EXPECT_TRUE(fisc_wait_passes(10));
	map[100] ^= 0x55;
	fisc_fill(want, 1);
	want[99] ^= 0x55;
	want[100] ^= 0x55;
	ASSERT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
	EXPECT_EQ(0, memcmp(want, page, PAGE_SIZE));
	EXPECT_EQ(0, memcmp(want, map, PAGE_SIZE));
	EXPECT_EQ(1, fisc_core("frames"));
}

/* At most 0.6 % of guest memory, all allocations but frames included. */
TEST_F(fisc, what_is_known_takes_little_memory)
{
	int nr_pages = 16384;
	long before = fisc_core("metadata_bytes"), bytes;
	char *map = make_unique(ST "a", nr_pages, 1);

	ASSERT_NE(NULL, map);
	settle(_metadata);
	bytes = fisc_core("metadata_bytes") - before;
	TH_LOG("%.3f %% of %ld MiB", 100.0 * bytes / (nr_pages * PAGE_SIZE),
	       nr_pages * PAGE_SIZE >> 20);
	EXPECT_LT(0, bytes);
	EXPECT_GE((long)(nr_pages * PAGE_SIZE / 1000 * 6), bytes);
}

TEST_HARNESS_MAIN
