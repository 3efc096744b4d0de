// SPDX-License-Identifier: GPL-2.0
/*
 * How much each VM should have: tunables, admission, targets, estimates of
 * active memory, and who pays for what is shared.
 *
 * VMs of these cases are small, and the capacity is set to what all VMs have
 * reserved and a little more, so that it binds.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "fixture.h"

#define KIB		1024L
#define MIB		(1024 * KIB)
#define GIB		(1024 * MIB)
#define MIB_PAGES	256
#define CHUNK_PAGES	512
#define VM(name, file)	FISC_SYSFS "/vms/st-" name "/" file

/* A change of a target, where one is expected, takes no longer. */
#define PROMPT_S	20

static void take(struct __test_metadata *_metadata, const char *path, const char *value)
{
	fisc_take(_metadata, path, value, value);
}

static void set_bytes(struct __test_metadata *_metadata, const char *path, long bytes)
{
	char value[32];

	snprintf(value, sizeof(value), "%ld", bytes);
	ASSERT_EQ(0, fisc_write_str(path, value))
		TH_LOG("%s and %s", path, value);
}

/* Return: the capacity, now @bytes above what is reserved. */
static long leave_room(struct __test_metadata *_metadata, long bytes)
{
	set_bytes(_metadata, TAX_CAPACITY, fisc_read_long(TAX_RESERVED) + bytes);
	return fisc_read_long(TAX_CAPACITY);
}

static int make_vm(const char *path, long bytes)
{
	return fisc_create(path, bytes / PAGE_SIZE);
}

static bool soon_between(const char *vm, const char *name, long low, long high)
{
	return fisc_wait_vm_between_s(vm, name, low, high, PROMPT_S);
}

/* Does @vm have a target of @bytes soon, but for what the module itself needs? */
static bool soon_about(const char *vm, long bytes)
{
	return soon_between(vm, "target", bytes - MIB, bytes + MIB);
}

/* Tunables */

struct number {
	const char *path;
	const char *good[4];
	const char *bad[4];
};

static const char * const no_number[] = {
	"x", "-1", "1x", "1 1", "1.5", "0x", "4294967296", "4294967376", "18446744073709551616",
	"99999999999999999999999",
};

static void check_number(struct __test_metadata *_metadata, const struct number *number)
{
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(number->good) && number->good[i]; i++) {
		take(_metadata, number->path, number->good[i]);
		for (j = 0; j < ARRAY_SIZE(number->bad) && number->bad[j]; j++)
			fisc_refuse(_metadata, number->path, number->bad[j], -EINVAL);
		for (j = 0; j < ARRAY_SIZE(no_number); j++)
			fisc_refuse(_metadata, number->path, no_number[j], -EINVAL);
	}
}

TEST_F(fisc, numbers_of_the_module_have_bounds)
{
	static const struct number numbers[] = {
		{ TAX_RATE, { "0", "99", "50" }, { "100", "101" } },
		{ TAX_RESERVE, { "0", "90", "10" }, { "91", "100" } },
		{ TAX_MIN_PERCENT, { "0", "100", "1" }, { "101" } },
		{ SAMPLE_PAGES, { "10", "1000", "100" }, { "0", "9", "1001" } },
		{ SAMPLE_PERIOD, { "100", "3600000", "30000" }, { "0", "99", "3600001" } },
		{ SAMPLE_SLOW, { "1", "100", "20" }, { "0", "101" } },
		{ SAMPLE_FAST, { "1", "100", "60" }, { "0", "101" } },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		check_number(_metadata, &numbers[i]);
		fisc_refuse(_metadata, numbers[i].path, "\n", -EINVAL);
	}
}

TEST_F(fisc, numbers_of_a_vm_have_bounds)
{
	static const struct number numbers[] = {
		{ VM("a", "tax_rate"), { "0", "99", "50" }, { "100" } },
		{ VM("a", "sample_pages"), { "10", "1000", "77" }, { "0", "9", "1001" } },
		{ VM("a", "sample_period_ms"), { "100", "3600000" }, { "0", "99", "3600001" } },
		{ VM("a", "sample_slow_percent"), { "1", "100", "33" }, { "0", "101" } },
		{ VM("a", "sample_fast_percent"), { "1", "100", "33" }, { "0", "101" } },
	};
	size_t i;

	ASSERT_LE(0, make_vm(ST "a", MIB));
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		check_number(_metadata, &numbers[i]);
}

TEST_F(fisc, empty_line_follows_the_module)
{
	static const struct {
		const char *module;
		const char *vm;
		const char *values[3];
	} knobs[] = {
		{ TAX_RATE, VM("a", "tax_rate"), { "10", "20", "30" } },
		{ SAMPLE_PAGES, VM("a", "sample_pages"), { "10", "20", "30" } },
		{ SAMPLE_PERIOD, VM("a", "sample_period_ms"), { "1000", "2000", "3000" } },
		{ SAMPLE_SLOW, VM("a", "sample_slow_percent"), { "10", "11", "12" } },
		{ SAMPLE_FAST, VM("a", "sample_fast_percent"), { "50", "51", "52" } },
	};
	char now[80];
	size_t i;

	ASSERT_LE(0, make_vm(ST "a", MIB));
	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		ASSERT_EQ(0, fisc_write_str(knobs[i].module, knobs[i].values[0]));
		ASSERT_EQ(0, fisc_read_str(knobs[i].vm, now, sizeof(now)));
		EXPECT_STREQ(knobs[i].values[0], now)
			TH_LOG("%s at first", knobs[i].vm);
		/* A VM that chose is left alone. */
		take(_metadata, knobs[i].vm, knobs[i].values[1]);
		ASSERT_EQ(0, fisc_write_str(knobs[i].module, knobs[i].values[2]));
		ASSERT_EQ(0, fisc_read_str(knobs[i].vm, now, sizeof(now)));
		EXPECT_STREQ(knobs[i].values[1], now);
		fisc_take(_metadata, knobs[i].vm, "\n", knobs[i].values[2]);
		ASSERT_EQ(0, fisc_write_str(knobs[i].module, knobs[i].values[0]));
		ASSERT_EQ(0, fisc_read_str(knobs[i].vm, now, sizeof(now)));
		EXPECT_STREQ(knobs[i].values[0], now);
	}
}

TEST_F(fisc, sizes_are_bytes_or_have_a_suffix)
{
	static const char * const paths[] = { VM("a", "max"), VM("a", "min"), TAX_CAPACITY };
	static const char * const values[][2] = {
		{ "33554432", "33554432" }, { "33554431", "33554432" }, { "33550337", "33554432" },
		{ "33550336", "33550336" }, { "32M", "33554432" }, { "32768K\n", "33554432" },
		{ "16m", "16777216" },
	};
	/* Some of these overflow, and are something small then. */
	static const char * const bad[] = {
		"x", "0x1000000", "-1", "-1M", "M", "1Q", "1MM", "1M1", "1 M", "1.5M", "16777216T",
		"16777217T", "17592186044416M", "18446744073709551615", "18446744073709551616",
		"18446744073710600192", "99999999999999999999999",
	};
	size_t i, j;

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		/* The capacity comes last, and min has to be within it. */
		if (i == 2)
			ASSERT_EQ(0, fisc_write_str(VM("a", "min"), "\n"));
		for (j = 0; j < ARRAY_SIZE(values); j++)
			fisc_take(_metadata, paths[i], values[j][0], values[j][1]);
		for (j = 0; j < ARRAY_SIZE(bad); j++)
			fisc_refuse(_metadata, paths[i], bad[j], -EINVAL);
		if (i == 0)
			ASSERT_EQ(0, fisc_write_str(paths[i], "0"));
	}
	fisc_take(_metadata, VM("a", "min"), "1", "4096");
	fisc_take(_metadata, VM("a", "min"), "0", "0");
	fisc_take(_metadata, TAX_CAPACITY, "1G", "1073741824");
}

