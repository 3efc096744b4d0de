// SPDX-License-Identifier: GPL-2.0
/*
 * Pages with references outside of any page table: pipes, and devices with
 * I/O in flight. They must neither be shared nor lose what is written to them.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/loop.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "fixture.h"
#include "nullb.h"

#define SLOW		"fiscslow"
#define SLOW_MS		1500

static void scan_passes(struct __test_metadata *_metadata, int passes)
{
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait_passes(passes));
	ASSERT_EQ(0, fisc_scan_off());
}

static void wait_frames(struct __test_metadata *_metadata, long frames)
{
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("core", "frames", frames));
	ASSERT_EQ(0, fisc_scan_off());
}

TEST_F(fisc, page_in_a_pipe_is_not_shared)
{
	int fd = fisc_create(ST "a", 2), fds[2];
	char *map = fisc_map(fd, 2), page[PAGE_SIZE];
	struct iovec iov = { map, PAGE_SIZE };
	long pinned, merged;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, pipe(fds));
	fisc_fill(page_of(map, 0), 1);
	fisc_fill(page_of(map, 1), 1);
	ASSERT_EQ((ssize_t)PAGE_SIZE, vmsplice(fds[1], &iov, 1, 0));
	pinned = fisc_share("pinned");
	merged = fisc_share("merged");
	scan_passes(_metadata, 3);
	EXPECT_EQ(2, fisc_core("frames"));
	EXPECT_EQ(merged, fisc_share("merged"));
	EXPECT_LT(pinned, fisc_share("pinned"));
	/* It is still the file's page: the pipe sees what is written to it. */
	page_of(map, 0)[11] ^= 0xff;
	ASSERT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
	EXPECT_EQ(0, memcmp(page, map, PAGE_SIZE));
	page_of(map, 0)[11] ^= 0xff;
	wait_frames(_metadata, 1);
	EXPECT_EQ(-1, fisc_check(page_of(map, 0), 1));
	EXPECT_EQ(-1, fisc_check(page_of(map, 1), 1));
}

TEST_F(fisc, page_of_zeros_in_a_pipe_stays)
{
	int fd = fisc_create(ST "a", 1), fds[2];
	char *map = fisc_map(fd, 1), page[PAGE_SIZE];
	struct iovec iov = { map, PAGE_SIZE };

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, pipe(fds));
	map[0] = 1;
	map[0] = 0;
	ASSERT_EQ((ssize_t)PAGE_SIZE, vmsplice(fds[1], &iov, 1, 0));
	scan_passes(_metadata, 3);
	EXPECT_EQ(1, fisc_core("frames"));
	EXPECT_EQ(0, fisc_share("zero"));
	map[5] = 'x';
	ASSERT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
	EXPECT_EQ('x', page[5]);
	map[5] = 0;
	wait_frames(_metadata, 0);
	EXPECT_EQ(1, fisc_share("zero"));
}

TEST_F(fisc, freed_page_in_a_pipe_keeps_its_content)
{
	int fd = fisc_create(ST "a", 4), fds[2], i;
	char *map = fisc_map(fd, 4), page[PAGE_SIZE];
	struct iovec iov = { map, 4 * PAGE_SIZE };

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, pipe(fds));
	for (i = 0; i < 4; i++)
		fisc_fill(page_of(map, i), i < 2 ? 1 : i);
	/* Two of them are shared. */
	wait_frames(_metadata, 3);
	ASSERT_EQ(4 * (ssize_t)PAGE_SIZE, vmsplice(fds[1], &iov, 1, 0));
	ASSERT_EQ(0, fallocate(fd, PUNCH, 0, 3 * PAGE_SIZE));
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(0, fisc_core("frames"));
	ASSERT_EQ(0, ftruncate(fd, 4 * PAGE_SIZE));
	/* Other pages come and go in their places. */
	memset(map, 0xee, 4 * PAGE_SIZE);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
		EXPECT_EQ(-1, fisc_check(page, i < 2 ? 1 : i));
	}
	EXPECT_EQ(4, fisc_core("frames"));
}

