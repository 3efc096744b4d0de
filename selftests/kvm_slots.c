// SPDX-License-Identifier: GPL-2.0
/* Memslots of KVM are found and followed. */
#include <sys/mman.h>
#include <sys/stat.h>

#include "kvm.h"

/* The guest */

TEST_F(kvm, guest_reads_and_writes_its_memory)
{
	struct kvm_regs regs;
	struct vmm vmm;
	char *map;
	int i;

	map = fisc_map(fisc_create(ST "a", 64), 64);
	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64));
	/* Holes, which stay without a frame. */
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 64, false));
	EXPECT_EQ(0, fisc_core("frames"));
	EXPECT_EQ(64, fisc_vm("st-a", "zero_pages"));
	map[0] = 7;
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 1, false));
	ASSERT_EQ(0, ioctl(vmm.vcpu, KVM_GET_REGS, &regs));
	EXPECT_EQ(7, regs.rax & 0xff);
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 40, true));
	EXPECT_EQ(40, fisc_vm("st-a", "private_pages"));
	for (i = 0; i < 64; i++)
		EXPECT_EQ(i < 40 ? GUEST_BYTE : 0, map[i * PAGE_SIZE]);
	/* Rounds can be repeated. */
	for (i = 0; i < 10; i++)
		ASSERT_EQ(KVM_EXIT_HLT, vmm_run(&vmm));
	/* Accesses to what is not memory exit to the VMM. */
	EXPECT_EQ(KVM_EXIT_MMIO,
		  vmm_touch(&vmm, GUEST_MEM + 64 * PAGE_SIZE, 1, false));
	vmm_close(&vmm);
}

/* Slots */

TEST_F(kvm, slots_are_listed_with_their_files)
{
	struct part wanted = {
		.slot = 3, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .offset = 0,
		.path = "st-a",
	};
	char *map = make_mem(ST "a", 64);
	struct vmm vmm;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 3, GUEST_MEM, map, 64));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 64, false));
	/* The slot of the guest's program has no such file: not listed. */
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	/* Part of the file, at a distant address. */
	ASSERT_EQ(0, vmm_delete_slot(&vmm, 3));
	ASSERT_EQ(0,
		  vmm_set_slot(&vmm, 5, 5UL << 32, map + 16 * PAGE_SIZE, 20));
	wanted = (struct part) {
		.slot = 5, .gfn = GFN(5UL << 32), .nr_pages = 20,
		.offset = 16 * PAGE_SIZE,
		.path = "st-a",
	};
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	vmm_close(&vmm);
}

TEST_F(kvm, vm_of_several_files_has_one_listing)
{
	const struct part wanted[] = {
		{
			.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64,
			.path = "st-d/x",
		},
		{
			.slot = 1, .gfn = GFN(GUEST_MEM) + 64, .nr_pages = 32,
			.path = "st-d/y",
		},
		{
			.slot = 2, .gfn = GFN(GUEST_MEM) + 96, .nr_pages = 8,
			.path = "st-d/e/z",
		},
	};
	char *x, *y, *z;
	struct vmm vmm;

	ASSERT_EQ(0, mkdir(ST "d", 0755));
	ASSERT_EQ(0, mkdir(ST "d/e", 0755));
	x = make_mem(ST "d/x", 64);
	y = make_mem(ST "d/y", 32);
	z = make_mem(ST "d/e/z", 8);
	ASSERT_TRUE(x && y && z);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, x, 64));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 1, GUEST_MEM + 64 * PAGE_SIZE, y, 32));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 2, GUEST_MEM + 96 * PAGE_SIZE, z, 8));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 104, false));
	EXPECT_TRUE(soon_lists("st-d", wanted, 3));
	vmm_close(&vmm);
}

/* A file of 64 pages in two slots */
static const struct part halves[] = {
	{
		.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 32,
		.path = "st-a",
	},
	{
		.slot = 1, .gfn = GFN(1UL << 32), .nr_pages = 32,
		.offset = 32 * PAGE_SIZE, .path = "st-a",
	},
};