TEST_F(fisc, shares_are_a_level_or_a_number)
{
	static const char * const good[] = {
		"low", "high", "normal", "1", "1000", "1000000000",
	};
	static const char * const bad[] = {
		"0", "-1", "1000000001", "lo", "lowest", "normally", "high low", "x", "1x", "1K",
		"1.5", "4294967296", "4294967297", "18446744073709551617", " ",
	};
	char now[80];
	size_t i, j;

	ASSERT_LE(0, make_vm(ST "a", MIB));
	ASSERT_EQ(0, fisc_read_str(VM("a", "shares"), now, sizeof(now)));
	EXPECT_STREQ("normal", now);
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		take(_metadata, VM("a", "shares"), good[i]);
		for (j = 0; j < ARRAY_SIZE(bad); j++)
			fisc_refuse(_metadata, VM("a", "shares"), bad[j], -EINVAL);
	}
	fisc_take(_metadata, VM("a", "shares"), "high\n", "high");
	fisc_take(_metadata, VM("a", "shares"), "77\n", "77");
}

TEST_F(fisc, what_is_measured_is_read_only)
{
	static const char * const numbers[] = {
		TAX_RESERVED, TAX_MISSING, TAX_REFUSED, VM("a", "active"), VM("a", "active_slow"),
		VM("a", "active_fast"), VM("a", "active_error"), VM("a", "target"),
		VM("a", "allocated"),
	};
	struct stat st;
	size_t i;

	ASSERT_LE(0, make_vm(ST "a", MIB));
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		ASSERT_EQ(0, stat(numbers[i], &st))
			TH_LOG("%s", numbers[i]);
		EXPECT_EQ(0, (int)(st.st_mode & 0222));
		EXPECT_NE(0, fisc_write_str(numbers[i], "1"));
		EXPECT_LE(0, fisc_read_long(numbers[i]))
			TH_LOG("%s", numbers[i]);
	}
	ASSERT_EQ(0, stat(VM("a", "rho"), &st));
	EXPECT_EQ(0, (int)(st.st_mode & 0222));
	EXPECT_NE(0, fisc_write_str(FISC_DEBUGFS "/sample", "1"));
	EXPECT_NE(0, fisc_write_str(FISC_DEBUGFS "/tax", "1"));
}

TEST_F(fisc, settings_stay_with_a_vm_that_is_renamed)
{
	char now[80];

	ASSERT_LE(0, make_vm(ST "a", 4 * MIB));
	take(_metadata, VM("a", "shares"), "high");
	take(_metadata, VM("a", "tax_rate"), "7");
	take(_metadata, VM("a", "min"), "1048576");
	ASSERT_EQ(0, rename(ST "a", ST "b"));
	ASSERT_EQ(0, fisc_read_str(VM("b", "shares"), now, sizeof(now)));
	EXPECT_STREQ("high", now);
	EXPECT_EQ(7, fisc_vm("st-b", "tax_rate"));
	EXPECT_EQ(MIB, fisc_vm("st-b", "min"));
	/* They are not those of the next VM of the old name. */
	ASSERT_LE(0, make_vm(ST "a", 4 * MIB));
	ASSERT_EQ(0, fisc_read_str(VM("a", "shares"), now, sizeof(now)));
	EXPECT_STREQ("normal", now);
	EXPECT_EQ(75, fisc_vm("st-a", "tax_rate"));
	EXPECT_EQ(0, fisc_vm("st-a", "min"));
}

/* Admission */

TEST_F(fisc, min_and_max_keep_their_order)
{
	int fd = make_vm(ST "a", 64 * MIB);
	long refused = fisc_read_long(TAX_REFUSED);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fisc_vm("st-a", "min"));
	EXPECT_EQ(64 * MIB, fisc_vm("st-a", "max"));
	fisc_take(_metadata, VM("a", "min"), "16M", "16777216");
	fisc_refuse(_metadata, VM("a", "min"), "65M", -EINVAL);
	fisc_refuse(_metadata, VM("a", "min"), "1T", -EINVAL);
	fisc_refuse(_metadata, VM("a", "max"), "15M", -EINVAL);
	fisc_refuse(_metadata, VM("a", "max"), "1", -EINVAL);
	fisc_take(_metadata, VM("a", "max"), "32M", "33554432");
	fisc_refuse(_metadata, VM("a", "min"), "33M", -EINVAL);
	fisc_take(_metadata, VM("a", "min"), "32M", "33554432");
	fisc_refuse(_metadata, VM("a", "max"), "31M", -EINVAL);
	fisc_take(_metadata, VM("a", "min"), "\n", "0");
	/* Nothing and 0 both are the VM's size, also when that changes. */
	fisc_take(_metadata, VM("a", "max"), "0", "67108864");
	fisc_take(_metadata, VM("a", "max"), "32M", "33554432");
	fisc_take(_metadata, VM("a", "max"), "\n", "67108864");
	ASSERT_EQ(0, ftruncate(fd, 128 * MIB));
	EXPECT_EQ(128 * MIB, fisc_vm("st-a", "max"));
	fisc_take(_metadata, VM("a", "min"), "128M", "134217728");
	/* Nonsense is no want of memory. */
	EXPECT_EQ(refused, fisc_read_long(TAX_REFUSED));
}

TEST_F(fisc, min_takes_what_capacity_has_left)
{
	long refused, capacity;

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	ASSERT_LE(0, make_vm(ST "b", 64 * MIB));
	refused = fisc_read_long(TAX_REFUSED);
	capacity = leave_room(_metadata, 24 * MIB);
	EXPECT_EQ(capacity - 24 * MIB, fisc_read_long(TAX_RESERVED));
	fisc_take(_metadata, VM("a", "min"), "16M", "16777216");
	EXPECT_EQ(capacity - 8 * MIB, fisc_read_long(TAX_RESERVED));
	EXPECT_EQ(refused, fisc_read_long(TAX_REFUSED));

	fisc_refuse(_metadata, VM("b", "min"), "16M", -ENOSPC);
	EXPECT_EQ(refused + 1, fisc_read_long(TAX_REFUSED));
	EXPECT_EQ(8 * MIB, fisc_read_long(TAX_MISSING));
	fisc_refuse(_metadata, VM("a", "min"), "25M", -ENOSPC);
	EXPECT_EQ(refused + 2, fisc_read_long(TAX_REFUSED));
	EXPECT_EQ(MIB, fisc_read_long(TAX_MISSING));
	EXPECT_EQ(capacity - 8 * MIB, fisc_read_long(TAX_RESERVED));

	/* To the last byte; and what one gives back the other can have. */
	fisc_take(_metadata, VM("b", "min"), "8M", "8388608");
	EXPECT_EQ(capacity, fisc_read_long(TAX_RESERVED));
	fisc_refuse(_metadata, VM("b", "min"), "8193K", -ENOSPC);
	EXPECT_EQ((long)PAGE_SIZE, fisc_read_long(TAX_MISSING));
	fisc_take(_metadata, VM("a", "min"), "0", "0");
	fisc_take(_metadata, VM("b", "min"), "24M", "25165824");
	EXPECT_EQ(refused + 3, fisc_read_long(TAX_REFUSED));
}

