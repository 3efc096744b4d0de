// SPDX-License-Identifier: GPL-2.0
/*
 * Share domains: who shares with whom, and that nobody else does. What counts
 * is the frames in page tables, which /proc/self/pagemap shows.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"
#include "waiter.h"

#define PAGES		64
#define VM(name)	FISC_SYSFS "/vms/st-" name "/domain"

/* Make a VM of @nr_pages pages that repeat the contents 1 to @distinct. */
static char *make_vm(const char *path, int nr_pages, int distinct)
{
	char *map = fisc_map(fisc_create(path, nr_pages), nr_pages);
	int i;

	for (i = 0; map && i < nr_pages; i++)
		fisc_fill(map + i * PAGE_SIZE, i % distinct + 1);
	return map;
}

static long check_vm(const char *map, int nr_pages, int distinct)
{
	int i;

	for (i = 0; i < nr_pages; i++)
		if (fisc_check(map + i * PAGE_SIZE, i % distinct + 1) >= 0)
			return i;
	return -1;
}

/* Count pages of @a whose frame also serves @b, now and a moment later. */
static int common_frames(const char *a, const char *b, int nr_pages)
{
	__u64 pfns[4][PAGES];
	int i, j, found = 0;

	for (i = 0; i < 4; i++)
		if (fisc_read_pfns(i & 1 ? b : a, nr_pages, pfns[i]))
			return -1;
	for (i = 0; i < nr_pages; i++)
		for (j = 0; j < nr_pages; j++)
			found += pfns[0][i] && pfns[0][i] == pfns[1][j] &&
				 pfns[0][i] == pfns[2][i] &&
				 pfns[1][j] == pfns[3][j];
	return found;
}

TEST_F(fisc, alone_by_default)
{
	char *a, *b;

	ASSERT_EQ(0, fisc_write_str(SHARE_DOMAIN, "\n"));
	a = make_vm(ST "a", PAGES, 4);
	b = make_vm(ST "b", PAGES, 4);
	memset(a, 0, PAGE_SIZE);
	memset(b, 0, PAGE_SIZE);
	ASSERT_EQ(0, fisc_scan_on());
	/* Duplicates within a VM, and zero pages, are shared all the same. */
	EXPECT_TRUE(fisc_wait("core", "frames", 2 * 4));
	EXPECT_EQ(2, fisc_core("zero"));
	EXPECT_EQ(0, common_frames(a + PAGE_SIZE, b + PAGE_SIZE, PAGES - 1));
}

TEST_F(fisc, members_of_a_domain_share)
{
	char name[80], *a, *b, *c;

	ASSERT_EQ(0, fisc_write_str(SHARE_DOMAIN, "\n"));
	a = make_vm(ST "a", PAGES, PAGES);
	b = make_vm(ST "b", PAGES, PAGES);
	c = make_vm(ST "c", PAGES, PAGES);
	ASSERT_EQ(0, fisc_write_str(VM("a"), "x"));
	ASSERT_EQ(0, fisc_write_str(VM("b"), "x\n"));
	ASSERT_EQ(0, fisc_read_str(VM("a"), name, sizeof(name)));
	EXPECT_STREQ("x", name);
	ASSERT_EQ(0, fisc_read_str(VM("c"), name, sizeof(name)));
	EXPECT_STREQ("", name);
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("core", "frames", 2 * PAGES));
	EXPECT_EQ(PAGES, common_frames(a, b, PAGES));
	EXPECT_EQ(0, common_frames(a, c, PAGES));
	EXPECT_EQ(0, common_frames(b, c, PAGES));
}

TEST_F(fisc, default_is_for_those_who_chose_none)
{
	char name[80], *a, *b, *c;

	a = make_vm(ST "a", PAGES, PAGES);
	b = make_vm(ST "b", PAGES, PAGES);
	c = make_vm(ST "c", PAGES, PAGES);
	ASSERT_EQ(0, fisc_write_str(VM("c"), "x"));
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("core", "frames", 2 * PAGES));
	EXPECT_EQ(PAGES, common_frames(a, b, PAGES));
	EXPECT_EQ(0, common_frames(a, c, PAGES));

	ASSERT_EQ(0, fisc_write_str(SHARE_DOMAIN, "x"));
	ASSERT_EQ(0, fisc_read_str(VM("a"), name, sizeof(name)));
	EXPECT_STREQ("x", name);
	EXPECT_TRUE(fisc_wait("core", "frames", PAGES));
	EXPECT_EQ(PAGES, common_frames(a, c, PAGES));

	/* Back to the default, in which it shares with nobody. */
	ASSERT_EQ(0, fisc_write_str(SHARE_DOMAIN, "\n"));
	EXPECT_EQ(0, common_frames(a, b, PAGES));
	EXPECT_EQ(0, common_frames(a, c, PAGES));
	ASSERT_EQ(0, fisc_write_str(VM("c"), "\n"));
	EXPECT_EQ(0, common_frames(b, c, PAGES));
	EXPECT_EQ(-1, check_vm(a, PAGES, PAGES));
	EXPECT_EQ(-1, check_vm(b, PAGES, PAGES));
	EXPECT_EQ(-1, check_vm(c, PAGES, PAGES));
}

