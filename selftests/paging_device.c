// SPDX-License-Identifier: GPL-2.0
/*
 * The paging device: what is taken for one, what goes there and comes back, and
 * what happens when it fails, is full, is slow, or is taken away. What it has
 * in common with swap is tested by swap.c and swap_wait.c.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "swap.h"
#include "waiter.h"

#define DISK		"fiscdisk"
#define PATH		"/dev/" DISK
#define DISK_MIB	64
#define SECTORS		8		/* of a page */

/* How long a slow device takes: null_blk has given up after five seconds. */
#define SLOW_US		3000000
#define TRIES		10

FIXTURE(device)
{
	struct fisc_before before;
	int fd;
	char *map;
};

static int disk_start(unsigned int mib, unsigned long us)
{
	return nullb_start(DISK, mib, us) || nullb_mkswap(DISK, mib) ||
	       fisc_write_str(RECLAIM_DEVICE, PATH) ? -1 : 0;
}

FIXTURE_SETUP(device)
{
	fisc_set_up(_metadata, &self->before);
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "10"));
	self->fd = fisc_create(ST "a", PAGES);
	self->map = fisc_map(self->fd, PAGES);
	ASSERT_NE(NULL, self->map);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, POOL_BYTES));
}

FIXTURE_TEARDOWN_PARENT(device)
{
	fisc_sweep();
	EXPECT_TRUE(fisc_wait("core", "swapped", 0));
	EXPECT_TRUE(fisc_wait("reclaim", "device_used", 0));
	EXPECT_EQ(0, fisc_write_str(RECLAIM_DEVICE, "none"));
	EXPECT_EQ(0, fisc_reclaim("device_slots"));
	fisc_tear_down(_metadata, &self->before);
	nullb_stop(DISK);
	swap_stop();
}

/* Wait until no page is on its way: what is stored is what entries name. */
static bool wait_stored(void)
{
	double end = fisc_now() + WAIT_S;

	while (fisc_reclaim("backing") + fisc_reclaim("device_used") !=
	       fisc_reclaim("swapped")) {
		if (fisc_now() > end)
			return false;
		fisc_sleep_ms(10);
	}
	return true;
}

/* Have most pages of a filled VM on the device, and leave them there. */
static void send(struct __test_metadata *_metadata, char *map)
{
	fisc_fill_pages(map, PAGES, 1);
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", OUT_PAGES));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	ASSERT_EQ(0, fisc_short_of_memory(false));
	EXPECT_TRUE(wait_stored());
}

/* What is wrong with a device is said when it is named. */

TEST_F(device, what_cannot_be_one_is_refused)
{
	char file[] = "/tmp/fisc-disk-XXXXXX";
	int fd = mkstemp(file);

	ASSERT_LE(0, fd);
	fisc_refuse(_metadata, RECLAIM_DEVICE, "/dev/no-such-device", -ENOENT);
	fisc_refuse(_metadata, RECLAIM_DEVICE, file, -ENOTBLK);
	unlink(file);
	/* Not prepared */
	ASSERT_EQ(0, nullb_start(DISK, DISK_MIB, 0));
	fisc_refuse(_metadata, RECLAIM_DEVICE, PATH, -EINVAL);
	/* In use */
	ASSERT_EQ(0, nullb_swapon(DISK, DISK_MIB));
	fisc_refuse(_metadata, RECLAIM_DEVICE, PATH, -EBUSY);
	ASSERT_EQ(0, swapoff(PATH));
	fisc_take(_metadata, RECLAIM_DEVICE, PATH, PATH);
	EXPECT_EQ(DISK_MIB * MIB_PAGES - 1, fisc_reclaim("device_slots"));
	/* By us, too */
	EXPECT_EQ(-1, swapon(PATH, 0));
	EXPECT_EQ(EBUSY, errno);
	fisc_refuse(_metadata, RECLAIM_DEVICE, PATH, -EBUSY);
	fisc_take(_metadata, RECLAIM_DEVICE, "\n", "none");
	fisc_take(_metadata, RECLAIM_DEVICE, "none", "none");
	/* The signature is still there. */
	fisc_take(_metadata, RECLAIM_DEVICE, PATH, PATH);
}

/* Pages that went out together come back together. */