TEST_F(fisc, min_percent_is_for_those_who_chose_none)
{
	long refused, reserved;

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	ASSERT_LE(0, make_vm(ST "b", 32 * MIB));
	fisc_take(_metadata, VM("b", "min"), "8M", "8388608");
	reserved = fisc_read_long(TAX_RESERVED);
	take(_metadata, TAX_MIN_PERCENT, "25");
	EXPECT_EQ(16 * MIB, fisc_vm("st-a", "min"));
	EXPECT_EQ(8 * MIB, fisc_vm("st-b", "min"));
	EXPECT_EQ(reserved + 16 * MIB, fisc_read_long(TAX_RESERVED));

	leave_room(_metadata, 8 * MIB);
	refused = fisc_read_long(TAX_REFUSED);
	fisc_refuse(_metadata, TAX_MIN_PERCENT, "50", -ENOSPC);
	EXPECT_EQ(refused + 1, fisc_read_long(TAX_REFUSED));
	EXPECT_EQ(8 * MIB, fisc_read_long(TAX_MISSING));
	EXPECT_EQ(16 * MIB, fisc_vm("st-a", "min"));
	fisc_refuse(_metadata, TAX_MIN_PERCENT, "101", -EINVAL);
	/* 25 % of this VM, too, would not fit any more. */
	fisc_take(_metadata, VM("a", "min"), "0", "0");
	fisc_take(_metadata, VM("b", "min"), "32M", "33554432");
	fisc_refuse(_metadata, VM("a", "min"), "\n", -ENOSPC);
	EXPECT_EQ(16 * MIB, fisc_read_long(TAX_MISSING));
	take(_metadata, TAX_MIN_PERCENT, "0");
	fisc_take(_metadata, VM("a", "min"), "\n", "0");
	EXPECT_EQ(refused + 2, fisc_read_long(TAX_REFUSED));
}

/* Ways to make a file larger */

static int grow_by_truncate(int fd, long bytes)
{
	return ftruncate(fd, bytes) ? -errno : 0;
}

static int grow_by_allocate(int fd, long bytes)
{
	return fallocate(fd, 0, bytes - PAGE_SIZE, PAGE_SIZE) ? -errno : 0;
}

static int grow_by_write(int fd, long bytes)
{
	char page[PAGE_SIZE] = { 1 };
	ssize_t done = pwrite(fd, page, PAGE_SIZE, bytes - PAGE_SIZE);

	if (done < 0)
		return -errno;
	return done == (ssize_t)PAGE_SIZE ? 0 : -EIO;
}

static void grow(struct __test_metadata *_metadata, int (*how)(int fd, long bytes))
{
	int fd = make_vm(ST "a", 16 * MIB);
	long refused, capacity, missing;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fisc_write_str(TAX_MIN_PERCENT, "50"));
	refused = fisc_read_long(TAX_REFUSED);
	capacity = leave_room(_metadata, 4 * MIB);
	EXPECT_EQ(-ENOSPC, how(fd, 32 * MIB));
	EXPECT_EQ(16 * MIB, fisc_size(fd));
	EXPECT_EQ(0, fisc_blocks(fd));
	EXPECT_EQ(8 * MIB, fisc_vm("st-a", "min"));
	EXPECT_EQ(capacity - 4 * MIB, fisc_read_long(TAX_RESERVED));
	EXPECT_EQ(refused + 1, fisc_read_long(TAX_REFUSED));
	/* The new min, less what was there, and what the map of it takes. */
	missing = fisc_read_long(TAX_MISSING);
	EXPECT_LE(4 * MIB, missing);
	EXPECT_GE(5 * MIB, missing);
	/* What it lacked, and the file grows. */
	set_bytes(_metadata, TAX_CAPACITY, capacity + missing);
	EXPECT_EQ(0, how(fd, 32 * MIB));
	EXPECT_EQ(32 * MIB, fisc_size(fd));
	EXPECT_EQ(16 * MIB, fisc_vm("st-a", "min"));
	EXPECT_EQ(-ENOSPC, how(fd, 64 * MIB));
	EXPECT_EQ(refused + 2, fisc_read_long(TAX_REFUSED));
	EXPECT_EQ(32 * MIB, fisc_size(fd));
	/* Writing within it is no matter of capacity, making it smaller neither. */
	EXPECT_EQ(0, grow_by_write(fd, 4 * MIB));
	EXPECT_EQ(0, ftruncate(fd, 16 * MIB));
	EXPECT_EQ(8 * MIB, fisc_vm("st-a", "min"));
}

TEST_F(fisc, truncate_grows_a_file_within_capacity)
{
	grow(_metadata, grow_by_truncate);
}

TEST_F(fisc, fallocate_grows_a_file_within_capacity)
{
	grow(_metadata, grow_by_allocate);
}

TEST_F(fisc, write_grows_a_file_within_capacity)
{
	grow(_metadata, grow_by_write);
}

TEST_F(fisc, new_vm_needs_its_min)
{
	int fd;

	ASSERT_EQ(0, fisc_write_str(TAX_MIN_PERCENT, "100"));
	ASSERT_LE(0, make_vm(ST "a", 16 * MIB));
	leave_room(_metadata, 8 * MIB);
	fd = open(ST "b", O_RDWR | O_CREAT, 0600);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOSPC, grow_by_truncate(fd, 16 * MIB));
	EXPECT_EQ(0, fisc_size(fd));
	EXPECT_EQ(0, grow_by_truncate(fd, 4 * MIB));
	/* All files of a VM count together. */
	ASSERT_EQ(0, mkdir(ST "d", 0755));
	fd = fisc_create(ST "d/x", MIB_PAGES);
	ASSERT_LE(0, fd);
	fd = open(ST "d/y", O_RDWR | O_CREAT, 0600);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOSPC, grow_by_truncate(fd, 16 * MIB));
	EXPECT_EQ(0, grow_by_truncate(fd, MIB));
	EXPECT_EQ(2 * MIB, fisc_vm("st-d", "min"));
}

TEST_F(fisc, what_a_vm_reserved_ends_with_it)
{
	long before = fisc_read_long(TAX_RESERVED);
	int fd = make_vm(ST "a", 64 * MIB);
	double end = fisc_now() + PROMPT_S;

	ASSERT_LE(0, fd);
	EXPECT_LT(before, fisc_read_long(TAX_RESERVED));
	fisc_take(_metadata, VM("a", "min"), "32M", "33554432");
	EXPECT_LE(before + 32 * MIB, fisc_read_long(TAX_RESERVED));
	/* Unlinked, the memory is still in use, and paid for. */
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_LE(before + 32 * MIB, fisc_read_long(TAX_RESERVED));
	close(fd);
	while (fisc_read_long(TAX_RESERVED) != before && fisc_now() < end)
		fisc_sleep_ms(10);
	EXPECT_EQ(before, fisc_read_long(TAX_RESERVED));
}

TEST_F(fisc, capacity_is_not_below_what_is_reserved)
{
	long usual = fisc_read_long(TAX_CAPACITY), reserved;
	char value[32];

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	fisc_take(_metadata, VM("a", "min"), "32M", "33554432");
	reserved = fisc_read_long(TAX_RESERVED);
	ASSERT_LE(32 * MIB, reserved);
	snprintf(value, sizeof(value), "%ld", reserved - (long)PAGE_SIZE);
	fisc_refuse(_metadata, TAX_CAPACITY, value, -ENOSPC);
	fisc_refuse(_metadata, TAX_CAPACITY, "16M", -ENOSPC);
	fisc_refuse(_metadata, TAX_CAPACITY, "1", -ENOSPC);
	set_bytes(_metadata, TAX_CAPACITY, reserved);
	EXPECT_LE(reserved, fisc_read_long(TAX_CAPACITY));
	EXPECT_GT(reserved + (long)PAGE_SIZE, fisc_read_long(TAX_CAPACITY));
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, "0"));
	EXPECT_EQ(usual, fisc_read_long(TAX_CAPACITY));
}

