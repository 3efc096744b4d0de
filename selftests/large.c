// SPDX-License-Identifier: GPL-2.0
/*
 * Large pages: given at first touch, mapped as one, broken when that pays,
 * rebuilt when it does not pay any more.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FISC_LARGE "1"
#include "fixture.h"

#define LARGE_PAGES	512
#define LARGE_SIZE	(LARGE_PAGES * PAGE_SIZE)

/* Return how many KiB of the mapping at @map are mapped by large pages. */
static long pmd_mapped_kib(const char *map)
{
	char text[32];

	if (!fisc_smaps(map, "FilePmdMapped:", text, sizeof(text)))
		return -1;
	return atol(text);
}

/* Make a file whose first chunk is large and full of different pages. */
static char *make_large(const char *path, int nr_pages, __u64 seed)
{
	char *map = fisc_map(fisc_create(path, nr_pages), nr_pages);

	if (map)
		fisc_fill_pages(map, nr_pages, seed);
	return map;
}

TEST_F(fisc, first_write_gets_and_maps_a_large_page)
{
	char *map = fisc_map(fisc_create(ST "a", 2 * LARGE_PAGES),
			     2 * LARGE_PAGES);

	ASSERT_NE(NULL, map);
	EXPECT_EQ(0UL, (unsigned long)map % LARGE_SIZE);
	map[5 * PAGE_SIZE] = 1;
	EXPECT_EQ(1, fisc_core("large"));
	EXPECT_EQ(LARGE_PAGES, fisc_core("present"));
	EXPECT_EQ(LARGE_PAGES, fisc_core("frames"));
	EXPECT_EQ(1, fisc_vm("st-a", "large_pages"));
	EXPECT_EQ(2048, pmd_mapped_kib(map));
	EXPECT_EQ(-1, fisc_check_zero(map, 5 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(map + 6 * PAGE_SIZE,
				      LARGE_SIZE - 6 * PAGE_SIZE));
	map[LARGE_SIZE] = 1;
	EXPECT_EQ(2, fisc_core("large"));
	EXPECT_EQ(4096, pmd_mapped_kib(map));
}

TEST_F(fisc, reading_first_is_no_obstacle)
{
	char *map = fisc_map(fisc_create(ST "a", LARGE_PAGES), LARGE_PAGES);

	ASSERT_NE(NULL, map);
	EXPECT_EQ(-1, fisc_check_zero(map, LARGE_SIZE));
	EXPECT_EQ(1, fisc_core("large"));
	fisc_fill_pages(map, LARGE_PAGES, 1);
	EXPECT_EQ(1, fisc_core("large"));
	EXPECT_EQ(2048, pmd_mapped_kib(map));
	EXPECT_EQ(-1, fisc_check_pages(map, LARGE_PAGES, 1));
}

TEST_F(fisc, knobs_keep_pages_small)
{
	char *map = fisc_map(fisc_create(ST "a", 3 * LARGE_PAGES),
			     3 * LARGE_PAGES);

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "0"));
	map[0] = 1;
	EXPECT_EQ(1, fisc_core("present"));
	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "1"));
	ASSERT_EQ(0, fisc_write_str(LARGE_MIN_FREE, "100"));
	map[LARGE_SIZE] = 1;
	EXPECT_EQ(2, fisc_core("present"));
	ASSERT_EQ(0, fisc_write_str(LARGE_MIN_FREE, "0"));
	map[2 * LARGE_SIZE] = 1;
	EXPECT_EQ(1, fisc_core("large"));
}

TEST_F(fisc, end_of_file_is_respected)
{
	int pages = LARGE_PAGES + 100, fd = fisc_create(ST "a", pages);
	unsigned char byte;
	char *map = fisc_map(fd, 2 * LARGE_PAGES);

	ASSERT_NE(NULL, map);
	fisc_fill_pages(map, pages, 1);
	EXPECT_EQ(1, fisc_core("large"));
	EXPECT_EQ(pages, fisc_core("present"));
	EXPECT_EQ(SIGBUS, fisc_try_read(map + pages * PAGE_SIZE, &byte));

	/* Truncated in the middle of the large page and extended: zeroes. */
	ASSERT_EQ(0, ftruncate(fd, 300 * PAGE_SIZE + 10));
	EXPECT_EQ(SIGBUS, fisc_try_read(map + 301 * PAGE_SIZE, &byte));
	EXPECT_EQ(SIGBUS, fisc_try_write(map + 511 * PAGE_SIZE, 1));
	EXPECT_EQ(301, fisc_core("present"));
	ASSERT_EQ(0, ftruncate(fd, LARGE_SIZE));
	EXPECT_EQ(-1, fisc_check_pages(map, 300, 1));
	EXPECT_EQ(-1, fisc_check_zero(map + 300 * PAGE_SIZE + 10,
				      212 * PAGE_SIZE - 10));
}

