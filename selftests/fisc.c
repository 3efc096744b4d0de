// SPDX-License-Identifier: GPL-2.0
/* Shared by all test programs; see fisc.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fisc.h"

/* Even through a pipe, print what a case logs before its result. */
static void __attribute__((constructor)) line_buffer(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/* Counters */

static long fisc_debugfs(const char *file, const char *name)
{
	char path[128], line[128], key[64];
	long value, found = -1;
	FILE *f;

	snprintf(path, sizeof(path), FISC_DEBUGFS "/%s", file);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^:]: %ld", key, &value) == 2 &&
		    !strcmp(key, name)) {
			found = value;
			break;
		}
	}
	fclose(f);
	return found;
}

long fisc_core(const char *name)
{
	return fisc_debugfs("core", name);
}

long fisc_share(const char *name)
{
	return fisc_debugfs("share", name);
}

long fisc_sample(const char *name)
{
	return fisc_debugfs("sample", name);
}

long fisc_tax(const char *name)
{
	return fisc_debugfs("tax", name);
}

long fisc_balloon(const char *name)
{
	return fisc_debugfs("balloon", name);
}

long fisc_reclaim(const char *name)
{
	return fisc_debugfs("reclaim", name);
}

long fisc_read_long(const char *path)
{
	char buf[64], *end;
	long value;

	if (fisc_read_str(path, buf, sizeof(buf)))
		return -1;
	value = strtol(buf, &end, 10);
	return *end || end == buf ? -1 : value;
}

long fisc_vm(const char *vm, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), FISC_SYSFS "/vms/%s/%s", vm, name);
	return fisc_read_long(path);
}

/* Tunables */

int fisc_write_str(const char *path, const char *value)
{
	ssize_t len = strlen(value), done;
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	done = write(fd, value, len);
	if (done != len)
		ret = done < 0 ? -errno : -EIO;
	close(fd);
	return ret;
}

/* Read without the newline at the end. */
int fisc_read_str(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, buf, size - 1);
	if (len < 0)
		len = -errno;
	close(fd);
	if (len < 0)
		return len;
	if (len && buf[len - 1] == '\n')
		len--;
	buf[len] = 0;
	return 0;
}

int fisc_vm_set(const char *vm, const char *name, const char *value)
{
	char path[600];

	snprintf(path, sizeof(path), FISC_SYSFS "/vms/%s/%s", vm, name);
	return fisc_write_str(path, value);
}

/* Set the percentages below which states begin, from "high" to "low". */
static int set_percents(const char * const values[4], bool on)
{
	static const char * const paths[] = {
		RECLAIM_HIGH, RECLAIM_SOFT, RECLAIM_HARD, RECLAIM_LOW,
	};
	int i, err = 0;

	if (on) {
		for (i = 0; i < 4; i++)
			err = err ?: fisc_write_str(paths[i], values[i]);
	} else {
		for (i = 4; i--; )
			err = err ?: fisc_write_str(paths[i], "0");
	}
	return err;
}

int fisc_short_of_memory(bool on)
{
	static const char * const values[] = { "6", "4", "2", "1" };

	return set_percents(values, on);
}

int fisc_low_on_memory(bool on)
{
	static const char * const values[] = { "50", "50", "50", "50" };

	return set_percents(values, on);
}

int fisc_scan_on(void)
{
	return fisc_write_str(SHARE_RUN, "1");
}

int fisc_scan_off(void)
{
	return fisc_write_str(SHARE_RUN, "0");
}

/* Waiting */

void fisc_sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * 1000000L };

	nanosleep(&ts, NULL);
}

double fisc_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int fisc_stress_s(int usual)
{
	const char *seconds = getenv("SECONDS_STRESS");

	return seconds ? atoi(seconds) : usual;
}

