/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all test programs share: counters, tunables, waiting for the scanner,
 * patterns that pages are filled with, and accesses that may raise a signal.
 */
#ifndef FISC_SELFTESTS_FISC_H
#define FISC_SELFTESTS_FISC_H

#include <linux/falloc.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../uapi/fisc.h"

#ifndef PAGE_SIZE
#define PAGE_SIZE	4096UL
#endif
#define BLOCKS_PER_PAGE	8UL
#define CHUNK_PAGES	512		/* of a large page */
#define KIB		1024L
#define MIB		(1024 * KIB)
#define GIB		(1024 * MIB)
#define MIB_PAGES	256

#define PUNCH		(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value)	\
	__atomic_store_n(&(x), (value), __ATOMIC_RELAXED)

/* Generous, as emulated hosts with KASAN are slow: it only ends what hangs. */
#define WAIT_S		90

#define FISC_MNT	"/dev/fisc"
#define FISC_SYSFS	"/sys/kernel/fisc"
#define FISC_DEBUGFS	"/sys/kernel/debug/fisc"
#define SHARE_RUN	FISC_SYSFS "/share/run"
#define SHARE_RATE	FISC_SYSFS "/share/pages_per_sec"
#define SHARE_PASSES	FISC_SYSFS "/share/full_scans"
#define SHARE_CPU	FISC_SYSFS "/share/cpu_percent"
#define SHARE_RECHECK	FISC_SYSFS "/share/recheck_ms"
#define SHARE_PRESSURE	FISC_SYSFS "/share/pressure_percent"
#define SHARE_ACROSS	FISC_SYSFS "/share/across_nodes"
#define SHARE_USERS	FISC_SYSFS "/share/max_users"
#define SHARE_DOMAIN	FISC_SYSFS "/share/domain"
#define LARGE_ENABLED	FISC_SYSFS "/large/enabled"
#define LARGE_BREAK	FISC_SYSFS "/large/break_pages"
#define LARGE_MIN_FREE	FISC_SYSFS "/large/min_free_percent"
#define RATE_MAX	"10000000"
#define TAX_RATE	FISC_SYSFS "/tax/tax_rate"
#define TAX_CAPACITY	FISC_SYSFS "/tax/capacity"
#define TAX_RESERVE	FISC_SYSFS "/tax/reserve_percent"
#define TAX_MIN_PERCENT	FISC_SYSFS "/tax/min_percent"
#define TAX_OVERCOMMIT	FISC_SYSFS "/tax/overcommit"
#define TAX_PROMISED	FISC_SYSFS "/tax/promised"
#define TAX_RESERVED	FISC_SYSFS "/tax/reserved"
#define TAX_MISSING	FISC_SYSFS "/tax/missing"
#define TAX_REFUSED	FISC_SYSFS "/tax/refused"
#define SAMPLE_PAGES	FISC_SYSFS "/sample/pages"
#define SAMPLE_PERIOD	FISC_SYSFS "/sample/period_ms"
#define SAMPLE_SLOW	FISC_SYSFS "/sample/slow_percent"
#define SAMPLE_FAST	FISC_SYSFS "/sample/fast_percent"
#define RECLAIM_STATE	FISC_SYSFS "/reclaim/state"
#define RECLAIM_HIGH	FISC_SYSFS "/reclaim/high_percent"
#define RECLAIM_SOFT	FISC_SYSFS "/reclaim/soft_percent"
#define RECLAIM_HARD	FISC_SYSFS "/reclaim/hard_percent"
#define RECLAIM_LOW	FISC_SYSFS "/reclaim/low_percent"
#define RECLAIM_SLIDING	FISC_SYSFS "/reclaim/sliding"
#define RECLAIM_PAGING	FISC_SYSFS "/reclaim/paging"
#define RECLAIM_BLOCKING FISC_SYSFS "/reclaim/blocking"
#define RECLAIM_COLD	FISC_SYSFS "/reclaim/cold_ms"
#define RECLAIM_DEVICE	FISC_SYSFS "/reclaim/device"
#define BALLOON_STATS	FISC_SYSFS "/balloon/stats_ms"

/* Prefix of all files that cases make, so that they can be swept up. */
#define ST		FISC_MNT "/st-"

/* Counters: all return -1 if there is no such counter. */
long fisc_core(const char *name);
long fisc_share(const char *name);
long fisc_sample(const char *name);
long fisc_tax(const char *name);
long fisc_balloon(const char *name);
long fisc_reclaim(const char *name);
long fisc_vm(const char *vm, const char *name);
long fisc_read_long(const char *path);