TEST_F(fisc, misaligned_mapping_works_page_by_page)
{
	int fd = fisc_create(ST "a", 2 * LARGE_PAGES);
	char *aligned = fisc_map(fd, 2 * LARGE_PAGES), *room, *map;

	room = mmap(NULL, 4 * LARGE_SIZE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	room += LARGE_SIZE - (unsigned long)room % LARGE_SIZE + PAGE_SIZE;
	map = mmap(room, 2 * LARGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_FIXED, fd, 0);
	ASSERT_EQ(room, map);
	fisc_fill_pages(map, 2 * LARGE_PAGES, 1);
	EXPECT_EQ(2, fisc_core("large"));
	EXPECT_EQ(0, pmd_mapped_kib(map));
	EXPECT_EQ(-1, fisc_check_pages(aligned, 2 * LARGE_PAGES, 1));
	EXPECT_EQ(4096, pmd_mapped_kib(aligned));
	/* A write to one view shows in the other after a scan. */
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_passes(3));
	fisc_fill_pages(map, 2 * LARGE_PAGES, 5000);
	EXPECT_EQ(-1, fisc_check_pages(aligned, 2 * LARGE_PAGES, 5000));
}

TEST_F(fisc, unique_pages_stay_large)
{
	char *map = make_large(ST "a", LARGE_PAGES, 1);
	long scanned = fisc_share("scanned");

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_passes(4));
	EXPECT_EQ(1, fisc_core("large"));
	EXPECT_EQ(-1, fisc_check_pages(map, LARGE_PAGES, 1));
	EXPECT_EQ(2048, pmd_mapped_kib(map));
	/* Pages are read once, and not again as long as nobody writes. */
	EXPECT_EQ(scanned + LARGE_PAGES, fisc_share("scanned"));
}

TEST_F(fisc, equal_large_pages_are_broken_and_shared)
{
	long breaks = fisc_core("large_breaks");
	char *a = make_large(ST "a", LARGE_PAGES, 1);
	char *b = make_large(ST "b", LARGE_PAGES, 1);

	ASSERT_EQ(0, fisc_write_str(LARGE_BREAK, "512"));
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("core", "frames", LARGE_PAGES));
	EXPECT_EQ(breaks + 2, fisc_core("large_breaks"));
	EXPECT_EQ(2 * LARGE_PAGES, fisc_share("sharing"));
	EXPECT_EQ(-1, fisc_check_pages(a, LARGE_PAGES, 1));
	EXPECT_EQ(-1, fisc_check_pages(b, LARGE_PAGES, 1));
}

TEST_F(fisc, break_pages_is_what_it_takes)
{
	char *map;

	ASSERT_EQ(0, fisc_write_str(LARGE_BREAK, "101"));
	map = make_large(ST "a", LARGE_PAGES, 1);
	memset(map, 0, 100 * PAGE_SIZE);
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_passes(4));
	EXPECT_EQ(1, fisc_core("large"));
	EXPECT_EQ(0, fisc_core("zero"));
	/* Now one less is enough, without any new write. */
	ASSERT_EQ(0, fisc_write_str(LARGE_BREAK, "100"));
	EXPECT_TRUE(fisc_wait("core", "zero", 100));
	/* Its pages are counted first, then the large page. */
	EXPECT_TRUE(fisc_wait("core", "large", 0));
	EXPECT_EQ(LARGE_PAGES - 100, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check_zero(map, 100 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_pages(map + 100 * PAGE_SIZE, LARGE_PAGES - 100,
				       101));
}

TEST_F(fisc, duplicates_within_one_are_found)
{
	char *map = fisc_map(fisc_create(ST "a", LARGE_PAGES), LARGE_PAGES);
	int i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < LARGE_PAGES; i++)
		fisc_fill(map + i * PAGE_SIZE, i % 4 + 1);
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("core", "frames", 4));
	for (i = 0; i < LARGE_PAGES; i++)
		EXPECT_EQ(-1, fisc_check(map + i * PAGE_SIZE, i % 4 + 1));
}

TEST_F(fisc, all_private_is_rebuilt)
{
	char *a = make_large(ST "a", LARGE_PAGES, 1);
	char *b = make_large(ST "b", LARGE_PAGES, 1);
	long rebuilds = fisc_core("large_rebuilds");
	char *again;

	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", LARGE_PAGES));
	fisc_fill_pages(b, LARGE_PAGES, 10000);
	EXPECT_TRUE(fisc_wait("core", "large_rebuilds", rebuilds + 1));
	EXPECT_TRUE(fisc_wait_vm("st-b", "large_pages", 1));
	EXPECT_EQ(-1, fisc_check_pages(b, LARGE_PAGES, 10000));
	/* An old mapping keeps its page table, a new one needs none. */
	again = fisc_map(open(ST "b", O_RDWR | O_CLOEXEC), LARGE_PAGES);
	ASSERT_NE(NULL, again);
	EXPECT_EQ(-1, fisc_check_pages(again, LARGE_PAGES, 10000));
	EXPECT_EQ(2048, pmd_mapped_kib(again));
	EXPECT_EQ(-1, fisc_check_pages(a, LARGE_PAGES, 1));
}