TEST_F(device, neighbours_come_along)
{
	long reads, in, ahead, hits;
	char page[PAGE_SIZE];
	size_t i;

	ASSERT_EQ(0, disk_start(DISK_MIB, 0));
	send(_metadata, self->map);
	EXPECT_EQ(fisc_reclaim("swapped"), fisc_reclaim("device_used"));
	EXPECT_EQ(0, fisc_reclaim("backing"));
	reads = nullb_reads(DISK);
	in = fisc_reclaim("swap_in");
	/* By faults, and by calls */
	for (i = 0; i < PAGES; i++) {
		if (i % 3) {
			ASSERT_EQ(-1, fisc_check(page_of(self->map, i), i + 1));
			continue;
		}
		ASSERT_EQ((ssize_t)PAGE_SIZE,
			  pread(self->fd, page, PAGE_SIZE, i * PAGE_SIZE));
		ASSERT_EQ(-1, fisc_check(page, i + 1));
	}
	reads = nullb_reads(DISK) - reads;
	in = fisc_reclaim("swap_in") - in;
	ahead = fisc_vm("st-a", "read_ahead");
	hits = fisc_vm("st-a", "read_ahead_hits");
	TH_LOG("%ld pages in %ld requests; of %ld read ahead %ld were hit", in,
	       reads, ahead, hits);
	EXPECT_LT(OUT_PAGES, in);
	EXPECT_LT(0, reads);
	/* The block layer may divide a request. */
	EXPECT_LE(reads, in / 8);
	EXPECT_LE(in - in / 16, ahead);
	EXPECT_EQ(ahead, hits);
	EXPECT_EQ(0, fisc_reclaim("swapped"));
	EXPECT_EQ(0, fisc_reclaim("device_used"));
}

/* Of every chunk, a page comes back, but its neighbours are not wanted. */
TEST_F(device, neighbours_stay_if_nobody_wants_them)
{
	size_t nr = PAGES / CHUNK_PAGES, i, k;
	long in, reads;

	ASSERT_EQ(0, disk_start(DISK_MIB, 0));
	send(_metadata, self->map);
	/* After some that are read in vain, hardly any are. */
	for (k = 0; k < CHUNK_PAGES; k += 64)
		for (i = 0; i < nr; i++)
			ASSERT_EQ(-1, fisc_check(page_of(self->map,
							 i * CHUNK_PAGES + k),
						 i * CHUNK_PAGES + k + 1));
	in = fisc_reclaim("swap_in");
	reads = nullb_reads(DISK);
	for (k = 32; k < CHUNK_PAGES; k += 64)
		for (i = 0; i < nr; i++)
			ASSERT_EQ(-1, fisc_check(page_of(self->map,
							 i * CHUNK_PAGES + k),
						 i * CHUNK_PAGES + k + 1));
	in = fisc_reclaim("swap_in") - in;
	reads = nullb_reads(DISK) - reads;
	TH_LOG("%ld pages in %ld requests", in, reads);
	EXPECT_LT(0, reads);
	EXPECT_GE(2 * reads, in);
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

#define ACCOUNT		CGROUP "/fisc-account"

/* Return the bytes that @cgroup has read from the device, or -1. */
static long bytes_read(const char *cgroup)
{
	char path[128], dev[32], line[256];
	long bytes = -1;
	FILE *f;

	if (fisc_read_str("/sys/block/" DISK "/dev", dev, sizeof(dev)))
		return -1;
	dev[strcspn(dev, "\n")] = 0;
	snprintf(path, sizeof(path), "%s/io.stat", cgroup);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, dev, strlen(dev)) && line[strlen(dev)] == ' ')
			sscanf(strstr(line, "rbytes="), "rbytes=%ld", &bytes);
	if (f)
		fclose(f);
	return bytes;
}

