// SPDX-License-Identifier: GPL-2.0
/*
 * Free memory that a VMM discards. See discard.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/compat.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mempool.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>

#include <asm/syscall.h>
#include <asm/unistd.h>

#include "adopt/adoption.h"
#include "adopt/discard.h"
#include "adopt/release.h"
#include "adopt/source.h"
#include "memory/hole.h"
#include "memory/region.h"

/**
 * struct fisc_discard - what a system call has unmapped, to be discarded
 * @work: of the thread that is in the system call
 * @node: in fisc_discards
 * @task: that thread
 * @mm: its memory; compared only
 * @start: first address
 * @end: address after the last
 * @running: the work has begun
 */
struct fisc_discard {
	struct callback_head work;
	struct list_head node;
	struct task_struct *task;
	const struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	bool running;
};

/* Discards that are possible at the same time when there is no memory. */
#define FISC_DISCARDS_MIN	64

static DEFINE_SPINLOCK(fisc_discard_lock);
static LIST_HEAD(fisc_discards);
static mempool_t *fisc_discard_pool;

/* Is the current thread discarding memory itself, and which? */
static bool fisc_discard_is_asked(unsigned long *start, unsigned long *end)
{
	unsigned long args[6];

	if (current->flags & PF_KTHREAD || in_compat_syscall() ||
	    syscall_get_nr(current, task_pt_regs(current)) != __NR_madvise)
		return false;
	syscall_get_arguments(current, task_pt_regs(current), args);
	*start = args[0];
	*end = args[0] + PAGE_ALIGN(args[1]);

	return (int)args[2] == MADV_DONTNEED || (int)args[2] == MADV_DONTNEED_LOCKED;
}

/* What the current thread discards: nobody else changes or frees it. */
static struct fisc_discard *fisc_discard_of_current(void)
{
	struct fisc_discard *discard, *found = NULL;

	spin_lock(&fisc_discard_lock);
	list_for_each_entry(discard, &fisc_discards, node)
		if (discard->task == current)
			found = discard;
	spin_unlock(&fisc_discard_lock);

	return found;
}

static bool fisc_vma_is_adopted(const struct vm_area_struct *vma)
{
	const struct fisc_region *region = fisc_region_of_file(vma->vm_file);

	return region && region->adopted;
}

/* Return a mapping of an adopted file in a range, with a reference; or NULL. */
static struct file *fisc_discard_next(struct mm_struct *mm, unsigned long *addr,
				      unsigned long end, pgoff_t *first,
				      pgoff_t *last)
{
	struct vm_area_struct *vma;
	struct file *file = NULL;

	mmap_read_lock(mm);
	for (vma = find_vma(mm, *addr); vma && vma->vm_start < end;
	     vma = find_vma(mm, *addr)) {
		unsigned long start = max(*addr, vma->vm_start);

		*addr = min(end, vma->vm_end);
		if (fisc_vma_is_adopted(vma)) {
			file = get_file(vma->vm_file);
			*first = linear_page_index(vma, start);
			*last = linear_page_index(vma, *addr - 1);
			break;
		}
		if (*addr == end)
			break;
	}
	mmap_read_unlock(mm);

	return file;
}

static void fisc_discard_range(struct mm_struct *mm, unsigned long addr,
			       unsigned long end)
{
	struct fisc_source *source = NULL;
	struct fisc_region *region;
	pgoff_t first, last;
	struct file *file;
	bool hole = true;

	while (addr < end) {
		file = fisc_discard_next(mm, &addr, end, &first, &last);
		if (!file)
			break;
		region = fisc_region_of(file_inode(file));
		/* A hole may be in several files of ours. */
		if (region->source && region->source != source) {
			source = region->source;
			hole = fisc_source_take_hole(source);
		}
		/* Nobody misses the memory of a process that is killed. */
		if (!inode_lock_killable(region->inode)) {
			if (!region->source || hole)
				fisc_region_remove(region, first, last);
			inode_unlock(region->inode);
		}
		fput(file);
	}
}

/**
 * fisc_discard_is_pending() - tell whether memory is yet to be discarded
 * @mm: memory of a process
 * @start: first address of a part of it
 * @end: address after its last
 *
 * Context: any; mmap_lock held for writing, and no page fault is being served
 * in that part.
 * Return: true if some of it has been unmapped for that by a system call that
 * has not returned.
 */
