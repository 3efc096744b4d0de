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
 * A VM of fisc is files; the guest that runs on them is a struct kvm of some
 * process, its VMM. Nothing that fisc does for memory needs to know it: page
 * tables are reached through the files (unmap_mapping_pages() runs KVM's MMU
 * notifier). What needs it are guest frame numbers, for whoever reads a trace or
 * debugfs, and KVM's own access bits.
 *
 * fisc remembers of a VM which process it belongs to, and that weakly: a struct
 * pid, which keeps neither a process nor its memory. The first to map one of the
 * files is taken for the VMM (vhost-user backends map them, too, but later).
 * A page fault that comes from within KVM_RUN is proof: then the process that
 * faults is the VMM, whatever was thought before.
 *
 * Whenever slots are asked for (fisc_slots_get()), they are looked for afresh:
 * the process's descriptors are searched for a VM of KVM that belongs to the
 * same memory, its memslots are walked under SRCU and, as each is a range of the
 * VMM's addresses, the VMM's mappings of the VM's files that lie in it. So there
 * is no copy that could be old, whichever came first, the mapping or the VM, and
 * nothing to be undone when slots change, when the VMM ends, executes something
 * else or starts another VM. A VM whose descriptor the VMM has given away and
 * closed is not found any more.
 *
 * A reference on the struct kvm is held while a list of slots is, for the time
 * of one system call or one sample; one on the memory (mm) only while the list
 * is made. KVM's functions are reached by symbol_get(), and held likewise:
 * fisc.ko neither needs kvm.ko nor keeps it from being unloaded.
 *
 * Locks: fisc_slots_get() takes, one inside the other, kvm->srcu and mmap_lock as
 * KVM does in a fault, and before that task_lock and the descriptors' lock, both
 * spinning. Nothing of fisc is held meanwhile.
 */

/**
 * struct fisc_slot - a part of a memslot that one file backs
 * @file: the file, held
 * @index: its first page
 * @nr_pages: number of pages
 * @gfn: guest frame number of the first
 * @hva: address of the first in the VMM
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
 * struct fisc_slots - a VM's memslots at one time
 * @kvm: the VM of KVM, held
 * @put: how it is let go of
 * @pid: process it belongs to, as its namespace numbers it
 * @nr: number of slots
 * @room: for how many there is room
 * @slots: by address space, in no order
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
 * fisc_slot_gfn() - guest frame number of a page of a file
 * @slot: the slot
 * @region: the file; compared only
 * @index: the page
 * @gfn: the number, if it is in the slot
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
 * fisc_slot_index() - the page of the file that a guest frame number means
 * @slot: the slot
 * @gfn: the number
 * @index: the page of @slot's file, if it is in the slot
 *
 * Context: any.
 * Return: true if the number is in the slot.
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

typedef int (*fisc_memslot_fn)(void *arg, int as_id,
			       const struct kvm_memory_slot *memslot);
int fisc_kvm_each_memslot(struct task_struct *task, fisc_memslot_fn fn,
			  void *arg);

#endif /* _FISC_KVM_KVM_H */
