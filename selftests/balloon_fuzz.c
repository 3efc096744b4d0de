// SPDX-License-Identifier: GPL-2.0
/*
 * balloon_fuzz [-s SEED] [-n OPERATIONS] [-r FILE]: a malicious driver of a
 * balloon device. It sends chains of descriptors that are well formed, spoils
 * some of them, moves its rings, and resets the device; other threads kick it,
 * remap memory, truncate the file and punch holes at the same time.
 *
 *   -s SEED        seed of the pseudo-random numbers (1)
 *   -n OPERATIONS  number of chains that the device takes, plus kicks (1000000;
 *                  20000 for each seed of a file)
 *   -r FILE        one run for each line of FILE that begins with a seed
 *
 * Every episode begins with a reset and a good chain that must be answered.
 * Prints which counters of the device were hit. Exits with 1 if the device does
 * not answer, an important counter was never hit in a run that is long enough,
 * or something is left at the end.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz_chains.h"

#define VM		"st-fuzz"
#define OTHER		"st-beside"

#define ANSWER_S	10		/* more than a good chain takes */
#define BATCH_MS	30		/* limit of a batch without answers */
#define PROGRESS_S	10
#define COVERAGE_OPS	100000		/* enough to hit all counters */
#define REPLAY_OPS	20000
#define KICKERS		2

#define NR_QUEUES	VDPA_NR_QUEUES

/* Counters that must have been hit at the end */
static const char * const reasons[] = {
	"bad_avail", "bad_head", "bad_next", "bad_loop", "bad_indirect",
	"bad_address", "bad_direction", "bad_length", "bad_ring", "needs_reset",
	"inflated", "deflated", "popped", "reported", "duplicate", "unmapped",
	"malformed", "entries",
};

#define NR_REASONS	(sizeof(reasons) / sizeof(*reasons))

struct vdpa vdpa;
static int low, high;			/* files */
static char *mem;			/* both of them */
static char *other;
static long hit[NR_REASONS];
static long base_chains, base_kicks;
static unsigned long episodes;

/*
 * Other threads spoil things while they hold this for reading, and put them
 * right before they release it; it is held for writing where nothing may be
 * spoilt.
 */
static pthread_rwlock_t order =
	PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static bool stop;

/*
 * The file may be truncated for a moment while the driver itself accesses it.
 * Wait, and the access is tried again.
 */
static void wait_for_memory(int sig)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	(void)sig;
	nanosleep(&ms, NULL);
}

/* Memory */

static void map_all(void)
{
	if (vdpa_map(&vdpa, GPA, mem, LOW_PAGES * PAGE_SIZE) ||
	    vdpa_map(&vdpa, GPA + LOW_PAGES * PAGE_SIZE,
		     mem + LOW_PAGES * PAGE_SIZE, HIGH_PAGES * PAGE_SIZE) ||
	    vdpa_map(&vdpa, GPA_OTHER, other, OTHER_PAGES * PAGE_SIZE))
		err(1, "memory cannot be mapped");
}

static void make_file(const char *path, int *fd, size_t at, size_t nr_pages)
{
	*fd = fisc_create(path, nr_pages);
	if (*fd < 0 || mmap(mem + at * PAGE_SIZE, nr_pages * PAGE_SIZE,
			    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, *fd,
			    0) == MAP_FAILED)
		err(1, "%s", path);
}

