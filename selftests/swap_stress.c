// SPDX-License-Identifier: GPL-2.0
/* Host paging under load: writers race with it, and allocations fail. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "fail.h"
#define SWAP_DISK
#include "swap.h"

#define WORKERS	4

struct worker {
	char *map;
	int fd;
	__u64 rnd;
	bool stop;
	unsigned long done;
	long bad;
};

static void *worker(void *arg)
{
	struct worker *w = arg;
	size_t part = PAGES / WORKERS;
	__u32 *version = calloc(part, sizeof(*version));
	char page[PAGE_SIZE];

	w->bad = -1;
	while (!READ_ONCE(w->stop) && w->bad < 0) {
		__u64 r = fisc_rand(&w->rnd);
		size_t i = r % part;
		char *at = page_of(w->map, i);
		long bad = version[i] ?
			   fisc_check(at, i * 1000003 + version[i]) :
			   fisc_check_zero(at, PAGE_SIZE);

		if (bad >= 0) {
			w->bad = i;
			break;
		}
		switch ((r >> 32) % 16) {
		case 0:
			if (madvise(at, PAGE_SIZE, MADV_REMOVE))
				w->bad = i;
			version[i] = 0;
			break;
		case 1:
			fisc_fill(page, i * 1000003 + ++version[i]);
			if (pwrite(w->fd, page, PAGE_SIZE, at - w->map) !=
			    (ssize_t)PAGE_SIZE)
				w->bad = i;
			break;
		case 2 ... 8:
			fisc_fill(at, i * 1000003 + ++version[i]);
			break;
		default:
			break;
		}
		w->done++;
	}
	free(version);
	return NULL;
}

TEST_F(swap, everything_at_once)
{
	struct worker workers[WORKERS] = {};
	double end = fisc_now() + fisc_stress_s(15);
	pthread_t threads[WORKERS];
	long in = fisc_reclaim("swap_in");
	unsigned long done = 0;
	char path[64];
	int i;

	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_EQ(0, fisc_short_of_memory(true));
	for (i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];

		snprintf(path, sizeof(path), ST "w%d", i);
		w->fd = fisc_create(path, PAGES / WORKERS);
		w->map = fisc_map(w->fd, PAGES / WORKERS);
		ASSERT_NE(NULL, w->map);
		w->rnd = i;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, worker, w));
	}
	/* A slow host needs more time until a page has come back. */
	while (fisc_now() < end || (fisc_reclaim("swap_in") == in &&
				    fisc_now() < end + WAIT_S)) {
		fisc_sleep_ms(300);
		ASSERT_EQ(0,
			  fisc_write_str(RECLAIM_PAGING, done % 4 ? "1" : "0"));
		ASSERT_EQ(0,
			  fisc_write_str(LARGE_ENABLED, done % 3 ? "1" : "0"));
		done++;
	}
	for (i = 0; i < WORKERS; i++) {
		WRITE_ONCE(workers[i].stop, true);
		pthread_join(threads[i], NULL);
		EXPECT_EQ(-1, workers[i].bad)
			TH_LOG("worker %d: page %ld", i, workers[i].bad);
		EXPECT_LT(100, workers[i].done);
	}
	EXPECT_LT(in, fisc_reclaim("swap_in"));
	ASSERT_EQ(0, fisc_scan_off());
}

struct reader {
	char *map;
	int fd;
	int tid;
	bool go, stop;
	unsigned long refused;
	long bad;
};

/* Read by faults, which the kernel repeats, and by calls, which may fail. */
static void read_all(struct reader *r)
{
	static char page[PAGE_SIZE];
	size_t i;

	for (i = 0; i < PAGES && r->bad < 0; i++) {
		ssize_t ret;

		if (i % 2) {
			if (fisc_check(page_of(r->map, i), i + 1) >= 0)
				r->bad = i;
			continue;
		}
		do {
			ret = pread(r->fd, page, PAGE_SIZE, i * PAGE_SIZE);
			r->refused += ret < 0;
		} while (ret < 0 && errno == ENOMEM);
		if (ret != (ssize_t)PAGE_SIZE || fisc_check(page, i + 1) >= 0)
			r->bad = i;
	}
}

/* One thread does all rounds: failures cannot be ended in one that is gone. */
static void *reader(void *arg)
{
	struct reader *r = arg;

	r->bad = -1;
	WRITE_ONCE(r->tid, gettid());
	while (!READ_ONCE(r->stop)) {
		if (READ_ONCE(r->go)) {
			read_all(r);
			WRITE_ONCE(r->go, false);
		}
		fisc_sleep_ms(10);
	}
	return NULL;
}

/*
 * The device allocates memory for what is written for the first time; if it
 * cannot, it may report success all the same (null_handle_rq(), kernel 6.12).
 * So write all of it beforehand, and nothing is left to be allocated.
 */
static int swap_start_filled(void)
{
	static char zeroes[MIB];
	int fd, i, ret = 0;

	if (nullb_start(DEVICE, DEVICE_MIB, 0))
		return -1;
	fd = open("/dev/" DEVICE, O_WRONLY | O_CLOEXEC);
	for (i = 0; fd >= 0 && i < DEVICE_MIB && !ret; i++)
		ret = write(fd, zeroes, MIB) == MIB ? 0 : -1;
	if (fd < 0 || fsync(fd))
		ret = -1;
	close(fd);
	return ret ?: swap_use();
}

/* First the reader's allocations fail, then those of the paging thread. */
TEST_F(swap, nothing_is_lost_when_allocations_fail)
{
	struct reader r = { .map = self->map, .fd = self->fd };
	pthread_t thread;
	int pid, round;

	if (!fail_possible())
		SKIP(return, "kernel without fault injection");
	swap_stop();
	ASSERT_EQ(0, swap_start_filled());
	ASSERT_EQ(0, pthread_create(&thread, NULL, reader, &r));
	while (!READ_ONCE(r.tid))
		fisc_sleep_ms(10);
	fisc_fill_pages(self->map, PAGES, 1);
	for (round = 0; round < 3 && r.bad < 0; round++) {
		ASSERT_TRUE(squeeze());
		ASSERT_EQ(0, fisc_short_of_memory(false));
		ASSERT_EQ(0, fail_process(r.tid, 10 + 10 * round));
		WRITE_ONCE(r.go, true);
		while (READ_ONCE(r.go))
			fisc_sleep_ms(10);
		EXPECT_EQ(0, fail_process(r.tid, 0));
		EXPECT_EQ(-1, r.bad)
			TH_LOG("round %d: page %ld", round, r.bad);
		EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	}
	EXPECT_LT(0, r.refused);
	WRITE_ONCE(r.stop, true);
	ASSERT_EQ(0, pthread_join(thread, NULL));

	pid = fail_kthread("fisc_reclaim");
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, fail_process(pid, 30));
	EXPECT_TRUE(squeeze());
	EXPECT_EQ(0, fail_process(pid, 0));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

TEST_HARNESS_MAIN
