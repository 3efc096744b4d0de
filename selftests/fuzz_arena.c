// SPDX-License-Identifier: GPL-2.0
/* Operations on memory; see fuzz_arena.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz_arena.h"

/* Far from where the kernel maps what has no address. */
#define ARENA_ADDRESS	0x100000000000UL
#define ARENA_DISTANCE	0x40000000UL

void arena_log(struct arena *a, const char *name, size_t first, size_t nr,
	       size_t to)
{
	a->log[a->done % RECORDS] = (struct record){ name, first, nr, to };
	WRITE_ONCE(a->done, a->done + 1);
}

const struct record *arena_last(const struct arena *a)
{
	return &a->log[(READ_ONCE(a->done) + RECORDS - 1) % RECORDS];
}

/* Is a page among those of an operation? Any is, if it is none. */
static bool is_about(const struct record *r, size_t i)
{
	return i >= ARENA_PAGES || i - r->first < r->nr || i - r->to < r->nr;
}

#define SHOWN	12

/* Print the last operations on a page. */
static void show_log(const struct arena *a, size_t i)
{
	unsigned long n, from = a->done > RECORDS ? a->done - RECORDS : 0;
	const struct record *shown[SHOWN];
	unsigned int nr = 0;

	for (n = a->done; n > from && nr < SHOWN; n--) {
		const struct record *r = &a->log[(n - 1) % RECORDS];

		if (is_about(r, i))
			shown[nr++] = r;
	}
	while (nr--)
		fprintf(stderr, "#   %s %zu+%zu, %zu\n", shown[nr]->name,
			shown[nr]->first, shown[nr]->nr, shown[nr]->to);
}

