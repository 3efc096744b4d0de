// SPDX-License-Identifier: GPL-2.0
/* /sys/kernel/fisc and /sys/kernel/debug/fisc. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "fixture.h"

static const char * const vm_files[] = {
	"size_bytes", "present_pages", "private_pages", "sharing_pages",
	"zero_pages", "cow_breaks",
};

static void take(struct __test_metadata *_metadata, const char *path,
		 const char *value)
{
	char now[64];

	EXPECT_EQ(0, fisc_write_str(path, value));
	ASSERT_EQ(0, fisc_read_str(path, now, sizeof(now)));
	EXPECT_EQ(strtol(value, NULL, 0), strtol(now, NULL, 10));
}

TEST_F(fisc, run_takes_0_and_1)
{
	static const char * const bad[] = {
		"2", "-1", "256", "4294967296", "4294967297",
		"99999999999999999999", "x", "1x",
		"on", " ", "1 0", "0x", "1.0",
	};
	size_t i;
	int old;

	for (old = 0; old < 2; old++) {
		take(_metadata, SHARE_RUN, old ? "1" : "0");
		for (i = 0; i < ARRAY_SIZE(bad); i++)
			fisc_refuse(_metadata, SHARE_RUN, bad[i], -EINVAL);
	}
	take(_metadata, SHARE_RUN, "0\n");
	take(_metadata, SHARE_RUN, "1\n");
}

TEST_F(fisc, pages_per_sec_takes_its_range)
{
	static const char * const good[] = {
		"1", "2", "20000", "9999999", "10000000", "77\n",
	};
	static const char * const bad[] = {
		"0", "10000001", "-1", "-20000", "4294967296", "4294967297",
		"18446744073709551617",
		"99999999999999999999999", "abc", "1k", "5 5", " ", "0x", "1e3",
	};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		take(_metadata, SHARE_RATE, good[i]);
		for (j = 0; j < ARRAY_SIZE(bad); j++)
			fisc_refuse(_metadata, SHARE_RATE, bad[j], -EINVAL);
	}
}

TEST_F(fisc, statistics_are_read_only)
{
	struct stat st;

	ASSERT_EQ(0, stat(SHARE_PASSES, &st));
	EXPECT_EQ(0, (int)(st.st_mode & 0222));
	EXPECT_NE(0, fisc_write_str(SHARE_PASSES, "1"));
	EXPECT_LE(0, fisc_read_long(SHARE_PASSES));
	EXPECT_EQ(fisc_share("full_scans"), fisc_read_long(SHARE_PASSES));
	EXPECT_NE(0, fisc_write_str(FISC_DEBUGFS "/core", "1"));
	EXPECT_NE(0, fisc_write_str(FISC_DEBUGFS "/share", "1"));
	ASSERT_EQ(0, stat(SHARE_RUN, &st));
	EXPECT_EQ(0644, (int)(st.st_mode & 0777));
	ASSERT_EQ(0, stat(SHARE_RATE, &st));
	EXPECT_EQ(0644, (int)(st.st_mode & 0777));
}

TEST_F(fisc, debugfs_files_are_lines_of_name_and_value)
{
	static const char * const core[] = {
		"vms", "regions", "present", "private", "frames", "sharing",
		"shared", "zero", "faults", "map_bytes", "metadata_bytes",
		"large", "large_allocs", "large_failed", "large_breaks",
		"large_rebuilds",
	};
	static const char * const share[] = {
		"shared", "sharing", "saved", "zero", "cow_breaks", "scanned",
		"merged", "merged_zero", "pinned", "changed", "full_scans",
		"cpu_us", "written", "unmap_rounds", "table_bytes",
		"hold_max_us", "hold_us_1", "pressure",
	};
	static const char * const files[] = {
		FISC_DEBUGFS "/core", FISC_DEBUGFS "/share",
	};
	char line[256], name[128], end;
	size_t i, lines;
	long value;
	FILE *f;

	for (i = 0; i < 2; i++) {
		f = fopen(files[i], "r");
		ASSERT_NE(NULL, f);
		lines = 0;
		while (fgets(line, sizeof(line), f)) {
			lines++;
			if (sscanf(line, "%127[a-z0-9_]: %ld%c", name, &value,
				   &end) != 3)
				value = -1;
			EXPECT_LE(0, value)
				TH_LOG("%s: %s", files[i], line);
			EXPECT_EQ('\n', end);
		}
		fclose(f);
		EXPECT_LE(i ? ARRAY_SIZE(share) : ARRAY_SIZE(core), lines);
	}
	for (i = 0; i < ARRAY_SIZE(core); i++)
		EXPECT_LE(0, fisc_core(core[i]))
			TH_LOG("core/%s", core[i]);
	for (i = 0; i < ARRAY_SIZE(share); i++)
		EXPECT_LE(0, fisc_share(share[i]))
			TH_LOG("share/%s", share[i]);
}

TEST_F(fisc, vm_directory_comes_and_goes_with_its_name)
{
	char path[128];
	struct stat st;
	size_t i;
	int fd;

	EXPECT_EQ(-1, access(FISC_SYSFS "/vms/st-a", F_OK));
	fd = fisc_create(ST "a", 16);
	ASSERT_LE(0, fd);
	for (i = 0; i < ARRAY_SIZE(vm_files); i++) {
		snprintf(path, sizeof(path), FISC_SYSFS "/vms/st-a/%s",
			 vm_files[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(0, (int)(st.st_mode & 0222));
		EXPECT_LE(0, fisc_read_long(path));
	}
	EXPECT_EQ(16 * (long)PAGE_SIZE, fisc_vm("st-a", "size_bytes"));
	ASSERT_EQ(0, ftruncate(fd, 100));
	EXPECT_EQ(100, fisc_vm("st-a", "size_bytes"));
	close(fd);
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_TRUE(fisc_wait_gone(FISC_SYSFS "/vms/st-a"));

	ASSERT_EQ(0, mkdir(ST "d", 0755));
	EXPECT_EQ(0, fisc_vm("st-d", "size_bytes"));
	fd = fisc_create(ST "d/x", 4);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mkdir(ST "d/e", 0755));
	close(fisc_create(ST "d/e/y", 6));
	EXPECT_EQ(10 * (long)PAGE_SIZE, fisc_vm("st-d", "size_bytes"));
	ASSERT_EQ(0, ftruncate(fd, 6 * PAGE_SIZE));
	EXPECT_EQ(12 * (long)PAGE_SIZE, fisc_vm("st-d", "size_bytes"));
	ASSERT_EQ(0, unlink(ST "d/e/y"));
	EXPECT_EQ(6 * (long)PAGE_SIZE, fisc_vm("st-d", "size_bytes"));
	close(fd);
	fisc_sweep();
	EXPECT_TRUE(fisc_wait_gone(FISC_SYSFS "/vms/st-d"));
}

/* Find the directory of the unlinked VM that was called @name: 1 if one. */
static int unnamed(const char *name, char *found, size_t size)
{
	DIR *dir = opendir(FISC_SYSFS "/vms");
	struct dirent *entry;
	int nr = 0;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, name, strlen(name)) ||
		    entry->d_name[strlen(name)] != '~')
			continue;
		snprintf(found, size, "%s", entry->d_name);
		nr++;
	}
	closedir(dir);
	return nr;
}

