// SPDX-License-Identifier: GPL-2.0
/*
 * Walk all memory of an adopted VM. See DOC: Adoption in adopt.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "adopt/adoption.h"
#include "adopt/busy.h"
#include "adopt/drain.h"
#include "adopt/ram.h"
#include "adopt/source.h"
#include "adopt/step.h"
#include "adopt/trim.h"
#include "adopt/vma.h"
#include "adopt/walk.h"
#include "base/array.h"
#include "base/state.h"
#include "kvm/kvm.h"
#include "kvm/vmm.h"
#include "memory/map.h"
#include "share/member.h"
#include "vm/vm.h"

/**
 * struct fisc_range - a part of a memslot
 * @start: first address
 * @end: address after the last
 * @foreign: the slot is read-only or its memory is a guest_memfd
 */
struct fisc_range {
	unsigned long start;
	unsigned long end;
	bool foreign;
};

struct fisc_ranges {
	struct fisc_range *ranges;
	unsigned int nr;
	unsigned int room;
};

static int fisc_ranges_add(void *arg, int as_id,
			   const struct kvm_memory_slot *memslot)
{
	struct fisc_ranges *list = arg;
	struct fisc_range *ranges;

	ranges = fisc_array_grow(list->ranges, list->nr, &list->room,
				 sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	list->ranges = ranges;
	ranges[list->nr++] = (struct fisc_range){
		.start = memslot->userspace_addr,
		.end = memslot->userspace_addr + (memslot->npages << PAGE_SHIFT),
		.foreign = memslot->flags & (KVM_MEM_READONLY |
					     KVM_MEM_GUEST_MEMFD),
	};

	return 0;
}

static int fisc_range_cmp(const void *a, const void *b)
{
	const struct fisc_range *l = a, *r = b;

	if (l->start != r->start)
		return l->start < r->start ? -1 : 1;

	return l->end > r->end ? -1 : l->end < r->end;
}

/* SMM has most slots of the normal address space, too: drop what is double. */
static void fisc_ranges_sort(struct fisc_ranges *list)
{
	unsigned long end = 0;
	unsigned int i, nr = 0;

	sort(list->ranges, list->nr, sizeof(*list->ranges), fisc_range_cmp, NULL);
	for (i = 0; i < list->nr; i++) {
		if (list->ranges[i].end <= end)
			continue;
		end = list->ranges[i].end;
		list->ranges[nr++] = list->ranges[i];
	}
	list->nr = nr;
}

/* --- a part of a range ---------------------------------------------------- */

/* fisc_piece_done() undoes this. */
static void fisc_piece_look(const struct fisc_adoption *adoption,
			    unsigned long addr, unsigned long end,
			    struct fisc_piece *piece)
{
	struct vm_area_struct *vma;

	*piece = (struct fisc_piece){ .left = FISC_LEFT_FILE };
	mmap_read_lock(adoption->mm);
	vma = find_vma(adoption->mm, addr);
	if (!vma || vma->vm_start > addr) {
		piece->end = vma ? min(end, vma->vm_start) : end;
	} else {
		piece->end = min(end, vma->vm_end);
		piece->vma_start = vma->vm_start;
		piece->vma_end = vma->vm_end;
		piece->ours = fisc_vma_is_of(vma, adoption->vm);
		piece->left = piece->ours ? FISC_NR_LEFT : fisc_vma_refused(vma);
		piece->unmergeable = fisc_vma_is_unmergeable(vma);
		piece->locked = vma->vm_flags & VM_LOCKED;
		if (piece->ours ||
		    (piece->left == FISC_NR_LEFT && !vma_is_anonymous(vma)))
			piece->file = get_file(vma->vm_file);
	}
	mmap_read_unlock(adoption->mm);
}

static void fisc_piece_done(struct fisc_piece *piece)
{
	if (piece->file)
		fput(piece->file);
}

/*
 * Perhaps it is nobody but the kernel's lists that use memory: empty them, once
 * in each look at which any is busy.
 */
static bool fisc_adopt_drain(struct fisc_adoption *adoption)
{
	if (adoption->drained == adoption->looks)
		return false;
	adoption->drained = adoption->looks;
	fisc_drain_lru();

	return true;
}

static enum fisc_adopt_left fisc_adopt_piece(struct fisc_adoption *adoption,
					     unsigned long addr,
					     const struct fisc_piece *piece)
{
	struct fisc_ram *ram = fisc_ram_get(adoption, addr, piece);
	int err;

	if (IS_ERR(ram))
		return FISC_LEFT_ERROR;
	do
		err = fisc_adopt_move(adoption, ram, addr, piece->end - addr);
	while (err == -EBUSY && fisc_adopt_drain(adoption));
	if (!err) {
		ram->kept = adoption->step.kept;
		fisc_busy_clear(adoption, addr);
		return FISC_NR_LEFT;
	}
	if (err != -EBUSY && err != -EAGAIN)
		return FISC_LEFT_ERROR;
	if (err == -EBUSY)
		fisc_busy_set(adoption, addr);

	return FISC_LEFT_BUSY;
}

/* Move a piece, if now is the time for it. */
static enum fisc_adopt_left fisc_adopt_try_piece(struct fisc_adoption *adoption,
						 unsigned long addr,
						 const struct fisc_piece *piece)
{
	if (fisc_busy_rests(adoption, addr))
		return FISC_LEFT_BUSY;
	/* For a moment there are two copies; of what KSM merged, for good. */
	if (fisc_reclaim_state() >= FISC_RECLAIM_HARD)
		return FISC_LEFT_MEMORY;

	return fisc_adopt_piece(adoption, addr, piece);
}

/* What the process has done to a mapping since the last look counts. */
static void fisc_adopt_follow(struct fisc_adoption *adoption,
			      const struct fisc_piece *piece)
{
	struct fisc_ram *ram = fisc_ram_of(adoption, piece->file);
	struct fisc_region *region;

	if (!ram)
		return;
	region = fisc_region_of(file_inode(ram->file));
	if (piece->unmergeable && !region->unmergeable)
		fisc_member_mark(region, true);
	if (piece->locked) {
		ram->locked = adoption->looks;
		WRITE_ONCE(region->locked, true);
	}
}

/* What was not found to be locked at this look is not any more. */
static void fisc_adopt_unlock(struct fisc_adoption *adoption)
{
	struct fisc_ram *ram;

	list_for_each_entry(ram, &adoption->rams, node)
		WRITE_ONCE(fisc_region_of(file_inode(ram->file))->locked,
			   ram->locked == adoption->looks);
}

/* Count a piece that is in one of the VM's files, or is not. */
static void fisc_adopt_count_piece(struct fisc_adoption *adoption,
				   const struct fisc_piece *piece, u64 bytes)
{
	if (piece->left != FISC_NR_LEFT) {
		adoption->next_left[piece->left] += bytes;
		return;
	}
	adoption->next_adopted += bytes;
	if (piece->unmergeable)
		adoption->next_unmergeable += bytes;
	if (adoption->state == FISC_ADOPT_ADOPTING)
		WRITE_ONCE(adoption->adopted, adoption->next_adopted);
}

/* Look at one piece of a memslot. kthread_use_mm() has been called. */
static unsigned long fisc_adopt_chunk(struct fisc_adoption *adoption,
				      unsigned long addr, unsigned long end,
				      bool foreign)
{
	const unsigned long size = FISC_CHUNK_PAGES * PAGE_SIZE;
	struct fisc_piece piece;

	fisc_piece_look(adoption, addr, end, &piece);
	/* What is to be moved is moved one chunk at a time. */
	if (!foreign && !piece.ours && piece.left == FISC_NR_LEFT)
		piece.end = min(piece.end, round_down(addr, size) + size);
	if (foreign)
		piece.left = FISC_LEFT_ROM;
	else if (piece.ours)
		fisc_adopt_follow(adoption, &piece);
	else if (piece.left == FISC_NR_LEFT)
		piece.left = fisc_adopt_try_piece(adoption, addr, &piece);
	fisc_adopt_count_piece(adoption, &piece, piece.end - addr);
	fisc_piece_done(&piece);

	return piece.end;
}

/* Use the process's memory, for as long as it takes to move a chunk. */
static bool fisc_adopt_enter(struct fisc_adoption *adoption)
{
	if (!mmget_not_zero(adoption->mm))
		return false;
	kthread_use_mm(adoption->mm);

	return true;
}

static void fisc_adopt_leave(struct fisc_adoption *adoption)
{
	kthread_unuse_mm(adoption->mm);
	mmput(adoption->mm);
}

/* Return: 0, or -ESRCH if the process has ended. */
static int fisc_adopt_range(struct fisc_adoption *adoption,
			    const struct fisc_range *range)
{
	unsigned long addr = range->start;

	while (addr < range->end && !READ_ONCE(adoption->release)) {
		if (!fisc_adopt_enter(adoption))
			return -ESRCH;
		addr = fisc_adopt_chunk(adoption, addr, range->end,
					range->foreign);
		fisc_adopt_leave(adoption);
		cond_resched();
	}

	return 0;
}

/**
 * fisc_adopt_all() - check all memslots once, and move what can be moved
 * @adoption: the current thread's adoption
 *
 * Context: may sleep.
 * Return: 0, -ESRCH if the process has ended, -ENODEV if it has no VM any more.
 */
int fisc_adopt_all(struct fisc_adoption *adoption)
{
	struct task_struct *task = fisc_vmm_thread(adoption->pid);
	struct fisc_ranges list = {};
	u64 bytes = 0;
	unsigned int i;
	int err = -ESRCH;

	if (task && READ_ONCE(task->mm) == adoption->mm)
		err = fisc_kvm_each_memslot(task, fisc_ranges_add, &list);
	if (task)
		put_task_struct(task);
	fisc_adopt_trim(adoption);
	fisc_ranges_sort(&list);
	adoption->looks++;
	for (i = 0; i < list.nr; i++)
		bytes += list.ranges[i].end - list.ranges[i].start;
	WRITE_ONCE(adoption->bytes, bytes);
	adoption->next_adopted = 0;
	adoption->next_unmergeable = 0;
	memset(adoption->next_left, 0, sizeof(adoption->next_left));
	for (i = 0; i < list.nr && !err; i++)
		err = fisc_adopt_range(adoption, &list.ranges[i]);
	fisc_adopt_unlock(adoption);
	fisc_sources_deny(adoption);
	WRITE_ONCE(adoption->adopted, adoption->next_adopted);
	WRITE_ONCE(adoption->unmergeable, adoption->next_unmergeable);
	memcpy(adoption->left, adoption->next_left, sizeof(adoption->left));
	kvfree(list.ranges);

	return err == -ENODEV || err == -ESRCH ? err : 0;
}

static unsigned long fisc_vma_prot(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_READ ? PROT_READ : 0) |
	       (vma->vm_flags & VM_WRITE ? PROT_WRITE : 0);
}