static bool wait_counter(const char *file, const char *name, long value,
			 bool above)
{
	double end = fisc_now() + WAIT_S;
	long now;

	do {
		now = fisc_debugfs(file, name);
		if (above ? now > value : now == value)
			return true;
		fisc_sleep_ms(10);
	} while (fisc_now() < end);
	fprintf(stderr, "# %s/%s is %ld after %d s, not %s%ld\n", file, name,
		now, WAIT_S, above ? "above " : "", value);
	return false;
}

bool fisc_wait(const char *file, const char *name, long value)
{
	return wait_counter(file, name, value, false);
}

bool fisc_wait_above(const char *file, const char *name, long value)
{
	return wait_counter(file, name, value, true);
}

/* Wait for @passes whole passes from now on: one may be under way. */
bool fisc_wait_passes(long passes)
{
	return fisc_wait_above("share", "full_scans",
			       fisc_share("full_scans") + passes);
}

/* Wait until enough passes have read nothing that all retries are over. */
bool fisc_wait_idle(void)
{
	double end = fisc_now() + WAIT_S;
	long scanned;

	do {
		scanned = fisc_share("scanned");
		if (!fisc_wait_passes(20))
			return false;
		if (scanned == fisc_share("scanned"))
			return true;
	} while (fisc_now() < end);
	fprintf(stderr, "# the scanner still reads after %d s\n", WAIT_S);
	return false;
}

bool fisc_wait_vm_between_s(const char *vm, const char *name, long low,
			    long high, int seconds)
{
	double end = fisc_now() + seconds;
	long now;

	do {
		now = fisc_vm(vm, name);
		if (now >= low && now <= high)
			return true;
		fisc_sleep_ms(10);
	} while (fisc_now() < end);
	fprintf(stderr, "# %s/%s is %ld after %d s, not %ld to %ld\n", vm, name,
		now, seconds, low, high);
	return false;
}

bool fisc_wait_vm_between(const char *vm, const char *name, long low, long high)
{
	return fisc_wait_vm_between_s(vm, name, low, high, WAIT_S);
}

bool fisc_wait_vm(const char *vm, const char *name, long value)
{
	return fisc_wait_vm_between(vm, name, value, value);
}

/*
 * Return whether @part of @size is within three standard errors of a sample
 * from @percent. At 0 and 100 percent, where a sample has no error, averages
 * still have a remainder.
 */
static bool within_errors(long part, long size, int percent, long sample)
{
	double truth = percent / 100.0, off = (double)part / size - truth;
	double allowed = 9 * truth * (1 - truth) / sample;

	return off * off <= (allowed > 0.0001 ? allowed : 0.0001);
}

static int compare_long(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* After so many sampling periods, an estimate has forgotten what was before. */
#define PERIODS		30

/*
 * Wait until the estimate @name of @vm is @percent of its size, as far as a
 * sample can tell, and stays there for some periods: in the median, as one
 * reading in several hundred may be further off.
 */
bool fisc_wait_active(const char *vm, const char *name, int percent)
{
	long size = fisc_vm(vm, "size_bytes");
	long sample = fisc_vm(vm, "sample_pages");
	long period_ms = fisc_vm(vm, "sample_period_ms"), readings[5];
	double begin = fisc_now(), end = begin + WAIT_S;
	size_t i;

	if (size <= 0 || sample <= 0 || period_ms <= 0)
		return false;
	/* On a slow kernel, tests have longer periods. */
	if (end < begin + PERIODS * period_ms / 1e3)
		end = begin + PERIODS * period_ms / 1e3;
	do {
		readings[0] = fisc_vm(vm, name);
		if (!within_errors(readings[0], size, percent, sample)) {
			fisc_sleep_ms(10);
			continue;
		}
		for (i = 0; i < 5; i++) {
			fisc_sleep_ms(period_ms);
			readings[i] = fisc_vm(vm, name);
		}
		qsort(readings, 5, sizeof(*readings), compare_long);
		if (within_errors(readings[2], size, percent, sample))
			return true;
	} while (fisc_now() < end);
	fprintf(stderr, "# %s/%s is %.1f %% after %d s, not %d %%\n", vm, name,
		100.0 * fisc_vm(vm, name) / size, (int)(fisc_now() - begin),
		percent);
	return false;
}

bool fisc_wait_gone(const char *path)
{
	double end = fisc_now() + WAIT_S;

	while (!access(path, F_OK)) {
		if (fisc_now() > end)
			return false;
		fisc_sleep_ms(10);
	}
	return true;
}

bool fisc_smaps(const void *at, const char *key, char *text, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	bool inside = false, found = false;
	unsigned long start, end;
	char line[512];

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			inside = start <= (unsigned long)at &&
				 (unsigned long)at < end;
		} else if (inside && !strncmp(line, key, strlen(key))) {
			snprintf(text, size, "%s", line + strlen(key));
			found = true;
		}
	}
	if (f)
		fclose(f);
	return found;
}

