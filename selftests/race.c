// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: faults, reads, writes, truncation, holes, unlink and
 * sharing, from several threads and processes.
 *
 * Whatever happens, a byte of memory is zero or what somebody wrote there: the
 * byte of its place's stamp. (Not a word: some CPUs copy and zero byte by byte,
 * and a write to the word meanwhile may win for some of its bytes, as on
 * tmpfs.) Stamps repeat from page to page in four classes, so that pages which
 * are written in full are equal to many others and get shared; a page that
 * shows up in a place of another class is seen by its stamps.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "fixture.h"

#define PAGES		64
#define WORDS		512
#define RUN_MS		4000
#define MAX_WORKERS	8

struct job;

struct worker {
	pthread_t thread;
	struct job *job;
	__u64 rnd;
	unsigned long done;
	unsigned long sigbus;
	char error[120];
};

struct job {
	int fd;
	char *map;
	bool stop;
	int nr_workers;
	struct worker workers[MAX_WORKERS];
};

static __u64 stamp(size_t page, size_t word)
{
	return fisc_mix((page % 4) * 1000003 + word + 1) | 1;
}

static void stamp_page(void *mem, size_t page)
{
	__u64 *words = mem;
	size_t i;

	for (i = 0; i < WORDS; i++)
		words[i] = stamp(page, i);
}

/* Return whether every byte is zero or that of @stamp. */
static bool is_part_of(__u64 value, __u64 stamp)
{
	int shift;

	for (shift = 0; shift < 64; shift += 8) {
		__u8 byte = value >> shift;

		if (byte && byte != (__u8)(stamp >> shift))
			return false;
	}
	return true;
}

/* Return whether @value may be in the file at this place. */
static bool valid(struct worker *w, const char *how, size_t page, size_t word,
		  __u64 value)
{
	if (is_part_of(value, stamp(page, word)))
		return true;
	snprintf(w->error, sizeof(w->error),
		 "%s: page %zu word %zu: %#llx, stamp %#llx", how, page, word,
		 value, stamp(page, word));
	return false;
}

static bool stopped(struct worker *w)
{
	return READ_ONCE(w->job->stop);
}

/* Write and read single words through the mapping. */
static void *toucher(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w)) {
		__u64 r = fisc_rand(&w->rnd), value = 0;
		size_t page = r % PAGES, word = (r >> 16) % WORDS;
		char *at = w->job->map + page * PAGE_SIZE + word * 8;
		int sig;

		if (r >> 63)
			sig = fisc_try_write64(at, stamp(page, word));
		else
			sig = fisc_try_read64(at, &value);
		if (sig == SIGBUS) {
			w->sigbus++;
		} else if (sig) {
			snprintf(w->error, sizeof(w->error), "signal %d", sig);
			return NULL;
		} else if (!valid(w, "mapping", page, word, value)) {
			return NULL;
		}
		w->done++;
	}
	return w;
}

/* Fill whole pages through the mapping, so that there are some to share. */
static void *filler(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w)) {
		size_t page = fisc_rand(&w->rnd) % PAGES, word;
		char *at = w->job->map + page * PAGE_SIZE;
		int sig = 0;

		for (word = 0; word < WORDS && !sig; word++)
			sig = fisc_try_write64(at + word * 8,
					       stamp(page, word));
		if (sig == SIGBUS)
			w->sigbus++;
		w->done++;
		sched_yield();
	}
	return w;
}

/* read() and write() of whole pages. */
static void *caller(void *arg)
{
	__u64 page[WORDS];
	struct worker *w = arg;

	while (!stopped(w)) {
		__u64 r = fisc_rand(&w->rnd);
		size_t nr = r % PAGES, i;
		ssize_t len;

		if (r >> 63) {
			stamp_page(page, nr);
			len = pwrite(w->job->fd, page, PAGE_SIZE,
				     nr * PAGE_SIZE);
			if (len != (ssize_t)PAGE_SIZE) {
				snprintf(w->error, sizeof(w->error),
					 "pwrite: %zd", len);
				return NULL;
			}
		} else {
			len = pread(w->job->fd, page, PAGE_SIZE,
				    nr * PAGE_SIZE);
			if (len < 0) {
				snprintf(w->error, sizeof(w->error),
					 "pread: errno %d", errno);
				return NULL;
			}
			for (i = 0; i < (size_t)len / 8; i++)
				if (!valid(w, "read", nr, i, page[i]))
					return NULL;
		}
		w->done++;
	}
	return w;
}

