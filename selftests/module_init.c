// SPDX-License-Identifier: GPL-2.0
/*
 * The module's beginning, while others use what is there of it: each allocation
 * of its init fails in turn.
 */
#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>

#include "fail.h"
#include "module.h"

/* How long loads are made to fail: seconds. */
#define LOADS_S		30

/* What all processes of a case have in common. */
struct common {
	long reads;		/* of files of the module, that succeeded */
	long writes;
	long mounts;
	long loads;		/* tried, and failed */
	long failed;
	int held;		/* files of debugfs that are open */
	bool hold;		/* keep them open */
};

FIXTURE(init)
{
	struct common *common;
};

FIXTURE_SETUP(init)
{
	if (!getenv("FISC_KO"))
		SKIP(return, "FISC_KO does not name the module");
	module_set_up(_metadata);
	self->common = mmap(NULL, sizeof(*self->common), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->common);
}

FIXTURE_TEARDOWN_PARENT(init)
{
	module_tear_down(_metadata);
}

/* Run a function in a process of its own, over and over until it is killed. */
static pid_t keep_doing(void (*fn)(struct common *common),
			struct common *common)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		/* Leave the CPU to the load until there is something. */
		while (access(FISC_SYSFS, F_OK))
			usleep(500);
		fn(common);
	}
}

static void add(long *count, bool yes)
{
	if (yes)
		__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

/* Write to a file what it reads. */
static void use_file(const char *path, struct common *common)
{
	char buf[4096];
	int ret = fisc_read_str(path, buf, sizeof(buf));

	add(&common->reads, !ret);
	if (!ret)
		add(&common->writes, !fisc_write_str(path, buf));
}

static void use_directory(const char *path, struct common *common)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[600];

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			use_directory(name, common);
		else
			use_file(name, common);
	}
	if (dir)
		closedir(dir);
}

static void use_sysfs(struct common *common)
{
	use_directory(FISC_SYSFS, common);
}

/* What makes the module begin something. */
static void start_things(struct common *common)
{
	static const char * const writes[][2] = {
		{ SHARE_RUN, "1" }, { SHARE_DOMAIN, "a" },
		{ FISC_SYSFS "/adopt", NULL },
		{ FISC_SYSFS "/adoption/policy", "all" },
		{ FISC_SYSFS "/adoption/created", NULL },
		{ FISC_SYSFS "/adoption/names", "a* b" },
		{ FISC_SYSFS "/adoption/release_all", "1" },
		{ TAX_CAPACITY, "1G" }, { TAX_MIN_PERCENT, "1" },
		{ RECLAIM_PAGING, "0" }, { SAMPLE_PAGES, "50" },
		{ LARGE_BREAK, "2" }, { BALLOON_STATS, "1000" },
		{ FISC_SYSFS "/adoption/policy", "none" },
	};
	char pid[16];
	size_t i;

	snprintf(pid, sizeof(pid), "%d", getppid());
	for (i = 0; i < ARRAY_SIZE(writes); i++)
		add(&common->writes,
		    !fisc_write_str(writes[i][0], writes[i][1] ?: pid));
	if (!fisc_mount(FISC_MNT, NULL)) {
		add(&common->mounts, true);
		umount_lazily();
	}
}

/* Open all files in debugfs, and read them; close them when told to. */
static void hold_debugfs(struct common *common)
{
	DIR *dir = opendir(FISC_DEBUGFS);
	struct dirent *entry;
	int fds[32], nr = 0;
	char buf[4096];

	while (dir && nr < (int)ARRAY_SIZE(fds) && (entry = readdir(dir))) {
		int fd = entry->d_name[0] == '.' ? -1 :
			 openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		add(&common->reads, read(fd, buf, sizeof(buf)) >= 0);
		fds[nr++] = fd;
	}
	if (dir)
		closedir(dir);
	WRITE_ONCE(common->held, nr);
	while (nr && READ_ONCE(common->hold))
		fisc_sleep_ms(1);
	while (nr)
		close(fds[--nr]);
	WRITE_ONCE(common->held, 0);
}

