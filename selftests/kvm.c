// SPDX-License-Identifier: GPL-2.0
/*
 * fisc and KVM: memslots are found and followed, guests' accesses are seen,
 * and no VM, VMM or module is kept from going away.
 *
 * A VMM here is a few ioctls on /dev/kvm. Its guest is a loop in 32-bit mode
 * that touches pages, in a page of ordinary memory at GUEST_CODE; the memory
 * that it touches is that of fisc files.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FISC_OWN_FIXTURE
#include "fixture.h"
#include "vmm.h"

#define MIB_PAGES	256
#define CHUNK_PAGES	512
#define KVM_LIST	FISC_DEBUGFS "/kvm"
#define KVM_YOUNG	FISC_DEBUGFS "/young"

/* The listing */

/**
 * struct part - a line of the listing, or what it shall be
 * @pid: of the VMM; whoever asks, if 0
 * @slot: number of the slot
 * @gfn: its first guest page frame, of this part
 * @nr_pages: pages of this part
 * @offset: where it lies in the file, in bytes
 * @path: the file, below the mount
 */
struct part {
	long pid;
	int slot;
	unsigned long gfn;
	unsigned long nr_pages;
	unsigned long offset;
	char path[128];
};

#define MAX_PARTS	16
#define NOT_LISTED	-1
#define BAD_LINE	-2

/* A line of the listing: 1 for a part, 0 for "NAME -", or BAD_LINE. */
static int parse_line(const char *line, char *name, struct part *part)
{
	int as = -1, end = 0;

	if (sscanf(line, "%63s -%n", name, &end) == 1 && end && !strcmp(line + end, "\n"))
		return 0;
	end = 0;
	if (sscanf(line, "%63s %ld %d %d 0x%lx %lu 0x%lx %127s%n", name, &part->pid, &as,
		   &part->slot, &part->gfn, &part->nr_pages, &part->offset, part->path,
		   &end) != 8 || !end || strcmp(line + end, "\n") || as)
		return BAD_LINE;
	return 1;
}

/* Parts of VM @name, in order; NOT_LISTED, BAD_LINE if any line is bad. */
static int list(const char *name, struct part *parts)
{
	FILE *f = fopen(KVM_LIST, "re");
	char line[512], found[64];
	int nr = NOT_LISTED;
	struct part part;

	while (f && fgets(line, sizeof(line), f)) {
		int kind = parse_line(line, found, &part);

		if (kind < 0) {
			fprintf(stderr, "# a bad line: %s", line);
			nr = BAD_LINE;
			break;
		}
		if (strcmp(found, name))
			continue;
		nr = nr < 0 ? 0 : nr;
		if (kind && nr < MAX_PARTS)
			parts[nr++] = part;
	}
	if (f)
		fclose(f);
	return nr;
}

/* Paths may be told with or without that of the mount. */
static bool same_path(const char *listed, const char *path)
{
	size_t len = strlen(listed), tail = strlen(path);

	return len >= tail && !strcmp(listed + len - tail, path) &&
	       (len == tail || listed[len - tail - 1] == '/');
}

static bool same_part(const struct part *a, const struct part *wanted)
{
	return a->pid == (wanted->pid ?: getpid()) && a->slot == wanted->slot &&
	       a->gfn == wanted->gfn && a->nr_pages == wanted->nr_pages &&
	       a->offset == wanted->offset && same_path(a->path, wanted->path);
}

/* Are these @nr parts, in any order, all that VM @name has? */
static bool lists(const char *name, const struct part *wanted, int nr)
{
	struct part parts[MAX_PARTS];
	int i, j;

	if (list(name, parts) != nr)
		return false;
	for (i = 0; i < nr; i++) {
		for (j = 0; j < nr && !same_part(&parts[j], &wanted[i]); j++)
			;
		if (j == nr)
			return false;
	}
	return true;
}

#define FOLLOW_S	20

static bool soon_lists(const char *name, const struct part *wanted, int nr)
{
	double end = fisc_now() + FOLLOW_S;
	char line[512];
	FILE *f;

	while (!lists(name, wanted, nr)) {
		if (fisc_now() > end) {
			f = fopen(KVM_LIST, "re");
			fprintf(stderr, "# after %d s, for %s and %d parts:\n", FOLLOW_S, name, nr);
			while (f && fgets(line, sizeof(line), f))
				fprintf(stderr, "# %s", line);
			return false;
		}
		fisc_sleep_ms(10);
	}
	return true;
}