TEST_F(fisc, unlinked_vm_keeps_a_directory_until_its_last_user_is_gone)
{
	int fd = fisc_create(ST "a", 8), again;
	char *map = fisc_map(fd, 8), name[300], path[400];

	ASSERT_NE(NULL, map);
	fisc_fill(map, 1);
	fisc_fill(map + PAGE_SIZE, 1);
	close(fd);
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_EQ(-1, access(FISC_SYSFS "/vms/st-a", F_OK));
	ASSERT_EQ(1, unnamed("st-a", name, sizeof(name)));
	EXPECT_EQ(2, fisc_vm(name, "present_pages"));
	EXPECT_EQ(2, fisc_vm(name, "private_pages"));
	fisc_fill(map + 2 * PAGE_SIZE, 1);
	EXPECT_EQ(3, fisc_vm(name, "present_pages"));
	/* Next to another of the same name. */
	again = fisc_create(ST "a", 4);
	ASSERT_LE(0, again);
	EXPECT_EQ(0, fisc_vm("st-a", "present_pages"));
	EXPECT_EQ(3, fisc_vm(name, "present_pages"));
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_EQ(2, unnamed("st-a", path, sizeof(path)));
	close(again);
	munmap(map, 8 * PAGE_SIZE);
	snprintf(path, sizeof(path), FISC_SYSFS "/vms/%s", name);
	EXPECT_TRUE(fisc_wait_gone(path));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_EQ(0, unnamed("st-a", path, sizeof(path)));
}

