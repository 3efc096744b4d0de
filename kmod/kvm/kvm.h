/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_KVM_KVM_H
#define _FISC_KVM_KVM_H

#include <linux/fs.h>
#include <linux/types.h>

#include "memory/map.h"

struct fisc_vm;
struct kvm;
struct kvm_memory_slot;
struct task_struct;

/**
 * DOC: KVM
 *
 * A VM of fisc is a set of files. The guest that runs on them is a struct kvm
 * of a process, the VMM. Memory management itself does not need the struct kvm,
 * because fisc reaches page tables through the files (unmap_mapping_pages()
 * runs KVM's MMU notifier). It is needed for guest frame numbers, which traces
 * and debugfs show, for KVM's own access bits, and to find the memory to adopt.
 *
 * fisc remembers which process a VM belongs to, but only weakly: as a struct
 * pid, which pins neither the process nor its memory. The first process to map
 * one of the files is assumed to be the VMM (vhost-user backends map them, too,
 * but later). A page fault from within KVM_RUN is proof: the faulting process
 * is the VMM, and replaces any earlier assumption.
 *
 * Memslots are not cached; each fisc_slots_get() looks them up again. It
 * searches the process's descriptors for a VM of KVM that belongs to the same
 * mm and walks its memslots under SRCU. Each memslot is a range of the VMM's
 * addresses, so it then walks the VMM's mappings of the VM's files in that
 * range. Hence no copy can be stale, it does not matter whether the mapping or
 * the VM of KVM came first, and nothing has to be undone when memslots change
 * or when the VMM exits, calls execve() or starts another VM. A VM of KVM is
 * not found if the VMM has passed its descriptor to another process and closed
 * it.
 *
 * A list of slots holds a reference on the struct kvm, for the time of one
 * system call or one sample; the mm is held only while the list is made. KVM's
 * functions are reached through symbol_get() and held for the same time, so
 * fisc.ko neither depends on kvm.ko nor prevents it from being unloaded.
 *
 * Locks: fisc_slots_get() takes kvm->srcu and, inside it, mmap_lock, as KVM
 * does in a fault; before that, task_lock and inside it the lock of the
 * descriptor table, both spinlocks. No lock of fisc is held meanwhile.
 */

/**
 * struct fisc_slot - a part of a memslot that one file backs
 * @file: the file, held
 * @index: index of the first page in the file
 * @nr_pages: number of pages
 * @gfn: guest frame number of the first page
 * @hva: address of the first page in the VMM
 * @as_id: KVM's address space
 * @id: KVM's number of the memslot
 */
struct fisc_slot {
	struct file *file;
	pgoff_t index;
	unsigned long nr_pages;
	u64 gfn;
	unsigned long hva;
	u16 as_id;
	u16 id;
};

/**
 * struct fisc_slots - a VM's memslots at one point in time
 * @kvm: the VM of KVM, held
 * @put: kvm_put_kvm()
 * @pid: the VMM, as numbered in the initial PID namespace
 * @nr: number of slots
 * @room: number of slots that @slots has room for
 * @slots: grouped by address space, otherwise unordered
 */
struct fisc_slots {
	struct kvm *kvm;
	void (*put)(struct kvm *kvm);
	pid_t pid;
	unsigned int nr;
	unsigned int room;
	struct fisc_slot *slots;
};

/**
 * fisc_slot_gfn() - find the guest frame number of a page
 * @slot: the slot
 * @region: the page's file; compared only, never dereferenced
 * @index: the page
 * @gfn: the result, if the page is in the slot
 *
 * Context: any.
 * Return: true if the page is in the slot.
 */
static inline bool fisc_slot_gfn(const struct fisc_slot *slot,
				 const struct fisc_region *region,
				 pgoff_t index, u64 *gfn)
{
	if (fisc_region_of(file_inode(slot->file)) != region ||
	    index < slot->index || index - slot->index >= slot->nr_pages)
		return false;
	*gfn = slot->gfn + (index - slot->index);

	return true;
}

/**
 * fisc_slot_index() - find the page of a guest frame number
 * @slot: the slot
 * @gfn: the guest frame number
 * @index: the page in @slot's file, if @gfn is in the slot
 *
 * Context: any.
 * Return: true if @gfn is in the slot.
 */
static inline bool fisc_slot_index(const struct fisc_slot *slot, u64 gfn,
				   pgoff_t *index)
{
	if (gfn < slot->gfn || gfn - slot->gfn >= slot->nr_pages)
		return false;
	*index = slot->index + (gfn - slot->gfn);

	return true;
}

struct fisc_slots *fisc_slots_get(struct fisc_vm *vm);
void fisc_slots_put(struct fisc_slots *slots);
long fisc_slots_young(const struct fisc_slots *slots);

/* Called with an address space and a memslot; see fisc_kvm_each_memslot(). */
typedef int (*fisc_memslot_fn)(void *arg, int as_id,
			       const struct kvm_memory_slot *memslot);
int fisc_kvm_has_run(struct task_struct *task);
int fisc_kvm_each_memslot(struct task_struct *task, fisc_memslot_fn fn,
			  void *arg);

#endif /* _FISC_KVM_KVM_H */