static void *truncator(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w)) {
		__u64 r = fisc_rand(&w->rnd);

		if (ftruncate(w->job->fd, r % (PAGES * PAGE_SIZE)) ||
		    ftruncate(w->job->fd, PAGES * PAGE_SIZE)) {
			snprintf(w->error, sizeof(w->error),
				 "ftruncate: errno %d", errno);
			return NULL;
		}
		w->done++;
		if (r >> 62)
			fisc_sleep_ms(1 + (r >> 40) % 8);
	}
	return w;
}

static void *puncher(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w)) {
		__u64 r = fisc_rand(&w->rnd);
		off_t from = r % (PAGES * PAGE_SIZE),
		      len = 1 + (r >> 20) % (8 * PAGE_SIZE);

		if (fallocate(w->job->fd, PUNCH, from, len)) {
			snprintf(w->error, sizeof(w->error), "punch: errno %d",
				 errno);
			return NULL;
		}
		w->done++;
		fisc_sleep_ms((r >> 40) % 4);
	}
	return w;
}

static void *allocator(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w)) {
		__u64 r = fisc_rand(&w->rnd);

		if (fallocate(w->job->fd, r >> 63 ? 0 : FALLOC_FL_KEEP_SIZE,
			      r % (PAGES / 2) * PAGE_SIZE,
			      PAGES / 2 * PAGE_SIZE)) {
			snprintf(w->error, sizeof(w->error),
				 "fallocate: errno %d", errno);
			return NULL;
		}
		w->done++;
		fisc_sleep_ms((r >> 40) % 4);
	}
	return w;
}

/* MADV_DONTNEED and MADV_REMOVE, as a balloon does it. */
static void *adviser(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w)) {
		__u64 r = fisc_rand(&w->rnd);
		size_t from = r % PAGES, len = 1 + (r >> 16) % (PAGES - from);

		if (madvise(w->job->map + from * PAGE_SIZE, len * PAGE_SIZE,
			    r >> 63 ? MADV_DONTNEED : MADV_REMOVE)) {
			snprintf(w->error, sizeof(w->error),
				 "madvise: errno %d", errno);
			return NULL;
		}
		w->done++;
		fisc_sleep_ms((r >> 40) % 4);
	}
	return w;
}

/* Map and unmap the file elsewhere, reading all of it. */
static void *mapper(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w)) {
		char *map = fisc_map(w->job->fd, PAGES);
		size_t page;

		if (!map) {
			snprintf(w->error, sizeof(w->error), "mmap: errno %d",
				 errno);
			return NULL;
		}
		for (page = 0; page < PAGES; page++) {
			size_t word = fisc_rand(&w->rnd) % WORDS;
			__u64 value = 0;

			if (fisc_try_read64(map + page * PAGE_SIZE + word * 8,
					    &value))
				w->sigbus++;
			else if (!valid(w, "new mapping", page, word, value))
				return NULL;
		}
		munmap(map, PAGES * PAGE_SIZE);
		w->done++;
	}
	return w;
}

/* Turn the scanner's knobs. */
static void *tuner(void *arg)
{
	static const char * const rates[] = {
		"1", "100", "20000", "1000000", RATE_MAX,
	};
	struct worker *w = arg;

	while (!stopped(w)) {
		__u64 r = fisc_rand(&w->rnd);

		if (fisc_write_str(SHARE_RUN, r & 1 ? "1" : "0") ||
		    fisc_write_str(SHARE_RATE,
				   rates[(r >> 8) % ARRAY_SIZE(rates)])) {
			snprintf(w->error, sizeof(w->error), "sysfs");
			return NULL;
		}
		w->done++;
		fisc_sleep_ms((r >> 40) % 30);
	}
	return w;
}

