// SPDX-License-Identifier: GPL-2.0
/*
 * Host paging: pages leave memory and come back, whatever accesses them; and
 * what happens when they cannot.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SWAP_DISK
#include "swap.h"

/* Bring a process's own memory back that squeeze() sent to swap as well. */
static void read_process(const char *pid)
{
	unsigned long start, end;
	char path[300], line[256];
	FILE *maps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	while (maps && mem >= 0 && fgets(line, sizeof(line), maps)) {
		/* Guest memory is what the test is about. */
		if (sscanf(line, "%lx-%lx", &start, &end) != 2 ||
		    strstr(line, FISC_MNT))
			continue;
		for (; start < end; start += PAGE_SIZE)
			if (pread(mem, path, 1, start) < 0)
				break;
	}
	if (maps)
		fclose(maps);
	close(mem);
}

static void read_processes(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc)))
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			read_process(entry->d_name);
	if (proc)
		closedir(proc);
}

/* Wait for @room pages of free swap, but for what the caches keep. */
static bool wait_room(long room)
{
	double end = fisc_now() + WAIT_S;

	room -= SLOT_CACHE;
	while (fisc_reclaim("swap_room") < room && fisc_now() < end)
		fisc_sleep_ms(20);
	return fisc_reclaim("swap_room") >= room;
}

TEST_F(swap, pages_go_out_and_come_back)
{
	long room = fisc_reclaim("swap_room");
	long out = fisc_reclaim("swap_out"), in = fisc_reclaim("swap_in");
	int round;

	ASSERT_EQ(0, fisc_short_of_memory(true));
	for (round = 0; round < 2; round++) {
		fisc_fill_pages(self->map, PAGES, 1);
		EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	}
	EXPECT_LT(OUT_PAGES, fisc_reclaim("swap_out") - out);
	EXPECT_LT(OUT_PAGES, fisc_reclaim("swap_in") - in);
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", OUT_PAGES));
	EXPECT_GT(POOL_PAGES, fisc_core("frames"));
	EXPECT_GT(room, fisc_reclaim("swap_room"));
	/* All are back once there is memory again. */
	ASSERT_EQ(0, fisc_short_of_memory(false));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	EXPECT_EQ(0, fisc_reclaim("swapped"));
	EXPECT_TRUE(wait_room(room))
		TH_LOG("%ld of %ld pages are free in swap",
		       fisc_reclaim("swap_room"),
		       room);
}

TEST_F(swap, file_that_goes_gives_swap_back)
{
	long room = fisc_reclaim("swap_room");

	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	EXPECT_GT(room, fisc_reclaim("swap_room"));
	munmap(self->map, PAGES * PAGE_SIZE);
	close(self->fd);
	EXPECT_EQ(0, unlink(ST "a"));
	EXPECT_TRUE(fisc_wait("core", "swapped", 0));
	EXPECT_TRUE(wait_room(room))
		TH_LOG("%ld of %ld pages are free in swap",
		       fisc_reclaim("swap_room"),
		       room);
}

TEST_F(swap, file_shows_its_swapped_pages)
{
	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	EXPECT_EQ(PAGES * BLOCKS_PER_PAGE, fisc_blocks(self->fd));
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_DATA));
	EXPECT_EQ((off_t)(PAGES * PAGE_SIZE), lseek(self->fd, 0, SEEK_HOLE));
	EXPECT_LT(OUT_PAGES * (long)PAGE_SIZE,
		  fisc_vm("st-a", "swapped"));
}

