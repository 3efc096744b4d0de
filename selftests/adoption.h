/* SPDX-License-Identifier: GPL-2.0 */
/* Having a VM adopted and released, and ordinary memory for one. */
#ifndef FISC_SELFTESTS_ADOPTION_H
#define FISC_SELFTESTS_ADOPTION_H

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "fisc.h"

#define CHUNK		(2 * MIB)
#define ADOPT		FISC_SYSFS "/adopt"

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

static inline void adoption_path(char *path, size_t size, const char *vm)
{
	snprintf(path, size, FISC_SYSFS "/vms/%s/adoption", vm);
}

static inline bool look_at(const char *vm, struct adoption *now)
{
	char path[96];

	adoption_path(path, sizeof(path), vm);
	memset(now, 0, sizeof(*now));
	return !fisc_read_str(path, now->text, sizeof(now->text)) &&
	       sscanf(now->text, "%15s %ld of %ld", now->state, &now->moved,
		      &now->all) >= 1;
}

/* Wait until all but @unmoved bytes of a VM are moved. */
static inline bool wait_vm_moved(const char *vm, long unmoved)
{
	double end = fisc_now() + WAIT_S;
	struct adoption now;

	do {
		if (look_at(vm, &now) && !strcmp(now.state, "adopted") &&
		    now.all && now.moved == now.all - unmoved)
			return true;
		fisc_sleep_ms(10);
	} while (fisc_now() < end);
	fprintf(stderr, "# adoption of %s: %s\n", vm, now.text);
	return false;
}

static inline int adopt_as(int pid, const char *vm)
{
	char text[64];

	snprintf(text, sizeof(text), "%d %s", pid, vm);
	return fisc_write_str(ADOPT, text);
}

/* Wait until the adoption of a VM is over; the VM is gone then. */
static inline bool wait_vm_gone(const char *vm)
{
	char path[96];

	adoption_path(path, sizeof(path), vm);
	return fisc_wait_gone(path);
}

static inline bool release_vm(const char *vm)
{
	return !fisc_vm_set(vm, "adoption", "release") && wait_vm_gone(vm);
}

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

#endif /* FISC_SELFTESTS_ADOPTION_H */