TEST_F(fisc, hole_gives_memory_back_at_once)
{
	int fd = fisc_create(ST "a", LARGE_PAGES);
	char *map = fisc_map(fd, LARGE_PAGES);

	fisc_fill_pages(map, LARGE_PAGES, 1);
	ASSERT_EQ(1, fisc_core("large"));
	ASSERT_EQ(0, fallocate(fd, PUNCH, 7 * PAGE_SIZE,
			       9 * PAGE_SIZE));
	EXPECT_EQ(LARGE_PAGES - 9, fisc_core("frames"));
	EXPECT_EQ((LARGE_PAGES - 9) * BLOCKS_PER_PAGE, fisc_blocks(fd));
	EXPECT_EQ(-1, fisc_check_pages(map, 7, 1));
	EXPECT_EQ(-1, fisc_check_zero(map + 7 * PAGE_SIZE, 9 * PAGE_SIZE));
	EXPECT_EQ(-1,
		  fisc_check_pages(map + 16 * PAGE_SIZE, LARGE_PAGES - 16, 17));
	ASSERT_EQ(0, fallocate(fd, PUNCH, 0, LARGE_SIZE));
	EXPECT_EQ(0, fisc_core("frames"));
	fisc_fill_pages(map, LARGE_PAGES, 3);
	EXPECT_EQ(1, fisc_core("large"));
}

TEST_F(fisc, mprotect_mremap_and_fork_see_the_same)
{
	char *map = make_large(ST "a", LARGE_PAGES, 1);
	pid_t pid;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_passes(3));
	ASSERT_EQ(0, mprotect(map + 3 * PAGE_SIZE, 5 * PAGE_SIZE, PROT_READ));
	EXPECT_EQ(SIGSEGV, fisc_try_write(map + 3 * PAGE_SIZE, 1));
	ASSERT_EQ(0, mprotect(map + 3 * PAGE_SIZE, 5 * PAGE_SIZE,
			      PROT_READ | PROT_WRITE));
	fisc_fill(map + 3 * PAGE_SIZE, 77);
	EXPECT_TRUE(fisc_wait_passes(3));
	EXPECT_EQ(-1, fisc_check(map + 3 * PAGE_SIZE, 77));
	pid = fork();
	if (!pid) {
		fisc_fill(map + 4 * PAGE_SIZE, 78);
		_exit(fisc_check_pages(map + 5 * PAGE_SIZE, LARGE_PAGES - 5,
				       6) != -1);
	}
	EXPECT_EQ(0, fisc_wait_child(pid));
	EXPECT_EQ(-1, fisc_check(map + 4 * PAGE_SIZE, 78));
	map = mremap(map, LARGE_SIZE, LARGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		     map + 16 * LARGE_SIZE + 3 * PAGE_SIZE);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(-1,
		  fisc_check_pages(map + 5 * PAGE_SIZE, LARGE_PAGES - 5, 6));
}

static struct {
	char *map;
	bool stop;
	long bad;
	long writes;
} fault_race;

/* Keep having each page mapped anew, by write and read faults. */
static void *fault_thread(void *arg)
{
	__u64 rnd = (long)arg;

	while (!READ_ONCE(fault_race.stop)) {
		size_t i = fisc_rand(&rnd) % LARGE_PAGES;
		__u64 *word = (__u64 *)(fault_race.map + i * PAGE_SIZE), seen;

		if (fisc_rand(&rnd) % 4)
			WRITE_ONCE(*word, i + 1);
		seen = READ_ONCE(*word);
		if (seen && seen != i + 1)
			fault_race.bad++;
		__atomic_fetch_add(&fault_race.writes, 1, __ATOMIC_RELAXED);
		if (!(fisc_rand(&rnd) % 4))
			madvise(fault_race.map, LARGE_SIZE, MADV_DONTNEED);
	}
	return NULL;
}