static void add_worker(struct job *job, void *(*fn)(void *))
{
	struct worker *w = &job->workers[job->nr_workers++];

	w->job = job;
	w->rnd = job->nr_workers * 7919 + getpid();
	if (pthread_create(&w->thread, NULL, fn, w))
		abort();
}

/* Let the workers work, then check every word. */
static void run_job(struct __test_metadata *_metadata, struct job *job)
{
	size_t page, word;
	int i;

	fisc_sleep_ms(RUN_MS);
	WRITE_ONCE(job->stop, true);
	for (i = 0; i < job->nr_workers; i++) {
		struct worker *w = &job->workers[i];
		void *ok;

		pthread_join(w->thread, &ok);
		EXPECT_EQ(w, ok)
			TH_LOG("worker %d: %s", i, w->error);
		EXPECT_LT(0, w->done)
			TH_LOG("worker %d did nothing", i);
	}
	ASSERT_EQ(0, ftruncate(job->fd, PAGES * PAGE_SIZE));
	for (page = 0; page < PAGES; page++) {
		for (word = 0; word < WORDS; word++) {
			__u64 value = ((__u64 *)job->map)[page * WORDS + word];

			ASSERT_TRUE(valid(&job->workers[0], "at the end", page,
					  word, value))
				TH_LOG("%s", job->workers[0].error);
		}
	}
	/* The file's own count of blocks agrees with the module's. */
	ASSERT_EQ(0, fisc_scan_off());
	EXPECT_EQ(fisc_core("private") + fisc_core("sharing"),
		  (long)(fisc_blocks(job->fd) / BLOCKS_PER_PAGE));
	EXPECT_EQ(fisc_core("present"), fisc_vm("st-a", "present_pages"));
	EXPECT_EQ(fisc_share("saved"),
		  fisc_core("present") - fisc_core("frames"));
	/* Truncation to nothing leaves nothing. */
	ASSERT_EQ(0, ftruncate(job->fd, 0));
	EXPECT_EQ(0, fisc_core("present"));
	EXPECT_EQ(0, fisc_core("frames"));
	EXPECT_EQ(0, fisc_blocks(job->fd));
}

static void open_job(struct __test_metadata *_metadata, struct job *job)
{
	memset(job, 0, sizeof(*job));
	job->fd = fisc_create(ST "a", PAGES);
	ASSERT_LE(0, job->fd);
	job->map = fisc_map(job->fd, PAGES);
	ASSERT_NE(NULL, job->map);
}

TEST_F(fisc, truncation_races_with_faults_and_sharing)
{
	static struct job job;

	open_job(_metadata, &job);
	ASSERT_EQ(0, fisc_scan_on());
	add_worker(&job, toucher);
	add_worker(&job, filler);
	add_worker(&job, truncator);
	run_job(_metadata, &job);
}

TEST_F(fisc, truncation_races_with_reads_and_writes)
{
	static struct job job;

	open_job(_metadata, &job);
	ASSERT_EQ(0, fisc_scan_on());
	add_worker(&job, caller);
	add_worker(&job, caller);
	add_worker(&job, truncator);
	add_worker(&job, mapper);
	run_job(_metadata, &job);
}

TEST_F(fisc, holes_race_with_faults_and_sharing)
{
	static struct job job;
	long merged = fisc_share("merged");

	open_job(_metadata, &job);
	ASSERT_EQ(0, fisc_scan_on());
	add_worker(&job, toucher);
	add_worker(&job, filler);
	add_worker(&job, filler);
	add_worker(&job, puncher);
	add_worker(&job, adviser);
	run_job(_metadata, &job);
	EXPECT_LT(merged, fisc_share("merged"));
	EXPECT_EQ(0, job.workers[0].sigbus);
}

TEST_F(fisc, everything_races_with_everything)
{
	static struct job job;

	open_job(_metadata, &job);
	ASSERT_EQ(0, fisc_scan_on());
	add_worker(&job, toucher);
	add_worker(&job, filler);
	add_worker(&job, caller);
	add_worker(&job, truncator);
	add_worker(&job, puncher);
	add_worker(&job, allocator);
	add_worker(&job, mapper);
	add_worker(&job, tuner);
	run_job(_metadata, &job);
}