TEST_F(swap, read_and_write_get_them_back)
{
	char page[PAGE_SIZE];
	size_t i;

	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	for (i = 0; i < PAGES; i++) {
		ASSERT_EQ((ssize_t)PAGE_SIZE,
			  pread(self->fd, page, PAGE_SIZE, i * PAGE_SIZE));
		ASSERT_EQ(-1, fisc_check(page, i + 1));
	}
	/* Part of a page is written; the rest stays. */
	for (i = 0; i < PAGES; i++) {
		ASSERT_EQ(8, pwrite(self->fd, page, 8, i * PAGE_SIZE));
		ASSERT_EQ(8, pread(self->fd, page, 8, i * PAGE_SIZE + 8));
	}
	for (i = 0; i < PAGES; i++) {
		fisc_fill(page, i + 1);
		ASSERT_EQ(8, pwrite(self->fd, page, 8, i * PAGE_SIZE));
	}
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

TEST_F(swap, holes_and_ends_drop_them)
{
	long room = fisc_reclaim("swap_room");

	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	ASSERT_EQ(0, fallocate(self->fd, PUNCH, 0, PAGES / 2 * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(self->map, PAGES / 2 * PAGE_SIZE));
	ASSERT_EQ(0, ftruncate(self->fd, PAGES / 2 * PAGE_SIZE));
	ASSERT_EQ(0, ftruncate(self->fd, PAGES * PAGE_SIZE));
	EXPECT_EQ(-1, fisc_check_zero(self->map, PAGES * PAGE_SIZE));
	EXPECT_EQ(0, fisc_reclaim("swapped"));
	EXPECT_TRUE(wait_room(room))
		TH_LOG("%ld of %ld pages are free in swap",
		       fisc_reclaim("swap_room"),
		       room);
	/* The middle of a page. */
	ASSERT_EQ(0, fisc_short_of_memory(false));
	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	ASSERT_EQ(0, fallocate(self->fd, PUNCH, 100, 200));
	EXPECT_EQ(-1, fisc_check_zero(self->map + 100, 200));
	fisc_fill(self->map, 1);
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

TEST_F(swap, balloon_may_take_them)
{
	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	ASSERT_EQ(0, madvise(self->map, PAGES * PAGE_SIZE, MADV_REMOVE));
	EXPECT_EQ(0, fisc_reclaim("swapped"));
	EXPECT_EQ(0, fisc_core("frames"));
}

TEST_F(swap, zeroes_need_no_swap)
{
	long out = fisc_reclaim("swap_out");
	size_t i;

	for (i = 0; i < PAGES; i++)
		WRITE_ONCE(*page_of(self->map, i), 1);
	for (i = 0; i < PAGES; i++)
		WRITE_ONCE(*page_of(self->map, i), 0);
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(fisc_wait_above("core", "zero", OUT_PAGES));
	EXPECT_EQ(out, fisc_reclaim("swap_out"));
	EXPECT_EQ(-1, fisc_check_zero(self->map, PAGES * PAGE_SIZE));
}

TEST_F(swap, equal_pages_are_shared_instead)
{
	long out = fisc_reclaim("swap_out");
	size_t i;

	for (i = 0; i < PAGES; i++)
		fisc_fill(page_of(self->map, i), i % 7);
	/* The scan is slower than paging, but sharing is tried first. */
	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, "1"));
	ASSERT_EQ(0, fisc_write_str(SHARE_RUN, "1"));
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(fisc_wait_above("core", "sharing", OUT_PAGES));
	/* The first page of a kind may have no equal to share with. */
	EXPECT_GE(7 * 2, fisc_reclaim("swap_out") - out);
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(-1, fisc_check(page_of(self->map, i), i % 7));
	ASSERT_EQ(0, fisc_scan_off());
}

TEST_F(swap, pages_in_use_stay)
{
	int fds[2];
	struct iovec iov = { self->map, PAGE_SIZE };

	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ((ssize_t)PAGE_SIZE, vmsplice(fds[1], &iov, 1, 0));
	ASSERT_TRUE(squeeze());
	fisc_fill(self->map, 77);
	{
		char page[PAGE_SIZE];

		ASSERT_EQ((ssize_t)PAGE_SIZE, read(fds[0], page, PAGE_SIZE));
		EXPECT_EQ(-1, fisc_check(page, 77));
	}
	fisc_fill(self->map, 1);
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

TEST_F(swap, nothing_goes_out_if_paging_is_off)
{
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	ASSERT_EQ(0, fisc_short_of_memory(true));
	fisc_fill_pages(self->map, PAGES, 1);
	fisc_sleep_ms(500);
	EXPECT_EQ(0, fisc_reclaim("swapped"));
	EXPECT_EQ(PAGES, fisc_core("frames"));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

TEST_F(swap, nobody_waits_if_there_is_no_swap)
{
	swap_stop();
	ASSERT_EQ(0, fisc_short_of_memory(true));
	fisc_fill_pages(self->map, PAGES, 1);
	EXPECT_EQ(0, fisc_reclaim("swapped"));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	ASSERT_EQ(0, swap_start());
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", OUT_PAGES));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

/* A pool of 8 MiB, a device of 128, and a little for their metadata. */
TEST_F(swap, room_in_swap_can_be_promised)
{
	ASSERT_EQ(0, fisc_write_str(TAX_OVERCOMMIT, "0"));
	EXPECT_EQ(0, ftruncate(self->fd, 100 * MIB));
	EXPECT_EQ(-1, ftruncate(self->fd, 140 * MIB));
	EXPECT_EQ(ENOSPC, errno);
	/* What is in swap already keeps its place there. */
	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	EXPECT_EQ(0, ftruncate(self->fd, 130 * MIB));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));

	ASSERT_EQ(0, fisc_short_of_memory(false));
	swap_stop();
	EXPECT_EQ(-1, ftruncate(self->fd, 131 * MIB));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, ftruncate(self->fd, 64 * MIB));
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
}

/* Pages of a chunk go out in order, so they are neighbours in swap. */
TEST_F(swap, neighbours_are_read_ahead)
{
	long reads, in = fisc_reclaim("swap_in");

	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	/* While memory is low, fisc reads nothing ahead. */
	ASSERT_EQ(0, fisc_short_of_memory(false));
	reads = nullb_reads(DEVICE);
	ASSERT_LE(0, reads);
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	reads = nullb_reads(DEVICE) - reads;
	in = fisc_reclaim("swap_in") - in;
	TH_LOG("%ld pages, %ld requests", in, reads);
	EXPECT_LT(OUT_PAGES, in);
	EXPECT_LT(0, reads);
	EXPECT_GT(in / 3, reads);
}

/* Read the line of a VM in the table of all, by the name shown there. */
static bool table_line(const char *name, long *size, long *private,
		       long *swapped, long *out_rate, char *reason)
{
	char line[512], *end;
	bool found = false;
	FILE *f = fopen(FISC_DEBUGFS "/vms", "re");

	while (f && !found && fgets(line, sizeof(line), f)) {
		end = strrchr(line, ' ');
		found = end && !strncmp(end + 1, name, strlen(name)) &&
			end[1 + strlen(name)] == '\n' &&
			sscanf(line,
			       "%ld %ld %*d %*d %*d %ld %*d %ld %*d %*d %*d %*d %15s",
			       size, private, swapped, out_rate, reason) == 5;
	}
	if (f)
		fclose(f);
	return found;
}

TEST_F(swap, table_tells_of_all_vms)
{
	long size, private, swapped, rate;
	char reason[16];
	double end;

	ASSERT_LE(0, fisc_create(ST "x\ny", 16));
	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_EQ(0, fisc_short_of_memory(true));
	end = fisc_now() + WAIT_S;
	do {
		ASSERT_TRUE(table_line("st-a", &size, &private, &swapped, &rate,
				       reason));
	} while (!rate && fisc_now() < end);
	EXPECT_LT(0, rate);
	EXPECT_TRUE(fisc_wait_above("reclaim", "swapped", OUT_PAGES));
	ASSERT_EQ(0, fisc_short_of_memory(false));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	end = fisc_now() + WAIT_S;
	do {
		ASSERT_TRUE(table_line("st-a", &size, &private, &swapped, &rate,
				       reason));
	} while (rate && fisc_now() < end);
	EXPECT_EQ(0, rate);
	EXPECT_EQ(0, fisc_vm("st-a", "swap_out_rate"));
	EXPECT_EQ((long)PAGES, size);
	EXPECT_EQ((long)PAGES, private + swapped);
	EXPECT_EQ(fisc_vm("st-a", "private_pages"), private);
	EXPECT_EQ(fisc_vm("st-a", "swapped"), swapped * (long)PAGE_SIZE);
	EXPECT_STREQ("none", reason);

	ASSERT_TRUE(table_line("st-x\\x0ay", &size, &private, &swapped, &rate,
			       reason));
	EXPECT_EQ(16, size);
	EXPECT_EQ(0, private + swapped + rate);
}

TEST_F(swap, swapoff_brings_them_back)
{
	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	if (swap_disk) {
		ASSERT_EQ(0, fisc_write_str(RECLAIM_DEVICE, "none"));
		EXPECT_EQ(0, fisc_reclaim("swapped"));
	} else {
		ASSERT_EQ(0, swapoff("/dev/" DEVICE));
		EXPECT_LT(0, fisc_reclaim("swapped"));
	}
	EXPECT_EQ(-1, fisc_check_pages(self->map, PAGES, 1));
	EXPECT_EQ(0, fisc_reclaim("swapped"));
	ASSERT_EQ(0, swap_use());
}

/* A page whose sectors are bad is lost; others are not affected. */
TEST_F(swap, unreadable_pages_raise_sigbus)
{
	char page[PAGE_SIZE], bad[64];
	long lost = fisc_reclaim("swap_lost"), good = 0, failed = 0;
	size_t i;

	fisc_fill_pages(self->map, PAGES, 1);
	ASSERT_TRUE(squeeze());
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	read_processes();
	snprintf(bad, sizeof(bad), "+8-%u", DEVICE_MIB * 2048 - 1);
	ASSERT_EQ(0, nullb_set(DEVICE, "badblocks", bad));
	for (i = 0; i < PAGES; i++) {
		unsigned char value;
		int sig = fisc_try_read(page_of(self->map, i), &value);

		if (!sig) {
			ASSERT_EQ(-1, fisc_check(page_of(self->map, i), i + 1));
			good++;
			continue;
		}
		ASSERT_EQ(SIGBUS, sig);
		ASSERT_EQ(-1, pread(self->fd, page, PAGE_SIZE, i * PAGE_SIZE));
		ASSERT_EQ(EIO, errno);
		failed++;
	}
	EXPECT_LT(0, good);
	EXPECT_LT(0, failed);
	EXPECT_LE(failed, fisc_reclaim("swap_lost") - lost);
	snprintf(bad, sizeof(bad), "-8-%u", DEVICE_MIB * 2048 - 1);
	ASSERT_EQ(0, nullb_set(DEVICE, "badblocks", bad));
}

/* A process that waits for memory can be killed, and lets others go on. */
TEST_F(swap, waiting_processes_can_be_killed)
{
	pid_t pid;

	/* There is room, but the device takes two seconds for a page. */
	swap_stop();
	ASSERT_EQ(0, swap_start_slow(2000000));
	ASSERT_EQ(0, fisc_short_of_memory(true));
	pid = fork();
	if (!pid) {
		for (;;)
			fisc_fill_pages(self->map, PAGES, 1);
	}
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "blocked_ms", 1, 1000000));
	EXPECT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	ASSERT_EQ(0, fisc_short_of_memory(false));
}