TEST_F(fisc, copy_of_a_shared_page_leaves_the_pipe_alone)
{
	int fd = fisc_create(ST "a", 3), fds[2], i;
	char *map = fisc_map(fd, 3), page[PAGE_SIZE];
	struct iovec iov = { map, PAGE_SIZE };

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, pipe(fds));
	for (i = 0; i < 3; i++)
		fisc_fill(page_of(map, i), 1);
	wait_frames(_metadata, 1);
	ASSERT_EQ((ssize_t)PAGE_SIZE, vmsplice(fds[1], &iov, 1, 0));
	for (i = 0; i < 3; i++)
		fisc_fill(page_of(map, i), 10 + i);
	ASSERT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(page, 1));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-1, fisc_check(page_of(map, i), 10 + i));
	EXPECT_EQ(3, fisc_core("frames"));
}

TEST_F(fisc, long_term_pins_are_refused)
{
	int fd = fisc_create(ST "a", 4), ring;
	char *map = fisc_map(fd, 4);
	struct io_uring_params params = { 0 };
	struct iovec iov = { map, 4 * PAGE_SIZE };

	ASSERT_NE(NULL, map);
	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0)
		SKIP(return, "no io_uring: errno %d", errno);
	EXPECT_EQ(-1, syscall(SYS_io_uring_register, ring,
			      IORING_REGISTER_BUFFERS, &iov, 1));
	fisc_fill(map, 1);
	EXPECT_EQ(-1, fisc_check(map, 1));
}

/* A device that takes SLOW_MS for each request */
static int slow_device_start(void)
{
	if (nullb_start(SLOW, 16, SLOW_MS * 1000))
		return -1;
	return open("/dev/" SLOW, O_RDWR | O_DIRECT | O_CLOEXEC);
}

static int submit(aio_context_t ctx, int fd, int opcode, void *mem,
		  off_t offset)
{
	static struct iocb cb;
	struct iocb *list = &cb;

	cb = (struct iocb){
		.aio_lio_opcode = opcode,
		.aio_fildes = fd,
		.aio_buf = (unsigned long)mem,
		.aio_nbytes = PAGE_SIZE,
		.aio_offset = offset,
	};
	return syscall(SYS_io_submit, ctx, 1, &list);
}

/* Return the result of the request, -EAGAIN while it is in flight. */
static long completed(aio_context_t ctx, bool wait)
{
	struct timespec now = { 0, 0 };
	struct io_event event;

	if (syscall(SYS_io_getevents, ctx, wait ? 1 : 0, 1, &event,
		    wait ? NULL : &now) != 1)
		return -EAGAIN;
	return event.res;
}

TEST_F(fisc, page_with_a_device_read_in_flight_is_not_shared)
{
	char *block = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	int fd = fisc_create(ST "a", 3), dev = slow_device_start(), tries;
	char *map = fisc_map(fd, 3);
	aio_context_t ctx = 0;
	bool in_flight = false;
	long pinned;

	ASSERT_NE(NULL, map);
	ASSERT_NE(NULL, block);
	if (dev < 0)
		SKIP(return, "no null_blk with memory");
	ASSERT_EQ(0, syscall(SYS_io_setup, 4, &ctx));
	fisc_fill(block, 1);
	ASSERT_EQ((ssize_t)PAGE_SIZE, pwrite(dev, block, PAGE_SIZE, 0));
	for (tries = 0; tries < 3 && !in_flight; tries++) {
		fisc_fill(page_of(map, 0), 9);
		fisc_fill(page_of(map, 1), 1);
		fisc_fill(page_of(map, 2), 1);
		wait_frames(_metadata, 2);
		/* Others have the same contents before the read is done. */
		pinned = fisc_share("pinned");
		ASSERT_EQ(1,
			  submit(ctx, dev, IOCB_CMD_PREAD, page_of(map, 0), 0));
		scan_passes(_metadata, 3);
		in_flight = completed(ctx, false) == -EAGAIN;
		if (!in_flight)
			continue;
		EXPECT_EQ(2, fisc_core("frames"));
		EXPECT_EQ(1, fisc_core("private"));
		EXPECT_LT(pinned, fisc_share("pinned"));
		EXPECT_EQ((long)PAGE_SIZE, completed(ctx, true));
	}
	EXPECT_TRUE(in_flight);
	EXPECT_EQ(-1, fisc_check(page_of(map, 0), 1));
	wait_frames(_metadata, 1);
	EXPECT_EQ(-1, fisc_check(page_of(map, 0), 1));
	close(dev);
	nullb_stop(SLOW);
}