/* Tunables: 0 or -errno. */
int fisc_write_str(const char *path, const char *value);
int fisc_read_str(const char *path, char *buf, size_t size);
int fisc_vm_set(const char *vm, const char *name, const char *value);
int fisc_scan_on(void);
int fisc_scan_off(void);

/* Let memory be short (the module's default percents) or never short (none). */
int fisc_short_of_memory(bool on);
/* Let memory be as short as can be while half of the pool is in use. */
int fisc_low_on_memory(bool on);

/*
 * Waiting: true if it came true within WAIT_S. The counters of fisc_wait() and
 * fisc_wait_above() are those of @file in debugfs.
 */
bool fisc_wait(const char *file, const char *name, long value);
bool fisc_wait_above(const char *file, const char *name, long value);
bool fisc_wait_passes(long passes);
bool fisc_wait_idle(void);
bool fisc_wait_vm(const char *vm, const char *name, long value);
bool fisc_wait_vm_between(const char *vm, const char *name, long low,
			  long high);
bool fisc_wait_vm_between_s(const char *vm, const char *name, long low,
			    long high, int seconds);
bool fisc_wait_active(const char *vm, const char *name, int percent);
bool fisc_wait_gone(const char *path);
void fisc_sleep_ms(unsigned int ms);
double fisc_now(void);

/* Seconds that a stress case runs: SECONDS_STRESS, if it is set. */
int fisc_stress_s(int usual);

/*
 * Have a page fail, as on a machine check: false if this kernel does not handle
 * memory failures.
 */
bool fisc_poison(void *page);

/* Run a command without output: 0 or -errno. */
int fisc_run(const char * const argv[]);

/* Modules: that which FISC_KO names, those beside it, and the kernel's own. */
int fisc_load(void);
int fisc_load_beside(const char *module);
int fisc_unload(const char *module);
int fisc_unload_soon(const char *module);
int fisc_modprobe(const char *module);
int fisc_modprobe_remove(const char *module);

/* The file system. */
int fisc_mount(const char *where, const char *options);
void fisc_sweep(void);

/* A file of @nr_pages, and a shared mapping, NULL on failure. */
int fisc_create(const char *path, size_t nr_pages);
char *fisc_map(int fd, size_t nr_pages);

static inline char *page_of(char *map, size_t i)
{
	return map + i * PAGE_SIZE;
}

/*
 * Contents: a page is f(seed), never all zero; checks return -1 or an offset.
 */
__u64 fisc_mix(__u64 x);
void fisc_fill(void *page, __u64 seed);
long fisc_check(const void *page, __u64 seed);

/* The same, but a page of seed 0 is zeroes. */
long fisc_check_or_zero(const void *page, __u64 seed);

/* The same for a row of pages and seeds; the check returns -1 or a page. */
void fisc_fill_pages(char *map, size_t nr, __u64 seed);
long fisc_check_pages(const char *map, size_t nr, __u64 seed);

/* The same by file calls: page i has seed @seed + i. */
bool fisc_fill_file(int fd, size_t first, size_t nr, __u64 seed);
long fisc_check_file(int fd, size_t first, size_t nr, __u64 seed);

/*
 * Read what /proc/self/smaps has, behind @key (a name and a colon), on the mapping that
 * @at is in.
 */
bool fisc_smaps(const void *at, const char *key, char *text, size_t size);

long fisc_check_zero(const void *mem, size_t len);
unsigned long fisc_blocks(int fd);
off_t fisc_size(int fd);

/* Read all pages, then look up their frames, 0 if not mapped: 0 or -errno. */
int fisc_read_pfns(const char *map, size_t nr_pages, __u64 *pfns);

/* Accesses that may raise SIGBUS or SIGSEGV: 0 or the signal, per thread. */
void fisc_catch_signals(void);
int fisc_signal_code(void);
int fisc_try_read(const void *addr, unsigned char *value);
int fisc_try_write(void *addr, unsigned char value);
int fisc_try_read64(const void *addr, __u64 *value);
int fisc_try_write64(void *addr, __u64 value);

/* Wait for a child: its exit status, or -1 if it did not exit by itself. */
int fisc_wait_child(pid_t pid);

/* Pseudo-random numbers, one state per user. */
static inline __u64 fisc_rand(__u64 *state)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return fisc_mix(*state);
}

#endif /* FISC_SELFTESTS_FISC_H */