/* There is no swap. */
TEST_F(fisc, what_is_promised_fits_into_capacity)
{
	int fd = make_vm(ST "a", 16 * MIB);
	long refused = fisc_read_long(TAX_REFUSED), promised = fisc_read_long(TAX_PROMISED);

	ASSERT_LE(0, fd);
	EXPECT_LT(fisc_read_long(TAX_RESERVED) + 16 * MIB - MIB, promised);
	take(_metadata, TAX_OVERCOMMIT, "0");
	set_bytes(_metadata, TAX_CAPACITY, promised + 8 * MIB);
	EXPECT_EQ(-ENOSPC, grow_by_truncate(fd, 32 * MIB));
	EXPECT_EQ(refused + 1, fisc_read_long(TAX_REFUSED));
	EXPECT_LE(8 * MIB, fisc_read_long(TAX_MISSING));
	EXPECT_GE(9 * MIB, fisc_read_long(TAX_MISSING));
	EXPECT_EQ(promised, fisc_read_long(TAX_PROMISED));
	EXPECT_EQ(0, grow_by_truncate(fd, 23 * MIB));
	EXPECT_LE(promised + 7 * MIB, fisc_read_long(TAX_PROMISED));
	fisc_refuse(_metadata, TAX_CAPACITY, "16M", -ENOSPC);

	/* A max that is lower makes room for another, and cannot go up again then. */
	fisc_take(_metadata, VM("a", "max"), "12M", "12582912");
	ASSERT_LE(0, make_vm(ST "b", 11 * MIB));
	fisc_refuse(_metadata, VM("a", "max"), "\n", -ENOSPC);
	EXPECT_EQ(refused + 3, fisc_read_long(TAX_REFUSED));
	take(_metadata, TAX_OVERCOMMIT, "1");
	fisc_take(_metadata, VM("a", "max"), "\n", "24117248");
	EXPECT_EQ(0, grow_by_truncate(fd, 64 * MIB));

	/* What is promised already stays so, and nothing is added. */
	take(_metadata, TAX_OVERCOMMIT, "0");
	EXPECT_EQ(-ENOSPC, grow_by_truncate(fd, 65 * MIB));
	EXPECT_EQ(0, grow_by_truncate(fd, 63 * MIB));
	fisc_refuse(_metadata, TAX_OVERCOMMIT, "2", -EINVAL);
}

TEST_F(fisc, capacity_is_host_memory_less_a_reserve)
{
	long all, ninety, half;

	ASSERT_EQ(0, fisc_write_str(TAX_RESERVE, "0"));
	all = fisc_read_long(TAX_CAPACITY);
	EXPECT_LE(sysconf(_SC_PHYS_PAGES) / 100 * 95 * (long)PAGE_SIZE, all);
	EXPECT_GE(sysconf(_SC_PHYS_PAGES) / 100 * 105 * (long)PAGE_SIZE, all);
	ASSERT_EQ(0, fisc_write_str(TAX_RESERVE, "10"));
	ninety = fisc_read_long(TAX_CAPACITY);
	ASSERT_EQ(0, fisc_write_str(TAX_RESERVE, "50"));
	half = fisc_read_long(TAX_CAPACITY);
	EXPECT_GE(MIB, labs(all / 10 * 9 - ninety));
	EXPECT_GE(MIB, labs(all / 2 - half));
	/* A capacity that was chosen has no reserve. */
	fisc_take(_metadata, TAX_CAPACITY, "1G", "1073741824");
	ASSERT_EQ(0, fisc_write_str(TAX_RESERVE, "0"));
	EXPECT_EQ(GIB, fisc_read_long(TAX_CAPACITY));
	EXPECT_EQ(GIB, fisc_tax("capacity"));
	EXPECT_EQ(fisc_read_long(TAX_RESERVED), fisc_tax("reserved"));
}

/* Targets */

TEST_F(fisc, target_is_all_of_a_vm_while_there_is_room)
{
	int fd = make_vm(ST "a", 64 * MIB);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mkdir(ST "d", 0755));
	EXPECT_EQ(0, fisc_vm("st-d", "target"));
	ASSERT_LE(0, fisc_create(ST "d/x", MIB_PAGES));
	ASSERT_LE(0, fisc_create(ST "d/y", 2 * MIB_PAGES));
	EXPECT_TRUE(soon_between("st-a", "target", 64 * MIB, 64 * MIB));
	EXPECT_TRUE(soon_between("st-d", "target", 3 * MIB, 3 * MIB));
	ASSERT_EQ(0, ftruncate(fd, 128 * MIB));
	EXPECT_TRUE(soon_between("st-a", "target", 128 * MIB, 128 * MIB));
	ASSERT_EQ(0, ftruncate(fd, MIB));
	EXPECT_TRUE(soon_between("st-a", "target", MIB, MIB));
}

TEST_F(fisc, equal_vms_have_equal_targets)
{
	long capacity, a, b;

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	ASSERT_LE(0, make_vm(ST "b", 64 * MIB));
	capacity = leave_room(_metadata, 64 * MIB);
	EXPECT_TRUE(soon_about("st-a", 32 * MIB));
	EXPECT_TRUE(soon_about("st-b", 32 * MIB));
	a = fisc_vm("st-a", "target");
	b = fisc_vm("st-b", "target");
	EXPECT_GE((long)PAGE_SIZE, labs(a - b));
	EXPECT_GE(capacity, a + b);
	EXPECT_EQ(0, a % (long)PAGE_SIZE);
	/* And that is what a change of capacity changes. */
	set_bytes(_metadata, TAX_CAPACITY, capacity + 32 * MIB);
	EXPECT_TRUE(soon_about("st-a", 48 * MIB));
	EXPECT_TRUE(soon_about("st-b", 48 * MIB));
	leave_room(_metadata, 16 * MIB);
	EXPECT_TRUE(soon_about("st-a", 8 * MIB));
	EXPECT_TRUE(soon_about("st-b", 8 * MIB));
}

TEST_F(fisc, targets_are_in_proportion_to_shares)
{
	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	ASSERT_LE(0, make_vm(ST "b", 64 * MIB));
	leave_room(_metadata, 60 * MIB);
	take(_metadata, VM("a", "shares"), "low");
	EXPECT_TRUE(soon_about("st-a", 20 * MIB));
	EXPECT_TRUE(soon_about("st-b", 40 * MIB));
	take(_metadata, VM("b", "shares"), "high");
	EXPECT_TRUE(soon_about("st-a", 12 * MIB));
	EXPECT_TRUE(soon_about("st-b", 48 * MIB));
	/* 10 for each MiB is what is normal. */
	take(_metadata, VM("a", "shares"), "640");
	take(_metadata, VM("b", "shares"), "normal");
	EXPECT_TRUE(soon_about("st-a", 30 * MIB));
	EXPECT_TRUE(soon_about("st-b", 30 * MIB));
	take(_metadata, VM("a", "shares"), "320");
	EXPECT_TRUE(soon_about("st-a", 20 * MIB));
	/* What one may not have the other gets. */
	take(_metadata, VM("a", "shares"), "1000000000");
	EXPECT_TRUE(soon_between("st-a", "target", 59 * MIB, 64 * MIB));
	EXPECT_TRUE(soon_between("st-b", "target", 0, MIB));
}

