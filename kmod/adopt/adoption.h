/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_ADOPTION_H
#define _FISC_ADOPT_ADOPTION_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/sizes.h>

/* What the files of adopt/ have in common. */

struct dentry;
struct file;
struct fisc_chunk;
struct fisc_incoming;
struct fisc_source;
struct fisc_vm;
struct pid;

/**
 * enum fisc_adopt_state - how far an adoption is
 * @FISC_ADOPT_ADOPTING: memory is being moved
 * @FISC_ADOPT_ADOPTED: all that can be has been
 * @FISC_ADOPT_RELEASING: it is given back
 * @FISC_ADOPT_STATES: number of these
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
 * @FISC_LEFT_FILE: it is a file's, a device's, huge pages of hugetlbfs, or not to be
 *	read and written, but executed
 * @FISC_LEFT_SHARED: it is shared memory, and that is not wanted or it is mapped somewhere
 *	else, too
 * @FISC_LEFT_LOCKED: it is locked (mlock()), or watched by userfaultfd()
 * @FISC_LEFT_BUSY: somebody else has a reference on it; it is tried again
 * @FISC_LEFT_ERROR: something else failed; it is tried again
 * @FISC_NR_LEFT: number of these
 */
enum fisc_adopt_left {
	FISC_LEFT_ROM,
	FISC_LEFT_FILE,
	FISC_LEFT_SHARED,
	FISC_LEFT_LOCKED,
	FISC_LEFT_BUSY,
	FISC_LEFT_ERROR,
	FISC_NR_LEFT,
};

/* How long to wait for memory before trying again, where there is no way back. */
#define FISC_ADOPT_RETRY_MS	10

/* What is given back at once. */
#define FISC_RELEASE_BYTES	SZ_64M

/**
 * struct fisc_ram - a file with memory of an adopted VM
 * @node: in fisc_adoption.rams
 * @file: the file, open
 * @source: what it was the memory of, NULL if it was anonymous
 * @kept: flags that the mapping had before
 * @start: address of its first page
 * @end: address after its last one
 */
struct fisc_ram {
	struct list_head node;
	struct file *file;
	struct fisc_source *source;
	unsigned long kept;
	unsigned long start;
	unsigned long end;
};

/**
 * struct fisc_step - what the mapping that is being made is about
 * @ram: the file that it is a mapping of
 * @incoming: where pages are pinned, NULL if none are to be
 * @chunk: whose they are going to be
 * @kept: flags of the mapping that was there before
 * @index: its first page in @ram's source
 * @zero: /dev/zero if it goes the other way
 * @gap: what was there is gone already, for want of memory
 */
struct fisc_step {
	const struct fisc_ram *ram;
	struct fisc_incoming *incoming;
	struct fisc_chunk *chunk;
	unsigned long kept;
	pgoff_t index;
	struct file *zero;
	bool gap;
};

/**
 * struct fisc_adoption - a VM that is adopted
 * @node: in fisc_adoptions
 * @vm: the VM, held
 * @pid: the process
 * @mm: its memory, held by mm_count only
 * @notifier: is told what the process throws away
 * @dir: the VM's directory, held
 * @rams: its files; the thread's
 * @sources: files that their memory comes from; the thread's
 * @step: what the thread is doing; the thread's
 * @state: see there
 * @release: it is to be given back
 * @err: what a release failed for
 * @bytes: memory in memslots, of any kind
 * @adopted: of it, what is in files
 * @left: of it, what is left alone, by reason
 * @next_adopted: @adopted, being counted
 * @next_left: @left, being counted
 */
struct fisc_adoption {
	struct list_head node;
	struct fisc_vm *vm;
	struct pid *pid;
	struct mm_struct *mm;
	struct mmu_notifier notifier;
	struct dentry *dir;
	struct list_head rams;
	struct list_head sources;
	struct fisc_step step;
	enum fisc_adopt_state state;
	bool release;
	int err;
	u64 bytes;
	u64 adopted;
	u64 left[FISC_NR_LEFT];
	u64 next_adopted;
	u64 next_left[FISC_NR_LEFT];
};

static inline unsigned long fisc_ram_offset(const struct fisc_ram *ram,
					    unsigned long addr)
{
	return addr - ram->start;
}

#endif /* _FISC_ADOPT_ADOPTION_H */
