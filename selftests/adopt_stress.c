// SPDX-License-Identifier: GPL-2.0
/*
 * Adoption and release over and over, while guest and VMM write, throw memory
 * away, and change mappings and slots.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adopt.h"

/*
 * Writes numbers that only go up, one in each page, and checks the last one
 * before it writes the next. A page that is discarded begins at 0 again.
 */
struct writer {
	pthread_t thread;
	char *mem;
	long first;
	long last;
	bool discard;
	bool stop;
	long bad;
	unsigned long done;
};

static void *write_numbers(void *arg)
{
	unsigned long *known;
	struct writer *w = arg;
	__u64 rnd = w->first + 1;

	known = calloc(w->last - w->first, sizeof(*known));
	while (!READ_ONCE(w->stop)) {
		long i = fisc_rand(&rnd) % (w->last - w->first);
		unsigned long *word =
			(void *)(w->mem + (w->first + i) * PAGE_SIZE + 512);

		if (READ_ONCE(*word) != known[i]) {
			w->bad = w->first + i;
			break;
		}
		WRITE_ONCE(*word, ++known[i]);
		if (w->discard && known[i] % 4 == 0) {
			known[i] = 0;
			madvise(w->mem + (w->first + i) * PAGE_SIZE, PAGE_SIZE,
				MADV_DONTNEED);
		}
		w->done++;
	}
	free(known);
	return NULL;
}

#define WRITERS	2

static void start_writers(struct writer *writers, char *mem, long pages,
			  bool discard)
{
	int i;

	for (i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){
			.mem = mem, .first = pages / WRITERS * i,
			.last = pages / WRITERS * (i + 1), .discard = discard,
			.bad = -1,
		};
		if (pthread_create(&writers[i].thread, NULL, write_numbers,
				   &writers[i]))
			abort();
	}
}

static void stop_writers(struct __test_metadata *_metadata,
			 struct writer *writers)
{
	double end = fisc_now() + WAIT_S;
	int i;

	for (i = 0; i < WRITERS; i++) {
		/* A slow host needs more time for as many. */
		while (READ_ONCE(writers[i].done) <= 10 &&
		       READ_ONCE(writers[i].bad) == -1 && fisc_now() < end)
			fisc_sleep_ms(100);
		WRITE_ONCE(writers[i].stop, true);
		pthread_join(writers[i].thread, NULL);
		EXPECT_EQ(-1, writers[i].bad)
			TH_LOG("page %ld", writers[i].bad);
		EXPECT_LT(10, writers[i].done);
	}
}

TEST_F(adopt, guest_and_vmm_write_all_the_time)
{
	double end = fisc_now() + fisc_stress_s(15);
	struct writer writers[WRITERS];
	int cycles = 0;

	ASSERT_EQ(0, vmm_aim(&self->vmm, GPA, PAGES, true));
	ASSERT_EQ(0, vmm_start(&self->vmm));
	start_writers(writers, self->mem, PAGES, false);
	ASSERT_EQ(0, fisc_scan_on());
	do {
		ASSERT_EQ(0, adopt());
		ASSERT_TRUE(wait_moved(0));
		fisc_sleep_ms(100);
		ASSERT_TRUE(release());
		cycles++;
	} while (fisc_now() < end);
	stop_writers(_metadata, writers);
	vmm_stop(&self->vmm);
	EXPECT_LT(0, self->vmm.rounds);
	EXPECT_LT(0, cycles);
	TH_LOG("%d cycles, %lu rounds of the guest", cycles, self->vmm.rounds);
}

TEST_F(adopt, shared_memory_is_written_all_the_time)
{
	double end = fisc_now() + fisc_stress_s(15);
	struct writer writers[WRITERS];
	int cycles = 0;

	ASSERT_EQ(0, fisc_write_str(AUTO "shared", "1"));
	ASSERT_EQ(0, vmm_aim(&self->vmm, GPA, PAGES, true));
	ASSERT_EQ(0, vmm_start(&self->vmm));
	do {
		int fd = share_memory(self->mem);

		ASSERT_LE(0, fd);
		start_writers(writers, self->mem, PAGES, false);
		fisc_sleep_ms(100);
		ASSERT_EQ(0, adopt());
		ASSERT_TRUE(wait_moved(0));
		fisc_sleep_ms(100);
		EXPECT_EQ(0, held_pages(fd));
		ASSERT_TRUE(release());
		stop_writers(_metadata, writers);
		close(fd);
		cycles++;
	} while (fisc_now() < end);
	vmm_stop(&self->vmm);
	EXPECT_LT(0, cycles);
}

/* Discard before, during and after the move, but not during release. */
TEST_F(adopt, vmm_throws_memory_away_meanwhile)
{
	double end = fisc_now() + fisc_stress_s(15);
	struct writer writers[WRITERS];
	int round = 0;

	ASSERT_EQ(0, fisc_scan_on());
	do {
		start_writers(writers, self->mem, PAGES, true);
		ASSERT_EQ(0, adopt());
		ASSERT_TRUE(wait_moved(0));
		ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED,
					    round++ % 2 ? "1" : "0"));
		fisc_sleep_ms(1000);
		stop_writers(_metadata, writers);
		ASSERT_TRUE(release());
		memset(self->mem, 0, SIZE);
	} while (fisc_now() < end);
}