TEST_F(fisc, any_name_that_a_file_may_have_works)
{
	static const char * const names[] = {
		"st-a b", "st-a~1", "st-%s%n", "st-\xff\xfe", "st-!", "st-\n",
		"st-.", "st-a:b,c=d",
	};
	char path[600], name[300];
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), FISC_MNT "/%s", names[i]);
		fd = fisc_create(path, 1);
		ASSERT_LE(0, fd)
			TH_LOG("name %zu: errno %d", i, errno);
		EXPECT_EQ((long)PAGE_SIZE, fisc_vm(names[i], "size_bytes"))
			TH_LOG("name %zu", i);
		EXPECT_EQ(0, unlink(path));
		EXPECT_EQ(-1, fisc_vm(names[i], "size_bytes"));
		close(fd);
	}
	/* The longest name: with "~id" it is too long for sysfs. */
	memset(name, 'n', 255);
	name[255] = 0;
	memcpy(name, "st-", 3);
	snprintf(path, sizeof(path), FISC_MNT "/%s", name);
	fd = fisc_create(path, 1);
	ASSERT_LE(0, fd);
	EXPECT_EQ((long)PAGE_SIZE, fisc_vm(name, "size_bytes"));
	EXPECT_EQ(0, unlink(path));
	EXPECT_EQ(-1, fisc_vm(name, "size_bytes"));
	close(fd);
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
}

/* Rename a VM to and fro until told to stop. */
static void *rename_thread(void *arg)
{
	bool *stop = arg;
	long failed = 0;

	while (!READ_ONCE(*stop)) {
		failed += rename(ST "a", ST "b") < 0;
		failed += rename(ST "b", ST "a") < 0;
	}

	return (void *)failed;
}

/* The kernel frees the old name at once, which KASAN tells of. */
TEST_F(fisc, name_can_be_read_while_it_changes)
{
	double end = fisc_now() + fisc_stress_s(3);
	char line[512], *name;
	pthread_t thread;
	bool stop = false;
	void *failed;
	FILE *f;

	ASSERT_EQ(0, mkdir(ST "a", 0755));
	ASSERT_EQ(0, pthread_create(&thread, NULL, rename_thread, &stop));
	while (fisc_now() < end) {
		f = fopen(FISC_DEBUGFS "/vms", "r");
		if (!f)
			break;
		while (fgets(line, sizeof(line), f)) {
			name = strstr(line, "st-");
			EXPECT_TRUE(!name || !strcmp(name, "st-a\n") ||
				    !strcmp(name, "st-b\n"))
				TH_LOG("%s", line);
		}
		fclose(f);
	}
	EXPECT_LE(end, fisc_now());
	WRITE_ONCE(stop, true);
	pthread_join(thread, &failed);
	EXPECT_EQ(NULL, failed);
}

TEST_F(fisc, name_in_the_style_of_an_unlinked_vm_does_no_harm)
{
	char name[300], path[400];
	int a, b;

	a = fisc_create(ST "a", 1);
	ASSERT_LE(0, a);
	ASSERT_EQ(0, unlink(ST "a"));
	ASSERT_EQ(1, unnamed("st-a", name, sizeof(name)));
	/* Take exactly this name, or be told that it is taken. */
	snprintf(path, sizeof(path), FISC_MNT "/%s", name);
	b = fisc_create(path, 2);
	if (b >= 0) {
		EXPECT_EQ(0, unlink(path));
		close(b);
	} else {
		EXPECT_EQ(EEXIST, errno);
	}
	close(a);
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
}

