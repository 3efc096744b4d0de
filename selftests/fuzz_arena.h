/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory of a VMM for adopt_fuzz, a model of it that says what each page holds,
 * and the things that a VMM does to it. An arena belongs to one thread.
 */
#ifndef FISC_SELFTESTS_FUZZ_ARENA_H
#define FISC_SELFTESTS_FUZZ_ARENA_H

#include <sys/uio.h>

#include "fisc.h"

#define ARENA_PAGES	2048UL
#define ARENA_BYTES	(ARENA_PAGES * PAGE_SIZE)

/* Blocks of the disk that belong to an arena. */
#define DISK_BLOCKS	64U

/**
 * enum prot - what a page of an arena can be used for
 * @UNMAPPED: nothing is mapped there
 * @NO_ACCESS: PROT_NONE
 * @READ_ONLY: PROT_READ
 * @READ_WRITE: PROT_READ and PROT_WRITE
 */
enum prot {
	UNMAPPED,
	NO_ACCESS,
	READ_ONLY,
	READ_WRITE,
};

/**
 * enum holder - what uses pages of an arena at the moment
 * @NOBODY: nothing
 * @PIPE: they are in a pipe (vmsplice())
 * @URING: they are fixed buffers of an io_uring
 */
enum holder {
	NOBODY,
	PIPE,
	URING,
};

struct uring;

/**
 * struct record - an operation that was done
 * @name: what it is called
 * @first: its first page
 * @nr: number of pages; 0 if it is about none
 * @to: another page or number
 */
struct record {
	const char *name;
	size_t first;
	size_t nr;
	size_t to;
};

#define RECORDS		8192

/**
 * struct arena - memory of one thread
 * @id: its number
 * @base: its first page
 * @rnd: random numbers
 * @last_value: what was last written
 * @value: what each page holds: seed of fisc_fill(), or 0 for zeroes
 * @use: how each page is mapped
 * @holder: what uses pages from @held_first to @held_last, which nothing else
 *	is done to meanwhile
 * @held_first: see @holder
 * @held_last: see @holder
 * @disk: descriptor of a disk, for direct I/O; -1 if there is none
 * @block: what each block of the disk holds, as @value
 * @pipe: a pipe
 * @uring: an io_uring; NULL if there is none
 * @done: operations so far
 * @log: the last operations
 */
struct arena {
	unsigned int id;
	char *base;
	__u64 rnd;
	__u64 last_value;
	__u64 value[ARENA_PAGES];
	unsigned char use[ARENA_PAGES];
	enum holder holder;
	size_t held_first;
	size_t held_last;
	int disk;
	__u64 block[DISK_BLOCKS];
	int pipe[2];
	struct uring *uring;
	unsigned long done;
	struct record log[RECORDS];
};

/**
 * struct operation - something that a VMM does
 * @name: what it is called
 * @weight: how often it is done, in comparison with others
 * @run: does it; false if it could not be done now
 * @tried: how often it was tried
 * @done: how often it was done
 */
struct operation {
	const char *name;
	unsigned int weight;
	bool (*run)(struct arena *a);
	unsigned long tried;
	unsigned long done;
};

#define OPERATION(name, weight, run)	{ name, weight, run, 0, 0 }

extern struct operation arena_operations[];
extern const size_t arena_nr_operations;
extern struct operation io_operations[];
extern const size_t io_nr_operations;

static inline __u64 arena_rnd(struct arena *a, __u64 below)
{
	return fisc_rand(&a->rnd) % below;
}

static inline bool arena_one_in(struct arena *a, unsigned int n)
{
	return !arena_rnd(a, n);
}

static inline char *arena_page(const struct arena *a, size_t i)
{
	return a->base + i * PAGE_SIZE;
}

/* Record an operation that begins, for a report. */
void arena_log(struct arena *a, const char *name, size_t first, size_t nr,
	       size_t to);

/* Return the last one that was recorded. */
const struct record *arena_last(const struct arena *a);

/*
 * Report what is wrong with an arena, or with a page of it and what was done to
 * that, and end the program.
 */
void arena_fail(const struct arena *a, const char *format, ...);
void arena_fail_page(const struct arena *a, size_t i, const char *format, ...);

/* Map all of an arena, with zeroes. */
void arena_open(struct arena *a, unsigned int id, __u64 seed);

/*
 * Choose up to @most pages that can be used for at least @use, and which
 * nothing else uses: false if there are none where it looked.
 */
bool arena_pick(struct arena *a, enum prot use, size_t most, size_t *first,
		size_t *nr);

/* The same, for an operation of that name, which is recorded. */
bool arena_begin(struct arena *a, const char *name, enum prot use, size_t most,
		 size_t *first, size_t *nr);

/* Write pages; check one page, or all of them. */
void arena_fill(struct arena *a, size_t first, size_t nr);
void arena_check(const struct arena *a, size_t i);
void arena_check_all(const struct arena *a);

/* Pages may have become zero, or not: find out, and map those anew that cannot
 * be read.
 */
void arena_settle(struct arena *a, size_t first, size_t nr);

/* Prepare I/O, and end it. */
void arena_open_io(struct arena *a, const char *disk);
void arena_finish_io(struct arena *a);

#endif /* FISC_SELFTESTS_FUZZ_ARENA_H */