static void make_memory(void)
{
	mem = mmap(NULL, PAGES * PAGE_SIZE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	other = mmap(NULL, OTHER_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED || other == MAP_FAILED)
		err(1, "no memory");
	if (mkdir(FISC_MNT "/" VM, 0755))
		err(1, FISC_MNT "/" VM);
	make_file(FISC_MNT "/" VM "/low", &low, 0, LOW_PAGES);
	make_file(FISC_MNT "/" VM "/high", &high, LOW_PAGES, HIGH_PAGES);
}

/* Another VM's memory, which the device must not get at */
#define BESIDE_PAGES	16UL

static char *beside;

/*
 * Ordinary memory, which the device may read, and write where a ring says so:
 * a mark for each of its bytes that the device may change, and whether there
 * are any.
 */
#define OTHER_BYTES	(OTHER_PAGES * PAGE_SIZE)

static bool may_change[OTHER_BYTES], may_any;

static void fill_other(void)
{
	memset(other, 0x5a, OTHER_BYTES);
	memset(may_change, 0, sizeof(may_change));
	may_any = false;
}

/* The driver has put a used ring of @num entries to @iova. */
static void allow_used(__u64 iova, unsigned int num)
{
	__u64 i, end = iova + sizeof(struct vring_used) +
		       num * sizeof(struct vring_used_elem);

	for (i = iova; i != end; i++) {
		if (i - GPA_OTHER >= OTHER_BYTES)
			continue;
		may_change[i - GPA_OTHER] = true;
		may_any = true;
	}
}

static void make_beside(void)
{
	size_t i;
	int fd = fisc_create(FISC_MNT "/" OTHER, BESIDE_PAGES);

	beside = fisc_map(fd, BESIDE_PAGES);
	if (!beside)
		err(1, FISC_MNT "/" OTHER);
	close(fd);
	for (i = 0; i < BESIDE_PAGES; i++)
		fisc_fill(beside + i * PAGE_SIZE, i);
	fill_other();
}

static void check_beside(void)
{
	size_t i;

	for (i = 0; i < BESIDE_PAGES; i++)
		if (fisc_check(beside + i * PAGE_SIZE, i) >= 0)
			errx(1, "page %zu of another VM has changed", i);
	for (i = 0; i < OTHER_BYTES; i++)
		if (other[i] != 0x5a && !may_change[i])
			errx(1, "byte %zu of other memory has changed", i);
}

/* Helpers */

static void *kicker(void *argument)
{
	__u64 own = (unsigned long)argument;

	while (!READ_ONCE(stop)) {
		pthread_rwlock_rdlock(&order);
		vdpa_kick(&vdpa.queues[fisc_rand(&own) % NR_QUEUES]);
		pthread_rwlock_unlock(&order);
		fisc_sleep_ms(fisc_rand(&own) % 3);
	}
	return NULL;
}

static void remap(__u64 *own, size_t at, size_t nr_pages)
{
	bool back = fisc_rand(own) % 2;

	if (vdpa_unmap(&vdpa, GPA + at * PAGE_SIZE, nr_pages * PAGE_SIZE))
		err(1, "memory cannot be unmapped");
	if (back)
		sched_yield();
	if (vdpa_map(&vdpa, GPA + at * PAGE_SIZE, mem + at * PAGE_SIZE,
		     nr_pages * PAGE_SIZE))
		err(1, "memory cannot be mapped again");
}

static void *spoiler(void *argument)
{
	__u64 own = (unsigned long)argument;

	while (!READ_ONCE(stop)) {
		size_t page = fisc_rand(&own) % HIGH_PAGES;
		size_t nr = fisc_rand(&own) % (HIGH_PAGES - page) + 1;
		char *at = page_of(mem, LOW_PAGES + page);

		pthread_rwlock_rdlock(&order);
		switch (fisc_rand(&own) % 32) {
		case 0:
			remap(&own, 0, LOW_PAGES);
			break;
		case 1 ... 3:
			remap(&own, LOW_PAGES, HIGH_PAGES);
			break;
		case 4:
			/* The rings are cut off, or only what follows them. */
			if (ftruncate(low, fisc_rand(&own) % LOW_PAGES *
						   PAGE_SIZE) ||
			    ftruncate(low, LOW_PAGES * PAGE_SIZE))
				err(1, "ftruncate");
			break;
		case 5 ... 8:
			if (ftruncate(high, page * PAGE_SIZE) ||
			    ftruncate(high, HIGH_PAGES * PAGE_SIZE))
				err(1, "ftruncate");
			break;
		case 9:
			if (fallocate(low, PUNCH, page % LOW_PAGES * PAGE_SIZE,
				      PAGE_SIZE))
				err(1, "punch");
			break;
		case 10 ... 14:
			if (fallocate(high, PUNCH, page * PAGE_SIZE,
				      nr * PAGE_SIZE))
				err(1, "punch");
			break;
		default:
			if (nr & 1)
				(void)READ_ONCE(*at);
			else
				WRITE_ONCE(*at, 1);
		}
		pthread_rwlock_unlock(&order);
		fisc_sleep_ms(fisc_rand(&own) % 4);
	}
	return NULL;
}

/* Episodes */

static void set_features(void)
{
	__u64 features = VDPA_F(VIRTIO_F_VERSION_1);
	unsigned int bit;

	for (bit = 0; bit < 64; bit++)
		if (VDPA_PAIRED & 1ULL << bit && !one_in(4))
			features |= 1ULL << bit;
	/* None of these may be accepted. */
	if (one_in(16))
		vdpa_negotiate(&vdpa,
			       fisc_rand(&fuzz_state) & fisc_rand(&fuzz_state));
	if (vdpa_negotiate(&vdpa, features))
		errx(1, "features %#llx are refused", features);
}

static void *number(unsigned long n)
{
	return (void *)n;
}

/* Put a ring elsewhere, to a good or bad place. */
static void move_ring(int index)
{
	struct vdpa_queue *queue = &vdpa.queues[index];
	__u64 at[3] = {
		queue->iova, vdpa_avail_iova(queue), vdpa_used_iova(queue),
	};
	unsigned int part = rnd(3);

	at[part] = one_in(2) ? fuzz_bad_address(queue) & ~3ULL : at[rnd(3)];
	allow_used(at[2], queue->num);
	vdpa_set_ring(&vdpa, index, queue->num, at[0], at[1], at[2]);
	if (one_in(2))
		vdpa_set_base(&vdpa, index, rnd(65536));
}

static void check_answer(void)
{
	struct vdpa_queue *queue = &vdpa.queues[VDPA_DEFLATE];

	memset(queue->buffer, 0, 8);
	vdpa_post(queue, queue->buffer_iova, 8, 0);
	if (vdpa_wait_used_s(queue, ANSWER_S))
		return;
	errx(1, "no answer in %d s: episode %lu, status %#x, used %u of %u",
	     ANSWER_S, episodes, vdpa_status(&vdpa), queue->used->idx,
	     queue->next_avail);
}

/* Reset the device, with all rings in order but perhaps one. */
static void begin_episode(void)
{
	unsigned int num = 1 << (one_in(4) ? rnd(11) : 10);
	int ret;

	pthread_rwlock_wrlock(&order);
	ret = vdpa_start(&vdpa, mem, GPA, VDPA_PAIRED, num);
	if (ret)
		errx(1, "the device does not start: %s", strerror(-ret));
	check_answer();
	if (one_in(16) || may_any)
		check_beside();
	if (may_any)
		fill_other();
	if (!one_in(4)) {
		__u8 status;

		set_features();
		vdpa_lay_rings(&vdpa, mem, GPA, num);
		status = vdpa_status(&vdpa);
		if (one_in(16))
			vdpa_set_status(&vdpa, fisc_rand(&fuzz_state));
		for (int i = 0; i < NR_QUEUES; i++) {
			const struct vdpa_queue *queue = &vdpa.queues[i];

			vdpa_set_ring(&vdpa, i, num, queue->iova,
				      vdpa_avail_iova(queue),
				      vdpa_used_iova(queue));
			vdpa_set_base(&vdpa, i, 0);
			if (one_in(16))
				move_ring(i);
			vdpa_set_eventfds(&vdpa, i);
			vdpa_enable(&vdpa, i, !one_in(32));
		}
		vdpa_set_status(&vdpa, status | VIRTIO_CONFIG_S_DRIVER_OK);
	}
	episodes++;
	pthread_rwlock_unlock(&order);
}

/* Do something else that a VMM can do at any time. */
static void call_device(void)
{
	int index = rnd(NR_QUEUES);
	__u64 value = fisc_rand(&fuzz_state);
	char config[16];

	switch (rnd(10)) {
	case 0:
		move_ring(index);
		break;
	case 1:
		vdpa_enable(&vdpa, index, one_in(2));
		break;
	case 2:
		vdpa_set_base(&vdpa, index, rnd(65537));
		break;
	case 3:
		vdpa_set_status(&vdpa, value);
		break;
	case 4:
		vdpa_write_config(&vdpa, rnd(20), &value, 1 + rnd(8));
		break;
	case 5:
		vdpa_read_config(&vdpa, rnd(20), config, 1 + rnd(16));
		break;
	case 6:
		ioctl(vdpa.fd, VHOST_SET_FEATURES, &value);
		break;
	case 7:
		vdpa_set_eventfds(&vdpa, index);
		break;
	case 8:
		ioctl(vdpa.fd, VHOST_VDPA_SUSPEND);
		if (!one_in(4))
			ioctl(vdpa.fd, VHOST_VDPA_RESUME);
		break;
	default:
		value = index | value << 32;
		ioctl(vdpa.fd, VHOST_GET_VRING_BASE, &value);
	}
}

/* Return whether all were answered. */
static bool wait_batch(struct vdpa_queue *queue)
{
	__u16 used, before = queue->used->idx;
	double end = fisc_now() + BATCH_MS / 1000.0;

	do {
		used = __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE);
		if (used == queue->next_avail)
			return true;
		if (used != before)
			end = fisc_now() + BATCH_MS / 1000.0;
		before = used;
		fisc_sleep_ms(1);
	} while (fisc_now() < end &&
		 !(vdpa_status(&vdpa) & VIRTIO_CONFIG_S_NEEDS_RESET));
	return false;
}

