// SPDX-License-Identifier: GPL-2.0
/* Guests' accesses to their memory are seen. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "kvm.h"

#define ACTIVE_PAGES	4096
/* Rounds of the guest in a sampling period, and one with few samples */
#define ROUNDS		4
#define UNDISTURBED_MS	"5000"

/* Make a VM whose guest keeps touching the first @nr of @nr_pages pages. */
static char *open_toucher(struct __test_metadata *_metadata, struct vmm *vmm,
			  size_t nr_pages, size_t nr)
{
	char *map = make_mem(ST "a", nr_pages);

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(vmm));
	ASSERT_EQ(0, vmm_set_slot(vmm, 0, GUEST_MEM, map, nr_pages));
	ASSERT_EQ(0, vmm_aim(vmm, GUEST_MEM, nr, false));
	ASSERT_EQ(0, vmm_start(vmm));
	return map;
}

/*
 * Let a sampling period last for several rounds, however slow the guest is on
 * this kernel. Samples make it slower, the more the shorter the period is.
 */
static void follow_rounds(struct __test_metadata *_metadata, struct vmm *vmm)
{
	unsigned long first = READ_ONCE(vmm->rounds) + 1;
	double begin = 0, end = fisc_now() + WAIT_S;
	char period[24];
	long ms;

	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, UNDISTURBED_MS));
	while (READ_ONCE(vmm->rounds) < first + 2 && fisc_now() < end) {
		if (!begin && READ_ONCE(vmm->rounds) >= first)
			begin = fisc_now();
		fisc_sleep_ms(1);
	}
	ASSERT_LT(0, begin);
	ms = (fisc_now() - begin) / 2 * 1000 * ROUNDS;
	if (ms < atol(KVM_PERIOD_MS))
		ms = atol(KVM_PERIOD_MS);
	snprintf(period, sizeof(period), "%ld", ms);
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, period));
}

TEST_F(kvm, guests_accesses_are_estimated)
{
	struct vmm vmm;

	ASSERT_EQ(0, fisc_write_str(SAMPLE_PAGES, "300"));
	open_toucher(_metadata, &vmm, ACTIVE_PAGES, ACTIVE_PAGES * 40 / 100);
	follow_rounds(_metadata, &vmm);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 40));
	/* More activity, this time by writing. */
	vmm_stop(&vmm);
	ASSERT_EQ(0, vmm_aim(&vmm, GUEST_MEM, ACTIVE_PAGES * 70 / 100, true));
	ASSERT_EQ(0, vmm_start(&vmm));
	follow_rounds(_metadata, &vmm);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 70));
	/* A guest that has halted touches nothing. */
	vmm_stop(&vmm);
	EXPECT_LT(0, vmm.rounds);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 0));
	vmm_close(&vmm);
}

TEST_F(kvm, accesses_of_guest_and_vmm_add_up)
{
	struct vmm vmm;
	pid_t pid;
	char *map;
	size_t i;

	ASSERT_EQ(0, fisc_write_str(SAMPLE_PAGES, "1000"));
	map = open_toucher(_metadata, &vmm, ACTIVE_PAGES,
			   ACTIVE_PAGES * 30 / 100);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The last 30 %, and some that the guest touches as well. */
		for (;;) {
			for (i = ACTIVE_PAGES * 70 / 100;
			     i < ACTIVE_PAGES * 110 / 100; i++)
				READ_ONCE(map[i % ACTIVE_PAGES * PAGE_SIZE]);
			fisc_sleep_ms(VMM_ROUND_MS);
		}
	}
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 60));
	kill(pid, SIGKILL);
	fisc_wait_child(pid);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 30));
	vmm_stop(&vmm);
	vmm_close(&vmm);
}

TEST_F(kvm, guests_accesses_to_large_pages_are_estimated)
{
	struct vmm vmm;
	size_t chunks = 20, pages = chunks * CHUNK_PAGES;
	char *map;

	ASSERT_EQ(0, fisc_write_str(LARGE_ENABLED, "1"));
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PAGES, "1000"));
	map = make_mem(ST "a", pages);
	ASSERT_NE(NULL, map);
	ASSERT_EQ((long)chunks, fisc_core("large"));
	ASSERT_EQ(0, vmm_open(&vmm));
	/* Aligned with the memory, so that KVM maps it large. */
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, 2UL << 20, map, pages));
	ASSERT_EQ(0, vmm_aim(&vmm, 2UL << 20, 8 * CHUNK_PAGES, false));
	ASSERT_EQ(0, vmm_start(&vmm));
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 40));
	EXPECT_EQ((long)chunks, fisc_core("large"));
	vmm_stop(&vmm);
	vmm_close(&vmm);
}

/* Without sampling, as only the case may ask. */
TEST_F(kvm, young_counts_what_the_guest_touched)
{
	struct vmm vmm;
	char *map;
	int i;

	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "3600000"));
	map = make_mem(ST "a", 64);
	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 40, false));
	EXPECT_EQ(40, young_pages("st-a"));
	EXPECT_EQ(0, young_pages("st-a"));
	/* The VMM's accesses are not the guest's. */
	for (i = 0; i < 64; i++)
		map[i * PAGE_SIZE]++;
	EXPECT_EQ(0, young_pages("st-a"));
	ASSERT_EQ(KVM_EXIT_HLT,
		  vmm_touch(&vmm, GUEST_MEM + 40 * PAGE_SIZE, 24, true));
	EXPECT_EQ(24, young_pages("st-a"));
	EXPECT_EQ(0, young_pages("st-a"));
	/* Deleting a slot flushes the TLB, which would hide accesses. */
	ASSERT_EQ(0, vmm_set_slot(&vmm, 1, 1UL << 32, map, 1));
	ASSERT_EQ(0, vmm_delete_slot(&vmm, 1));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 64, true));
	EXPECT_EQ(64, young_pages("st-a"));
	/* A slot that is new has not been touched. */
	ASSERT_EQ(0, vmm_delete_slot(&vmm, 0));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64));
	EXPECT_EQ(0, young_pages("st-a"));
	vmm_close(&vmm);
	EXPECT_EQ(-ENODEV, young_pages("st-a"));
}

/* A page that the guest sees twice, and a VM of several files. */
TEST_F(kvm, young_counts_pages_once)
{
	struct vmm vmm;
	char *x, *y;

	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "3600000"));
	ASSERT_EQ(0, mkdir(ST "d", 0755));
	x = make_mem(ST "d/x", 32);
	y = make_mem(ST "d/y", 32);
	ASSERT_TRUE(x && y);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, x, 32));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 1, GUEST_MEM + 32 * PAGE_SIZE, y, 32));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 2, GUEST_MEM + 64 * PAGE_SIZE, x, 8));
	ASSERT_EQ(KVM_EXIT_HLT,
		  vmm_touch(&vmm, GUEST_MEM + 16 * PAGE_SIZE, 32, false));
	EXPECT_EQ(32, young_pages("st-d"));
	ASSERT_EQ(KVM_EXIT_HLT,
		  vmm_touch(&vmm, GUEST_MEM + 64 * PAGE_SIZE, 8, false));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 8, false));
	EXPECT_EQ(8, young_pages("st-d"));
	vmm_close(&vmm);
}

TEST_HARNESS_MAIN
