// SPDX-License-Identifier: GPL-2.0
/* The balloon device and its VMM: whose memory, time, and use it is. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "balloon.h"
#include "fail.h"

TEST_F(balloon, second_device_of_a_vm_is_refused)
{
	static struct guest guest, second;
	long popped;
	pid_t pid;

	boot_inflated(_metadata, &guest, VDPA_FEATURES);
	ASSERT_EQ(0, vdpa_add("st-b"));
	EXPECT_EQ(-EBUSY, vdpa_open(&second.vdpa, "st-b"));
	/* A VMM that maps the file later is refused then (vhost: EFAULT). */
	pid = fork();
	if (!pid) {
		vdpa_close(&guest.vdpa);
		munmap(guest.map, guest.nr_pages * PAGE_SIZE);
		if (vdpa_open(&second.vdpa, "st-b"))
			_exit(1);
		guest.map = fisc_map(guest.fd, guest.nr_pages);
		_exit(vdpa_map(&second.vdpa, GPA, guest.map,
			       guest.nr_pages * PAGE_SIZE) ? 0 : 2);
	}
	EXPECT_EQ(0, fisc_wait_child(pid));
	EXPECT_EQ(512, actual(&guest));
	EXPECT_TRUE(works(&guest));
	ASSERT_EQ(0, vdpa_del("st-b"));
	EXPECT_EQ(512, actual(&guest));
	/* Once the first is gone, another can serve the VM. */
	popped = fisc_vm("st-a", "balloon/popped");
	vdpa_close(&guest.vdpa);
	EXPECT_EQ(0, fisc_vm("st-a", "balloon/actual"));
	EXPECT_EQ(popped, fisc_vm("st-a", "balloon/popped"));
	plug(_metadata, &guest, "st-c");
	start(_metadata, &guest, VDPA_FEATURES);
	ASSERT_TRUE(inflate(&guest, 1024, 512));
	EXPECT_EQ(512, actual(&guest));
}

/* Memory of any kind serves for rings; ours only can be ballooned. */
TEST_F(balloon, rings_may_be_in_other_shared_memory)
{
	static struct guest guest;
	long bad_ring = fisc_balloon("bad_ring"), unmapped;

	guest.nr_pages = 256;
	guest.map = mmap(NULL, guest.nr_pages * PAGE_SIZE,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			 0);
	ASSERT_EQ(0, vdpa_add("st-a"));
	ASSERT_EQ(0, vdpa_open(&guest.vdpa, "st-a"));
	/* Nothing is mapped yet. */
	ASSERT_EQ(0, vdpa_start(&guest.vdpa, guest.map, GPA, VDPA_FEATURES,
				16));
	vdpa_kick(&guest.vdpa.queues[0]);
	EXPECT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET));
	EXPECT_EQ(bad_ring + 1, fisc_balloon("bad_ring"));
	ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map,
			      guest.nr_pages * PAGE_SIZE));
	start(_metadata, &guest, VDPA_FEATURES);
	fill(&guest, FIRST, 64);
	unmapped = fisc_balloon("unmapped");
	ASSERT_TRUE(inflate(&guest, FIRST, 64));
	EXPECT_EQ(unmapped + 64, fisc_balloon("unmapped"));
	EXPECT_EQ(0, fisc_balloon("ballooned"));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 64));
	EXPECT_TRUE(works(&guest));
	vdpa_close(&guest.vdpa);
}

/* Return whether the device cannot be deleted, and says so at once. */
static bool stays(const char *name)
{
	double end = fisc_now() + WAIT_S / 3;
	pid_t pid = fork();
	int i, fd_max = 256;

	if (!pid) {
		for (i = 3; i < fd_max; i++)
			close(i);
		_exit(vdpa_del(name) ? 1 : 0);
	}
	while (!waitpid(pid, NULL, WNOHANG)) {
		if (fisc_now() > end)
			return false;
		fisc_sleep_ms(10);
	}
	return vdpa_exists(name);
}

TEST_F(balloon, device_in_use_stays)
{
	static struct guest guest;

	boot_inflated(_metadata, &guest, VDPA_FEATURES);
	ASSERT_EQ(0, vdpa_add("st-b"));
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc_vdpa"));
	ASSERT_TRUE(stays("st-a"));
	/* Nobody waits for the VMM. */
	ASSERT_EQ(0, vdpa_del("st-b"));
	EXPECT_EQ(512, actual(&guest));
	EXPECT_TRUE(works(&guest));
	/* Opened is in use. */
	vdpa_close(&guest.vdpa);
	guest.vdpa.fd = -1;
	ASSERT_EQ(0, vdpa_open(&guest.vdpa, "st-a"));
	EXPECT_EQ(-EAGAIN, fisc_unload("fisc_vdpa"));
	ASSERT_TRUE(stays("st-a"));
	vdpa_close(&guest.vdpa);
	ASSERT_EQ(0, vdpa_del("st-a"));
	EXPECT_FALSE(vdpa_exists("st-a"));
	EXPECT_EQ(0, vdpa_unload());
	ASSERT_EQ(0, vdpa_load());
}