TEST_F(fisc, shares_of_a_level_go_with_the_size)
{
	ASSERT_LE(0, make_vm(ST "a", 32 * MIB));
	ASSERT_LE(0, make_vm(ST "b", 96 * MIB));
	leave_room(_metadata, 64 * MIB);
	EXPECT_TRUE(soon_about("st-a", 16 * MIB));
	EXPECT_TRUE(soon_about("st-b", 48 * MIB));
}

TEST_F(fisc, target_is_within_min_and_max)
{
	long capacity;

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	ASSERT_LE(0, make_vm(ST "b", 64 * MIB));
	capacity = leave_room(_metadata, 64 * MIB);
	fisc_take(_metadata, VM("a", "min"), "48M", "50331648");
	EXPECT_TRUE(soon_between("st-a", "target", 48 * MIB, 49 * MIB));
	EXPECT_TRUE(soon_about("st-b", 16 * MIB));
	EXPECT_GE(capacity, fisc_vm("st-a", "target") + fisc_vm("st-b", "target"));
	/* However few shares it has. */
	take(_metadata, VM("a", "shares"), "1");
	take(_metadata, VM("b", "shares"), "high");
	fisc_sleep_ms(500);
	EXPECT_LE(48 * MIB, fisc_vm("st-a", "target"));
	take(_metadata, VM("a", "shares"), "normal");
	take(_metadata, VM("b", "shares"), "normal");
	fisc_take(_metadata, VM("a", "min"), "0", "0");
	fisc_take(_metadata, VM("a", "max"), "8M", "8388608");
	EXPECT_TRUE(soon_between("st-a", "target", 8 * MIB - (long)PAGE_SIZE, 8 * MIB));
	EXPECT_TRUE(soon_about("st-b", 56 * MIB));
	take(_metadata, VM("a", "shares"), "1000000000");
	fisc_sleep_ms(500);
	EXPECT_GE(8 * MIB, fisc_vm("st-a", "target"));
	take(_metadata, VM("a", "shares"), "normal");
	fisc_take(_metadata, VM("a", "max"), "0", "67108864");
	EXPECT_TRUE(soon_about("st-a", 32 * MIB));
	/* Of those that chose none, too. */
	take(_metadata, VM("b", "shares"), "1");
	EXPECT_TRUE(soon_between("st-b", "target", 0, MIB));
	take(_metadata, TAX_MIN_PERCENT, "25");
	EXPECT_TRUE(soon_about("st-b", 16 * MIB));
	EXPECT_LE(16 * MIB, fisc_vm("st-b", "target"));
}

TEST_F(fisc, vms_that_come_and_go_change_the_others)
{
	int fd;

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	ASSERT_LE(0, make_vm(ST "b", 64 * MIB));
	leave_room(_metadata, 60 * MIB);
	EXPECT_TRUE(soon_about("st-a", 30 * MIB));
	fd = make_vm(ST "c", 64 * MIB);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(soon_about("st-a", 20 * MIB));
	EXPECT_TRUE(soon_about("st-b", 20 * MIB));
	EXPECT_TRUE(soon_about("st-c", 20 * MIB));
	ASSERT_EQ(0, unlink(ST "c"));
	close(fd);
	EXPECT_TRUE(soon_about("st-a", 30 * MIB));
	EXPECT_TRUE(soon_about("st-b", 30 * MIB));
}

static long sum_of_targets(int nr_vms)
{
	char name[64];
	long sum = 0;
	int i;

	for (i = 0; i < nr_vms; i++) {
		snprintf(name, sizeof(name), "st-%d", i);
		sum += fisc_vm(name, "target");
	}
	return sum;
}

TEST_F(fisc, many_vms_stay_within_capacity)
{
	static const char * const shares[] = { "low", "normal", "high", "7", "100000" };
	long capacity, sum, size;
	double end;
	char path[64];
	int i;

	for (i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), ST "%d", i);
		ASSERT_LE(0, make_vm(path, (1 + i % 7) * 8 * MIB));
		snprintf(path, sizeof(path), "st-%d", i);
		ASSERT_EQ(0, fisc_vm_set(path, "shares", shares[i % ARRAY_SIZE(shares)]));
		if (i % 3 == 0)
			ASSERT_EQ(0, fisc_vm_set(path, "min", "2M"));
		if (i % 4 == 0)
			ASSERT_EQ(0, fisc_vm_set(path, "max", "4M"));
	}
	capacity = leave_room(_metadata, 256 * MIB);
	end = fisc_now() + PROMPT_S;
	do {
		fisc_sleep_ms(50);
		sum = sum_of_targets(50);
	} while (sum > capacity && fisc_now() < end);
	/* Nothing is left over that somebody could have. */
	EXPECT_GE(capacity, sum);
	EXPECT_LE(capacity - 16 * MIB, sum);
	for (i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "st-%d", i);
		size = (1 + i % 7) * 8 * MIB;
		EXPECT_LE(i % 3 ? 0 : 2 * MIB, fisc_vm(path, "target"));
		EXPECT_GE(i % 4 ? size : 4 * MIB, fisc_vm(path, "target"));
	}
}

/* Activity */

/**
 * struct toucher - a thread that touches some pages of a VM, over and over
 * @thread: the thread
 * @map: the VM's memory
 * @order: all its pages, in the order in which @nr selects them
 * @nr: how many it touches
 * @write: by writing, not by reading
 * @stop: it shall end
 */
struct toucher {
	pthread_t thread;
	char *map;
	unsigned int *order;
	size_t nr;
	bool write;
	bool stop;
};

/* Much shorter than a period, and leaves the CPU to others. */
#define TOUCH_MS	10

static void touch_once(const struct toucher *t)
{
	size_t nr = READ_ONCE(t->nr), i;

	for (i = 0; i < nr; i++) {
		char *page = t->map + t->order[i] * PAGE_SIZE;

		if (t->write)
			WRITE_ONCE(*page, (char)i);
		else
			(void)READ_ONCE(*page);
	}
}

static void *toucher_thread(void *arg)
{
	struct toucher *t = arg;

	while (!READ_ONCE(t->stop)) {
		touch_once(t);
		fisc_sleep_ms(TOUCH_MS);
	}
	return NULL;
}

/* Pages at random; @step at a time, for those that are mapped together. */
static void shuffle(struct __test_metadata *_metadata, struct toucher *t, size_t nr_pages,
		    size_t step)
{
	size_t groups = nr_pages / step, i, j;
	__u64 rnd = 42;

	t->order = malloc(nr_pages * sizeof(*t->order));
	ASSERT_NE(NULL, t->order);
	for (i = 0; i < groups; i++) {
		size_t other = fisc_rand(&rnd) % (i + 1);

		t->order[i * step] = t->order[other * step];
		t->order[other * step] = i * step;
	}
	for (i = 0; i < groups; i++)
		for (j = 1; j < step; j++)
			t->order[i * step + j] = t->order[i * step] + j;
}

#define TOUCHED_PAGES	4096

static void start_toucher(struct __test_metadata *_metadata, struct toucher *t, int percent)
{
	t->nr = TOUCHED_PAGES * percent / 100;
	ASSERT_EQ(0, pthread_create(&t->thread, NULL, toucher_thread, t));
}