/**
 * struct fisc_ours - a part of a mapping of one of the VM's files
 * @ram: the file
 * @start: first address
 * @end: address after the last
 * @index: the page of the file that is mapped at @start
 * @prot: protection of the mapping (PROT_READ, PROT_WRITE)
 */
struct fisc_ours {
	struct fisc_ram *ram;
	unsigned long start;
	unsigned long end;
	pgoff_t index;
	unsigned long prot;
};

/* Find the first one from an address on, wherever the process has moved it. */
static bool fisc_ours_find(struct fisc_adoption *adoption, unsigned long addr,
			   struct fisc_ours *ours)
{
	struct vm_area_struct *vma;

	VMA_ITERATOR(vmi, adoption->mm, addr);

	ours->ram = NULL;
	mmap_read_lock(adoption->mm);
	for_each_vma(vmi, vma) {
		if (!fisc_vma_is_of(vma, adoption->vm))
			continue;
		ours->ram = fisc_ram_of(adoption, vma->vm_file);
		if (!ours->ram)
			continue;
		ours->start = max(addr, vma->vm_start);
		ours->end = min(vma->vm_end, FISC_RELEASE_BYTES +
				round_down(ours->start, FISC_RELEASE_BYTES));
		ours->index = linear_page_index(vma, ours->start);
		ours->prot = fisc_vma_prot(vma);
		break;
	}
	mmap_read_unlock(adoption->mm);