static bool soon_lists_none(const char *name)
{
	return soon_lists(name, NULL, 0);
}

/*
 * Pages that the guest of VM @name has accessed since anybody asked, -ENODEV if
 * it has none; NOT_LISTED, BAD_LINE if any line is bad.
 */
static long young_pages(const char *name)
{
	FILE *f = fopen(KVM_YOUNG, "re");
	char line[512], found[64], pages[24], *end;
	long young = NOT_LISTED, nr;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %23s", found, pages) != 2) {
			young = BAD_LINE;
			break;
		}
		nr = strcmp(pages, "-") ? strtol(pages, &end, 10) : -ENODEV;
		if (nr != -ENODEV && (*end || nr < 0)) {
			young = BAD_LINE;
			break;
		}
		if (!strcmp(found, name))
			young = nr;
	}
	if (f)
		fclose(f);
	return young;
}

/* The fixture: besides what it always is, sampling, as it is in use. */

#define KVM_PERIOD_MS	"500"

/* kvm_amd, kvm_intel; NULL if KVM is no module. */
static const char *kvm_module(void)
{
	if (!access("/sys/module/kvm_amd/refcnt", F_OK))
		return "kvm_amd";
	return access("/sys/module/kvm_intel/refcnt", F_OK) ? NULL : "kvm_intel";
}

static int load_module(const char *module)
{
	char command[64];

	snprintf(command, sizeof(command), "modprobe %s", module);
	return system(command);
}

FIXTURE(kvm)
{
	struct fisc_before before;
	char module[16];
};

FIXTURE_SETUP(kvm)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

	if (kvm < 0)
		SKIP(return, "/dev/kvm: %s", strerror(errno));
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		SKIP(return, "KVM_CREATE_VM: %s", strerror(errno));
	close(vm);
	close(kvm);
	signal(SIGPIPE, SIG_IGN);
	snprintf(self->module, sizeof(self->module), "%s", kvm_module() ?: "");
	fisc_set_up(_metadata, &self->before);
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, KVM_PERIOD_MS));
}

FIXTURE_TEARDOWN_PARENT(kvm)
{
	if (self->module[0] && access("/dev/kvm", F_OK))
		EXPECT_EQ(0, load_module(self->module));
	if (access("/sys/module/fisc", F_OK)) {
		EXPECT_EQ(0, fisc_load());
		EXPECT_EQ(0, fisc_mount(FISC_MNT, NULL));
	}
	fisc_tear_down(_metadata, &self->before);
}

/* A file that is full of different pages, and mapped. */
static char *make_mem(const char *path, size_t nr_pages)
{
	char *map = fisc_map(fisc_create(path, nr_pages), nr_pages);

	if (map)
		fisc_fill_pages(map, nr_pages, 1);
	return map;
}

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
	/* Of holes, and they stay without a frame. */
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
	/* A round again and again. */
	for (i = 0; i < 10; i++)
		ASSERT_EQ(KVM_EXIT_HLT, vmm_run(&vmm));
	/* What is no memory it asks the VMM for. */
	EXPECT_EQ(KVM_EXIT_MMIO, vmm_touch(&vmm, GUEST_MEM + 64 * PAGE_SIZE, 1, false));
	vmm_close(&vmm);
}

/* Slots */

TEST_F(kvm, slots_are_listed_with_their_files)
{
	struct part wanted = {
		.slot = 3, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .offset = 0, .path = "st-a",
	};
	char *map = make_mem(ST "a", 64);
	struct vmm vmm;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 3, GUEST_MEM, map, 64));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 64, false));
	/* The one of the guest's program has no such file, and is not there. */
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	/* A part of the file, and far away. */
	ASSERT_EQ(0, vmm_delete_slot(&vmm, 3));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 5, 5UL << 32, map + 16 * PAGE_SIZE, 20));
	wanted = (struct part) {
		.slot = 5, .gfn = GFN(5UL << 32), .nr_pages = 20, .offset = 16 * PAGE_SIZE,
		.path = "st-a",
	};
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	vmm_close(&vmm);
}