/* Change the mappings of a part that nobody else uses, in all ways. */
static void *change_mappings(void *arg)
{
	struct writer *w = arg;
	__u64 rnd = 7;

	while (!READ_ONCE(w->stop)) {
		long first = w->first + fisc_rand(&rnd) % (w->last - w->first);
		long nr = 1 + fisc_rand(&rnd) % (w->last - first);
		char *at = w->mem + first * PAGE_SIZE;
		size_t size = nr * PAGE_SIZE;

		switch (fisc_rand(&rnd) % 6) {
		case 0:
			madvise(at, size, MADV_DONTNEED);
			break;
		case 1:
		case 2:
			if (nr & 1)
				munmap(at, size);
			mmap(at, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		case 3:
			mprotect(at, size, PROT_READ);
			mprotect(at, size, PROT_READ | PROT_WRITE);
			break;
		case 4:
			if (!fork())
				_exit(0);
			wait(NULL);
			break;
		default:
			memset(at, first, PAGE_SIZE);
		}
		w->done++;
	}
	return NULL;
}

/* Adopt and release at varying intervals: the number of cycles, or -1. */
static int cycle_until(double end)
{
	int cycles = 0;

	do {
		if (adopt())
			return -1;
		fisc_sleep_ms(cycles % 4 * 100);
		if (!release())
			return -1;
		cycles++;
	} while (fisc_now() < end);
	return cycles;
}

TEST_F(adopt, vmm_may_change_its_mappings_meanwhile)
{
	double end = fisc_now() + fisc_stress_s(15);
	struct writer writers[WRITERS], changer = {
		.mem = self->mem, .first = PAGES / 2, .last = PAGES,
	};

	start_writers(writers, self->mem, PAGES / 2, false);
	ASSERT_EQ(0, pthread_create(&changer.thread, NULL, change_mappings,
				    &changer));
	ASSERT_LT(0, cycle_until(end));
	WRITE_ONCE(changer.stop, true);
	pthread_join(changer.thread, NULL);
	stop_writers(_metadata, writers);
	EXPECT_LT(10, changer.done);
}

/**
 * struct changer - changes a VM's slots
 * @vmm: the VM
 * @mem: its memory
 * @stop: tells the thread to end
 * @err: error of the call that failed
 * @done: number of changes
 */
struct changer {
	struct vmm *vmm;
	char *mem;
	bool stop;
	int err;
	unsigned long done;
};

/* Have the memory in one slot or two, here or there, or in none. */
static void *change_slots(void *arg)
{
	struct changer *c = arg;
	size_t half = PAGES / 2;
	__u64 gpa = GPA;

	while (!READ_ONCE(c->stop) && !c->err) {
		gpa = gpa == GPA ? GPA + 2 * SIZE : GPA;
		c->err = vmm_delete_slot(c->vmm, 0) ?:
			 vmm_set_slot(c->vmm, 1, gpa, c->mem, half) ?:
			 vmm_set_slot(c->vmm, 2, gpa + SIZE, c->mem + SIZE / 2,
				      half) ?:
			 vmm_delete_slot(c->vmm, 1) ?:
			 vmm_delete_slot(c->vmm, 2) ?:
			 vmm_set_slot(c->vmm, 0, gpa, c->mem, PAGES);
		c->done++;
	}
	return NULL;
}

TEST_F(adopt, slots_may_change_meanwhile)
{
	struct changer changer = { .vmm = &self->vmm, .mem = self->mem };
	double end = fisc_now() + fisc_stress_s(15);
	struct writer writers[WRITERS];
	pthread_t thread;
	int cycles;

	start_writers(writers, self->mem, PAGES, false);
	ASSERT_EQ(0, pthread_create(&thread, NULL, change_slots, &changer));
	cycles = cycle_until(end);
	ASSERT_LT(0, cycles);
	/* A slow host needs more time for as many. */
	end = fisc_now() + WAIT_S;
	while (READ_ONCE(changer.done) <= 10 && !READ_ONCE(changer.err) &&
	       fisc_now() < end)
		fisc_sleep_ms(100);
	WRITE_ONCE(changer.stop, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, changer.err);
	EXPECT_LT(10, changer.done);
	/* All is moved once the slots stay as they are. */
	ASSERT_EQ(0, adopt());
	EXPECT_TRUE(wait_moved(0));
	stop_writers(_metadata, writers);
	ASSERT_TRUE(release());
	TH_LOG("%d cycles, %lu changes", cycles, changer.done);
}

/* Ask for the release of the VM as soon as it can be seen. */
static void *release_at_once(void *arg)
{
	double end = fisc_now() + WAIT_S;
	int fd, *err = arg;

	do
		fd = open(ADOPTION, O_WRONLY);
	while (fd < 0 && fisc_now() < end);
	*err = write(fd, "release", 7) == 7 ? 0 : -errno;
	close(fd);
	return NULL;
}

TEST_F(adopt, vm_can_be_released_as_soon_as_it_is_seen)
{
	double end = fisc_now() + fisc_stress_s(5);
	unsigned int released = 0;

	fisc_fill_pages(self->mem, PAGES, 1);
	do {
		pthread_t thread;
		int err;

		ASSERT_EQ(0, pthread_create(&thread, NULL, release_at_once, &err));
		EXPECT_EQ(0, adopt());
		pthread_join(thread, NULL);
		ASSERT_EQ(0, err);
		ASSERT_TRUE(wait_gone());
		released++;
	} while (fisc_now() < end);
	EXPECT_EQ(-1, fisc_check_pages(self->mem, PAGES, 1));
	TH_LOG("%u releases", released);
}

TEST_HARNESS_MAIN