TEST_F(fisc, page_with_a_device_write_in_flight_is_not_shared)
{
	char *block = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	int fd = fisc_create(ST "a", 2), dev = slow_device_start(), tries;
	char *map = fisc_map(fd, 2);
	aio_context_t ctx = 0;
	bool in_flight = false;

	ASSERT_NE(NULL, map);
	ASSERT_NE(NULL, block);
	if (dev < 0)
		SKIP(return, "no null_blk with memory");
	ASSERT_EQ(0, syscall(SYS_io_setup, 4, &ctx));
	for (tries = 0; tries < 3 && !in_flight; tries++) {
		fisc_fill(page_of(map, 0), 20 + tries);
		fisc_fill(page_of(map, 1), 20 + tries);
		ASSERT_EQ(1, submit(ctx, dev, IOCB_CMD_PWRITE, page_of(map, 0),
				    PAGE_SIZE));
		scan_passes(_metadata, 3);
		in_flight = completed(ctx, false) == -EAGAIN;
		if (!in_flight)
			continue;
		EXPECT_EQ(2, fisc_core("frames"));
		EXPECT_EQ((long)PAGE_SIZE, completed(ctx, true));
	}
	EXPECT_TRUE(in_flight);
	ASSERT_EQ((ssize_t)PAGE_SIZE, pread(dev, block, PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check(block, 20 + tries - 1));
	wait_frames(_metadata, 1);
	close(dev);
	nullb_stop(SLOW);
}

/*
 * The memory goes while a device is about to write to it: the device must not
 * write to what somebody else owns by then.
 */
TEST_F(fisc, freed_page_with_a_device_read_in_flight_is_not_reused)
{
	char *block = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	int fd = fisc_create(ST "a", 1), other = fisc_create(ST "b", 512), dev;
	int i;
	char *map = fisc_map(fd, 1), *m2 = fisc_map(other, 512);
	aio_context_t ctx = 0;

	ASSERT_NE(NULL, map);
	ASSERT_NE(NULL, m2);
	ASSERT_NE(NULL, block);
	dev = slow_device_start();
	if (dev < 0)
		SKIP(return, "no null_blk with memory");
	ASSERT_EQ(0, syscall(SYS_io_setup, 4, &ctx));
	fisc_fill(block, 1);
	ASSERT_EQ((ssize_t)PAGE_SIZE, pwrite(dev, block, PAGE_SIZE, 0));
	fisc_fill(map, 2);
	ASSERT_EQ(1, submit(ctx, dev, IOCB_CMD_PREAD, map, 0));
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(0, fisc_core("frames"));
	for (i = 0; i < 512; i++)
		fisc_fill(page_of(m2, i), 100 + i);
	EXPECT_EQ((long)PAGE_SIZE, completed(ctx, true));
	for (i = 0; i < 512; i++)
		EXPECT_EQ(-1, fisc_check(page_of(m2, i), 100 + i));
	close(dev);
	nullb_stop(SLOW);
}

/* Real I/O all the time, against the scanner */
#define BLOCKS		64
#define OWN_PAGES	16
#define READERS		3
#define RUN_MS		6000

struct reader {
	pthread_t thread;
	int dev;
	char *map;
	size_t first_block;
	__u64 rnd;
	unsigned long done;
	char error[120];
};

static bool stop_readers;

static void *direct_io(void *arg)
{
	struct reader *r = arg;
	__u64 seed[OWN_PAGES] = { 0 }, block_seed[BLOCKS / READERS] = { 0 };

	while (!READ_ONCE(stop_readers)) {
		__u64 x = fisc_rand(&r->rnd);
		size_t i = x % OWN_PAGES, j = (x >> 16) % (BLOCKS / READERS);
		off_t at = (r->first_block + j) * PAGE_SIZE;
		char *page = page_of(r->map, i);

		if (seed[i] && fisc_check(page, seed[i]) >= 0) {
			snprintf(r->error, sizeof(r->error), "page %zu changed",
				 i);
			return NULL;
		}
		switch ((x >> 32) % 3) {
		case 0:
			if (!block_seed[j])
				continue;
			if (pread(r->dev, page, PAGE_SIZE, at) !=
			    (ssize_t)PAGE_SIZE) {
				snprintf(r->error, sizeof(r->error),
					 "read: errno %d", errno);
				return NULL;
			}
			seed[i] = block_seed[j];
			if (fisc_check(page, seed[i]) >= 0) {
				snprintf(r->error, sizeof(r->error),
					 "read of block %zu is lost", j);
				return NULL;
			}
			break;
		case 1:
			/* Few patterns, so that what is read has equals. */
			seed[i] = 1 + (x >> 40) % 3;
			fisc_fill(page, seed[i]);
			break;
		default:
			if (!seed[i])
				continue;
			if (pwrite(r->dev, page, PAGE_SIZE, at) !=
			    (ssize_t)PAGE_SIZE) {
				snprintf(r->error, sizeof(r->error),
					 "write: errno %d", errno);
				return NULL;
			}
			block_seed[j] = seed[i];
		}
		r->done++;
		if (r->done % 64 == 0)
			fisc_sleep_ms(30);
	}
	return r;
}

static int loop_start(int *ctl, int *nr)
{
	char path[] = "/tmp/fisc-loop-XXXXXX", dev[32];
	int backing, fd;

	*ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (*ctl < 0)
		return -1;
	backing = mkstemp(path);
	if (backing < 0 || ftruncate(backing, BLOCKS * PAGE_SIZE))
		return -1;
	unlink(path);
	*nr = ioctl(*ctl, LOOP_CTL_GET_FREE);
	if (*nr < 0)
		return -1;
	snprintf(dev, sizeof(dev), "/dev/loop%d", *nr);
	fd = open(dev, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, LOOP_SET_FD, backing)) {
		close(fd);
		fd = -1;
	}
	close(backing);
	return fd;
}