/* Processes that make, use and unlink files of the same few names */
static int unlink_worker(__u64 rnd)
{
	double end = fisc_now() + RUN_MS / 1000.0;
	char path[64], to[64];

	while (fisc_now() < end) {
		__u64 r = fisc_rand(&rnd);
		size_t page = r % 16, word;
		char *map;
		int fd;

		snprintf(path, sizeof(path), ST "%llu", (r >> 16) % 4);
		snprintf(to, sizeof(to), ST "%llu", (r >> 24) % 4);
		fd = open(path, O_RDWR | O_CREAT, 0600);
		if (fd < 0)
			continue;
		if (ftruncate(fd, 16 * PAGE_SIZE))
			return 2;
		map = fisc_map(fd, 16);
		if (!map)
			return 3;
		close(fd);
		if (r >> 63)
			unlink(path);
		for (word = 0; word < WORDS; word++) {
			__u64 value = 0;

			if (fisc_try_write64(map + page * PAGE_SIZE + word * 8,
					     stamp(page, word)) ||
			    fisc_try_read64(map + (page ^ 1) * PAGE_SIZE +
						    word * 8,
					    &value))
				return 4;
			if (value && value != stamp(page ^ 1, word))
				return 5;
		}
		if ((r >> 60) % 4 == 1)
			rename(path, to);
		else if ((r >> 60) % 4 == 2)
			unlink(to);
		munmap(map, 16 * PAGE_SIZE);
	}
	return 0;
}

TEST_F(fisc, unlink_and_rename_race_with_users)
{
	pid_t pid[4];
	int i;

	ASSERT_EQ(0, fisc_scan_on());
	for (i = 0; i < 4; i++) {
		pid[i] = fork();
		if (!pid[i])
			_exit(unlink_worker(i));
	}
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, fisc_wait_child(pid[i]));
	fisc_sweep();
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_TRUE(fisc_wait("core", "regions", 0));
}

/* A process that is killed at any moment leaks no frame. */
TEST_F(fisc, killed_users_leak_nothing)
{
	__u64 rnd = 5;
	int round;

	ASSERT_EQ(0, fisc_scan_on());
	for (round = 0; round < 25; round++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			char *map = fisc_map(fisc_create(ST "k", 256), 256);
			size_t i;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (i = 0;; i = (i + 1) % 256)
				stamp_page(map + i * PAGE_SIZE, i);
		}
		fisc_sleep_ms(fisc_rand(&rnd) % 100);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		if (round & 1)
			unlink(ST "k");
	}
	unlink(ST "k");
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_TRUE(fisc_wait("core", "present", 0));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
}

/* Unlinked under its users: a VMM goes on with its memory, and is seen out. */
TEST_F(fisc, unlink_under_sharing_users_keeps_their_memory)
{
	char *map[4], path[64];
	int i, j, round;

	for (i = 0; i < 4; i++) {
		int fd;

		snprintf(path, sizeof(path), ST "%d", i);
		fd = fisc_create(path, PAGES);
		map[i] = fisc_map(fd, PAGES);
		ASSERT_NE(NULL, map[i]);
		close(fd);
		ASSERT_EQ(0, unlink(path));
	}
	ASSERT_EQ(0, fisc_scan_on());
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 4; i++)
			for (j = 0; j < PAGES; j++)
				stamp_page(map[i] + j * PAGE_SIZE, j + round);
		EXPECT_TRUE(fisc_wait("core", "frames", 4));
		for (i = 0; i < 4; i++)
			for (j = 0; j < PAGES; j++)
				EXPECT_EQ(stamp(j + round, 77),
					  ((__u64 *)map[i])[j * WORDS + 77]);
	}
	for (i = 0; i < 4; i++)
		munmap(map[i], PAGES * PAGE_SIZE);
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
}

TEST_HARNESS_MAIN