/* The VMM's thread that does the device's work; 0 if there is none. */
static int find_worker(void)
{
	char path[300], comm[32];
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/task");
	int tid = 0;

	while (dir && !tid && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
			 entry->d_name);
		if (!fisc_read_str(path, comm, sizeof(comm)) &&
		    !strncmp(comm, "fisc_vdpa", 9))
			tid = atoi(entry->d_name);
	}
	if (dir)
		closedir(dir);
	return tid;
}

/* Return the time that a thread of this process has run, in ns. */
static long run_ns(int tid)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", tid);
	return fisc_read_str(path, text, sizeof(text)) ? -1 : atol(text);
}

#define BIG_PAGES	8192

/* Post a buffer that says the same large ranges over and over. */
static void post_millions(struct guest *guest)
{
	struct vdpa_queue *queue = &guest->vdpa.queues[VDPA_INFLATE];
	size_t i;

	for (i = 0; i < FISC_BALLOON_BUFFER_MAX / sizeof(__u64); i++)
		((__u64 *)queue->buffer)[i] =
			FISC_BALLOON_RANGE(gfn(512 + i % 15 * 512), 9);
	vdpa_post(queue, queue->buffer_iova, FISC_BALLOON_BUFFER_MAX, 0);
}

TEST_F(balloon, work_is_on_the_vmms_account)
{
	static struct guest guest;
	long before;
	pid_t pid;
	int tid;

	boot(_metadata, &guest, BIG_PAGES, VDPA_PAIRED);
	tid = find_worker();
	ASSERT_NE(0, tid);
	before = run_ns(tid);
	post_millions(&guest);
	ASSERT_TRUE(vdpa_wait_used(&guest.vdpa.queues[VDPA_INFLATE]));
	EXPECT_EQ(15 * 512, actual(&guest));
	/* Four million pages take a while, on any machine. */
	EXPECT_LT(1000000, run_ns(tid) - before);
	vdpa_close(&guest.vdpa);
	EXPECT_EQ(0, find_worker());
	/* A VMM that is killed does not wait for the work to be done. */
	pid = fork();
	if (!pid) {
		int i;

		if (vdpa_open(&guest.vdpa, "st-a") ||
		    vdpa_map(&guest.vdpa, GPA, guest.map,
			     guest.nr_pages * PAGE_SIZE) ||
		    vdpa_start(&guest.vdpa, guest.map, GPA, VDPA_PAIRED, 256))
			_exit(1);
		for (i = 0; i < 200; i++)
			post_millions(&guest);
		pause();
	}
	EXPECT_TRUE(fisc_wait_above("balloon", "ballooned", 0));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(-1, fisc_wait_child(pid));
	EXPECT_TRUE(fisc_wait_vm("st-a", "balloon/actual", 0));
}

/* The used ring cannot be written: nothing is lost, and nobody is blamed. */
TEST_F(balloon, lack_of_memory_only_delays)
{
	static struct guest guest;
	struct vdpa_queue *queue;
	long retries;
	int tid;

	if (!fail_possible())
		SKIP(return, "no fault injection");
	boot(_metadata, &guest, 1024, VDPA_FEATURES);
	queue = &guest.vdpa.queues[VDPA_INFLATE];
	tid = find_worker();
	ASSERT_NE(0, tid);
	retries = fisc_balloon("retries");
	/* A hole: it needs a frame. */
	ASSERT_EQ(0, fallocate(guest.fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       (char *)queue->used - guest.map, PAGE_SIZE));
	ASSERT_EQ(0, fail_process(tid, 100));
	*(__u32 *)queue->buffer = gfn(FIRST);
	vdpa_post(queue, queue->buffer_iova, 4, 0);
	EXPECT_TRUE(fisc_wait_above("balloon", "retries", retries + 3));
	EXPECT_EQ(0, vdpa_status(&guest.vdpa) & NEEDS_RESET);
	ASSERT_EQ(0, fail_process(tid, 0));
	ASSERT_TRUE(vdpa_wait_used(queue));
	EXPECT_EQ(1, queue->used->idx);
	EXPECT_EQ(1, actual(&guest));
	EXPECT_TRUE(works(&guest));
}

TEST_HARNESS_MAIN