TEST_F(swap, state_can_be_waited_for)
{
	struct pollfd poll_fd = { .fd = open(RECLAIM_STATE, O_RDONLY),
				  .events = POLLPRI };
	char state[32] = "";

	ASSERT_LE(0, poll_fd.fd);
	ASSERT_LT(0, read(poll_fd.fd, state, sizeof(state)));
	EXPECT_STREQ("high\n", state);
	fisc_fill_pages(self->map, POOL_PAGES * 97 / 100, 1);
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_EQ(1, poll(&poll_fd, 1, WAIT_S * 1000));
	EXPECT_TRUE(poll_fd.revents & POLLPRI);
	EXPECT_LT(0, fisc_reclaim("changes"));
}

/* Everything at once */

TEST_F(swap, percents_are_in_order)
{
	ASSERT_EQ(0, fisc_short_of_memory(true));
	fisc_refuse(_metadata, RECLAIM_SOFT, "7", -EINVAL);
	fisc_refuse(_metadata, RECLAIM_SOFT, "1", -EINVAL);
	fisc_refuse(_metadata, RECLAIM_HIGH, "51", -EINVAL);
	fisc_refuse(_metadata, RECLAIM_HIGH, "3", -EINVAL);
	fisc_refuse(_metadata, RECLAIM_LOW, "3", -EINVAL);
	fisc_refuse(_metadata, RECLAIM_LOW, "-1", -EINVAL);
	fisc_refuse(_metadata, RECLAIM_HARD, "x", -EINVAL);
	fisc_take(_metadata, RECLAIM_HIGH, "50", "50");
	fisc_take(_metadata, RECLAIM_SOFT, "50", "50");
	fisc_take(_metadata, RECLAIM_SOFT, "2", "2");
	fisc_take(_metadata, RECLAIM_HIGH, "2", "2");
}

TEST_HARNESS_MAIN