bool fisc_discard_is_pending(const struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	struct fisc_discard *discard;
	bool pending = false;

	spin_lock(&fisc_discard_lock);
	list_for_each_entry(discard, &fisc_discards, node)
		pending |= discard->mm == mm && discard->start < end &&
			   start < discard->end;
	spin_unlock(&fisc_discard_lock);

	return pending;
}

static void fisc_discard_free(struct fisc_discard *discard)
{
	scoped_guard(spinlock, &fisc_discard_lock)
		list_del(&discard->node);
	mempool_free(discard, fisc_discard_pool);
	module_put(THIS_MODULE);
}

static void fisc_discard_work(struct callback_head *work)
{
	struct fisc_discard *discard = container_of(work, struct fisc_discard,
						    work);

	scoped_guard(spinlock, &fisc_discard_lock)
		discard->running = true;
	/* A thread that exits has no memory any more. */
	if (current->mm) {
		fisc_discard_range(current->mm, discard->start, discard->end);
		fisc_release_discard(current->mm, discard->start, discard->end);
	}
	fisc_discard_free(discard);
}

/* Called before the range is unmapped. */
static void fisc_discard_add(unsigned long start, unsigned long end)
{
	struct fisc_discard *discard = mempool_alloc(fisc_discard_pool,
						     GFP_ATOMIC);

	if (!discard) {
		pr_warn_ratelimited("no memory to discard %lu KiB of an adopted VM: they keep their content\n",
				    (end - start) / SZ_1K);
		return;
	}
	*discard = (struct fisc_discard){
		.task = current, .mm = current->mm,
		.start = start, .end = end,
	};
	init_task_work(&discard->work, fisc_discard_work);
	/* The adoption holds the module, so this cannot fail. */
	__module_get(THIS_MODULE);
	scoped_guard(spinlock, &fisc_discard_lock)
		list_add(&discard->node, &fisc_discards);
	if (!task_work_add(current, &discard->work, TWA_RESUME))
		return;
	/* The thread exits. */
	fisc_discard_free(discard);
}

/* The system call goes on with the next mapping, or splits a large page. */
static void fisc_discard_extend(struct fisc_discard *discard,
				unsigned long start, unsigned long end)
{
	spin_lock(&fisc_discard_lock);
	discard->start = min(discard->start, start);
	discard->end = max(discard->end, end);
	spin_unlock(&fisc_discard_lock);
}

static int fisc_discard_start(struct mmu_notifier *notifier,
			      const struct mmu_notifier_range *range)
{
	struct fisc_discard *discard;
	unsigned long start, end;

	/* Not by the adoption's thread, which replaces mappings itself. */
	if (range->event == MMU_NOTIFY_UNMAP && !(current->flags & PF_KTHREAD))
		WRITE_ONCE(container_of(notifier, struct fisc_adoption,
					notifier)->unmapped, true);
	if (range->event != MMU_NOTIFY_CLEAR || current->mm != range->mm ||
	    !fisc_discard_is_asked(&start, &end))
		return 0;
	discard = fisc_discard_of_current();
	if (discard && discard->running)
		return 0;
	/* For a large page that is split, the range is the whole page. */
	start = max(start, range->start);
	end = min(end, range->end);
	if (start >= end)
		return 0;
	if (discard)
		fisc_discard_extend(discard, start, end);
	else
		fisc_discard_add(start, end);

	return 0;
}

const struct mmu_notifier_ops fisc_discard_ops = {
	.invalidate_range_start = fisc_discard_start,
};

/**
 * fisc_discard_init() - prepare to discard memory
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_discard_init(void)
{
	fisc_discard_pool = mempool_create_kmalloc_pool(FISC_DISCARDS_MIN,
							sizeof(struct fisc_discard));

	return fisc_discard_pool ? 0 : -ENOMEM;
}

/**
 * fisc_discard_exit() - undo fisc_discard_init()
 *
 * Context: may sleep; nothing is adopted any more.
 */
void fisc_discard_exit(void)
{
	mempool_destroy(fisc_discard_pool);
}
