/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPTION_H
#define _FISC_ADOPTION_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/sizes.h>

#include "adopt.h"

/* What adopt/ has in common and others need not know. */

/* How long to wait for memory where there is no way back. */
#define FISC_ADOPT_RETRY_MS	10

/* What is given back at once. */
#define FISC_RELEASE_BYTES	SZ_64M

struct dentry;
struct file;
struct fisc_chunk;
struct fisc_incoming;
struct fisc_source;
struct fisc_vm;
struct pid;
struct task_struct;

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

/* adopt.c */
void fisc_adopt_name(struct pid *pid, char *name, size_t size);
int fisc_adopt_start(struct pid *pid, struct task_struct *task, const char *name);
void fisc_adopt_release_all(void);

/* step.c */
enum fisc_adopt_left fisc_vma_refused(struct vm_area_struct *vma);
bool fisc_vma_is_of(const struct vm_area_struct *vma, const struct fisc_vm *vm);
int fisc_adopt_move(struct fisc_adoption *adoption, const struct fisc_ram *ram,
		    unsigned long addr, unsigned long len);
int fisc_adopt_give_back(struct fisc_adoption *adoption,
			 const struct fisc_ram *ram, unsigned long start,
			 unsigned long end, unsigned long prot);

/* ram.c */
int fisc_adopt_pin_fs(void);
void fisc_adopt_release_fs(void);
struct dentry *fisc_adopt_make_dir(const char *name);
void fisc_adopt_unlink(struct dentry *dentry);
struct fisc_ram *fisc_ram_get(struct fisc_adoption *adoption,
			      unsigned long start, unsigned long end,
			      unsigned long vma_start, unsigned long vma_end,
			      struct file *from);
void fisc_source_remove(struct fisc_source *source, pgoff_t first, pgoff_t nr);
void fisc_sources_deny(struct fisc_adoption *adoption);
void fisc_rams_free(struct fisc_adoption *adoption);

/* walk.c */
int fisc_adopt_all(struct fisc_adoption *adoption);
int fisc_adopt_release(struct fisc_adoption *adoption);

static inline unsigned long fisc_ram_offset(const struct fisc_ram *ram,
					    unsigned long addr)
{
	return addr - ram->start;
}

#endif /* _FISC_ADOPTION_H */