static void show_failure(const struct arena *a, const char *format,
			 va_list args)
{
	fprintf(stderr, "# arena %u at %p, operation %lu: ", a->id, a->base,
		a->done);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void arena_fail(const struct arena *a, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	show_failure(a, format, args);
	va_end(args);
	show_log(a, ARENA_PAGES);
	_exit(1);
}

void arena_fail_page(const struct arena *a, size_t i, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	show_failure(a, format, args);
	va_end(args);
	fprintf(stderr, "# page %zu:\n", i);
	show_log(a, i);
	_exit(1);
}

static void set_access(struct arena *a, size_t first, size_t nr,
		       enum prot use)
{
	memset(a->use + first, use, nr);
}

static void set_value(struct arena *a, size_t first, size_t nr, __u64 value)
{
	size_t i;

	for (i = first; i < first + nr; i++)
		a->value[i] = value;
}

static void map_new(struct arena *a, size_t first, size_t nr)
{
	char *at = arena_page(a, first);

	if (mmap(at, nr * PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) != at)
		arena_fail(a, "mmap: %s", strerror(errno));
	set_value(a, first, nr, 0);
	set_access(a, first, nr, READ_WRITE);
}

void arena_open(struct arena *a, unsigned int id, __u64 seed)
{
	memset(a, 0, sizeof(*a));
	a->id = id;
	a->rnd = fisc_mix(seed + id);
	a->base = (char *)ARENA_ADDRESS + id * ARENA_DISTANCE;
	a->last_value = (__u64)id << 48;
	a->disk = -1;
	a->held_first = 1;
	map_new(a, 0, ARENA_PAGES);
}

/* Mostly a few pages, sometimes many. */
static size_t choose_nr(struct arena *a, size_t most)
{
	static const size_t limits[] = { 1, 1, 2, 4, 8, 8, 32, ARENA_PAGES };
	size_t limit = limits[arena_rnd(a, 8)];

	if (limit > 32 && !arena_one_in(a, 8))
		limit = 16;
	else if (limit > 32 && !arena_one_in(a, 8))
		limit = 600;
	return 1 + arena_rnd(a, limit < most ? limit : most);
}

static bool is_held(const struct arena *a, size_t i)
{
	return a->holder != NOBODY && i >= a->held_first && i <= a->held_last;
}

bool arena_pick(struct arena *a, enum prot use, size_t most, size_t *first,
		size_t *nr)
{
	size_t want = choose_nr(a, most);

	*first = arena_rnd(a, ARENA_PAGES);
	for (*nr = 0; *nr < want && *first + *nr < ARENA_PAGES; ++*nr)
		if (a->use[*first + *nr] < use ||
		    is_held(a, *first + *nr))
			break;
	return *nr;
}

bool arena_begin(struct arena *a, const char *name, enum prot use, size_t most,
		 size_t *first, size_t *nr)
{
	if (!arena_pick(a, use, most, first, nr))
		return false;
	arena_log(a, name, *first, *nr, *first);
	return true;
}

void arena_fill(struct arena *a, size_t first, size_t nr)
{
	size_t i;
	int sig;

	for (i = first; i < first + nr; i++) {
		sig = fisc_try_write(arena_page(a, i), 1);
		if (sig)
			arena_fail_page(a, i, "signal %d at a write", sig);
		a->value[i] = ++a->last_value;
		fisc_fill(arena_page(a, i), a->value[i]);
	}
}

/* Return what was written to the arena and is in a page now, or 0. */
static __u64 find_value(const struct arena *a, const void *page)
{
	__u64 value;

	for (value = a->last_value; value > (__u64)a->id << 48; value--)
		if (fisc_check(page, value) < 0)
			return value;
	return 0;
}

void arena_check(const struct arena *a, size_t i)
{
	const __u64 *words = (const void *)arena_page(a, i);
	int sig = fisc_try_read(words, NULL);
	long at;

	if (sig)
		arena_fail_page(a, i, "signal %d at a read", sig);
	at = fisc_check_or_zero(words, a->value[i]);
	if (at >= 0)
		arena_fail_page(a, i,
				"not seed %llu; byte %ld is in %#llx, seed %llu of %llu",
				a->value[i], at, words[at / 8],
				find_value(a, words), a->last_value);
}

void arena_check_all(const struct arena *a)
{
	size_t i;

	for (i = 0; i < ARENA_PAGES; i++)
		if (a->use[i] >= READ_ONLY)
			arena_check(a, i);
}

void arena_settle(struct arena *a, size_t first, size_t nr)
{
	size_t i;

	for (i = first; i < first + nr; i++) {
		if (a->use[i] < READ_ONLY) {
			map_new(a, i, 1);
			continue;
		}
		if (!fisc_try_read(arena_page(a, i), NULL) &&
		    fisc_check_or_zero(arena_page(a, i), 0) < 0)
			a->value[i] = 0;
		arena_check(a, i);
	}
}

/* Operations */

static bool do_write(struct arena *a)
{
	size_t first, nr;

	if (!arena_begin(a, "write", READ_WRITE, ARENA_PAGES, &first, &nr))
		return false;
	arena_fill(a, first, nr);
	return true;
}

static bool do_check(struct arena *a)
{
	size_t first, nr, i;

	if (!arena_begin(a, "check", READ_ONLY, ARENA_PAGES, &first, &nr))
		return false;
	for (i = first; i < first + nr; i++)
		arena_check(a, i);
	return true;
}

static bool do_mmap(struct arena *a)
{
	size_t first, nr;

	if (!arena_begin(a, "mmap", UNMAPPED, ARENA_PAGES, &first, &nr))
		return false;
	map_new(a, first, nr);
	return true;
}

static bool do_munmap(struct arena *a)
{
	size_t first, nr;

	if (!arena_begin(a, "munmap", UNMAPPED, 64, &first, &nr))
		return false;
	if (munmap(arena_page(a, first), nr * PAGE_SIZE))
		arena_fail(a, "munmap: %s", strerror(errno));
	set_access(a, first, nr, UNMAPPED);
	return true;
}

/* Pages that the process has mapped in one way move together. */
static size_t same_access(const struct arena *a, size_t first, size_t nr)
{
	size_t i;

	for (i = 1; i < nr && a->use[first + i] == a->use[first]; i++)
		;
	return i;
}

static bool do_mremap(struct arena *a)
{
	size_t first, nr, to, room, i;
	enum prot use;
	char *at;

	if (!arena_pick(a, READ_ONLY, ARENA_PAGES / 2, &first, &nr) ||
	    !arena_pick(a, UNMAPPED, ARENA_PAGES / 2, &to, &room))
		return false;
	nr = same_access(a, first, nr < room ? nr : room);
	if (to < first + nr && first < to + nr)
		return false;
	arena_log(a, "mremap", first, nr, to);
	at = mremap(arena_page(a, first), nr * PAGE_SIZE, nr * PAGE_SIZE,
		    MREMAP_MAYMOVE | MREMAP_FIXED, arena_page(a, to));
	/* They are several mappings, of which some are adopted or advised. */
	if (at == MAP_FAILED && errno == EFAULT) {
		map_new(a, to, nr);
		return false;
	}
	if (at != arena_page(a, to))
		arena_fail(a, "mremap: %s", strerror(errno));
	use = a->use[first];
	for (i = 0; i < nr; i++)
		a->value[to + i] = a->value[first + i];
	set_access(a, to, nr, use);
	set_access(a, first, nr, UNMAPPED);
	return true;
}

static bool do_mprotect(struct arena *a)
{
	static const int prots[] = {
		[NO_ACCESS] = PROT_NONE,
		[READ_ONLY] = PROT_READ,
		[READ_WRITE] = PROT_READ | PROT_WRITE,
	};
	enum prot use = NO_ACCESS + arena_rnd(a, 3);
	size_t first, nr;

	if (!arena_one_in(a, 4))
		use = READ_WRITE;
	if (!arena_begin(a, "mprotect", NO_ACCESS, ARENA_PAGES, &first, &nr))
		return false;
	if (mprotect(arena_page(a, first), nr * PAGE_SIZE, prots[use]))
		arena_fail(a, "mprotect: %s", strerror(errno));
	set_access(a, first, nr, use);
	return true;
}

static bool do_discard(struct arena *a)
{
	size_t first, nr;

	if (!arena_begin(a, "discard", NO_ACCESS, ARENA_PAGES, &first, &nr))
		return false;
	if (!madvise(arena_page(a, first), nr * PAGE_SIZE, MADV_DONTNEED)) {
		set_value(a, first, nr, 0);
		return true;
	}
	/* A part of it is locked. */
	if (errno != EINVAL)
		arena_fail(a, "MADV_DONTNEED: %s", strerror(errno));
	arena_settle(a, first, nr);
	return false;
}

/* Each page may become zero, until it is written. */
static bool do_free(struct arena *a)
{
	size_t first, nr;
	bool done;

	if (!arena_begin(a, "free", READ_WRITE, 64, &first, &nr))
		return false;
	done = !madvise(arena_page(a, first), nr * PAGE_SIZE, MADV_FREE);
	arena_settle(a, first, nr);
	arena_fill(a, first, nr);
	return done;
}

/* For anonymous memory, that is an error, and nothing happens. */
static bool do_remove(struct arena *a)
{
	size_t first, nr;

	if (!arena_begin(a, "remove", READ_WRITE, 64, &first, &nr))
		return false;
	if (!madvise(arena_page(a, first), nr * PAGE_SIZE, MADV_REMOVE))
		arena_fail(a, "MADV_REMOVE is done");
	/* EACCES where it has been released, as then it has a file. */
	if (errno != EINVAL && errno != EACCES)
		arena_fail(a, "MADV_REMOVE: %s", strerror(errno));
	return true;
}

/* Advice that changes no content, and may be refused. */
static bool do_advise(struct arena *a)
{
	static const int advices[] = {
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE,
		MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_DONTFORK, MADV_DOFORK,
		MADV_DOFORK, MADV_DONTDUMP, MADV_DODUMP, MADV_WILLNEED,
		MADV_COLD, MADV_PAGEOUT, MADV_PAGEOUT, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, MADV_COLLAPSE,
	};
	int advice = advices[arena_rnd(a, sizeof(advices) / sizeof(*advices))];
	size_t first, nr;

	if (!arena_begin(a, "advise", READ_WRITE, ARENA_PAGES, &first, &nr))
		return false;
	return !madvise(arena_page(a, first), nr * PAGE_SIZE, advice);
}

static bool do_lock(struct arena *a)
{
	size_t first, nr;

	if (!arena_begin(a, "lock", READ_WRITE, 64, &first, &nr))
		return false;
	if (mlock(arena_page(a, first), nr * PAGE_SIZE))
		return false;
	if (!arena_one_in(a, 4) &&
	    munlock(arena_page(a, first), nr * PAGE_SIZE))
		arena_fail(a, "munlock: %s", strerror(errno));
	return true;
}

static bool do_unlock(struct arena *a)
{
	size_t first, nr;

	if (!arena_begin(a, "unlock", NO_ACCESS, ARENA_PAGES, &first, &nr))
		return false;
	return !munlock(arena_page(a, first), nr * PAGE_SIZE);
}

/* In a child: what it can read must be what its parent has. */
static void check_in_child(struct arena *a)
{
	unsigned int tries;

	for (tries = 0; tries < 16; tries++) {
		size_t i = arena_rnd(a, ARENA_PAGES);
		__u64 word = 0;
		int sig;

		if (a->use[i] < READ_ONLY)
			continue;
		sig = fisc_try_read64(arena_page(a, i), &word);
		if (sig && sig != SIGSEGV)
			arena_fail_page(a, i, "signal %d in a child", sig);
		if (!sig)
			arena_check(a, i);
	}
}

static bool do_fork(struct arena *a)
{
	pid_t pid;

	arena_log(a, "fork", 0, 0, 0);
	pid = fork();
	if (pid < 0)
		return false;
	if (!pid) {
		check_in_child(a);
		_exit(0);
	}
	if (fisc_wait_child(pid))
		arena_fail(a, "a child has found something else");
	return true;
}

/* A memory error, after which the page is replaced. */
static bool do_poison(struct arena *a)
{
	static unsigned int left = 8;
	size_t first, nr;

	/* One thread only: there is one handler for all. */
	if (a->id || !left || !arena_pick(a, READ_WRITE, 1, &first, &nr))
		return false;
	arena_log(a, "poison", first, 1, first);
	arena_fill(a, first, 1);
	left--;
	fisc_poison(arena_page(a, first));
	map_new(a, first, 1);
	return true;
}

struct operation arena_operations[] = {
	OPERATION("write", 3000, do_write),
	OPERATION("check", 3000, do_check),
	OPERATION("mmap", 300, do_mmap),
	OPERATION("munmap", 100, do_munmap),
	OPERATION("mremap", 300, do_mremap),
	OPERATION("mprotect", 200, do_mprotect),
	OPERATION("discard", 400, do_discard),
	OPERATION("free", 100, do_free),
	OPERATION("remove", 50, do_remove),
	OPERATION("advise", 400, do_advise),
	OPERATION("lock", 50, do_lock),
	OPERATION("unlock", 50, do_unlock),
	OPERATION("fork", 20, do_fork),
	OPERATION("poison", 1, do_poison),
};

const size_t arena_nr_operations =
	sizeof(arena_operations) / sizeof(*arena_operations);
