/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: a file of guest memory without a file system.
 */
#ifndef _FISC_TESTS_UNIT_H
#define _FISC_TESTS_UNIT_H

#include <kunit/test.h>

#include "memory/balloon.h"
#include "memory/cow.h"
#include "memory/hole.h"
#include "memory/large.h"
#include "memory/listed.h"
#include "memory/region.h"
#include "vm/vm.h"

/**
 * struct fisc_unit - a VM with one file
 * @inode: the file; part of no file system
 * @vm: the VM
 * @region: the file's region
 * @large: value of fisc_large_enabled to restore
 */
struct fisc_unit {
	struct inode inode;
	struct fisc_vm *vm;
	struct fisc_region *region;
	unsigned int large;
};

/* Make a region of @nr_pages holes, with fisc_large_enabled set to @large. */
static inline struct fisc_unit *fisc_unit_begin(struct kunit *test,
						const char *name,
						pgoff_t nr_pages,
						unsigned int large)
{
	struct fisc_unit *unit = kunit_kzalloc(test, sizeof(*unit), GFP_KERNEL);
	static unsigned int nr;
	char unique[32];

	KUNIT_ASSERT_NOT_NULL(test, unit);
	/* The policy may still hold the previous test's VM for a moment. */
	snprintf(unique, sizeof(unique), "%s%u", name, nr++);
	unit->large = fisc_large_enabled;
	fisc_large_enabled = large;
	address_space_init_once(&unit->inode.i_data);
	unit->inode.i_mapping = &unit->inode.i_data;
	unit->inode.i_data.host = &unit->inode;
	i_size_write(&unit->inode, nr_pages << PAGE_SHIFT);
	unit->vm = fisc_vm_create(unique);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, unit->vm);
	unit->region = fisc_region_alloc(&unit->inode);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, unit->region);
	fisc_region_set_end(unit->region, nr_pages);
	fisc_vm_add_region(unit->vm, unit->region);

	return unit;
}

/* As fisc_region_destroy(), but a test frees what it attached to chunks. */
static inline void fisc_unit_end(struct fisc_unit *unit)
{
	struct fisc_region *region = unit->region;
	struct fisc_chunk *chunk;
	unsigned long nr;

	fisc_region_put(region);
	wait_for_completion(&region->released);
	fisc_region_set_end(region, 0);
	xa_for_each(&region->chunks, nr, chunk)
		fisc_region_free_chunk(region, chunk);
	fisc_vm_drop_region(region);
	fisc_region_free(region);
	fisc_vm_put(unit->vm);
	fisc_large_enabled = unit->large;
}

/* Own a page and set its first byte. Return: the page, without a reference. */
static inline struct page *fisc_unit_write(struct kunit *test,
					   struct fisc_region *region,
					   pgoff_t index, u8 byte)
{
	struct fisc_chunk *chunk = fisc_region_make_chunk(region, index);
	struct page *page;

	KUNIT_ASSERT_NOT_NULL(test, chunk);
	down_read(&chunk->lock);
	KUNIT_ASSERT_EQ(test, fisc_chunk_own(region, chunk, index, NULL, 0,
					     &page), 0);
	KUNIT_EXPECT_TRUE(test, PageLocked(page));
	folio_unlock(page_folio(page));
	*(u8 *)page_address(page) = byte;
	put_page(page);

	return page;
}

#endif /* _FISC_TESTS_UNIT_H */
