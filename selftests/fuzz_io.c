// SPDX-License-Identifier: GPL-2.0
/* Operations that have the kernel hold or serve pages; see fuzz_arena.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz_arena.h"

#define IO_PAGES	8UL

/* Direct I/O */

static off_t disk_offset(const struct arena *a, unsigned int block)
{
	return ((off_t)a->id * DISK_BLOCKS + block) * PAGE_SIZE;
}

/* So many pages have been written to blocks of the disk, or read from there. */
static void transfer(struct arena *a, bool write, size_t first, size_t nr,
		     unsigned int block)
{
	__u64 *value = &a->value[first], *stored = &a->block[block];

	if (write)
		memcpy(stored, value, nr * sizeof(*value));
	else
		memcpy(value, stored, nr * sizeof(*value));
}

static bool use_disk(struct arena *a, bool write)
{
	enum prot use = write ? READ_ONLY : READ_WRITE;
	const char *name = write ? "disk write" : "disk read";
	size_t first, nr, len;
	unsigned int block;
	ssize_t done;

	if (a->disk < 0 ||
	    !arena_begin(a, name, use, IO_PAGES, &first, &nr))
		return false;
	block = arena_rnd(a, DISK_BLOCKS - nr + 1);
	len = nr * PAGE_SIZE;
	if (write)
		done = pwrite(a->disk, arena_page(a, first), len,
			      disk_offset(a, block));
	else
		done = pread(a->disk, arena_page(a, first), len,
			     disk_offset(a, block));
	if (done != (ssize_t)len)
		arena_fail(a, "%s: %s", name, strerror(errno));
	transfer(a, write, first, nr, block);
	return true;
}

static bool do_disk_write(struct arena *a)
{
	return use_disk(a, true);
}

static bool do_disk_read(struct arena *a)
{
	return use_disk(a, false);
}

/* Holding pages */

static bool hold(struct arena *a, enum prot use, enum holder holder)
{
	size_t first, nr;

	if (a->holder != NOBODY || !arena_pick(a, use, IO_PAGES, &first, &nr))
		return false;
	a->holder = holder;
	a->held_first = first;
	a->held_last = first + nr - 1;
	return true;
}

static size_t held(const struct arena *a)
{
	return a->held_last - a->held_first + 1;
}

static bool do_splice(struct arena *a)
{
	struct iovec iov;

	if (!hold(a, READ_ONLY, PIPE))
		return false;
	arena_log(a, "splice", a->held_first, held(a), a->held_first);
	iov.iov_base = arena_page(a, a->held_first);
	iov.iov_len = held(a) * PAGE_SIZE;
	if (vmsplice(a->pipe[1], &iov, 1, SPLICE_F_NONBLOCK) !=
	    (ssize_t)iov.iov_len)
		arena_fail(a, "vmsplice: %s", strerror(errno));
	return true;
}

static void drain(struct arena *a)
{
	__u64 page[PAGE_SIZE / 8];
	size_t i;

	for (i = a->held_first; i <= a->held_last; i++) {
		if (read(a->pipe[0], page, PAGE_SIZE) != (ssize_t)PAGE_SIZE)
			arena_fail(a, "pipe: %s", strerror(errno));
		if (fisc_check_or_zero(page, a->value[i]) >= 0)
			arena_fail_page(a, i, "the pipe has not %llu",
					a->value[i]);
	}
	a->holder = NOBODY;
}

static bool do_drain(struct arena *a)
{
	if (a->holder != PIPE)
		return false;
	arena_log(a, "drain", 0, 0, 0);
	drain(a);
	return true;
}

/* io_uring with one fixed buffer, and one request at a time */

struct uring {
	int fd;
	struct io_uring_sqe *sqes;
	unsigned int *sq_tail;
	unsigned int *sq_mask;
	unsigned int *sq_array;
	unsigned int *cq_head;
	unsigned int *cq_tail;
	unsigned int *cq_mask;
	struct io_uring_cqe *cqes;
};

static void *map_ring(int fd, size_t size, off_t offset)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, fd, offset);

	return at == MAP_FAILED ? NULL : at;
}

static struct uring *open_uring(void)
{
	struct io_uring_params p = {};
	struct uring *u = calloc(1, sizeof(*u));
	char *sq, *cq;

	u->fd = syscall(__NR_io_uring_setup, 4, &p);
	if (u->fd < 0) {
		free(u);
		return NULL;
	}
	sq = map_ring(u->fd, p.sq_off.array + p.sq_entries * sizeof(unsigned int),
		      IORING_OFF_SQ_RING);
	cq = map_ring(u->fd, p.cq_off.cqes + p.cq_entries * sizeof(*u->cqes),
		      IORING_OFF_CQ_RING);
	u->sqes = map_ring(u->fd, p.sq_entries * sizeof(*u->sqes),
			   IORING_OFF_SQES);
	if (!sq || !cq || !u->sqes)
		return NULL;
	u->sq_tail = (void *)(sq + p.sq_off.tail);
	u->sq_mask = (void *)(sq + p.sq_off.ring_mask);
	u->sq_array = (void *)(sq + p.sq_off.array);
	u->cq_head = (void *)(cq + p.cq_off.head);
	u->cq_tail = (void *)(cq + p.cq_off.tail);
	u->cq_mask = (void *)(cq + p.cq_off.ring_mask);
	u->cqes = (void *)(cq + p.cq_off.cqes);
	return u;
}