/* Load the module from memory: the file is read very often. */
static int use_copy(char *path)
{
	const char * const argv[] = { "cp", getenv("FISC_KO"), path, NULL };
	int fd = mkstemp(path);

	if (fd < 0)
		return -errno;
	close(fd);
	return fisc_run(argv) ?: setenv("FISC_KO", path, 1);
}

/* How many loads are to fail, even if it takes longer. */
#define LOADS_ENOUGH	3
/* More allocations than an init makes. */
#define MANY		1000000
#define FIRST_STEP	64

/*
 * Load the module with the @nth allocation of its init failing; unload it if
 * it could be loaded all the same. Return: how many allocations were made.
 */
static long load_failing(struct __test_metadata *_metadata, long nth,
			 struct common *common)
{
	long left;
	int ret;

	WRITE_ONCE(common->hold, true);
	EXPECT_EQ(0, fail_nth(nth));
	ret = fisc_load();
	left = fail_left();
	EXPECT_EQ(0, fail_nth(0));
	if (ret) {
		EXPECT_EQ(0, left);
		EXPECT_EQ(-ENOMEM, ret);
		EXPECT_FALSE(loaded());
		EXPECT_EQ(-1, access(FISC_SYSFS, F_OK));
		EXPECT_EQ(-1, access(FISC_DEBUGFS, F_OK));
		common->failed++;
	}
	WRITE_ONCE(common->hold, false);
	if (!ret)
		EXPECT_EQ(0, fisc_unload_soon("fisc"));
	while (READ_ONCE(common->held))
		fisc_sleep_ms(1);
	common->loads++;
	if (_metadata->exit_code == KSFT_FAIL)
		TH_LOG("allocation %ld: %d", nth, ret);
	return nth - left;
}

/*
 * Have every 64th allocation fail, then those between, while there is time. On
 * a slow host that is few; and most are those of debugging, which init
 * survives.
 */
static void load_many(struct __test_metadata *_metadata, struct common *common)
{
	double end = fisc_now() + fisc_stress_s(LOADS_S);
	long nr = load_failing(_metadata, MANY, common), step, nth;

	for (step = FIRST_STEP; step; step /= 2)
		for (nth = step; nth <= nr; nth += step) {
			if ((fisc_now() > end &&
			     common->failed >= LOADS_ENOUGH) ||
			    _metadata->exit_code == KSFT_FAIL)
				return;
			if (step == FIRST_STEP || nth / step % 2)
				load_failing(_metadata, nth, common);
		}
}

TEST_F(init, each_allocation_may_fail_while_its_files_are_used)
{
	void (* const fns[])(struct common *common) = {
		use_sysfs, start_things, hold_debugfs,
	};
	struct common *common = self->common;
	char path[] = "/tmp/fisc-XXXXXX";
	pid_t pids[ARRAY_SIZE(fns)];
	size_t i;

	if (!fail_possible())
		SKIP(return, "this kernel injects no failures");
	ASSERT_EQ(0, umount(FISC_MNT));
	ASSERT_EQ(0, fisc_unload_soon("fisc"));
	ASSERT_EQ(0, use_copy(path));
	for (i = 0; i < ARRAY_SIZE(fns); i++)
		pids[i] = keep_doing(fns[i], common);
	EXPECT_EQ(0, fail_within("do_one_initcall"));
	load_many(_metadata, common);
	TH_LOG("%ld loads, %ld of them failed", common->loads, common->failed);
	EXPECT_EQ(0, fail_within(NULL));
	for (i = 0; i < ARRAY_SIZE(fns); i++) {
		EXPECT_EQ(0, kill(pids[i], SIGKILL));
		EXPECT_EQ(pids[i], waitpid(pids[i], NULL, 0));
	}
	unlink(path);
	TH_LOG("%ld reads, %ld writes, %ld mounts", common->reads,
	       common->writes, common->mounts);
	EXPECT_LT(0, common->failed);
	EXPECT_LT(0, common->reads);
	EXPECT_LT(0, common->writes);
}

TEST_HARNESS_MAIN