TEST_F(kvm, vm_of_several_files_has_one_listing)
{
	const struct part wanted[] = {
		{ .slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-d/x" },
		{ .slot = 1, .gfn = GFN(GUEST_MEM) + 64, .nr_pages = 32, .path = "st-d/y" },
		{ .slot = 2, .gfn = GFN(GUEST_MEM) + 96, .nr_pages = 8, .path = "st-d/e/z" },
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

TEST_F(kvm, file_may_lie_in_several_slots)
{
	const struct part wanted[] = {
		{ .slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 32, .path = "st-a" },
		{
			.slot = 1, .gfn = GFN(1UL << 32), .nr_pages = 32, .offset = 32 * PAGE_SIZE,
			.path = "st-a",
		},
		/* One page, a second time. */
		{
			.slot = 2, .gfn = GFN(1UL << 33), .nr_pages = 1, .offset = 5 * PAGE_SIZE,
			.path = "st-a",
		},
	};
	char *map = make_mem(ST "a", 64);
	struct vmm vmm;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 32));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 1, 1UL << 32, map + 32 * PAGE_SIZE, 32));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 2, 1UL << 33, map + 5 * PAGE_SIZE, 1));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 32, true));
	EXPECT_TRUE(soon_lists("st-a", wanted, 3));
	vmm_close(&vmm);
}

TEST_F(kvm, slot_may_lie_over_several_mappings)
{
	const struct part of_a[] = {
		{ .slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 16, .path = "st-a" },
		/* Pages of it behind each other that are not so in the file. */
		{
			.slot = 0, .gfn = GFN(GUEST_MEM) + 16, .nr_pages = 8,
			.offset = 40 * PAGE_SIZE, .path = "st-a",
		},
	};
	/* Between the two, 8 pages are of other memory. */
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

	area = mmap(NULL, 64 * PAGE_SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	ASSERT_EQ(area, mmap(area, 16 * PAGE_SIZE, prot, flags, a, 0));
	ASSERT_NE(MAP_FAILED, mmap(area + 16 * PAGE_SIZE, 8 * PAGE_SIZE, prot, flags, a,
				   40 * PAGE_SIZE));
	ASSERT_NE(MAP_FAILED, mmap(area + 32 * PAGE_SIZE, 32 * PAGE_SIZE, prot, flags, b,
				   2 * PAGE_SIZE));
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, area, 64));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 64, true));
	EXPECT_TRUE(soon_lists("st-a", of_a, 2));
	EXPECT_TRUE(soon_lists("st-b", of_b, 1));
	/* Other memory comes in its place: the slot is as it was. */
	ASSERT_NE(MAP_FAILED, mmap(area + 32 * PAGE_SIZE, 32 * PAGE_SIZE, prot,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_TRUE(soon_lists_none("st-b"));
	EXPECT_TRUE(soon_lists("st-a", of_a, 2));
	vmm_close(&vmm);
}

TEST_F(kvm, vm_may_come_before_its_memory)
{
	const struct part wanted = {
		.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a",
	};
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
	const struct part wanted = {
		.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a",
	};
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

/* All pages are mapped when it comes: KVM finds them without a fault of ours. */
TEST_F(kvm, vm_may_come_when_all_memory_is_mapped)
{
	const struct part wanted = {
		.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a",
	};
	char *map = make_mem(ST "a", 64);
	struct vmm vmm;
	int round;

	ASSERT_NE(NULL, map);
	EXPECT_TRUE(soon_lists_none("st-a"));
	/* A VMM that makes another, too. */
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
	struct part wanted[2] = {
		{ .slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 32, .path = "st-a" },
		{
			.slot = 1, .gfn = GFN(1UL << 32), .nr_pages = 32, .offset = 32 * PAGE_SIZE,
			.path = "st-a",
		},
	};
	char *map = make_mem(ST "a", 64);
	struct vmm vmm;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 32));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 32, false));
	EXPECT_TRUE(soon_lists("st-a", wanted, 1));
	/* Memory is plugged, moved and taken away. */
	ASSERT_EQ(0, vmm_set_slot(&vmm, 1, 1UL << 32, map + 32 * PAGE_SIZE, 32));
	EXPECT_TRUE(soon_lists("st-a", wanted, 2));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 1, 1UL << 33, map + 32 * PAGE_SIZE, 32));
	wanted[1].gfn = GFN(1UL << 33);
	EXPECT_TRUE(soon_lists("st-a", wanted, 2));
	ASSERT_EQ(0, vmm_delete_slot(&vmm, 1));
	EXPECT_TRUE(soon_lists("st-a", wanted, 1));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM + 32 * PAGE_SIZE, map, 32));
	wanted[0].gfn += 32;
	EXPECT_TRUE(soon_lists("st-a", wanted, 1));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM + 32 * PAGE_SIZE, 32, false));
	/* Without any slot; and with one again. */
	ASSERT_EQ(0, vmm_delete_slot(&vmm, 0));
	EXPECT_TRUE(soon_lists_none("st-a"));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 1, 1UL << 33, map + 32 * PAGE_SIZE, 32));
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
	const struct part wanted = {
		.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a",
	};
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
	const struct part wanted = {
		.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a",
	};
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
	/* Its memory is as it was, but for what the guest wrote. */
	for (i = 0; i < 64; i++) {
		fisc_fill(page, i + 1);
		page[0] = GUEST_BYTE;
		EXPECT_EQ(0, memcmp(page, map + i * PAGE_SIZE, PAGE_SIZE));
	}
	EXPECT_EQ(64, fisc_core("frames"));
}

