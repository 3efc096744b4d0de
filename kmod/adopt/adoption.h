/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_ADOPTION_H
#define _FISC_ADOPT_ADOPTION_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/sizes.h>
#include <linux/xarray.h>

/* Types that the files of adopt/ share. */

struct dentry;
struct file;
struct fisc_chunk;
struct fisc_incoming;
struct fisc_source;
struct fisc_vm;
struct pid;
struct task_struct;

/**
 * enum fisc_adopt_state - how far an adoption has come
 * @FISC_ADOPT_ADOPTING: memory is being moved to files
 * @FISC_ADOPT_ADOPTED: all memory that can be moved has been moved
 * @FISC_ADOPT_RELEASING: memory is being given back
 * @FISC_ADOPT_STATES: number of states
 */
enum fisc_adopt_state {
	FISC_ADOPT_ADOPTING,
	FISC_ADOPT_ADOPTED,
	FISC_ADOPT_RELEASING,
	FISC_ADOPT_STATES,
};

/**
 * enum fisc_adopt_left - why memory in a memslot is left alone
 * @FISC_LEFT_ROM: the slot is read-only, or its memory is a guest_memfd
 * @FISC_LEFT_FILE: the memory belongs to a file or a device, consists of huge
 *	pages of hugetlbfs, is not both readable and writable, or is executable
 * @FISC_LEFT_SHARED: the memory is shared, and adopting shared memory is
 *	disabled or the memory is mapped elsewhere, too
 * @FISC_LEFT_LOCKED: the memory is locked (mlock()), or userfaultfd() watches
 *	it
 * @FISC_LEFT_BUSY: there is another reference on the memory; it is tried again,
 *	less and less often
 * @FISC_LEFT_MEMORY: the host is short of memory; it is tried again
 * @FISC_LEFT_ERROR: something else failed; it is tried again
 * @FISC_NR_LEFT: number of reasons
 */
enum fisc_adopt_left {
	FISC_LEFT_ROM,
	FISC_LEFT_FILE,
	FISC_LEFT_SHARED,
	FISC_LEFT_LOCKED,
	FISC_LEFT_BUSY,
	FISC_LEFT_MEMORY,
	FISC_LEFT_ERROR,
	FISC_NR_LEFT,
};

/* Delay between attempts to allocate where there is no way back. */
#define FISC_ADOPT_RETRY_MS	10

/* How much memory is given back at a time. */
#define FISC_RELEASE_BYTES	SZ_64M

/**
 * struct fisc_ram - a file with memory of an adopted VM
 * @node: in fisc_adoption.rams
 * @file: the file, open
 * @source: the file that the memory was moved from, NULL if it was anonymous
 * @locked: the last look at which the process had locked some of it
 * @kept: flags that the mapping had before and keeps (FISC_VM_KEPT)
 * @start: address of its first page
 * @end: address after its last page
 */
struct fisc_ram {
	struct list_head node;
	struct file *file;
	struct fisc_source *source;
	unsigned long locked;
	unsigned long kept;
	unsigned long start;
	unsigned long end;
};

/**
 * struct fisc_piece - a part of a range that lies in one mapping
 * @end: address after its last; in the same chunk if it is to be moved
 * @vma_start: first address of the mapping
 * @vma_end: address after its last
 * @file: the file, held, if this is shared memory to be moved, or memory in one
 *	of the VM's files; or NULL
 * @ours: it is in one of the VM's files already
 * @unmergeable: the process has not marked it mergeable
 * @locked: the process has locked it
 * @left: why it is left alone, or FISC_NR_LEFT
 */
struct fisc_piece {
	unsigned long end;
	unsigned long vma_start;
	unsigned long vma_end;
	struct file *file;
	bool ours;
	bool unmergeable;
	bool locked;
	enum fisc_adopt_left left;
};

/**
 * struct fisc_step - parameters of the mapping that is being made
 * @ram: the file that is mapped
 * @incoming: where pages are pinned, NULL if none are
 * @chunk: the chunk that these pages are for
 * @kept: flags of the previous mapping to keep (FISC_VM_KEPT)
 * @index: first page in the file of @ram's source; in a release, in @ram's file
 * @empty: the file of the memory that is given back (fisc_released_file()); NULL
 *	if memory is moved
 * @gap: the previous mapping is gone, and memory ran out before the new one
 *	was in place
 */
struct fisc_step {
	const struct fisc_ram *ram;
	struct fisc_incoming *incoming;
	struct fisc_chunk *chunk;
	unsigned long kept;
	pgoff_t index;
	struct file *empty;
	bool gap;
};

/**
 * struct fisc_adoption - an adopted VM
 * @node: in fisc_adoptions
 * @starter: the task that makes its VM, while it does
 * @vm: the VM; held once it is made
 * @pid: the process, held
 * @mm: its memory, held by mm_count only
 * @notifier: reports what the process discards
 * @dir: the VM's directory, held
 * @rams: its files; only the thread uses this
 * @told: the log says that memory is not mergeable; only the thread uses this
 * @looks: number of looks so far; only the thread uses this
 * @drained: the last look at which LRU batches were emptied; only the thread
 *	uses this
 * @busy: memory that was busy, by chunk (busy.c); only the thread uses this
 * @nr_names: files so far whose names needed a number; only the thread uses it
 * @unmapped: the process has removed or moved mappings since they were last
 *	compared with the files
 * @to_trim: files that are still to be compared; only the thread uses this
 * @sources: files that memory was moved from; only the thread uses this
 * @step: what the thread is doing; only the thread uses this
 * @state: its state
 * @release: a release is requested
 * @err: why the last release failed, as -errno; 0 if it did not
 * @bytes: bytes in memslots, of any kind of memory
 * @adopted: of these, bytes that are in files
 * @left: of these, bytes that are left alone, by reason
 * @unmergeable: of @adopted, bytes that the process has not marked mergeable
 * @next_adopted: @adopted, while being counted
 * @next_left: @left, while being counted
 * @next_unmergeable: @unmergeable, while being counted
 */
struct fisc_adoption {
	struct list_head node;
	struct task_struct *starter;
	struct fisc_vm *vm;
	struct pid *pid;
	struct mm_struct *mm;
	struct mmu_notifier notifier;
	struct dentry *dir;
	struct list_head rams;
	bool told;
	unsigned long looks;
	unsigned long drained;
	struct xarray busy;
	unsigned int nr_names;
	bool unmapped;
	unsigned int to_trim;
	struct list_head sources;
	struct fisc_step step;
	enum fisc_adopt_state state;
	bool release;
	int err;
	u64 bytes;
	u64 adopted;
	u64 left[FISC_NR_LEFT];
	u64 unmergeable;
	u64 next_adopted;
	u64 next_left[FISC_NR_LEFT];
	u64 next_unmergeable;
};

/**
 * fisc_ram_offset() - return the file offset of an address
 * @ram: the file
 * @addr: an address between @ram's start and end
 *
 * Context: any.
 * Return: the offset in bytes.
 */
static inline unsigned long fisc_ram_offset(const struct fisc_ram *ram,
					    unsigned long addr)
{
	return addr - ram->start;
}

#endif /* _FISC_ADOPT_ADOPTION_H */
