// SPDX-License-Identifier: GPL-2.0
/*
 * A host with several nodes: memory is where the VMM's policy wants it, a frame
 * serves pages of its own node only, unless told otherwise, and each node has a
 * scanner and a pager of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fixture.h"
#include "adoption.h"
#include "nullb.h"
#include "vmm.h"

#define NODES		2
#define PAGES		64
#define CONTENTS	4

#define SWAP		"fiscnuma"
#define SWAP_MIB	64
#define VM_PAGES	2048

static const char * const paths[NODES] = { ST "a", ST "b" };

static bool have_nodes(void)
{
	return !access("/sys/devices/system/node/node1", F_OK);
}

/* Run on a CPU of the node from now on. */
static bool move_to(int node)
{
	char path[80], list[80];
	cpu_set_t set;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist",
		 node);
	if (fisc_read_str(path, list, sizeof(list)))
		return false;
	CPU_ZERO(&set);
	CPU_SET(atoi(list), &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

static bool bind_to(char *map, size_t len, int node)
{
	unsigned long mask = 1UL << node;

	return !syscall(SYS_mbind, map, len, MPOL_BIND, &mask, 8 * sizeof(mask),
			0);
}

/* Return the node that all pages are on, or -1. */
static int node_of(char *map)
{
	void *pages[PAGES];
	int status[PAGES], i;

	for (i = 0; i < PAGES; i++) {
		(void)READ_ONCE(map[i * PAGE_SIZE]);
		pages[i] = map + i * PAGE_SIZE;
	}
	if (syscall(SYS_move_pages, 0, PAGES, pages, NULL, status, 0))
		return -1;
	for (i = 1; i < PAGES; i++)
		if (status[i] != status[0])
			return -1;
	return status[0];
}

/* The same memory on each node; every page has equals on both. */
static void make_equal(struct __test_metadata *_metadata, char **maps)
{
	int node, i;

	for (node = 0; node < NODES; node++) {
		int fd = fisc_create(paths[node], PAGES);

		maps[node] = fisc_map(fd, PAGES);
		ASSERT_NE(NULL, maps[node]);
		ASSERT_EQ(0, fallocate(fd, PUNCH, 0, PAGES * PAGE_SIZE));
		close(fd);
		ASSERT_TRUE(move_to(node));
		ASSERT_TRUE(bind_to(maps[node], PAGES * PAGE_SIZE, node));
		for (i = 0; i < PAGES; i++)
			fisc_fill(maps[node] + i * PAGE_SIZE, i % CONTENTS + 1);
		EXPECT_EQ(node, node_of(maps[node]));
	}
}

static void check_all(struct __test_metadata *_metadata, char **maps)
{
	int node, i;

	for (node = 0; node < NODES; node++)
		for (i = 0; i < PAGES; i++)
			EXPECT_EQ(-1, fisc_check(maps[node] + i * PAGE_SIZE,
						 i % CONTENTS + 1));
}

/* The same, now shared across nodes. */
static void make_shared_across(struct __test_metadata *_metadata, char **maps)
{
	ASSERT_EQ(0, fisc_write_str(SHARE_ACROSS, "1"));
	make_equal(_metadata, maps);
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait("core", "frames", CONTENTS));
}

TEST_F(fisc, each_node_has_a_scanner)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int found = 0, node;
	char path[300], comm[80], name[80];

	if (!have_nodes())
		SKIP(return, "one node only");
	ASSERT_NE(NULL, proc);
	while ((entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (fisc_read_str(path, comm, sizeof(comm)))
			continue;
		for (node = 0; node < NODES; node++) {
			snprintf(name, sizeof(name), "fisc_share/%d", node);
			found += !strcmp(comm, name);
		}
	}
	closedir(proc);
	EXPECT_EQ(NODES, found);
}

TEST_F(fisc, frames_are_shared_within_a_node)
{
	char *maps[NODES];
	int node;

	if (!have_nodes())
		SKIP(return, "one node only");
	make_equal(_metadata, maps);
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("core", "frames", NODES * CONTENTS));
	EXPECT_TRUE(fisc_wait_passes(5));
	EXPECT_EQ(NODES * CONTENTS, fisc_core("frames"));
	for (node = 0; node < NODES; node++)
		EXPECT_EQ(node, node_of(maps[node]));
	check_all(_metadata, maps);
}