TEST_F(fisc, vms_add_up_to_the_module)
{
	static const char * const counters[][2] = {
		{ "present_pages", "present" }, { "private_pages", "private" },
		{ "sharing_pages", "sharing" }, { "zero_pages", "zero" },
	};
	char *map[3], path[64];
	size_t k;
	int i, j;

	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), ST "%d", i);
		if (i == 2) {
			ASSERT_EQ(0, mkdir(path, 0755));
			snprintf(path, sizeof(path), ST "%d/x", i);
		}
		map[i] = fisc_map(fisc_create(path, 64), 64);
		ASSERT_NE(NULL, map[i]);
		for (j = 0; j < 40; j++)
			fisc_fill(map[i] + j * PAGE_SIZE,
				  j < 20 ? j : 100 * i + j);
		memset(map[i] + 40 * PAGE_SIZE, 0, (10 + i) * PAGE_SIZE);
	}
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("share", "saved", 40 + 33));
	ASSERT_EQ(0, fisc_scan_off());
	map[0][0] ^= 1;
	for (k = 0; k < ARRAY_SIZE(counters); k++) {
		long sum = 0;

		for (i = 0; i < 3; i++) {
			snprintf(path, sizeof(path), "st-%d", i);
			sum += fisc_vm(path, counters[k][0]);
		}
		EXPECT_EQ(fisc_core(counters[k][1]), sum)
			TH_LOG("%s", counters[k][0]);
	}
	EXPECT_EQ(153, fisc_core("present"));
	EXPECT_EQ(59, fisc_core("sharing"));
	EXPECT_EQ(61, fisc_core("private"));
	EXPECT_EQ(33, fisc_core("zero"));
	EXPECT_EQ(20, fisc_core("shared"));
	EXPECT_EQ(81, fisc_core("frames"));
	EXPECT_EQ(3, fisc_core("vms"));
	EXPECT_EQ(3, fisc_core("regions"));
	EXPECT_EQ(1, fisc_vm("st-0", "cow_breaks"));
	EXPECT_EQ(0, fisc_vm("st-1", "cow_breaks"));
	EXPECT_EQ(fisc_core("zero"), fisc_share("zero"));
	EXPECT_EQ(fisc_core("shared"), fisc_share("shared"));
	EXPECT_EQ(fisc_core("sharing"), fisc_share("sharing"));
	EXPECT_LT(0, fisc_core("map_bytes"));
	EXPECT_LT(0, fisc_core("faults"));
}

TEST_F(fisc, events_of_a_deleted_file_stay_with_its_vm)
{
	char *map;
	int fd;

	ASSERT_EQ(0, mkdir(ST "d", 0755));
	fd = fisc_create(ST "d/x", 2);
	map = fisc_map(fd, 2);
	ASSERT_NE(NULL, map);
	memset(map, 1, 2 * PAGE_SIZE);
	memset(map, 0, 2 * PAGE_SIZE);
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("share", "zero", 2));
	map[0] = 1;
	EXPECT_EQ(1, fisc_vm("st-d", "cow_breaks"));
	munmap(map, 2 * PAGE_SIZE);
	close(fd);
	ASSERT_EQ(0, unlink(ST "d/x"));
	EXPECT_TRUE(fisc_wait("core", "regions", 0));
	EXPECT_EQ(1, fisc_vm("st-d", "cow_breaks"));
	EXPECT_EQ(0, fisc_vm("st-d", "present_pages"));
}

static char *busy_memory(int nr_pages)
{
	char *map = fisc_map(fisc_create(ST "busy", nr_pages), nr_pages);
	int i;

	for (i = 0; map && i < nr_pages; i++)
		fisc_fill(map + i * PAGE_SIZE, i + 1);
	return map;
}

TEST_F(fisc, stopped_scanner_scans_nothing)
{
	char *map = busy_memory(256);
	long scanned, cpu_us;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, fisc_scan_on());
	scanned = fisc_share("scanned");
	ASSERT_TRUE(fisc_wait_above("share", "scanned", scanned));
	ASSERT_EQ(0, fisc_scan_off());
	/* A batch under way is completed. */
	fisc_sleep_ms(500);
	scanned = fisc_share("scanned");
	cpu_us = fisc_share("cpu_us");
	fisc_sleep_ms(1000);
	EXPECT_EQ(scanned, fisc_share("scanned"));
	EXPECT_GE(cpu_us + 10000, fisc_share("cpu_us"));
	/* All was read; what is written now waits until it runs again. */
	fisc_fill(map, 1000);
	fisc_sleep_ms(200);
	EXPECT_EQ(scanned, fisc_share("scanned"));
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_above("share", "scanned", scanned));
	EXPECT_LT(cpu_us, fisc_share("cpu_us"));
}