/* Other processes */

/**
 * struct child - a VMM that is a process of its own
 * @pid: its number
 * @ready: the end of a pipe that tells that its guest has run
 * @go: the end of a pipe on which it waits for a word
 */
struct child {
	pid_t pid;
	int ready;
	int go;
};

static int vmm_main(const char *path, int ready, int go, int transfer);

static bool start_child(struct child *child, const char *path, int transfer)
{
	int ready[2], go[2];
	char word;

	if (pipe(ready) || pipe(go))
		return false;
	child->pid = fork();
	if (!child->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		close(go[1]);
		_exit(vmm_main(path, ready[1], go[0], transfer));
	}
	close(ready[1]);
	close(go[0]);
	child->ready = ready[0];
	child->go = go[1];
	return child->pid > 0 && read(child->ready, &word, 1) == 1;
}

static bool tell(const struct child *child, char word)
{
	char answer;

	return write(child->go, &word, 1) == 1 && read(child->ready, &answer, 1) == 1;
}

static void end_child(const struct child *child, int sig)
{
	int status;

	kill(child->pid, sig);
	waitpid(child->pid, &status, 0);
	close(child->ready);
	close(child->go);
}

static int send_fd(int to, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {
		.header = {
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		},
	};
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control.room),
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(to, &msg, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int from)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control.room),
	};
	int fd;

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != 1 ||
	    control.header.cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

/*
 * A VMM in a process of its own, with 64 pages of the file @path. At a word it
 *	c	closes the VM,
 *	s	sends it over @transfer,
 *	x	executes this program again, which is the same VMM then,
 *	r	runs its guest for ever,
 *	u	takes its memory from the guest, and unmaps it.
 */
static int vmm_main(const char *path, int ready, int go, int transfer)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char *map = fisc_map(fd, 64), word, args[3][12];
	struct vmm vmm;

	close(fd);
	if (!map || vmm_open(&vmm) || vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64) ||
	    vmm_touch(&vmm, GUEST_MEM, 64, true) != KVM_EXIT_HLT || write(ready, "x", 1) != 1)
		return 1;
	while (read(go, &word, 1) == 1) {
		switch (word) {
		case 'c':
			vmm_close(&vmm);
			break;
		case 's':
			if (send_fd(transfer, vmm.vm))
				return 2;
			break;
		case 'x':
			snprintf(args[0], sizeof(args[0]), "%d", ready);
			snprintf(args[1], sizeof(args[1]), "%d", go);
			snprintf(args[2], sizeof(args[2]), "%d", transfer);
			execl("/proc/self/exe", "kvm", "vmm", path, args[0], args[1], args[2],
			      NULL);
			return 3;
		case 'r':
			vmm_never_halt(&vmm);
			if (write(ready, "x", 1) != 1)
				return 4;
			vmm_run(&vmm);
			return 5;
		case 'u':
			if (vmm_delete_slot(&vmm, 0))
				return 6;
			munmap(map, 64 * PAGE_SIZE);
			break;
		}
		if (write(ready, "x", 1) != 1)
			return 7;
	}
	return 0;
}