/* The file system */

int fisc_mount(const char *where, const char *options)
{
	return mount("none", where, "fisc", 0, options) ? -errno : 0;
}

static int sweep_one(const char *path, const struct stat *st, int type,
		     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void fisc_sweep(void)
{
	DIR *dir = opendir(FISC_MNT);
	struct dirent *entry;
	char path[600];

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "st-", 3))
			continue;
		snprintf(path, sizeof(path), FISC_MNT "/%s", entry->d_name);
		nftw(path, sweep_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	closedir(dir);
}

int fisc_create(const char *path, size_t nr_pages)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0 && ftruncate(fd, nr_pages * PAGE_SIZE)) {
		close(fd);
		return -1;
	}
	return fd;
}

char *fisc_map(int fd, size_t nr_pages)
{
	char *map = mmap(NULL, nr_pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

unsigned long fisc_blocks(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1UL : (unsigned long)st.st_blocks;
}

off_t fisc_size(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_size;
}

/* Contents */

__u64 fisc_mix(__u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static __u64 pattern(__u64 seed, size_t word)
{
	return fisc_mix(seed * 0x9e3779b97f4a7c15ULL + word + 1) | 1;
}

void fisc_fill(void *page, __u64 seed)
{
	__u64 *words = page;
	size_t i;

	for (i = 0; i < PAGE_SIZE / 8; i++)
		words[i] = pattern(seed, i);
}

long fisc_check(const void *page, __u64 seed)
{
	const __u64 *words = page;
	size_t i;

	for (i = 0; i < PAGE_SIZE / 8; i++)
		if (READ_ONCE(words[i]) != pattern(seed, i))
			return i * 8;
	return -1;
}

long fisc_check_or_zero(const void *page, __u64 seed)
{
	return seed ? fisc_check(page, seed) : fisc_check_zero(page, PAGE_SIZE);
}

void fisc_fill_pages(char *map, size_t nr, __u64 seed)
{
	size_t i;

	for (i = 0; i < nr; i++)
		fisc_fill(map + i * PAGE_SIZE, seed + i);
}

long fisc_check_pages(const char *map, size_t nr, __u64 seed)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (fisc_check(map + i * PAGE_SIZE, seed + i) >= 0)
			return i;
	return -1;
}

bool fisc_fill_file(int fd, size_t first, size_t nr, __u64 seed)
{
	char page[PAGE_SIZE];
	size_t i;

	for (i = first; i < first + nr; i++) {
		fisc_fill(page, seed + i);
		if (pwrite(fd, page, PAGE_SIZE, i * PAGE_SIZE) !=
		    (ssize_t)PAGE_SIZE)
			return false;
	}
	return true;
}

long fisc_check_file(int fd, size_t first, size_t nr, __u64 seed)
{
	char page[PAGE_SIZE];
	size_t i;

	for (i = first; i < first + nr; i++) {
		if (pread(fd, page, PAGE_SIZE, i * PAGE_SIZE) !=
			    (ssize_t)PAGE_SIZE ||
		    fisc_check(page, seed + i) >= 0)
			return i;
	}
	return -1;
}

long fisc_check_zero(const void *mem, size_t len)
{
	const unsigned char *bytes = mem;
	size_t i;

	for (i = 0; i < len; i++)
		if (READ_ONCE(bytes[i]))
			return i;
	return -1;
}

/* An entry of /proc/PID/pagemap: the top bit means present, 55 bits: PFN */
#define PAGEMAP_PRESENT_SHIFT	63
#define PAGEMAP_PFN_BITS	55

int fisc_read_pfns(const char *map, size_t nr_pages, __u64 *pfns)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t len = nr_pages * sizeof(*pfns), i;
	ssize_t done;

	if (fd < 0)
		return -errno;
	for (i = 0; i < nr_pages; i++)
		(void)READ_ONCE(map[i * PAGE_SIZE]);
	done = pread(fd, pfns, len,
		     (unsigned long)map / PAGE_SIZE * sizeof(*pfns));
	close(fd);
	if (done != (ssize_t)len)
		return -EIO;
	for (i = 0; i < nr_pages; i++)
		pfns[i] = pfns[i] >> PAGEMAP_PRESENT_SHIFT ?
			  pfns[i] & (~0ULL >> (64 - PAGEMAP_PFN_BITS)) : 0;
	return 0;
}

/* Accesses that may raise a signal */

static __thread sigjmp_buf fault_env;
static __thread sig_atomic_t fault_expected;
static __thread sig_atomic_t fault_code;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	fault_code = info->si_code;
	if (READ_ONCE(fault_expected))
		siglongjmp(fault_env, sig);
	signal(sig, SIG_DFL);
	raise(sig);
}