TEST_F(fisc, frames_are_shared_across_nodes_if_told_to)
{
	char *maps[NODES];

	if (!have_nodes())
		SKIP(return, "one node only");
	make_shared_across(_metadata, maps);
	check_all(_metadata, maps);
}

TEST_F(fisc, written_copy_is_where_the_policy_wants_it)
{
	char *maps[NODES];
	int i;

	if (!have_nodes())
		SKIP(return, "one node only");
	make_shared_across(_metadata, maps);
	ASSERT_EQ(0, fisc_scan_off());
	ASSERT_EQ(0, fisc_write_str(SHARE_ACROSS, "0"));
	for (i = 0; i < PAGES; i++)
		fisc_fill(maps[1] + i * PAGE_SIZE, i % CONTENTS + 1);
	EXPECT_EQ(1, node_of(maps[1]));
	check_all(_metadata, maps);
}

/* Return whether the pager of each node has taken something, within a while. */
static bool all_take(void)
{
	char name[40];
	int node;

	for (node = 0; node < NODES; node++) {
		snprintf(name, sizeof(name), "taken_node%d", node);
		if (!fisc_wait_above("reclaim", name, 0))
			return false;
	}
	return true;
}

TEST_F(fisc, each_node_pages_out_what_it_has)
{
	char *maps[NODES];
	int node, i;

	if (!have_nodes())
		SKIP(return, "one node only");
	ASSERT_EQ(0, nullb_start(SWAP, SWAP_MIB, 0));
	ASSERT_EQ(0, nullb_swapon(SWAP, SWAP_MIB));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "10"));
	for (node = 0; node < NODES; node++) {
		maps[node] = fisc_map(fisc_create(paths[node], VM_PAGES),
				      VM_PAGES);
		ASSERT_NE(NULL, maps[node]);
		ASSERT_TRUE(move_to(node));
		fisc_fill_pages(maps[node], VM_PAGES, node + 1);
	}
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, "8388608"));
	ASSERT_EQ(0, fisc_short_of_memory(true));
	EXPECT_TRUE(all_take());
	ASSERT_EQ(0, fisc_short_of_memory(false));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	for (node = 0; node < NODES; node++)
		for (i = 0; i < VM_PAGES; i++)
			ASSERT_EQ(-1, fisc_check(maps[node] + i * PAGE_SIZE,
						 i + node + 1));
	EXPECT_EQ(0, fisc_core("swapped"));
	EXPECT_EQ(0, swapoff("/dev/" SWAP));
	nullb_stop(SWAP);
}

/* A chunk of small pages and a large one on each node. */
TEST_F(fisc, adopted_frames_are_where_the_pages_were)
{
	char *mem = map_memory(2 * NODES * CHUNK), *at;
	size_t pages = CHUNK / PAGE_SIZE;
	struct vmm vmm;
	int node;

	if (!have_nodes())
		SKIP(return, "one node only");
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "/dev/kvm: %s", strerror(errno));
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "1"));
	for (node = 0; node < NODES; node++) {
		at = mem + 2 * node * CHUNK;
		ASSERT_TRUE(move_to(node));
		fisc_fill_pages(at, PAGES, 1);
		fisc_fill_pages(at + CHUNK, pages, 1);
	}
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, mem, 2 * NODES * pages));
	ASSERT_EQ(0, adopt_as(getpid(), "st-numa"));
	EXPECT_TRUE(wait_vm_moved("st-numa", 0));
	for (node = 0; node < NODES; node++) {
		at = mem + 2 * node * CHUNK;
		EXPECT_EQ(node, node_of(at));
		EXPECT_EQ(node, node_of(at + CHUNK));
		EXPECT_EQ(-1, fisc_check_pages(at, PAGES, 1));
		EXPECT_EQ(-1, fisc_check_pages(at + CHUNK, pages, 1));
	}
	EXPECT_TRUE(release_vm("st-numa"));
	vmm_close(&vmm);
}

TEST_HARNESS_MAIN