TEST_F(fisc, breaking_races_with_faults)
{
	long breaks = fisc_core("large_breaks");
	long allocs = fisc_core("large_allocs");
	double end = fisc_now() + fisc_stress_s(4);
	int fd = fisc_create(ST "a", LARGE_PAGES);
	pthread_t threads[3];
	__u64 rnd = 1;
	long i;

	fault_race.map = fisc_map(fd, LARGE_PAGES);
	ASSERT_NE(NULL, fault_race.map);
	ASSERT_EQ(0, fisc_scan_on());
	for (i = 0; i < (long)ARRAY_SIZE(threads); i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, fault_thread,
					    (void *)i));
	/* However slow the host is, until some were broken. */
	while (fisc_now() < end || fisc_core("large_breaks") < breaks + 3) {
		off_t at = fisc_rand(&rnd) % LARGE_PAGES * PAGE_SIZE;

		ASSERT_EQ(0, fallocate(fd, PUNCH, at,
				       PAGE_SIZE));
		/* An empty chunk becomes large again. */
		ASSERT_EQ(0, fallocate(fd, PUNCH, 0,
				       LARGE_SIZE));
		sched_yield();
	}
	WRITE_ONCE(fault_race.stop, true);
	for (i = 0; i < (long)ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, fault_race.bad);
	TH_LOG("%ld accesses, %ld large pages, %ld broken", fault_race.writes,
	       fisc_core("large_allocs") - allocs,
	       fisc_core("large_breaks") - breaks);
}

/* Threads of the stress case; each owns the pages of its number modulo NR. */
#define NR_STRESS	3
#define STRESS_PAGES	(2 * LARGE_PAGES)

static struct {
	char *map;
	int fd;
	bool stop;
	bool unique;
	__u64 seeds[STRESS_PAGES];	/* 0: a hole, or never written */
	long bad[NR_STRESS];
	long writes[NR_STRESS];
} stress;

static void stress_one(int me, __u64 *rnd)
{
	int i = fisc_rand(rnd) % (STRESS_PAGES / NR_STRESS) * NR_STRESS + me;
	char *page = stress.map + i * PAGE_SIZE;

	if (fisc_check_or_zero(page, stress.seeds[i]) >= 0)
		stress.bad[me]++;
	if (!me && !READ_ONCE(stress.unique) && !(fisc_rand(rnd) % 4)) {
		if (fallocate(stress.fd, PUNCH,
			      i * PAGE_SIZE, PAGE_SIZE))
			stress.bad[me]++;
		stress.seeds[i] = 0;
	} else {
		stress.seeds[i] = READ_ONCE(stress.unique) ?
					  fisc_rand(rnd) | 1 :
					  fisc_rand(rnd) % 16 + 1;
		fisc_fill(page, stress.seeds[i]);
	}
	stress.writes[me]++;
}

static void *stress_thread(void *arg)
{
	int me = (long)arg;
	__u64 rnd = me;

	while (!READ_ONCE(stress.stop))
		stress_one(me, &rnd);
	return NULL;
}

TEST_F(fisc, breaking_and_rebuilding_under_writers_and_holes)
{
	double end = fisc_now() + fisc_stress_s(10);
	long breaks = fisc_core("large_breaks");
	long rebuilds = fisc_core("large_rebuilds");
	pthread_t threads[NR_STRESS];
	int phases = 0;
	long i;

	stress.fd = fisc_create(ST "a", STRESS_PAGES);
	stress.map = fisc_map(stress.fd, STRESS_PAGES);
	ASSERT_NE(NULL, stress.map);
	ASSERT_EQ(0, fisc_scan_on());
	for (i = 0; i < NR_STRESS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, stress_thread,
					    (void *)i));
	/* Long enough even on a slow machine to write to every page. */
	while (fisc_now() < end || phases < 4) {
		long least = READ_ONCE(stress.writes[1]) +
			     8 * STRESS_PAGES / NR_STRESS;

		WRITE_ONCE(stress.unique, !stress.unique);
		fisc_sleep_ms(500);
		while (READ_ONCE(stress.writes[1]) < least)
			fisc_sleep_ms(10);
		phases++;
	}
	/* However slow the host is, writers go on until it has happened. */
	WRITE_ONCE(stress.unique, false);
	EXPECT_TRUE(fisc_wait_above("core", "large_breaks", breaks));
	WRITE_ONCE(stress.unique, true);
	EXPECT_TRUE(fisc_wait_above("core", "large_rebuilds", rebuilds));
	WRITE_ONCE(stress.stop, true);
	for (i = 0; i < NR_STRESS; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, stress.bad[i]);
	}
	for (i = 0; i < STRESS_PAGES; i++)
		EXPECT_EQ(-1, fisc_check_or_zero(page_of(stress.map, i),
						 stress.seeds[i]));
	TH_LOG("%ld writes, %ld breaks, %ld rebuilds",
	       stress.writes[0] + stress.writes[1] + stress.writes[2],
	       fisc_core("large_breaks") - breaks,
	       fisc_core("large_rebuilds") - rebuilds);
}

TEST_HARNESS_MAIN