void fisc_catch_signals(void)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_NODEFER | SA_SIGINFO,
	};

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

/* Return si_code of the last signal. */
int fisc_signal_code(void)
{
	return fault_code;
}

static void access_mem(void *addr, size_t size, __u64 *value, bool write)
{
	if (size == 1 && write)
		WRITE_ONCE(*(unsigned char *)addr, (unsigned char)*value);
	else if (size == 1)
		*value = READ_ONCE(*(unsigned char *)addr);
	else if (write)
		WRITE_ONCE(*(__u64 *)addr, *value);
	else
		*value = READ_ONCE(*(__u64 *)addr);
}

static int try_access(void *addr, size_t size, __u64 *value, bool write)
{
	int sig = sigsetjmp(fault_env, 1);

	if (!sig) {
		WRITE_ONCE(fault_expected, 1);
		access_mem(addr, size, value, write);
	}
	WRITE_ONCE(fault_expected, 0);
	return sig;
}

int fisc_try_read(const void *addr, unsigned char *value)
{
	__u64 wide = 0;
	int sig = try_access((void *)addr, 1, &wide, false);

	if (value)
		*value = wide;
	return sig;
}

int fisc_try_write(void *addr, unsigned char value)
{
	__u64 wide = value;

	return try_access(addr, 1, &wide, true);
}

int fisc_try_read64(const void *addr, __u64 *value)
{
	return try_access((void *)addr, 8, value, false);
}

int fisc_try_write64(void *addr, __u64 value)
{
	return try_access(addr, 8, &value, true);
}

/* Child processes */

int fisc_wait_child(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void nothing(int sig)
{
	(void)sig;
}

bool fisc_poison(void *page)
{
	struct sigaction action = { .sa_handler = nothing }, before;
	int err;

	/* Injecting an error into a large page raises the signal here. */
	sigaction(SIGBUS, &action, &before);
	err = madvise(page, PAGE_SIZE, MADV_HWPOISON) ? errno : 0;
	sigaction(SIGBUS, &before, NULL);

	return err != EINVAL;
}