/* Submit a request and wait for it: its result, or -errno. */
static int submit(struct uring *u, const struct io_uring_sqe *sqe)
{
	unsigned int tail = *u->sq_tail, i = tail & *u->sq_mask, head;
	int ret;

	u->sqes[i] = *sqe;
	u->sq_array[i] = i;
	__atomic_store_n(u->sq_tail, tail + 1, __ATOMIC_RELEASE);
	do
		ret = syscall(__NR_io_uring_enter, u->fd, 1, 1,
			      IORING_ENTER_GETEVENTS, NULL, 0);
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	head = *u->cq_head;
	if (head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE))
		return -EAGAIN;
	ret = u->cqes[head & *u->cq_mask].res;
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	return ret;
}

static bool do_fix(struct arena *a)
{
	struct iovec iov;

	if (!a->uring || !hold(a, READ_WRITE, URING))
		return false;
	arena_log(a, "fix", a->held_first, held(a), a->held_first);
	iov.iov_base = arena_page(a, a->held_first);
	iov.iov_len = held(a) * PAGE_SIZE;
	/* Long-term pins are refused for the memory of files. */
	if (!syscall(__NR_io_uring_register, a->uring->fd,
		     IORING_REGISTER_BUFFERS, &iov, 1))
		return true;
	a->holder = NOBODY;
	return false;
}

static bool do_fixed_io(struct arena *a)
{
	struct io_uring_sqe sqe = {};
	bool write = arena_one_in(a, 2);
	unsigned int block;
	size_t first, nr;
	int ret;

	if (a->holder != URING || a->disk < 0)
		return false;
	nr = 1 + arena_rnd(a, held(a));
	first = a->held_first + arena_rnd(a, held(a) - nr + 1);
	block = arena_rnd(a, DISK_BLOCKS - nr + 1);
	arena_log(a, write ? "fixed write" : "fixed read", first, nr, first);
	sqe.opcode = write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
	sqe.fd = a->disk;
	sqe.off = disk_offset(a, block);
	sqe.addr = (unsigned long)arena_page(a, first);
	sqe.len = nr * PAGE_SIZE;
	ret = submit(a->uring, &sqe);
	if (ret != (int)sqe.len)
		arena_fail(a, "io_uring: %d", ret);
	transfer(a, write, first, nr, block);
	return true;
}

static void unfix(struct arena *a)
{
	if (syscall(__NR_io_uring_register, a->uring->fd,
		    IORING_UNREGISTER_BUFFERS, NULL, 0))
		arena_fail(a, "buffers are not unregistered: %s",
			   strerror(errno));
	a->holder = NOBODY;
}

static bool do_unfix(struct arena *a)
{
	if (a->holder != URING)
		return false;
	arena_log(a, "unfix", 0, 0, 0);
	unfix(a);
	return true;
}

/* userfaultfd */

static bool serve(struct arena *a, int fd, size_t first, size_t nr)
{
	static __u64 pages[64][PAGE_SIZE / 8];
	__u64 *page = pages[a->id];
	size_t i;

	for (i = first; i < first + nr; i++) {
		__u64 value = ++a->last_value;
		struct uffdio_copy copy = {
			.dst = (unsigned long)arena_page(a, i),
			.src = (unsigned long)page,
			.len = PAGE_SIZE,
		};

		fisc_fill(page, value);
		if (ioctl(fd, UFFDIO_COPY, &copy))
			arena_fail(a, "UFFDIO_COPY: %s", strerror(errno));
		a->value[i] = value;
	}
	return true;
}

/* Have pages of memory that was discarded served, if it can be watched. */
static bool do_watch(struct arena *a)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	size_t first, nr;
	bool ok = false;
	int fd;

	if (!arena_begin(a, "watch", READ_WRITE, IO_PAGES, &first, &nr))
		return false;
	fd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (fd < 0)
		return false;
	range.range.start = (unsigned long)arena_page(a, first);
	range.range.len = nr * PAGE_SIZE;
	if (ioctl(fd, UFFDIO_API, &api))
		arena_fail(a, "UFFDIO_API: %s", strerror(errno));
	if (!ioctl(fd, UFFDIO_REGISTER, &range)) {
		if (!madvise(arena_page(a, first), nr * PAGE_SIZE,
			     MADV_DONTNEED))
			ok = serve(a, fd, first, nr);
		if (ioctl(fd, UFFDIO_UNREGISTER, &range.range))
			arena_fail(a, "UFFDIO_UNREGISTER: %s", strerror(errno));
	}
	close(fd);
	arena_settle(a, first, nr);
	return ok;
}

/* Preparation */

void arena_open_io(struct arena *a, const char *disk)
{
	unsigned int i;

	a->disk = open(disk, O_RDWR | O_DIRECT | O_CLOEXEC);
	a->uring = open_uring();
	if (pipe2(a->pipe, O_CLOEXEC))
		arena_fail(a, "pipe2: %s", strerror(errno));
	if (a->disk < 0)
		return;
	arena_fill(a, 0, 1);
	for (i = 0; i < DISK_BLOCKS; i++) {
		a->block[i] = a->value[0];
		if (pwrite(a->disk, arena_page(a, 0), PAGE_SIZE,
			   disk_offset(a, i)) != (ssize_t)PAGE_SIZE)
			arena_fail(a, "%s: %s", disk, strerror(errno));
	}
}

void arena_finish_io(struct arena *a)
{
	if (a->holder == PIPE)
		drain(a);
	else if (a->holder == URING)
		unfix(a);
}

struct operation io_operations[] = {
	OPERATION("disk write", 100, do_disk_write),
	OPERATION("disk read", 100, do_disk_read),
	OPERATION("splice", 50, do_splice),
	OPERATION("drain", 200, do_drain),
	OPERATION("fix", 50, do_fix),
	OPERATION("fixed I/O", 200, do_fixed_io),
	OPERATION("unfix", 100, do_unfix),
	OPERATION("watch", 50, do_watch),
};

const size_t io_nr_operations = sizeof(io_operations) / sizeof(*io_operations);