TEST_F(kvm, file_may_lie_in_several_slots)
{
	const struct part wanted[] = {
		halves[0],
		halves[1],
		/* One page a second time. */
		{
			.slot = 2, .gfn = GFN(1UL << 33), .nr_pages = 1,
			.offset = 5 * PAGE_SIZE,
			.path = "st-a",
		},
	};
	char *map = make_mem(ST "a", 64);
	struct vmm vmm;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 32));
	ASSERT_EQ(0,
		  vmm_set_slot(&vmm, 1, 1UL << 32, map + 32 * PAGE_SIZE, 32));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 2, 1UL << 33, map + 5 * PAGE_SIZE, 1));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 32, true));
	EXPECT_TRUE(soon_lists("st-a", wanted, 3));
	vmm_close(&vmm);
}

TEST_F(kvm, slot_may_lie_over_several_mappings)
{
	const struct part of_a[] = {
		{
			.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 16,
			.path = "st-a",
		},
		/* Adjacent in the slot, but not in the file. */
		{
			.slot = 0, .gfn = GFN(GUEST_MEM) + 16, .nr_pages = 8,
			.offset = 40 * PAGE_SIZE, .path = "st-a",
		},
	};
	/* 8 pages between the two are other memory. */
	const struct part of_b[] = {
		{
			.slot = 0, .gfn = GFN(GUEST_MEM) + 32, .nr_pages = 32,
			.offset = 2 * PAGE_SIZE, .path = "st-b",
		},
	};
	int a = fisc_create(ST "a", 64), b = fisc_create(ST "b", 64);
	int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED;
	struct vmm vmm;
	char *area;

	area = mmap(NULL, 64 * PAGE_SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	ASSERT_NE(MAP_FAILED, area);
	ASSERT_EQ(area, mmap(area, 16 * PAGE_SIZE, prot, flags, a, 0));
	ASSERT_NE(MAP_FAILED, mmap(area + 16 * PAGE_SIZE, 8 * PAGE_SIZE, prot,
				   flags, a, 40 * PAGE_SIZE));
	ASSERT_NE(MAP_FAILED, mmap(area + 32 * PAGE_SIZE, 32 * PAGE_SIZE, prot,
				   flags, b, 2 * PAGE_SIZE));
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, area, 64));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 64, true));
	EXPECT_TRUE(soon_lists("st-a", of_a, 2));
	EXPECT_TRUE(soon_lists("st-b", of_b, 1));
	/* Other memory takes its place: the slot does not change. */
	ASSERT_NE(MAP_FAILED,
		  mmap(area + 32 * PAGE_SIZE, 32 * PAGE_SIZE, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_TRUE(soon_lists_none("st-b"));
	EXPECT_TRUE(soon_lists("st-a", of_a, 2));
	vmm_close(&vmm);
}

TEST_F(kvm, vm_may_come_before_its_memory)
{
	const struct part wanted = WHOLE_FILE;
	struct vmm vmm;
	char *map;

	ASSERT_EQ(0, vmm_open(&vmm));
	map = fisc_map(fisc_create(ST "a", 64), 64);
	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 1, false));
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	vmm_close(&vmm);
}

TEST_F(kvm, vm_may_come_after_its_memory)
{
	const struct part wanted = WHOLE_FILE;
	char *map = fisc_map(fisc_create(ST "a", 64), 64);
	struct vmm vmm;

	ASSERT_NE(NULL, map);
	EXPECT_TRUE(soon_lists_none("st-a"));
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 1, false));
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	vmm_close(&vmm);
}

/* All pages are mapped already: KVM finds them without a fault of ours. */
TEST_F(kvm, vm_may_come_when_all_memory_is_mapped)
{
	const struct part wanted = WHOLE_FILE;
	char *map = make_mem(ST "a", 64);
	struct vmm vmm;
	int round;

	ASSERT_NE(NULL, map);
	EXPECT_TRUE(soon_lists_none("st-a"));
	/* The same VMM makes a second VM. */
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, vmm_open(&vmm));
		ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64));
		ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 64, true));
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		vmm_close(&vmm);
		EXPECT_TRUE(soon_lists_none("st-a"));
	}
}

