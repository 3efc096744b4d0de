/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Settings and targets of small VMs. The cases set the capacity to what all VMs
 * have reserved plus a little, so that it binds.
 */
#ifndef FISC_SELFTESTS_TAX_H
#define FISC_SELFTESTS_TAX_H

#include "fixture.h"

#define VM(name, file)	FISC_SYSFS "/vms/st-" name "/" file

/* The longest that an expected change of a target takes, in seconds. */
#define PROMPT_S	20

static inline void take(struct __test_metadata *_metadata, const char *path,
			const char *value)
{
	fisc_take(_metadata, path, value, value);
}

static inline void set_bytes(struct __test_metadata *_metadata,
			     const char *path, long bytes)
{
	char value[32];

	snprintf(value, sizeof(value), "%ld", bytes);
	ASSERT_EQ(0, fisc_write_str(path, value))
		TH_LOG("%s and %s", path, value);
}

/* Set the capacity @bytes above what is reserved, and return it. */
static inline long leave_room(struct __test_metadata *_metadata, long bytes)
{
	set_bytes(_metadata, TAX_CAPACITY,
		  fisc_read_long(TAX_RESERVED) + bytes);
	return fisc_read_long(TAX_CAPACITY);
}

static inline int make_vm(const char *path, long bytes)
{
	return fisc_create(path, bytes / PAGE_SIZE);
}

static inline bool soon_between(const char *vm, const char *name, long low,
				long high)
{
	return fisc_wait_vm_between_s(vm, name, low, high, PROMPT_S);
}

/* Wait for a target of @bytes, give or take what the module itself needs. */
static inline bool soon_about(const char *vm, long bytes)
{
	return soon_between(vm, "target", bytes - MIB, bytes + MIB);
}

#endif /* FISC_SELFTESTS_TAX_H */