TEST_F(kvm, vm_in_other_hands_does_no_harm)
{
	struct part parts[MAX_PARTS];
	struct child child;
	int sockets[2], vm, nr;

	ASSERT_LE(0, fisc_create(ST "a", 64));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	ASSERT_TRUE(start_child(&child, ST "a", sockets[1]));
	ASSERT_TRUE(tell(&child, 's'));
	vm = receive_fd(sockets[0]);
	ASSERT_LE(0, vm);
	ASSERT_TRUE(tell(&child, 'c'));
	/* Its memory still is that of the other process. */
	nr = list("st-a", parts);
	EXPECT_TRUE(nr == 0 || nr == 1);
	EXPECT_NE(BAD_LINE, young_pages("st-a"));
	fisc_sleep_ms(1000);
	nr = list("st-a", parts);
	EXPECT_TRUE(nr == 0 || nr == 1);
	if (nr == 1)
		EXPECT_EQ(child.pid, parts[0].pid);
	/* And when that is gone there is none, whatever the descriptor says. */
	end_child(&child, SIGKILL);
	EXPECT_TRUE(soon_lists_none("st-a"));
	EXPECT_EQ(-ENODEV, young_pages("st-a"));
	fisc_sweep();
	close(vm);
	EXPECT_TRUE(soon_lists_none("st-a") || list("st-a", parts) == NOT_LISTED);
}

TEST_F(kvm, descriptor_keeps_no_memory)
{
	struct child child;
	int sockets[2], vm;

	close(fisc_create(ST "a", 64));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	ASSERT_TRUE(start_child(&child, ST "a", sockets[1]));
	ASSERT_TRUE(tell(&child, 's'));
	vm = receive_fd(sockets[0]);
	ASSERT_LE(0, vm);
	EXPECT_EQ(64, fisc_core("frames"));
	end_child(&child, SIGKILL);
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_TRUE(fisc_wait("core", "regions", 0));
	close(vm);
}

TEST_F(kvm, killed_vmm_leaves_nothing)
{
	__u64 rnd = 3;
	int round;

	for (round = 0; round < 10; round++) {
		struct part wanted = {
			.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a",
		};
		struct child child;

		close(fisc_create(ST "a", 64));
		ASSERT_TRUE(start_child(&child, ST "a", -1));
		wanted.pid = child.pid;
		if (round < 2)
			EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		ASSERT_TRUE(tell(&child, 'r'));
		fisc_sleep_ms(fisc_rand(&rnd) % 100);
		if (round & 1) {
			ASSERT_EQ(0, unlink(ST "a"));
			end_child(&child, SIGKILL);
			EXPECT_TRUE(fisc_wait("core", "vms", 0));
		} else {
			end_child(&child, SIGKILL);
			EXPECT_TRUE(soon_lists_none("st-a"));
			EXPECT_EQ(64, fisc_core("frames"));
		}
	}
	EXPECT_EQ(0, fisc_core("frames"));
}

TEST_F(kvm, restarted_vmm_is_found_again)
{
	struct part wanted = {
		.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a",
	};
	struct child child;
	int round;

	ASSERT_LE(0, fisc_create(ST "a", 64));
	for (round = 0; round < 3; round++) {
		ASSERT_TRUE(start_child(&child, ST "a", -1));
		wanted.pid = child.pid;
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		/* The same process, but another VM and another address space. */
		ASSERT_TRUE(tell(&child, 'x'));
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		EXPECT_LE(0, young_pages("st-a"));
		ASSERT_TRUE(tell(&child, 'x'));
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		ASSERT_TRUE(tell(&child, 'c'));
		EXPECT_TRUE(soon_lists_none("st-a"));
		end_child(&child, SIGTERM);
		EXPECT_TRUE(soon_lists_none("st-a"));
	}
}

TEST_F(kvm, unmapped_memory_is_no_longer_the_vms)
{
	struct part wanted = {
		.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a",
	};
	struct child child;

	ASSERT_LE(0, fisc_create(ST "a", 64));
	ASSERT_TRUE(start_child(&child, ST "a", -1));
	wanted.pid = child.pid;
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	ASSERT_TRUE(tell(&child, 'u'));
	EXPECT_TRUE(soon_lists_none("st-a"));
	end_child(&child, SIGKILL);
}

/* Activity */

#define ACTIVE_PAGES	4096

/* A VM whose guest touches the first @nr of @nr_pages pages, over and over. */
static char *open_toucher(struct __test_metadata *_metadata, struct vmm *vmm, size_t nr_pages,
			  size_t nr)
{
	char *map = make_mem(ST "a", nr_pages);

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmm_open(vmm));
	ASSERT_EQ(0, vmm_set_slot(vmm, 0, GUEST_MEM, map, nr_pages));
	ASSERT_EQ(0, vmm_aim(vmm, GUEST_MEM, nr, false));
	ASSERT_EQ(0, vmm_start(vmm));
	return map;
}