/* A VM of its own with different pages, of which @percent are touched. */
static void open_toucher(struct __test_metadata *_metadata, struct toucher *t, const char *path,
			 int percent)
{
	memset(t, 0, sizeof(*t));
	t->map = fisc_map(fisc_create(path, TOUCHED_PAGES), TOUCHED_PAGES);
	ASSERT_NE(NULL, t->map);
	fisc_fill_pages(t->map, TOUCHED_PAGES, 1);
	shuffle(_metadata, t, TOUCHED_PAGES, 1);
	start_toucher(_metadata, t, percent);
}

static void touch_percent(struct toucher *t, int percent)
{
	WRITE_ONCE(t->nr, TOUCHED_PAGES * percent / 100);
}

static void sample_much(struct __test_metadata *_metadata, const char *period_ms)
{
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PAGES, "1000"));
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, period_ms));
}

/* From now on. */
static bool wait_periods(long periods)
{
	double end = fisc_now() + WAIT_S;
	long last = fisc_sample("periods") + periods;

	while (fisc_sample("periods") < last) {
		if (fisc_now() > end)
			return false;
		fisc_sleep_ms(10);
	}
	return true;
}

TEST_F(fisc, reads_count_as_activity)
{
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 30);
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
	EXPECT_TRUE(fisc_wait_active("st-a", "active_slow", 30));
	EXPECT_TRUE(fisc_wait_active("st-a", "active_fast", 30));
}

TEST_F(fisc, writes_count_as_activity)
{
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 30);
	WRITE_ONCE(t.write, true);
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
}

TEST_F(fisc, all_that_map_the_memory_count)
{
	static struct toucher t;
	size_t third;
	pid_t pid;

	open_toucher(_metadata, &t, ST "a", 30);
	third = t.nr;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		t.order += third;
		toucher_thread(&t);
	}
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 60));
	kill(pid, SIGKILL);
	fisc_wait_child(pid);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
}

TEST_F(fisc, vm_that_nobody_touches_is_idle)
{
	static struct toucher t;
	long sampled, touched;

	/* One without a page, and one that is full, but was touched long ago. */
	ASSERT_LE(0, fisc_create(ST "empty", TOUCHED_PAGES));
	open_toucher(_metadata, &t, ST "a", 0);
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 0));
	EXPECT_EQ(0, fisc_vm("st-empty", "active"));
	EXPECT_EQ(0, fisc_vm("st-empty", "active_slow"));
	EXPECT_EQ(0, fisc_vm("st-empty", "active_fast"));
	/* The scanner reads, but it is not the guest. */
	ASSERT_EQ(0, fisc_write_str(SHARE_RECHECK, "10"));
	ASSERT_EQ(0, fisc_scan_on());
	touched = fisc_sample("touched");
	sampled = fisc_sample("sampled");
	EXPECT_TRUE(wait_periods(10));
	EXPECT_LE(sampled + 3000, fisc_sample("sampled"));
	EXPECT_EQ(touched, fisc_sample("touched"));
	/* Looking has not made any memory of the holes. */
	EXPECT_EQ(TOUCHED_PAGES, fisc_core("frames"));
	EXPECT_EQ(0, fisc_vm("st-empty", "present_pages"));
}

TEST_F(fisc, growth_is_seen_within_a_period)
{
	long size = TOUCHED_PAGES * PAGE_SIZE, most = 0;
	static struct toucher t;
	double end;

	open_toucher(_metadata, &t, ST "a", 30);
	sample_much(_metadata, "1000");
	ASSERT_TRUE(fisc_wait_active("st-a", "active", 30));
	/* What is left of a period under way, and one. */
	touch_percent(&t, 80);
	end = fisc_now() + 2;
	while (fisc_now() < end) {
		long now = fisc_vm("st-a", "active");

		most = now > most ? now : most;
		fisc_sleep_ms(10);
	}
	/* Three standard errors below it. */
	EXPECT_LE(size / 100 * 76, most);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 80));
}

TEST_F(fisc, decline_is_followed_slowly)
{
	long size = TOUCHED_PAGES * PAGE_SIZE, slow, fast, active;
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 80);
	sample_much(_metadata, "500");
	ASSERT_TRUE(fisc_wait_active("st-a", "active_slow", 80));
	touch_percent(&t, 10);
	ASSERT_TRUE(wait_periods(3));
	slow = fisc_vm("st-a", "active_slow");
	fast = fisc_vm("st-a", "active_fast");
	active = fisc_vm("st-a", "active");
	/*
	 * 70 points lose a fifth with each of these and perhaps one more, but for
	 * the first, which has seen the old.
	 */
	EXPECT_LE(size / 100 * (38 - 4), slow);
	EXPECT_GT(size / 100 * 70, slow);
	EXPECT_LT(fast, slow);
	EXPECT_LE(size / 100 * (38 - 4), active);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 10));
}

TEST_F(fisc, averages_have_the_weights_they_were_given)
{
	long size = TOUCHED_PAGES * PAGE_SIZE;
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 80);
	sample_much(_metadata, "500");
	ASSERT_TRUE(fisc_wait_active("st-a", "active_slow", 80));
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_slow_percent", "1"));
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_fast_percent", "100"));
	touch_percent(&t, 10);
	ASSERT_TRUE(wait_periods(3));
	EXPECT_LE(size / 100 * 70, fisc_vm("st-a", "active_slow"));
	EXPECT_TRUE(fisc_wait_active("st-a", "active_fast", 10));
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_slow_percent", "100"));
	EXPECT_TRUE(fisc_wait_active("st-a", "active_slow", 10));
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 10));
}

TEST_F(fisc, error_is_that_of_the_sample)
{
	/* The root of 0.3 * 0.7 / 1000, in hundredths of a percent. */
	long size = TOUCHED_PAGES * PAGE_SIZE, error = size / 10000 * 145;
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 30);
	sample_much(_metadata, "500");
	ASSERT_TRUE(fisc_wait_active("st-a", "active", 30));
	EXPECT_LE(error / 4, fisc_vm("st-a", "active_error"));
	EXPECT_GE(error * 2, fisc_vm("st-a", "active_error"));
	/* A tenth of the pages, three times the error: from the next period on, or now. */
	error = fisc_vm("st-a", "active_error");
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_pages", "100"));
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "active_error", error * 2, error * 6));
}

TEST_F(fisc, period_of_a_vm_is_its_own)
{
	static struct toucher t;
	long periods;

	open_toucher(_metadata, &t, ST "a", 50);
	ASSERT_LE(0, fisc_create(ST "b", TOUCHED_PAGES));
	sample_much(_metadata, "3600000");
	periods = fisc_sample("periods");
	fisc_sleep_ms(1000);
	/* One that was under way may have ended. */
	EXPECT_GE(periods + 2, fisc_sample("periods"));
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_period_ms", "200"));
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 50));
	periods = fisc_sample("periods");
	EXPECT_TRUE(wait_periods(10));
	ASSERT_EQ(0, fisc_vm_set("st-a", "sample_period_ms", "3600000"));
	fisc_sleep_ms(300);
	periods = fisc_sample("periods");
	fisc_sleep_ms(1000);
	EXPECT_EQ(periods, fisc_sample("periods"));
}