TEST_F(fisc, leaving_a_domain_unshares_at_once)
{
	char *a = make_vm(ST "a", PAGES, PAGES);
	char *b = make_vm(ST "b", PAGES, PAGES);

	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", PAGES));
	ASSERT_EQ(0, fisc_scan_off());
	ASSERT_EQ(0, fisc_write_str(VM("b"), "y"));
	EXPECT_EQ(2 * PAGES, fisc_core("frames"));
	EXPECT_EQ(0, common_frames(a, b, PAGES));
	EXPECT_EQ(-1, check_vm(a, PAGES, PAGES));
	EXPECT_EQ(-1, check_vm(b, PAGES, PAGES));
	/* What was known of its pages is not used in the new domain. */
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_passes(3));
	EXPECT_EQ(0, common_frames(a, b, PAGES));
	ASSERT_EQ(0, fisc_write_str(VM("a"), "y"));
	EXPECT_TRUE(fisc_wait("core", "frames", PAGES));
}

TEST_F(fisc, names_are_checked)
{
	static const char * const bad[] = {
		"a b", "a/b", "a\nb", "\n\n", "\xc3\xa4", "a\tb", " ",
		"1234567890123456789012345678901234567890123456789012345678901234",
	};
	static const char * const good[] = {
		"a", "A-Z.0_9", "..",
		"123456789012345678901234567890123456789012345678901234567890123",
	};
	char name[80];
	size_t i;

	ASSERT_NE(NULL, make_vm(ST "a", 1, 1));
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		EXPECT_EQ(0, fisc_write_str(VM("a"), good[i]));
		EXPECT_EQ(0, fisc_read_str(VM("a"), name, sizeof(name)));
		EXPECT_STREQ(good[i], name);
		EXPECT_EQ(0, fisc_write_str(SHARE_DOMAIN, good[i]));
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, fisc_write_str(VM("a"), bad[i]));
		EXPECT_EQ(0, fisc_read_str(VM("a"), name, sizeof(name)));
		EXPECT_STREQ(good[3], name);
		EXPECT_EQ(-EINVAL, fisc_write_str(SHARE_DOMAIN, bad[i]));
		EXPECT_EQ(0, fisc_read_str(SHARE_DOMAIN, name, sizeof(name)));
		EXPECT_STREQ(good[3], name);
	}
}

/**
 * struct writer - a thread that writes to a VM, as its only writer
 * @map: the VM's memory
 * @seeds: seeds of its pages
 * @rnd: random numbers
 * @stop: tells the thread to end
 * @bad: pages with wrong contents
 */
struct writer {
	char *map;
	__u64 seeds[PAGES];
	__u64 rnd;
	bool stop;
	long bad;
};

static void *writer_thread(void *arg)
{
	struct writer *w = arg;

	while (!READ_ONCE(w->stop)) {
		int i = fisc_rand(&w->rnd) % PAGES;

		if (fisc_check(w->map + i * PAGE_SIZE, w->seeds[i]) >= 0)
			w->bad++;
		/* Few contents, so that there is always something to share. */
		w->seeds[i] = fisc_rand(&w->rnd) % 8 + 1;
		fisc_fill(w->map + i * PAGE_SIZE, w->seeds[i]);
		if (!(fisc_rand(&w->rnd) % 16))
			fisc_sleep_ms(1);
	}
	return NULL;
}