TEST_F(fisc, scanner_keeps_its_rate)
{
	char *map = busy_memory(4096);
	double start, seconds;
	long before = fisc_share("scanned");
	long scanned;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, "1000"));
	ASSERT_EQ(0, fisc_scan_on());
	fisc_sleep_ms(200);
	start = fisc_now();
	scanned = fisc_share("scanned");
	fisc_sleep_ms(3000);
	scanned = fisc_share("scanned") - scanned;
	seconds = fisc_now() - start;
	EXPECT_LT(0, scanned);
	EXPECT_GE(2 * 1000 * seconds, scanned);
	/* One page a second is still a rate; a change takes effect at once. */
	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, "1"));
	fisc_sleep_ms(500);
	scanned = fisc_share("scanned");
	fisc_sleep_ms(3000);
	EXPECT_GE(scanned + 10, fisc_share("scanned"));
	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, RATE_MAX));
	EXPECT_TRUE(fisc_wait_above("share", "scanned", before + 4095));
}

/* A large page is read at once, which takes minutes at a page a second. */
TEST_F(fisc, turning_a_knob_cancels_what_is_not_earned_yet)
{
	long scanned = fisc_share("scanned");
	double start;
	char *map;

	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "1"));
	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, "1"));
	map = fisc_map(fisc_create(FISC_MNT "/st-large", 512), 512);
	ASSERT_NE(NULL, map);
	fisc_fill(map, 1);
	ASSERT_EQ(512, fisc_core("private"));
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait_above("share", "scanned", scanned + 511));
	ASSERT_NE(NULL, busy_memory(64));
	ASSERT_EQ(0, fisc_write_str(SHARE_RATE, RATE_MAX));
	start = fisc_now();
	EXPECT_TRUE(fisc_wait_above("share", "scanned", scanned + 575));
	EXPECT_GT(5.0, fisc_now() - start);
}

TEST_F(fisc, passes_count_up_and_read_nothing_twice)
{
	char *map = busy_memory(64);
	long passes = fisc_read_long(SHARE_PASSES);
	long scanned = fisc_share("scanned");

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_passes(3));
	ASSERT_EQ(0, fisc_scan_off());
	EXPECT_LE(passes + 3, fisc_read_long(SHARE_PASSES));
	EXPECT_EQ(scanned + 64, fisc_share("scanned"));
}

TEST_F(fisc, numbers_have_bounds)
{
	static const struct {
		const char *path;
		const char *good[2];
		const char *bad[2];
	} knobs[] = {
		{ SHARE_CPU, { "1", "100" }, { "0", "101" } },
		{ SHARE_RECHECK, { "10", "60000" }, { "9", "60001" } },
		{ SHARE_PRESSURE, { "0", "50" }, { "-1", "51" } },
		{ SHARE_USERS, { "2", "1000000" }, { "1", "1000001" } },
		{
			FISC_SYSFS "/share/across_nodes", { "1", "0" },
			{ "2", "x" },
		},
		{ LARGE_ENABLED, { "1", "0" }, { "2", "-1" } },
		{ LARGE_BREAK, { "512", "1" }, { "0", "513" } },
		{ LARGE_MIN_FREE, { "100", "0" }, { "101", "-1" } },
		{ RECLAIM_SLIDING, { "1", "0" }, { "2", "-1" } },
		{ RECLAIM_PAGING, { "0", "1" }, { "2", "x" } },
		{ RECLAIM_BLOCKING, { "0", "1" }, { "2", "-1" } },
		{ RECLAIM_COLD, { "600000", "10" }, { "9", "600001" } },
	};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		for (j = 0; j < 2; j++) {
			take(_metadata, knobs[i].path, knobs[i].good[j]);
			fisc_refuse(_metadata, knobs[i].path, knobs[i].bad[j],
				    -EINVAL);
		}
	}
}

TEST_HARNESS_MAIN