TEST_F(kvm, guests_accesses_are_estimated)
{
	struct vmm vmm;

	ASSERT_EQ(0, fisc_write_str(SAMPLE_PAGES, "1000"));
	open_toucher(_metadata, &vmm, ACTIVE_PAGES, ACTIVE_PAGES * 40 / 100);
	EXPECT_TRUE(fisc_wait_active("st-a", "active", 40));
	/* Both directions, by writing. */
	vmm_stop(&vmm);
	ASSERT_EQ(0, vmm_aim(&vmm, GUEST_MEM, ACTIVE_PAGES * 70 / 100, true));
	ASSERT_EQ(0, vmm_start(&vmm));
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
	map = open_toucher(_metadata, &vmm, ACTIVE_PAGES, ACTIVE_PAGES * 30 / 100);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The last 30 %, and some that the guest touches, too. */
		for (;;) {
			for (i = ACTIVE_PAGES * 70 / 100; i < ACTIVE_PAGES * 110 / 100; i++)
				(void)READ_ONCE(map[i % ACTIVE_PAGES * PAGE_SIZE]);
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

/* Asked for by nobody but the case: no sampling. */
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
	/* The VMM is not the guest. */
	for (i = 0; i < 64; i++)
		map[i * PAGE_SIZE]++;
	EXPECT_EQ(0, young_pages("st-a"));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM + 40 * PAGE_SIZE, 24, true));
	EXPECT_EQ(24, young_pages("st-a"));
	EXPECT_EQ(0, young_pages("st-a"));
	/* Without a TLB that hides it: a slot that goes takes all along. */
	ASSERT_EQ(0, vmm_set_slot(&vmm, 1, 1UL << 32, map, 1));
	ASSERT_EQ(0, vmm_delete_slot(&vmm, 1));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 64, true));
	EXPECT_EQ(64, young_pages("st-a"));
	/* A guest that is gone has touched nothing. */
	ASSERT_EQ(0, vmm_delete_slot(&vmm, 0));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64));
	EXPECT_EQ(0, young_pages("st-a"));
	vmm_close(&vmm);
	EXPECT_EQ(-ENODEV, young_pages("st-a"));
}

/* A page that the guest sees twice, and one of several files. */
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
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM + 16 * PAGE_SIZE, 32, false));
	EXPECT_EQ(32, young_pages("st-d"));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM + 64 * PAGE_SIZE, 8, false));
	ASSERT_EQ(KVM_EXIT_HLT, vmm_touch(&vmm, GUEST_MEM, 8, false));
	EXPECT_EQ(8, young_pages("st-d"));
	vmm_close(&vmm);
}

/* Modules that come and go */

TEST_F(kvm, kvm_can_be_removed_when_its_vms_are_gone)
{
	struct part wanted = {
		.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a",
	};
	struct child child;
	int round;
	char *map;

	if (!self->module[0])
		SKIP(return, "KVM is built into this kernel");
	map = make_mem(ST "a", 64);
	ASSERT_NE(NULL, map);
	for (round = 0; round < 3; round++) {
		ASSERT_TRUE(start_child(&child, ST "a", -1));
		wanted.pid = child.pid;
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		EXPECT_NE(0, fisc_unload(self->module));
		/* By a VMM that ends, is killed, or closes its VM. */
		if (round == 2)
			ASSERT_TRUE(tell(&child, 'c'));
		if (round < 2)
			end_child(&child, round ? SIGKILL : SIGTERM);
		ASSERT_EQ(0, fisc_unload_soon(self->module));
		ASSERT_EQ(0, fisc_unload_soon("kvm"));
		EXPECT_TRUE(soon_lists_none("st-a"));
		EXPECT_EQ(-ENODEV, young_pages("st-a"));
		/* A few periods of sampling, with nobody to ask. */
		map[0]++;
		fisc_sleep_ms(1200);
		ASSERT_EQ(0, load_module(self->module));
		EXPECT_TRUE(soon_lists_none("st-a"));
	}
	end_child(&child, SIGKILL);
	ASSERT_TRUE(start_child(&child, ST "a", -1));
	wanted.pid = child.pid;
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	end_child(&child, SIGKILL);
}