TEST_F(fisc, pages_of_any_state_are_sampled)
{
	long present, frames, cow_breaks = fisc_share("cow_breaks");
	static struct toucher t;
	size_t i;

	t.map = fisc_map(fisc_create(ST "a", TOUCHED_PAGES), TOUCHED_PAGES);
	ASSERT_NE(NULL, t.map);
	shuffle(_metadata, &t, TOUCHED_PAGES, 1);
	/* Some zero, some equal to others, some like no other; some not there. */
	for (i = 0; i < TOUCHED_PAGES; i++) {
		char *page = t.map + i * PAGE_SIZE;

		if (i % 4 == 1)
			memset(page, 0, PAGE_SIZE);
		else if (i % 4 > 1)
			fisc_fill(page, i % 4 == 2 ? i % 64 : i);
	}
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", TOUCHED_PAGES / 4 + 16));
	ASSERT_EQ(0, fisc_scan_off());
	start_toucher(_metadata, &t, 30);
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
	/* Each was read by now that is ever read: sampling itself makes no page. */
	present = fisc_core("present");
	frames = fisc_core("frames");
	EXPECT_TRUE(wait_periods(5));
	EXPECT_EQ(present, fisc_core("present"));
	EXPECT_EQ(frames, fisc_core("frames"));
	/* Shared and zero pages stay so. */
	EXPECT_EQ(TOUCHED_PAGES / 4 + 16, frames);
	EXPECT_EQ(cow_breaks, fisc_share("cow_breaks"));
	for (i = 0; i < TOUCHED_PAGES; i++) {
		char *page = t.map + i * PAGE_SIZE;

		ASSERT_EQ(-1, i % 4 < 2 ? fisc_check_zero(page, PAGE_SIZE) :
					  fisc_check(page, i % 4 == 2 ? i % 64 : i));
	}
}

TEST_F(fisc, large_pages_are_sampled)
{
	static struct toucher t;
	size_t chunks = 20, pages = chunks * CHUNK_PAGES;
	int i;

	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "1"));
	t.map = fisc_map(fisc_create(ST "a", pages), pages);
	ASSERT_NE(NULL, t.map);
	fisc_fill_pages(t.map, pages, 1);
	ASSERT_EQ((long)chunks, fisc_core("large"));
	/* All of some chunks: the same fraction by large and by small pages. */
	shuffle(_metadata, &t, pages, CHUNK_PAGES);
	t.nr = 6 * CHUNK_PAGES;
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, toucher_thread, &t));
	sample_much(_metadata, "500");
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
	EXPECT_EQ((long)chunks, fisc_core("large"));
	for (i = 0; i < (int)pages; i++)
		ASSERT_EQ(-1, fisc_check(t.map + i * PAGE_SIZE, 1 + i));
}

TEST_F(fisc, vm_may_be_smaller_than_the_sample)
{
	static struct toucher t = { .nr = 4 };
	int fd;

	fd = fisc_create(ST "a", 8);
	t.map = fisc_map(fd, 8);
	ASSERT_NE(NULL, t.map);
	shuffle(_metadata, &t, 8, 1);
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, toucher_thread, &t));
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "200"));
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "active", 3 * PAGE_SIZE, 5 * PAGE_SIZE));
	/* Down to nothing, and back. */
	WRITE_ONCE(t.nr, 0);
	fisc_sleep_ms(50);
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_TRUE(soon_between("st-a", "active", 0, 0));
	EXPECT_TRUE(soon_between("st-a", "target", 0, 0));
	ASSERT_EQ(0, ftruncate(fd, 8 * PAGE_SIZE));
	WRITE_ONCE(t.nr, 8);
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "active", 7 * PAGE_SIZE, 8 * PAGE_SIZE));
}

TEST_F(fisc, sampling_is_counted)
{
	long periods, sampled, touched, faults, cpu_us, runs = fisc_tax("runs");
	static struct toucher t;

	open_toucher(_metadata, &t, ST "a", 50);
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "500"));
	ASSERT_TRUE(fisc_wait_active("st-a", "active", 50));
	periods = fisc_sample("periods");
	sampled = fisc_sample("sampled");
	touched = fisc_sample("touched");
	faults = fisc_sample("faults");
	cpu_us = fisc_sample("cpu_us");
	ASSERT_LE(0, faults);
	ASSERT_TRUE(wait_periods(10));
	periods = fisc_sample("periods") - periods;
	sampled = fisc_sample("sampled") - sampled;
	touched = fisc_sample("touched") - touched;
	faults = fisc_sample("faults") - faults;
	cpu_us = fisc_sample("cpu_us") - cpu_us;
	/* A hundred each, those of a period under way perhaps counted already. */
	EXPECT_LE((periods - 1) * 100, sampled);
	EXPECT_GE((periods + 2) * 100, sampled);
	EXPECT_LE(sampled * 30 / 100, touched);
	EXPECT_GE(sampled * 70 / 100, touched);
	/* At most one for each page, and only those that were touched. */
	EXPECT_GE(touched + 200, faults);
	EXPECT_LT(0, cpu_us);
	EXPECT_GE(periods * 500000, cpu_us);
	/* Every period ends with new targets. */
	EXPECT_LE(runs + 10, fisc_tax("runs"));
	EXPECT_LE(0, fisc_tax("cpu_us"));
}

TEST_F(fisc, tax_moves_memory_from_the_idle_to_the_active)
{
	static struct toucher a, b;

	open_toucher(_metadata, &a, ST "a", 100);
	open_toucher(_metadata, &b, ST "b", 0);
	sample_much(_metadata, "500");
	ASSERT_TRUE(fisc_wait_active("st-a", "active", 100));
	ASSERT_TRUE(fisc_wait_active("st-b", "active", 0));
	leave_room(_metadata, 15 * MIB);
	/* An idle page costs four times as much. */
	EXPECT_TRUE(soon_about("st-a", 12 * MIB));
	EXPECT_TRUE(soon_about("st-b", 3 * MIB));
	ASSERT_EQ(0, fisc_write_str(TAX_RATE, "50"));
	EXPECT_TRUE(soon_about("st-a", 10 * MIB));
	EXPECT_TRUE(soon_about("st-b", 5 * MIB));
	ASSERT_EQ(0, fisc_write_str(TAX_RATE, "0"));
	EXPECT_TRUE(soon_between("st-a", "target", 7 * MIB, 8 * MIB));
	EXPECT_TRUE(soon_between("st-b", "target", 7 * MIB, 8 * MIB));
	/* And a VM can be let off. */
	ASSERT_EQ(0, fisc_write_str(TAX_RATE, "75"));
	EXPECT_TRUE(soon_about("st-b", 3 * MIB));
	ASSERT_EQ(0, fisc_vm_set("st-b", "tax_rate", "0"));
	EXPECT_TRUE(soon_between("st-b", "target", 7 * MIB, 8 * MIB));
	ASSERT_EQ(0, fisc_vm_set("st-b", "tax_rate", "\n"));
	EXPECT_TRUE(soon_about("st-b", 3 * MIB));
	/* Idle and active change places. */
	touch_percent(&a, 0);
	touch_percent(&b, 100);
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "target", 2 * MIB, 4 * MIB));
	EXPECT_TRUE(fisc_wait_vm_between("st-b", "target", 11 * MIB, 13 * MIB));
}

/* Millionths; -1 if it is not a number of that form. */
static long read_rho(const char *vm)
{
	char path[128], buf[80], end;
	long whole, millionths;
	int digits = 0, start = 0;

	snprintf(path, sizeof(path), FISC_SYSFS "/vms/%s/rho", vm);
	if (fisc_read_str(path, buf, sizeof(buf)))
		return -1;
	if (sscanf(buf, "%ld.%n%6ld%n%c", &whole, &start, &millionths, &digits, &end) != 2 ||
	    digits - start != 6 || whole < 0 || millionths < 0)
		return -1;
	return whole * 1000000 + millionths;
}