/* Whoever wants a page reads it: what the host's I/O weights go by. */
TEST_F(device, page_is_read_on_its_vms_account)
{
	long bytes;
	int status;
	pid_t pid;

	ASSERT_TRUE(mount_cgroups());
	if (fisc_write_str(CGROUP "/cgroup.subtree_control", "+io")) {
		umount2(CGROUP, MNT_DETACH);
		SKIP(return, "kernel without cgroups for I/O");
	}
	ASSERT_TRUE(!mkdir(ACCOUNT, 0755) || errno == EEXIST);
	ASSERT_EQ(0, disk_start(DISK_MIB, 0));
	send(_metadata, self->map);
	pid = fork();
	if (!pid) {
		fisc_write_str(ACCOUNT "/cgroup.procs", "0");
		_exit(fisc_check_pages(self->map, PAGES, 1) >= 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	bytes = bytes_read(ACCOUNT);
	TH_LOG("%ld bytes", bytes);
	EXPECT_LT(OUT_PAGES * (long)PAGE_SIZE, bytes);
	EXPECT_EQ(0, rmdir(ACCOUNT));
	EXPECT_EQ(0, umount2(CGROUP, MNT_DETACH));
}

/* Slots */

TEST_F(device, what_goes_gives_its_slot_back)
{
	ASSERT_EQ(0, disk_start(DISK_MIB, 0));
	send(_metadata, self->map);
	ASSERT_EQ(0, fallocate(self->fd, PUNCH, 0, PAGES / 2 * PAGE_SIZE));
	EXPECT_EQ(fisc_reclaim("swapped"), fisc_reclaim("device_used"));
	EXPECT_EQ(-1, fisc_check_zero(self->map, PAGES / 2 * PAGE_SIZE));
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_EQ(0, fisc_reclaim("swapped"));
	EXPECT_EQ(0, fisc_reclaim("device_used"));
	EXPECT_EQ(DISK_MIB * MIB_PAGES - 1, fisc_reclaim("swap_room"));
}

#define SMALL_MIB	4

/* A full device leaves the rest to the kernel's swap. */
TEST_F(device, full_device_leaves_the_rest_to_swap)
{
	long slots = SMALL_MIB * MIB_PAGES - 1;
	int round;

	ASSERT_EQ(0, swap_start());
	ASSERT_EQ(0, disk_start(SMALL_MIB, 0));
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "1"));
		send(_metadata, self->map);
		EXPECT_LT(0, fisc_reclaim("backing"));
		EXPECT_LE(slots - 64, fisc_reclaim("device_used"));
		EXPECT_EQ(fisc_reclaim("swapped"),
			  fisc_reclaim("backing") + fisc_reclaim("device_used"));
		if (round == 2)
			break;
		EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	}
	/* What is in swap stays there. */
	ASSERT_EQ(0, fisc_write_str(RECLAIM_DEVICE, "none"));
	EXPECT_EQ(0, fisc_reclaim("device_used"));
	EXPECT_LT(0, fisc_reclaim("swapped"));
	EXPECT_EQ(fisc_reclaim("swapped"), fisc_reclaim("backing"));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

/* Without other swap, a full device is full. */
TEST_F(device, full_device_takes_no_more)
{
	ASSERT_EQ(0, disk_start(SMALL_MIB, 0));
	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(fisc_wait("reclaim", "device_used",
			      SMALL_MIB * MIB_PAGES - 1));
	EXPECT_EQ(0, fisc_reclaim("swap_room"));
	ASSERT_EQ(0, fisc_short_of_memory(false));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	EXPECT_EQ(0, fisc_reclaim("device_used"));
}

/* Errors */

static int set_bad(char sign, unsigned long first, unsigned long last)
{
	char bad[64];

	snprintf(bad, sizeof(bad), "%c%lu-%lu", sign, first * SECTORS,
		 (last + 1) * SECTORS - 1);
	return nullb_set(DISK, "badblocks", bad);
}