/* Some episodes end soon, others get far before anything is spoilt. */
static void run_episode(void)
{
	unsigned int batches = 1 + rnd(64), patience = 4 << rnd(6);

	begin_episode();
	while (batches--) {
		int index = one_in(8) ? rnd(NR_QUEUES) : rnd(2);
		struct vdpa_queue *queue = &vdpa.queues[index];
		unsigned int nr;

		fuzz_write_entries(queue, index);
		nr = fuzz_good_chains(queue, index);
		if (one_in(patience))
			fuzz_spoil(queue, &nr);
		if (one_in(16 * patience))
			call_device();
		queue->next_avail += nr;
		vdpa_expose(queue, 0, 0);
		vdpa_kick(queue);
		/* Statistics are kept; others sometimes change while in use. */
		if (index == VDPA_STATS) {
			queue->next_avail = queue->avail->idx;
		} else if (one_in(4 * patience)) {
			fuzz_spoil(queue, &nr);
		} else if (!wait_batch(queue) &&
			   (!one_in(8) ||
			    vdpa_status(&vdpa) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
			break;
		}
	}
}

static long operations(void)
{
	return fisc_balloon("chains") - base_chains + fisc_balloon("kicks") -
	       base_kicks;
}

static void run(__u64 seed, long target)
{
	pthread_t threads[KICKERS + 1];
	double begin = fisc_now(), said = begin;
	long start = operations();
	unsigned long i;

	fuzz_state = fisc_mix(seed);
	WRITE_ONCE(stop, false);
	for (i = 0; i < KICKERS; i++)
		if (pthread_create(&threads[i], NULL, kicker,
				   number(fisc_mix(seed + i + 1))))
			errx(1, "no thread");
	if (pthread_create(&threads[KICKERS], NULL, spoiler,
			   number(fisc_mix(~seed))))
		errx(1, "no thread");
	while (operations() - start < target) {
		run_episode();
		if (fisc_now() > said + PROGRESS_S) {
			said = fisc_now();
			printf("seed %llu: %ld operations, %lu episodes, %.0f s\n",
			       seed, operations() - start, episodes,
			       said - begin);
		}
	}
	WRITE_ONCE(stop, true);
	for (i = 0; i < KICKERS + 1; i++)
		pthread_join(threads[i], NULL);
	begin_episode();
	printf("seed %llu: %ld operations, %lu episodes, %.0f s\n", seed,
	       operations() - start, episodes, fisc_now() - begin);
}

/* Run the seeds of a file, one a line; comments may follow or stand alone. */
static void replay(const char *path, long target)
{
	FILE *f = fopen(path, "re");
	char line[256], *end;
	__u64 seed;

	if (!f)
		err(2, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		seed = strtoull(line, &end, 0);
		if (end != line)
			run(seed, target);
	}
	fclose(f);
}

static bool report_coverage(void)
{
	bool enough = operations() >= COVERAGE_OPS, all = true;
	size_t i;

	for (i = 0; i < NR_REASONS; i++) {
		long n = fisc_balloon(reasons[i]) - hit[i];

		printf("%s: %ld%s\n", reasons[i], n, n ? "" : ", never hit");
		all &= n > 0;
	}
	return all || !enough;
}

/* Return whether everything goes once the device does. */
static bool nothing_is_left(long frames)
{
	bool none;

	vdpa_close(&vdpa);
	none = fisc_wait("balloon", "ballooned", 0) && !vdpa_del(VM);
	check_beside();
	munmap(mem, PAGES * PAGE_SIZE);
	munmap(beside, BESIDE_PAGES * PAGE_SIZE);
	close(low);
	close(high);
	fisc_sweep();
	return none && fisc_wait("core", "frames", frames);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = wait_for_memory };
	long target = 0, frames;
	const char *file = NULL;
	__u64 seed = 1;
	bool ok;
	int opt;
	size_t i;

	while ((opt = getopt(argc, argv, "s:n:r:")) != -1) {
		switch (opt) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			target = atol(optarg);
			break;
		case 'r':
			file = optarg;
			break;
		default:
			errx(2,
			     "usage: balloon_fuzz [-s SEED] [-n OPERATIONS] [-r FILE]");
		}
	}
	setlinebuf(stdout);
	if (vdpa_load())
		errx(1, "the modules do not load");
	vdpa_sweep();
	fisc_sweep();
	frames = fisc_core("frames");
	sigaction(SIGBUS, &action, NULL);
	make_memory();
	make_beside();
	if (vdpa_add(VM) || vdpa_open(&vdpa, VM))
		errx(1, "no device");
	map_all();
	base_chains = fisc_balloon("chains");
	base_kicks = fisc_balloon("kicks");
	for (i = 0; i < NR_REASONS; i++)
		hit[i] = fisc_balloon(reasons[i]);

	if (file)
		replay(file, target ?: REPLAY_OPS);
	else
		run(seed, target ?: 1000000);
	printf("%ld operations on rings\n", operations());
	ok = report_coverage();
	return nothing_is_left(frames) && ok ? 0 : 1;
}
