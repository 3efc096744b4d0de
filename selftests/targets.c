// SPDX-License-Identifier: GPL-2.0
/*
 * How much memory each VM should have: tunables, targets, the tax on idle
 * memory, and who pays for shared frames.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "tax.h"
#include "toucher.h"

/* Tunables */

struct number {
	const char *path;
	const char *good[4];
	const char *bad[4];
};

static const char * const no_number[] = {
	"x", "-1", "1x", "1 1", "1.5", "0x", "4294967296", "4294967376",
	"18446744073709551616", "99999999999999999999999",
};

static void check_number(struct __test_metadata *_metadata,
			 const struct number *number)
{
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(number->good) && number->good[i]; i++) {
		take(_metadata, number->path, number->good[i]);
		for (j = 0; j < ARRAY_SIZE(number->bad) && number->bad[j]; j++)
			fisc_refuse(_metadata, number->path, number->bad[j],
				    -EINVAL);
		for (j = 0; j < ARRAY_SIZE(no_number); j++)
			fisc_refuse(_metadata, number->path, no_number[j],
				    -EINVAL);
	}
}

TEST_F(fisc, numbers_of_the_module_have_bounds)
{
	static const struct number numbers[] = {
		{ TAX_RATE, { "0", "99", "50" }, { "100", "101" } },
		{ TAX_RESERVE, { "0", "90", "10" }, { "91", "100" } },
		{ TAX_MIN_PERCENT, { "0", "100", "1" }, { "101" } },
		{ SAMPLE_PAGES, { "10", "1000", "100" }, { "0", "9", "1001" } },
		{
			SAMPLE_PERIOD, { "100", "3600000", "30000" },
			{ "0", "99", "3600001" },
		},
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
		{
			VM("a", "sample_pages"), { "10", "1000", "77" },
			{ "0", "9", "1001" },
		},
		{
			VM("a", "sample_period_ms"), { "100", "3600000" },
			{ "0", "99", "3600001" },
		},
		{
			VM("a", "sample_slow_percent"), { "1", "100", "33" },
			{ "0", "101" },
		},
		{
			VM("a", "sample_fast_percent"), { "1", "100", "33" },
			{ "0", "101" },
		},
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
		{
			SAMPLE_PERIOD, VM("a", "sample_period_ms"),
			{ "1000", "2000", "3000" },
		},
		{
			SAMPLE_SLOW, VM("a", "sample_slow_percent"),
			{ "10", "11", "12" },
		},
		{
			SAMPLE_FAST, VM("a", "sample_fast_percent"),
			{ "50", "51", "52" },
		},
	};
	char now[80];
	size_t i;

	ASSERT_LE(0, make_vm(ST "a", MIB));
	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		ASSERT_EQ(0,
			  fisc_write_str(knobs[i].module, knobs[i].values[0]));
		ASSERT_EQ(0, fisc_read_str(knobs[i].vm, now, sizeof(now)));
		EXPECT_STREQ(knobs[i].values[0], now)
			TH_LOG("%s at first", knobs[i].vm);
		/* A VM with a value of its own keeps it. */
		take(_metadata, knobs[i].vm, knobs[i].values[1]);
		ASSERT_EQ(0,
			  fisc_write_str(knobs[i].module, knobs[i].values[2]));
		ASSERT_EQ(0, fisc_read_str(knobs[i].vm, now, sizeof(now)));
		EXPECT_STREQ(knobs[i].values[1], now);
		fisc_take(_metadata, knobs[i].vm, "\n", knobs[i].values[2]);
		ASSERT_EQ(0,
			  fisc_write_str(knobs[i].module, knobs[i].values[0]));
		ASSERT_EQ(0, fisc_read_str(knobs[i].vm, now, sizeof(now)));
		EXPECT_STREQ(knobs[i].values[0], now);
	}
}

TEST_F(fisc, sizes_are_bytes_or_have_a_suffix)
{
	static const char * const paths[] = {
		VM("a", "max"), VM("a", "min"), TAX_CAPACITY,
	};
	static const char * const values[][2] = {
		{ "33554432", "33554432" }, { "33554431", "33554432" },
		{ "33550337", "33554432" }, { "33550336", "33550336" },
		{ "32M", "33554432" }, { "32768K\n", "33554432" },
		{ "16m", "16777216" },
	};
	/* Some of these would overflow to something small. */
	static const char * const bad[] = {
		"x", "0x1000000", "-1", "-1M", "M", "1Q", "1MM", "1M1", "1 M",
		"1.5M", "16777216T", "16777217T", "17592186044416M",
		"18446744073709551615", "18446744073709551616",
		"18446744073710600192", "99999999999999999999999",
	};
	size_t i, j;

	ASSERT_LE(0, make_vm(ST "a", 64 * MIB));
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		/* The capacity comes last, and min must be within it. */
		if (i == 2)
			ASSERT_EQ(0, fisc_write_str(VM("a", "min"), "\n"));
		for (j = 0; j < ARRAY_SIZE(values); j++)
			fisc_take(_metadata, paths[i], values[j][0],
				  values[j][1]);
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
		"0", "-1", "1000000001", "lo", "lowest", "normally", "high low",
		"x", "1x", "1K",
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
			fisc_refuse(_metadata, VM("a", "shares"), bad[j],
				    -EINVAL);
	}
	fisc_take(_metadata, VM("a", "shares"), "high\n", "high");
	fisc_take(_metadata, VM("a", "shares"), "77\n", "77");
}