TEST_F(device, unreadable_page_takes_no_neighbour_along)
{
	long lost = fisc_reclaim("swap_lost"), failed = 0;
	size_t i;

	ASSERT_EQ(0, disk_start(DISK_MIB, 0));
	send(_metadata, self->map);
	ASSERT_EQ(0, set_bad('+', 300, 300));
	for (i = 0; i < PAGES; i++) {
		unsigned char value;
		int sig = fisc_try_read(page_of(self->map, i), &value);

		if (!sig) {
			ASSERT_EQ(-1, fisc_check(page_of(self->map, i), i + 1));
			continue;
		}
		ASSERT_EQ(SIGBUS, sig);
		failed++;
	}
	EXPECT_EQ(1, failed);
	EXPECT_LT(lost, fisc_reclaim("swap_lost"));
	EXPECT_EQ(1, fisc_reclaim("swapped"));
	/* What cannot be read cannot be given back. */
	EXPECT_EQ(-EIO, fisc_write_str(RECLAIM_DEVICE, "none"));
	EXPECT_EQ(1, fisc_reclaim("device_used"));
	EXPECT_LT(0, fisc_reclaim("device_slots"));
	ASSERT_EQ(0, set_bad('-', 300, 300));
	EXPECT_EQ(0, fisc_write_str(RECLAIM_DEVICE, "none"));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

TEST_F(device, unwritable_pages_stay)
{
	long last = DISK_MIB * MIB_PAGES - 1;

	ASSERT_EQ(0, disk_start(DISK_MIB, 0));
	ASSERT_EQ(0, set_bad('+', 1, last));
	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_EQ(0, fisc_short_of_memory(true));
	fisc_sleep_ms(1000);
	EXPECT_EQ(0, fisc_reclaim("swapped"));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	/* As soon as they can be written, they are. */
	ASSERT_EQ(0, set_bad('-', 1, last));
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", OUT_PAGES));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	ASSERT_EQ(0, fisc_short_of_memory(false));
}

/* Who waits for a slow device can be killed. */

enum way {
	BY_FAULTS, BY_CALLS, GIVING_BACK, NR_WAYS,
};

static void read_pages(enum way way, int fd, char *map)
{
	char page[PAGE_SIZE];
	size_t i;

	if (way == BY_FAULTS)
		fisc_check_pages(map, PAGES, 1);
	for (i = 0; way == BY_CALLS && i < PAGES; i++)
		if (pread(fd, page, PAGE_SIZE, i * PAGE_SIZE) < 0)
			break;
	if (way == GIVING_BACK)
		fisc_write_str(RECLAIM_DEVICE, "none");
}

/* Kill a process that reads: is it gone before the request has ended? */
static bool goes_before_request(enum way way, int fd, char *map)
{
	double start;
	pid_t pid;

	while (nullb_inflight(DISK) > 0)
		fisc_sleep_ms(10);
	pid = fork();
	if (!pid) {
		read_pages(way, fd, map);
		_exit(0);
	}
	if (!waiter_gets_in(pid, "fisc_read_end"))
		return false;
	start = fisc_now();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	printf("# gone after %.3f s\n", fisc_now() - start);
	return nullb_inflight(DISK) > 0;
}

TEST_F(device, readers_of_a_slow_device_can_be_killed)
{
	enum way way;
	bool gone;
	int try;

	ASSERT_EQ(0, nullb_start(DISK, DISK_MIB, SLOW_US));
	ASSERT_EQ(0, nullb_mkswap(DISK, DISK_MIB));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_DEVICE, PATH));
	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", 0));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	ASSERT_EQ(0, fisc_short_of_memory(false));
	for (way = 0; way < NR_WAYS; way++) {
		gone = false;
		/* A host that is slow itself may take as long as the device. */
		for (try = 0; try < TRIES && !gone; try++)
			gone = goes_before_request(way, self->fd, self->map);
		EXPECT_TRUE(gone);
	}
	/* The device is still in use, and nothing is lost. */
	EXPECT_LT(0, fisc_reclaim("device_slots"));
	EXPECT_LT(0, fisc_reclaim("swapped"));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

/* Giving the device back while VMs run */

struct runner {
	char *map;
	size_t first;
	bool stop;
	unsigned long rounds;
	long bad;
};

static void *runner(void *arg)
{
	struct runner *r = arg;
	size_t part = PAGES / 2, i;
	__u64 version = 1;

	r->bad = -1;
	while (!READ_ONCE(r->stop) && r->bad < 0) {
		for (i = r->first; i < r->first + part && r->bad < 0; i++) {
			if (fisc_check(page_of(r->map, i), version * 1000003 + i) >= 0)
				r->bad = i;
			fisc_fill(page_of(r->map, i), (version + 1) * 1000003 + i);
		}
		version++;
		WRITE_ONCE(r->rounds, r->rounds + 1);
	}
	return NULL;
}

TEST_F(device, is_taken_away_while_vms_run)
{
	struct runner runners[2] = {};
	pthread_t threads[2];
	size_t i, k;
	int round;
	long out, used = 0;

	ASSERT_EQ(0, disk_start(DISK_MIB, 0));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_BLOCKING, "0"));
	for (i = 0; i < 2; i++) {
		runners[i].map = self->map;
		runners[i].first = i * PAGES / 2;
		for (k = 0; k < PAGES / 2; k++)
			fisc_fill(page_of(self->map, runners[i].first + k),
				  1000003 + runners[i].first + k);
	}
	ASSERT_EQ(0, fisc_short_of_memory(true));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, runner,
					    &runners[i]));
	for (round = 0; round < 5; round++) {
		/* Runners that are quick leave few there. */
		out = fisc_reclaim("swap_out");
		EXPECT_TRUE(fisc_wait_above("reclaim", "swap_out", out + 500));
		used += fisc_reclaim("device_used");
		ASSERT_EQ(0, fisc_write_str(RECLAIM_DEVICE, "none"));
		EXPECT_EQ(0, fisc_reclaim("device_used"));
		EXPECT_EQ(0, fisc_reclaim("swapped"));
		ASSERT_EQ(0, fisc_write_str(RECLAIM_DEVICE, PATH));
	}
	EXPECT_LT(0, used);
	for (i = 0; i < 2; i++) {
		WRITE_ONCE(runners[i].stop, true);
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(-1, runners[i].bad);
		EXPECT_LT(0, runners[i].rounds);
	}
	ASSERT_EQ(0, fisc_short_of_memory(false));
}

TEST_HARNESS_MAIN