static bool soon_rho(const char *vm, long low, long high)
{
	double end = fisc_now() + PROMPT_S;
	long now;

	do {
		now = read_rho(vm);
		if (now >= low && now <= high)
			return true;
		fisc_sleep_ms(10);
	} while (fisc_now() < end);
	fprintf(stderr, "# rho of %s is %ld after %d s, not %ld to %ld\n", vm, now, PROMPT_S,
		low, high);
	return false;
}

TEST_F(fisc, rho_is_shares_per_taxed_page)
{
	static struct toucher t;
	long untaxed;

	open_toucher(_metadata, &t, ST "a", 0);
	ASSERT_EQ(0, fisc_vm_set("st-a", "shares", "1000000"));
	ASSERT_EQ(0, fisc_write_str(TAX_RATE, "0"));
	sample_much(_metadata, "500");
	ASSERT_TRUE(fisc_wait_active("st-a", "active", 0));
	/* All its pages are there, and all of them are its target. */
	untaxed = 1000000L * 1000000 / TOUCHED_PAGES;
	EXPECT_TRUE(soon_rho("st-a", untaxed - untaxed / 100, untaxed + untaxed / 100));
	ASSERT_EQ(0, fisc_vm_set("st-a", "shares", "2000000"));
	EXPECT_TRUE(soon_rho("st-a", 2 * untaxed - untaxed / 50, 2 * untaxed + untaxed / 50));
	/* Idle pages count four times. */
	ASSERT_EQ(0, fisc_write_str(TAX_RATE, "75"));
	EXPECT_TRUE(soon_rho("st-a", untaxed / 2 - untaxed / 100, untaxed / 2 + untaxed / 50));
	touch_percent(&t, 100);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 100));
	EXPECT_TRUE(soon_rho("st-a", 2 * untaxed - untaxed / 10, 2 * untaxed + untaxed / 50));
}

/* Waiting for a change */

static int open_attr(const char *path)
{
	char buf[80];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, buf, sizeof(buf)) < 0 ? -1 : fd;
}

static bool poll_event(int fd, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLPRI };

	return poll(&poll_fd, 1, ms) == 1 && poll_fd.revents & POLLPRI;
}

/* What is in it now; from here on it is the next change that wakes. */
static long reread(int fd)
{
	char buf[80] = { 0 };

	return pread(fd, buf, sizeof(buf) - 1, 0) <= 0 ? -1 : strtol(buf, NULL, 10);
}

TEST_F(fisc, target_can_be_waited_for)
{
	long before;
	int fd;

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	ASSERT_LE(0, make_vm(ST "b", 64 * MIB));
	leave_room(_metadata, 60 * MIB);
	EXPECT_TRUE(soon_about("st-a", 30 * MIB));
	fisc_sleep_ms(500);
	fd = open_attr(VM("a", "target"));
	ASSERT_LE(0, fd);
	before = reread(fd);
	/* Nothing changes, nobody is woken. */
	EXPECT_FALSE(poll_event(fd, 1000));
	ASSERT_EQ(0, fisc_vm_set("st-b", "shares", "high"));
	EXPECT_TRUE(poll_event(fd, PROMPT_S * 1000));
	EXPECT_GT(before, reread(fd));
	EXPECT_TRUE(soon_about("st-a", 20 * MIB));
}

TEST_F(fisc, estimate_can_be_waited_for)
{
	long size = TOUCHED_PAGES * PAGE_SIZE, now = 0;
	double end = fisc_now() + WAIT_S;
	static struct toucher t;
	int fd;

	open_toucher(_metadata, &t, ST "a", 0);
	sample_much(_metadata, "500");
	ASSERT_TRUE(fisc_wait_active("st-a", "active", 0));
	fd = open_attr(VM("a", "active"));
	ASSERT_LE(0, fd);
	reread(fd);
	touch_percent(&t, 50);
	while (now < size / 100 * 40 && fisc_now() < end) {
		ASSERT_TRUE(poll_event(fd, PROMPT_S * 1000));
		now = reread(fd);
	}
	EXPECT_LE(size / 100 * 40, now);
}

/* Who pays */

/* Is what these VMs pay what all frames cost, to a page each? */
static bool soon_pay_for_all(const char * const vms[], int nr_vms)
{
	double end = fisc_now() + PROMPT_S;
	long frames, sum;
	int i;

	do {
		fisc_sleep_ms(10);
		frames = fisc_core("frames") * (long)PAGE_SIZE;
		for (sum = 0, i = 0; i < nr_vms; i++)
			sum += fisc_vm(vms[i], "allocated");
		if (labs(frames - sum) <= nr_vms * (long)PAGE_SIZE)
			return true;
	} while (fisc_now() < end);
	fprintf(stderr, "# %ld bytes of frames, %ld are paid for\n", frames, sum);
	return false;
}

TEST_F(fisc, users_of_a_frame_pay_equal_parts)
{
	static const char * const vms[] = { "st-a", "st-b", "st-c" };
	long pages = 512, bytes = pages * PAGE_SIZE;
	char *map[3], path[64];
	int i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), FISC_MNT "/%s", vms[i]);
		map[i] = fisc_map(fisc_create(path, pages), pages);
		ASSERT_NE(NULL, map[i]);
		fisc_fill_pages(map[i], pages, 1);
		/* Before, each pays for its own. */
		EXPECT_EQ(bytes, fisc_vm(vms[i], "allocated"));
	}
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", pages));
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(soon_between(vms[i], "allocated", bytes / 100 * 48, bytes / 100 * 52));
	EXPECT_TRUE(soon_pay_for_all(vms, 2));

	/* A third one comes. */
	snprintf(path, sizeof(path), FISC_MNT "/%s", vms[2]);
	map[2] = fisc_map(fisc_create(path, pages), pages);
	ASSERT_NE(NULL, map[2]);
	fisc_fill_pages(map[2], pages, 1);
	ASSERT_TRUE(fisc_wait("share", "saved", 2 * pages));
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(soon_between(vms[i], "allocated", bytes / 100 * 31, bytes / 100 * 35));
	EXPECT_TRUE(soon_pay_for_all(vms, 3));
	/* What it makes its own it pays for alone. */
	ASSERT_EQ(0, fisc_scan_off());
	fisc_fill_pages(map[2], pages / 2, 100000);
	EXPECT_EQ(pages + pages / 2, fisc_core("frames"));
	EXPECT_TRUE(soon_pay_for_all(vms, 3));
	EXPECT_LT(bytes / 2, fisc_vm(vms[2], "allocated"));
	EXPECT_GT(bytes / 2, fisc_vm(vms[0], "allocated"));
}

TEST_F(fisc, zero_pages_and_copies_within_a_vm_cost_what_they_take)
{
	char *map = fisc_map(fisc_create(ST "a", 256), 256);
	int i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 128; i++)
		fisc_fill(map + i * PAGE_SIZE, i % 4 + 1);
	memset(map + 128 * PAGE_SIZE, 1, 128 * PAGE_SIZE);
	memset(map + 128 * PAGE_SIZE, 0, 128 * PAGE_SIZE);
	EXPECT_EQ(256 * (long)PAGE_SIZE, fisc_vm("st-a", "allocated"));
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", 4));
	ASSERT_EQ(128, fisc_core("zero"));
	EXPECT_TRUE(soon_between("st-a", "allocated", 3 * PAGE_SIZE, 5 * PAGE_SIZE));
}

TEST_HARNESS_MAIN