TEST_F(kvm, fisc_comes_and_goes_beside_vms_of_others)
{
	struct part wanted = {
		.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a",
	};
	struct child child;
	unsigned long rounds;
	struct vmm vmm;
	char *map;
	int i;

	if (!getenv("FISC_KO"))
		SKIP(return, "FISC_KO does not name the module");
	map = mmap(NULL, 64 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64));
	ASSERT_EQ(0, vmm_aim(&vmm, GUEST_MEM, 64, true));
	ASSERT_EQ(0, vmm_start(&vmm));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "100"));
		close(fisc_create(ST "a", 64));
		ASSERT_TRUE(start_child(&child, ST "a", -1));
		wanted.pid = child.pid;
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		/* A VM that has let go of its memory is one of others, too. */
		ASSERT_TRUE(tell(&child, 'u'));
		if (i == 2)
			end_child(&child, SIGKILL);
		ASSERT_EQ(0, umount(FISC_MNT));
		ASSERT_EQ(0, fisc_unload_soon("fisc"));
		rounds = READ_ONCE(vmm.rounds);
		fisc_sleep_ms(200);
		EXPECT_LT(rounds, READ_ONCE(vmm.rounds));
		ASSERT_EQ(0, fisc_load());
		ASSERT_EQ(0, fisc_mount(FISC_MNT, NULL));
		if (i < 2)
			end_child(&child, SIGKILL);
	}
	vmm_stop(&vmm);
	vmm_close(&vmm);
}

/* All at once */

#define STRESS_PAGES	128
#define STRESS_FILES	3
#define STRESS_VMMS	3
#define STRESS_SLOTS	3

static const char * const stress_files[STRESS_FILES] = { ST "0", ST "1", ST "2/x" };

static int open_stress_file(__u64 rnd)
{
	int nr = rnd % STRESS_FILES;

	if (nr == 2)
		mkdir(ST "2", 0755);
	return open(stress_files[nr], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

/* Runs whatever there is to run; exits and errors of all kinds may come of it. */
static void *stress_vcpu(void *arg)
{
	struct vmm *vmm = arg;

	while (!READ_ONCE(vmm->stop)) {
		if (vmm_run(vmm) != KVM_EXIT_HLT)
			fisc_sleep_ms(1);
		WRITE_ONCE(vmm->rounds, vmm->rounds + 1);
	}
	return NULL;
}

static void change_slot(struct vmm *vmm, char *map, __u64 r)
{
	int slot = r % STRESS_SLOTS;
	size_t at = (r >> 8) % STRESS_PAGES, nr = (r >> 16) % (STRESS_PAGES - at) + 1;
	__u64 gpa = GUEST_MEM + (r >> 24) % STRESS_PAGES * PAGE_SIZE;

	/* Some are refused: they overlap, or are there and of another size. */
	switch ((r >> 40) % 3) {
	case 0:
		vmm_delete_slot(vmm, slot);
		break;
	case 1:
		vmm_delete_slot(vmm, slot);
		vmm_set_slot(vmm, slot, gpa, map + at * PAGE_SIZE, nr);
		break;
	case 2:
		vmm_set_slot(vmm, slot, gpa, map, STRESS_PAGES);
		break;
	}
}

/* A VMM with all of it: VM after VM, each with changing slots, while it runs. */
static int stress_vmm(__u64 rnd)
{
	for (;;) {
		int fd = open_stress_file(fisc_rand(&rnd)), i;
		struct vmm vmm;
		char *map;

		if (fd < 0 || ftruncate(fd, STRESS_PAGES * PAGE_SIZE))
			continue;
		map = fisc_map(fd, STRESS_PAGES);
		close(fd);
		if (!map || vmm_open(&vmm))
			return 1;
		vmm_set_slot(&vmm, 0, GUEST_MEM, map, STRESS_PAGES);
		vmm_aim(&vmm, GUEST_MEM, STRESS_PAGES, fisc_rand(&rnd) & 1);
		if (pthread_create(&vmm.thread, NULL, stress_vcpu, &vmm))
			return 2;
		for (i = fisc_rand(&rnd) % 30; i; i--) {
			__u64 r = fisc_rand(&rnd);

			change_slot(&vmm, map, r);
			if ((r >> 50) % 4 == 0)
				fisc_try_write(map + (r >> 52) % STRESS_PAGES * PAGE_SIZE, 1);
			/* Away from under the slots; or back. */
			if ((r >> 54) % 8 == 0)
				munmap(map + PAGE_SIZE, 8 * PAGE_SIZE);
			fisc_sleep_ms((r >> 58) % 16);
		}
		/* The memory goes before the VM, or after it. */
		if (fisc_rand(&rnd) & 1)
			munmap(map, STRESS_PAGES * PAGE_SIZE);
		vmm_stop(&vmm);
		vmm_close(&vmm);
		munmap(map, STRESS_PAGES * PAGE_SIZE);
	}
}

static int stress_files_worker(__u64 rnd)
{
	for (;;) {
		__u64 r = fisc_rand(&rnd);
		int fd = open_stress_file(r);

		if (fd < 0)
			continue;
		switch ((r >> 8) % 4) {
		case 0:
			if (ftruncate(fd, (r >> 16) % STRESS_PAGES * PAGE_SIZE))
				return 1;
			break;
		case 1:
			if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (r >> 16) % STRESS_PAGES * PAGE_SIZE, 8 * PAGE_SIZE))
				return 2;
			break;
		case 2:
			unlink(stress_files[r % STRESS_FILES]);
			if (r % STRESS_FILES == 2)
				rmdir(ST "2");
			break;
		}
		close(fd);
		fisc_sleep_ms((r >> 32) % 16);
	}
}