	return ours->ram;
}

/* Return: 1, 0 if nothing is mapped any more, or -errno. */
static int fisc_adopt_release_next(struct fisc_adoption *adoption,
				   unsigned long *addr)
{
	struct fisc_ours ours;
	u64 bytes;
	int err;

	/* Begin again, as the process can move its mappings. */
	if (!fisc_ours_find(adoption, *addr, &ours) &&
	    (!*addr || !fisc_ours_find(adoption, 0, &ours)))
		return 0;
	*addr = ours.start;
	err = fisc_adopt_give_back(adoption, ours.ram, ours.start, ours.end,
				   ours.index, ours.prot);
	/* The process has changed its mappings: check again. */
	if (err)
		return err == -EAGAIN ? 1 : err;
	*addr = ours.end;
	bytes = min(adoption->adopted, ours.end - ours.start);
	WRITE_ONCE(adoption->adopted, adoption->adopted - bytes);

	return 1;
}

static int fisc_adopt_release_all_of(struct fisc_adoption *adoption)
{
	unsigned long addr = 0;
	int more;

	do {
		if (!fisc_adopt_enter(adoption))
			return -ESRCH;
		more = fisc_adopt_release_next(adoption, &addr);
		fisc_adopt_leave(adoption);
		cond_resched();
	} while (more > 0);

	return more;
}

/* How many more pages it takes to give each page a frame of its own. */
static u64 fisc_adopt_release_needs(struct fisc_adoption *adoption)
{
	struct fisc_vm *vm = adoption->vm;

	/* Frames are freed as they are copied, one chunk at a time. */
	return fisc_vm_sum(vm, FISC_SHARING) + fisc_vm_sum(vm, FISC_SWAPPED) +
	       FISC_CHUNK_PAGES;
}

/**
 * fisc_adopt_release() - give all memory of a VM back
 * @adoption: the current thread's adoption
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM if there is too little memory, with nothing changed;
 * -ESRCH if the process has ended; -EFAULT, -EHWPOISON if something cannot be
 * read.
 */
int fisc_adopt_release(struct fisc_adoption *adoption)
{
	u64 lacks = fisc_host_lacks_mib(fisc_adopt_release_needs(adoption));

	if (lacks) {
		guard(rcu)();
		pr_warn_ratelimited("%s cannot be released: %llu MiB more free memory needed\n",
				    fisc_vm_name(adoption->vm), lacks);
		return -ENOMEM;
	}

	return fisc_adopt_release_all_of(adoption);
}