TEST_F(fisc, no_frame_ever_serves_two_domains)
{
	double end = fisc_now() + fisc_stress_s(8);
	struct writer writers[2] = { { .rnd = 1 }, { .rnd = 2 } };
	long rounds = 0, shared = 0;
	pthread_t threads[2];
	int i, j;

	ASSERT_EQ(0, fisc_write_str(SHARE_DOMAIN, "\n"));
	for (i = 0; i < 2; i++) {
		writers[i].map = make_vm(i ? ST "b" : ST "a", PAGES, PAGES);
		ASSERT_NE(NULL, writers[i].map);
		for (j = 0; j < PAGES; j++)
			writers[i].seeds[j] = j + 1;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, writer_thread,
					    &writers[i]));
	}
	ASSERT_EQ(0, fisc_scan_on());
	while (fisc_now() < end) {
		EXPECT_EQ(0, fisc_write_str(VM("a"), "x"));
		EXPECT_EQ(0, fisc_write_str(VM("b"), "x"));
		fisc_sleep_ms(30);
		shared += common_frames(writers[0].map, writers[1].map, PAGES);
		EXPECT_EQ(0, fisc_write_str(rounds & 1 ? VM("a") : VM("b"),
					    rounds & 2 ? "y" : "\n"));
		for (i = 0; i < 5; i++) {
			EXPECT_EQ(0, common_frames(writers[0].map,
						   writers[1].map, PAGES));
			fisc_sleep_ms(5);
		}
		rounds++;
	}
	for (i = 0; i < 2; i++) {
		WRITE_ONCE(writers[i].stop, true);
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, writers[i].bad);
		for (j = 0; j < PAGES; j++)
			EXPECT_EQ(-1, fisc_check(writers[i].map + j * PAGE_SIZE,
						 writers[i].seeds[j]));
	}
	/* The check works: within one domain, frames were common. */
	EXPECT_LT(0, shared);
	TH_LOG("%ld changes of domain, %ld common frames seen while in one",
	       3 * rounds, shared);
}

/**
 * struct mover - a thread that changes the domain of a VM, and has little time
 * @stop: lets it have all the time it wants
 * @done: it has ended
 * @err: what the write returned
 */
struct mover {
	bool stop;
	bool done;
	int err;
};

static void on_first_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* Leave others on the CPU next to nothing of it. */
static void *spin_thread(void *arg)
{
	struct mover *mover = arg;

	on_first_cpu();
	while (!READ_ONCE(mover->stop))
		;
	return NULL;
}

static void *move_thread(void *arg)
{
	struct sched_param param = { .sched_priority = 0 };
	struct mover *mover = arg;

	on_first_cpu();
	sched_setscheduler(0, SCHED_IDLE, &param);
	mover->err = fisc_write_str(VM("a"), "y");
	WRITE_ONCE(mover->done, true);
	return NULL;
}

TEST_F(fisc, nobody_waits_for_a_change_of_domain)
{
	struct mover mover = { .stop = false };
	double end = fisc_now() + WAIT_S;
	pthread_t threads[2];
	long sharing, runs;
	char value[80];

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs two CPUs");
	ASSERT_NE(NULL, make_vm(ST "a", 64 * PAGES, PAGES));
	ASSERT_NE(NULL, make_vm(ST "b", PAGES, PAGES));
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", PAGES));
	ASSERT_EQ(0, fisc_scan_off());
	sharing = fisc_core("sharing");
	snprintf(value, sizeof(value), "%ld",
		 fisc_read_long(TAX_RESERVED) + 64 * (long)PAGE_SIZE);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, value));
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, spin_thread, &mover));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, move_thread, &mover));
	while (fisc_core("sharing") == sharing && fisc_now() < end)
		fisc_sleep_ms(1);

	/* While it copies its pages, everything else goes on: readers, */
	EXPECT_LE(0, fisc_vm("st-b", "allocated"));
	EXPECT_LE(0, fisc_vm("st-a", "allocated"));
	EXPECT_EQ(0, fisc_read_str(VM("a"), value, sizeof(value)));
	EXPECT_STREQ("selftests", value);
	/* VMs that come and that change their domain, */
	EXPECT_LE(0, fisc_create(ST "c", 1));
	EXPECT_EQ(0, fisc_write_str(VM("b"), "z"));
	/* the policy, and reclaim. */
	runs = fisc_tax("runs");
	EXPECT_EQ(0, fisc_vm_set("st-b", "shares", "high"));
	EXPECT_TRUE(fisc_wait_above("tax", "runs", runs));
	EXPECT_EQ(0, fisc_low_on_memory(true));
	EXPECT_TRUE(waiter_word(RECLAIM_STATE, "low"));
	EXPECT_EQ(0, fisc_low_on_memory(false));
	EXPECT_TRUE(waiter_word(RECLAIM_STATE, "high"));
	EXPECT_FALSE(READ_ONCE(mover.done));

	WRITE_ONCE(mover.stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	EXPECT_EQ(0, mover.err);
}

TEST_HARNESS_MAIN