TEST_F(kvm, listing_follows_the_slots)
{
	struct part wanted[2] = { halves[0], halves[1] };
	char *map = make_mem(ST "a", 64);
	struct vmm vmm;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 32));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 32, false));
	EXPECT_TRUE(soon_lists("st-a", wanted, 1));
	/* Plug, move and unplug memory. */
	ASSERT_EQ(0,
		  vmm_set_slot(&vmm, 1, 1UL << 32, map + 32 * PAGE_SIZE, 32));
	EXPECT_TRUE(soon_lists("st-a", wanted, 2));
	ASSERT_EQ(0,
		  vmm_set_slot(&vmm, 1, 1UL << 33, map + 32 * PAGE_SIZE, 32));
	wanted[1].gfn = GFN(1UL << 33);
	EXPECT_TRUE(soon_lists("st-a", wanted, 2));
	ASSERT_EQ(0, vmm_delete_slot(&vmm, 1));
	EXPECT_TRUE(soon_lists("st-a", wanted, 1));
	ASSERT_EQ(0,
		  vmm_set_slot(&vmm, 0, GUEST_MEM + 32 * PAGE_SIZE, map, 32));
	wanted[0].gfn += 32;
	EXPECT_TRUE(soon_lists("st-a", wanted, 1));
	ASSERT_EQ(KVM_EXIT_HLT,
		  vmm_touch(&vmm, GUEST_MEM + 32 * PAGE_SIZE, 32, false));
	/* Without any slot, then with one again. */
	ASSERT_EQ(0, vmm_delete_slot(&vmm, 0));
	EXPECT_TRUE(soon_lists_none("st-a"));
	ASSERT_EQ(0,
		  vmm_set_slot(&vmm, 1, 1UL << 33, map + 32 * PAGE_SIZE, 32));
	EXPECT_TRUE(soon_lists("st-a", &wanted[1], 1));
	vmm_close(&vmm);
}

/* Where there is no VM */

TEST_F(kvm, memory_without_a_vm_has_no_slots)
{
	struct part parts[MAX_PARTS];
	char *map;
	int fd;

	EXPECT_EQ(NOT_LISTED, list("st-a", parts));
	fd = fisc_create(ST "a", 64);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, list("st-a", parts));
	EXPECT_EQ(-ENODEV, young_pages("st-a"));
	map = fisc_map(fd, 64);
	ASSERT_NE(NULL, map);
	map[0] = 1;
	EXPECT_TRUE(soon_lists_none("st-a"));
	EXPECT_EQ(-ENODEV, young_pages("st-a"));
	munmap(map, 64 * PAGE_SIZE);
	close(fd);
	fisc_sweep();
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_EQ(NOT_LISTED, list("st-a", parts));
}

/* The VMM has a VM, but this memory is not in it. */
TEST_F(kvm, memory_beside_a_vm_has_no_slots)
{
	char *a = make_mem(ST "a", 64), *b = make_mem(ST "b", 64);
	const struct part wanted = WHOLE_FILE;
	struct vmm vmm;

	ASSERT_TRUE(a && b);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, a, 64));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 64, false));
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	EXPECT_TRUE(soon_lists_none("st-b"));
	vmm_close(&vmm);
}

TEST_F(kvm, closed_vm_is_gone)
{
	char *map = make_mem(ST "a", 64), page[PAGE_SIZE];
	const struct part wanted = WHOLE_FILE;
	struct vmm vmm;
	int i;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 64, true));
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	EXPECT_LE(0, young_pages("st-a"));
	vmm_close(&vmm);
	EXPECT_TRUE(soon_lists_none("st-a"));
	EXPECT_EQ(-ENODEV, young_pages("st-a"));
	/* Its memory is unchanged but for what the guest wrote. */
	for (i = 0; i < 64; i++) {
		fisc_fill(page, i + 1);
		page[0] = GUEST_BYTE;
		EXPECT_EQ(0, memcmp(page, map + i * PAGE_SIZE, PAGE_SIZE));
	}
	EXPECT_EQ(64, fisc_core("frames"));
}

TEST_HARNESS_MAIN