TEST_F(fisc, no_block_read_or_written_is_lost_to_the_scanner)
{
	long merged = fisc_share("merged");
	struct reader r[READERS];
	int fd = fisc_create(ST "a", READERS * OWN_PAGES), ctl, nr, dev, i;
	char *map = fisc_map(fd, READERS * OWN_PAGES);
	void *ok;

	ASSERT_NE(NULL, map);
	dev = loop_start(&ctl, &nr);
	if (dev < 0)
		SKIP(return, "no loop device: errno %d", errno);
	memset(r, 0, sizeof(r));
	ASSERT_EQ(0, fisc_scan_on());
	for (i = 0; i < READERS; i++) {
		r[i].dev = dev;
		r[i].map = page_of(map, i * OWN_PAGES);
		r[i].first_block = i * (BLOCKS / READERS);
		r[i].rnd = i;
		ASSERT_EQ(0,
			  pthread_create(&r[i].thread, NULL, direct_io, &r[i]));
	}
	fisc_sleep_ms(RUN_MS);
	WRITE_ONCE(stop_readers, true);
	for (i = 0; i < READERS; i++) {
		pthread_join(r[i].thread, &ok);
		EXPECT_EQ(&r[i], ok)
			TH_LOG("reader %d: %s", i, r[i].error);
		EXPECT_LT(0, r[i].done);
	}
	EXPECT_LT(merged, fisc_share("merged"));
	ioctl(dev, LOOP_CLR_FD, 0);
	close(dev);
	ioctl(ctl, LOOP_CTL_REMOVE, nr);
	close(ctl);
}

TEST_HARNESS_MAIN