TEST_F(fisc, what_is_measured_is_read_only)
{
	static const char * const numbers[] = {
		TAX_RESERVED, TAX_MISSING, TAX_REFUSED, VM("a", "active"),
		VM("a", "active_slow"), VM("a", "active_fast"),
		VM("a", "active_error"), VM("a", "target"),
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
	/* The next VM of the old name does not get them. */
	ASSERT_LE(0, make_vm(ST "a", 4 * MIB));
	ASSERT_EQ(0, fisc_read_str(VM("a", "shares"), now, sizeof(now)));
	EXPECT_STREQ("normal", now);
	EXPECT_EQ(75, fisc_vm("st-a", "tax_rate"));
	EXPECT_EQ(0, fisc_vm("st-a", "min"));
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
	/* A change of capacity changes them. */
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
	/* Normal is 10 for each MiB. */
	take(_metadata, VM("a", "shares"), "640");
	take(_metadata, VM("b", "shares"), "normal");
	EXPECT_TRUE(soon_about("st-a", 30 * MIB));
	EXPECT_TRUE(soon_about("st-b", 30 * MIB));
	take(_metadata, VM("a", "shares"), "320");
	EXPECT_TRUE(soon_about("st-a", 20 * MIB));
	/* What one cannot have, the other gets. */
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
	EXPECT_GE(capacity,
		  fisc_vm("st-a", "target") + fisc_vm("st-b", "target"));
	/* However few shares it has. */
	take(_metadata, VM("a", "shares"), "1");
	take(_metadata, VM("b", "shares"), "high");
	fisc_sleep_ms(500);
	EXPECT_LE(48 * MIB, fisc_vm("st-a", "target"));
	take(_metadata, VM("a", "shares"), "normal");
	take(_metadata, VM("b", "shares"), "normal");
	fisc_take(_metadata, VM("a", "min"), "0", "0");
	fisc_take(_metadata, VM("a", "max"), "8M", "8388608");
	EXPECT_TRUE(soon_between("st-a", "target", 8 * MIB - (long)PAGE_SIZE,
				 8 * MIB));
	EXPECT_TRUE(soon_about("st-b", 56 * MIB));
	take(_metadata, VM("a", "shares"), "1000000000");
	fisc_sleep_ms(500);
	EXPECT_GE(8 * MIB, fisc_vm("st-a", "target"));
	take(_metadata, VM("a", "shares"), "normal");
	fisc_take(_metadata, VM("a", "max"), "0", "67108864");
	EXPECT_TRUE(soon_about("st-a", 32 * MIB));
	/* The same for a min that is only the default. */
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

/* Has the policy come to all of the VMs that have a minimum? */
static bool all_have_min(int nr_vms, long min)
{
	char name[64];
	int i;

	for (i = 0; i < nr_vms; i += 3) {
		snprintf(name, sizeof(name), "st-%d", i);
		if (fisc_vm(name, "target") < min)
			return false;
	}
	return true;
}

TEST_F(fisc, many_vms_stay_within_capacity)
{
	static const char * const shares[] = {
		"low", "normal", "high", "7", "100000",
	};
	long capacity, sum, size;
	double end;
	char path[64];
	int i;

	for (i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), ST "%d", i);
		ASSERT_LE(0, make_vm(path, (1 + i % 7) * 8 * MIB));
		snprintf(path, sizeof(path), "st-%d", i);
		ASSERT_EQ(0, fisc_vm_set(path, "shares",
					 shares[i % ARRAY_SIZE(shares)]));
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
	} while ((sum > capacity || sum < capacity - 16 * MIB ||
		  !all_have_min(50, 2 * MIB)) && fisc_now() < end);
	/* Nothing is left over that a VM could have. */
	EXPECT_GE(capacity, sum);
	EXPECT_LE(capacity - 16 * MIB, sum);
	for (i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "st-%d", i);
		size = (1 + i % 7) * 8 * MIB;
		EXPECT_LE(i % 3 ? 0 : 2 * MIB, fisc_vm(path, "target"));
		EXPECT_GE(i % 4 ? size : 4 * MIB, fisc_vm(path, "target"));
	}
}