/* Reads all there is; a line that is none ends it. */
static int stress_reader(__u64 rnd)
{
	static const char * const names[] = { "st-0", "st-1", "st-2" };
	struct part parts[MAX_PARTS];
	long young;

	for (;;) {
		__u64 r = fisc_rand(&rnd);
		const char *name = names[r % ARRAY_SIZE(names)];

		if (list(name, parts) == BAD_LINE)
			return 1;
		young = young_pages(name);
		if (young == BAD_LINE || young > STRESS_SLOTS * STRESS_PAGES)
			return 2;
		fisc_vm_set(name, "sample_period_ms", (r >> 8) & 1 ? "100" : "\n");
		fisc_vm_set(name, "sample_pages", (r >> 9) & 1 ? "1000" : "10");
		fisc_vm(name, "target");
		fisc_vm(name, "active");
		fisc_sleep_ms((r >> 16) % 8);
	}
}

static pid_t start_worker(int (*worker)(__u64 rnd), __u64 rnd)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(worker(rnd));
	}
	return pid;
}

static bool killed(pid_t pid)
{
	int status;

	return !kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

TEST_F_TIMEOUT(kvm, hooks_survive_everything, 3600)
{
	double end = fisc_now() + fisc_stress_s(5);
	long periods = fisc_sample("periods"), kills = 0;
	pid_t vmms[STRESS_VMMS], files, reader;
	long unloads = 0;
	__u64 rnd = getpid();
	int i;

	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "100"));
	ASSERT_EQ(0, fisc_scan_on());
	files = start_worker(stress_files_worker, fisc_rand(&rnd));
	reader = start_worker(stress_reader, fisc_rand(&rnd));
	for (i = 0; i < STRESS_VMMS; i++)
		vmms[i] = start_worker(stress_vmm, fisc_rand(&rnd));
	while (fisc_now() < end) {
		/* All at once, so that KVM can go, too. */
		if (self->module[0] && kills % 16 == 8) {
			for (i = 0; i < STRESS_VMMS; i++)
				ASSERT_TRUE(killed(vmms[i]));
			ASSERT_EQ(0, fisc_unload_soon(self->module));
			ASSERT_EQ(0, fisc_unload_soon("kvm"));
			ASSERT_EQ(0, load_module(self->module));
			for (i = 0; i < STRESS_VMMS; i++)
				vmms[i] = start_worker(stress_vmm, fisc_rand(&rnd));
			unloads++;
		}
		fisc_sleep_ms(fisc_rand(&rnd) % 300);
		i = fisc_rand(&rnd) % STRESS_VMMS;
		/* Whoever is not there to be killed has failed. */
		ASSERT_TRUE(killed(vmms[i]))
			TH_LOG("VMM %d ended by itself", i);
		vmms[i] = start_worker(stress_vmm, fisc_rand(&rnd));
		kills++;
	}
	for (i = 0; i < STRESS_VMMS; i++)
		EXPECT_TRUE(killed(vmms[i]));
	EXPECT_TRUE(killed(files));
	EXPECT_TRUE(killed(reader));
	EXPECT_LT(periods, fisc_sample("periods"));
	TH_LOG("%ld VMMs killed, KVM unloaded %ld times, %ld periods", kills, unloads,
	       fisc_sample("periods") - periods);
	fisc_sweep();
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_TRUE(fisc_wait("core", "regions", 0));
}

/* "kvm vmm PATH READY GO TRANSFER" is a VMM that has executed itself again. */
int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "vmm"))
		return vmm_main(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
	return test_harness_run(argc, argv);
}
