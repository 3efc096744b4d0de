/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture of programs that test adoption: this process is the VMM of a KVM
 * VM with ordinary memory in slot 0 and an empty page of code.
 */
#ifndef FISC_SELFTESTS_ADOPT_H
#define FISC_SELFTESTS_ADOPT_H

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FISC_OWN_FIXTURE
#define FISC_LARGE	"1"
#include "fixture.h"
#include "vmm.h"

#define CHUNK		(2 * MIB)
#define NAME		"st-adopted"
#define ADOPT		FISC_SYSFS "/adopt"
#define ADOPTION	FISC_SYSFS "/vms/" NAME "/adoption"
#define AUTO		FISC_SYSFS "/adoption/"
#define GPA		(16 * MIB)
#define SIZE		(8 * MIB)
#define PAGES		(SIZE / (long)PAGE_SIZE)

/**
 * struct adoption - how far an adoption has come
 * @state: the first word
 * @moved: bytes that have been moved
 * @all: bytes in slots
 * @text: the whole file
 */
struct adoption {
	char state[16];
	long moved;
	long all;
	char text[256];
};

static inline bool look(struct adoption *now)
{
	memset(now, 0, sizeof(*now));
	return !fisc_read_str(ADOPTION, now->text, sizeof(now->text)) &&
	       sscanf(now->text, "%15s %ld of %ld", now->state, &now->moved,
		      &now->all) >= 1;
}

/* Return how many bytes are left alone for @reason. */
static inline long left(const struct adoption *now, const char *reason)
{
	const char *at = strstr(now->text, reason);
	long bytes = 0;

	if (!at || sscanf(at + strlen(reason), "%ld", &bytes) != 1)
		return 0;
	return bytes;
}

/* Wait until all but @unmoved bytes are moved. */
static inline bool wait_moved(long unmoved)
{
	double end = fisc_now() + WAIT_S;
	struct adoption now;

	do {
		if (look(&now) && !strcmp(now.state, "adopted") && now.all &&
		    now.moved == now.all - unmoved)
			return true;
		fisc_sleep_ms(10);
	} while (fisc_now() < end);
	fprintf(stderr, "# " ADOPTION ": %s\n", now.text);
	return false;
}

static inline int adopt_pid(int pid)
{
	char text[64];

	snprintf(text, sizeof(text), "%d " NAME, pid);
	return fisc_write_str(ADOPT, text);
}

static inline int adopt(void)
{
	return adopt_pid(getpid());
}

/* Wait until the adoption of a VM is over; the VM is gone then. */
static inline bool wait_vm_gone(const char *vm)
{
	char path[96];

	snprintf(path, sizeof(path), FISC_SYSFS "/vms/%s/adoption", vm);
	return fisc_wait_gone(path);
}

static inline bool wait_gone(void)
{
	return wait_vm_gone(NAME);
}

static inline bool release_vm(const char *vm)
{
	return !fisc_vm_set(vm, "adoption", "release") && wait_vm_gone(vm);
}

static inline bool release(void)
{
	return release_vm(NAME);
}

FIXTURE(adopt)
{
	struct fisc_before before;
	struct vmm vmm;
	char *mem;
};

/* Map ordinary memory, aligned so that large pages fit. */
static inline char *map_memory(size_t size)
{
	char *area = mmap(NULL, size + CHUNK, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
	     *mem;

	if (area == MAP_FAILED)
		return NULL;
	mem = (char *)(((unsigned long)area + CHUNK - 1) & -CHUNK);
	if (mem > area)
		munmap(area, mem - area);
	munmap(mem + size, area + CHUNK - mem);
	return mem;
}

FIXTURE_SETUP(adopt)
{
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "/dev/kvm: %s", strerror(errno));
	fisc_set_up(_metadata, &self->before);
	ASSERT_EQ(0, vmm_open(&self->vmm));
	self->mem = map_memory(SIZE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 0, GPA, self->mem, PAGES));
}

FIXTURE_TEARDOWN_PARENT(adopt)
{
	EXPECT_EQ(0, fisc_write_str(AUTO "policy", "none"));
	EXPECT_EQ(0, fisc_write_str(AUTO "names", "\n"));
	EXPECT_EQ(0, fisc_write_str(AUTO "uid", "any"));
	EXPECT_EQ(0, fisc_write_str(AUTO "shared", "0"));
	EXPECT_EQ(0, fisc_write_str(AUTO "min_bytes", "128M"));
	EXPECT_TRUE(wait_gone());
	fisc_tear_down(_metadata, &self->before);
}

/* Return whether any mapping of this process refers to fisc. */
static inline bool is_mapped(void)
{
	char line[512];
	bool found = false;
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, "/ram-");
	if (f)
		fclose(f);
	return found;
}

/* Where the VM's memory begins in its memfd: not at a multiple of a chunk. */
#define SHARED_OFFSET	(3 * (off_t)PAGE_SIZE)

/* Put a memfd in place of the VM's memory, and return its descriptor. */
static inline int share_memory(char *mem)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SIZE + SHARED_OFFSET) ||
	    mmap(mem, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 SHARED_OFFSET) == MAP_FAILED)
		return -1;
	return fd;
}

/* Return how many pages of a file are in memory or swap. */
static inline long held_pages(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_blocks * 512 / (long)PAGE_SIZE;
}

#endif /* FISC_SELFTESTS_ADOPT_H */