/* The tax on idle memory */

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
	/* A VM can be exempt. */
	ASSERT_EQ(0, fisc_write_str(TAX_RATE, "75"));
	EXPECT_TRUE(soon_about("st-b", 3 * MIB));
	ASSERT_EQ(0, fisc_vm_set("st-b", "tax_rate", "0"));
	EXPECT_TRUE(soon_between("st-b", "target", 7 * MIB, 8 * MIB));
	ASSERT_EQ(0, fisc_vm_set("st-b", "tax_rate", "\n"));
	EXPECT_TRUE(soon_about("st-b", 3 * MIB));
	/* The idle VM and the active one change roles. */
	touch_percent(&a, 0);
	touch_percent(&b, 100);
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "target", 2 * MIB, 4 * MIB));
	EXPECT_TRUE(fisc_wait_vm_between("st-b", "target", 11 * MIB, 13 * MIB));
}

/* Read rho in millionths; -1 if the number is malformed. */
static long read_rho(const char *vm)
{
	char path[128], buf[80], end;
	long whole, millionths;
	int digits = 0, start = 0;

	snprintf(path, sizeof(path), FISC_SYSFS "/vms/%s/rho", vm);
	if (fisc_read_str(path, buf, sizeof(buf)))
		return -1;
	if (sscanf(buf, "%ld.%n%6ld%n%c", &whole, &start, &millionths, &digits,
		   &end) != 2 ||
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
	fprintf(stderr, "# rho of %s is %ld after %d s, not %ld to %ld\n", vm,
		now, PROMPT_S, low, high);
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
	/* All its pages are present, and its target is all of them. */
	untaxed = 1000000L * 1000000 / TOUCHED_PAGES;
	EXPECT_TRUE(soon_rho("st-a", untaxed - untaxed / 100,
			     untaxed + untaxed / 100));
	ASSERT_EQ(0, fisc_vm_set("st-a", "shares", "2000000"));
	EXPECT_TRUE(soon_rho("st-a", 2 * untaxed - untaxed / 50,
			     2 * untaxed + untaxed / 50));
	/* Idle pages count four times. */
	ASSERT_EQ(0, fisc_write_str(TAX_RATE, "75"));
	EXPECT_TRUE(soon_rho("st-a", untaxed / 2 - untaxed / 100,
			     untaxed / 2 + untaxed / 50));
	touch_percent(&t, 100);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 100));
	EXPECT_TRUE(soon_rho("st-a", 2 * untaxed - untaxed / 10,
			     2 * untaxed + untaxed / 50));
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

/* Read the value, so that the next change wakes. */
static long reread(int fd)
{
	char buf[80] = { 0 };

	if (pread(fd, buf, sizeof(buf) - 1, 0) <= 0)
		return -1;
	return strtol(buf, NULL, 10);
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
	/* Without a change, nobody is woken. */
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

/* The policy runs without memory for another thread: it has its own. */
TEST_F(fisc, policy_has_a_rescuer)
{
	EXPECT_EQ(0, fisc_run((const char *[]){
		"/bin/sh", "-c", "grep -qx kworker/R-fisc /proc/[0-9]*/comm",
		NULL }));
}

/* Who pays */

/* Wait until these VMs pay for all frames, to within a page each. */
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
	fprintf(stderr, "# %ld bytes of frames, %ld are paid for\n", frames,
		sum);
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
		/* Before sharing, each pays for its own. */
		EXPECT_EQ(bytes, fisc_vm(vms[i], "allocated"));
	}
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", pages));
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(soon_between(vms[i], "allocated", bytes / 100 * 48,
					 bytes / 100 * 52));
	EXPECT_TRUE(soon_pay_for_all(vms, 2));

	/* A third VM comes. */
	snprintf(path, sizeof(path), FISC_MNT "/%s", vms[2]);
	map[2] = fisc_map(fisc_create(path, pages), pages);
	ASSERT_NE(NULL, map[2]);
	fisc_fill_pages(map[2], pages, 1);
	ASSERT_TRUE(fisc_wait("share", "saved", 2 * pages));
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(soon_between(vms[i], "allocated", bytes / 100 * 31,
					 bytes / 100 * 35));
	EXPECT_TRUE(soon_pay_for_all(vms, 3));
	/* It pays alone for what it makes its own. */
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
	EXPECT_TRUE(soon_between("st-a", "allocated", 3 * PAGE_SIZE,
				 5 * PAGE_SIZE));
}

TEST_HARNESS_MAIN
