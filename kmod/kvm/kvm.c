// SPDX-License-Identifier: GPL-2.0
/*
 * Finding the struct kvm and the memslots of a VM. See DOC: KVM in kvm.h.
 */
#include <linux/export.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "base/array.h"
#include "kvm/kvm.h"
#include "kvm/vmm.h"
#include "memory/region.h"

/* Maximum number of VMs of KVM that are looked at in one process. */
#define FISC_KVMS_OF_A_PROCESS	16

/**
 * struct fisc_kvm_search - a search through a process's descriptors
 * @is_kvm: file_is_kvm()
 * @get: kvm_get_kvm_safe()
 * @mm: memory of the process
 * @skip: number of VMs of KVM to skip
 * @found: the next one, held
 */
struct fisc_kvm_search {
	bool (*is_kvm)(struct file *file);
	bool (*get)(struct kvm *kvm);
	struct mm_struct *mm;
	unsigned int skip;
	struct kvm *found;
};

static int fisc_kvm_look_at(const void *arg, struct file *file, unsigned int fd)
{
	struct fisc_kvm_search *search = (struct fisc_kvm_search *)arg;
	struct kvm *kvm;

	if (!search->is_kvm(file))
		return 0;
	kvm = file->private_data;
	if (kvm->mm != search->mm || search->skip-- || !search->get(kvm))
		return 0;
	search->found = kvm;

	return 1;
}

/* Return the process's VM of KVM after the first @skip, held, or NULL. */
static struct kvm *fisc_kvm_find(struct task_struct *task, unsigned int skip)
{
	struct fisc_kvm_search search = { .skip = skip };

	search.is_kvm = symbol_get(file_is_kvm);
	if (!search.is_kvm)
		return NULL;
	search.get = symbol_get(kvm_get_kvm_safe);
	if (search.get) {
		task_lock(task);
		search.mm = task->mm;
		if (search.mm)
			iterate_fd(task->files, 0, fisc_kvm_look_at, &search);
		task_unlock(task);
		symbol_put(kvm_get_kvm_safe);
	}
	symbol_put(file_is_kvm);

	return search.found;
}

static void fisc_kvm_put(struct kvm *kvm)
{
	/* The VM of KVM holds kvm.ko, so symbol_get() cannot fail. */
	symbol_get(kvm_put_kvm)(kvm);
	symbol_put(kvm_put_kvm);
}

static int fisc_slots_add(struct fisc_slots *list, const struct fisc_slot *slot)
{
	struct fisc_slot *slots = fisc_array_grow(list->slots, list->nr,
						  &list->room, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	list->slots = slots;
	get_file(slot->file);
	list->slots[list->nr++] = *slot;

	return 0;
}

/* Call @fn for each memslot of one VM of KVM; kvm->srcu held. */
static int fisc_kvm_memslots(struct kvm *kvm, fisc_memslot_fn fn, void *arg)
{
	struct kvm_memory_slot *memslot;
	struct kvm_memslots *slots;
	int err = 0;
	int as_id, bkt;

	for (as_id = 0; as_id < kvm_arch_nr_memslot_as_ids(kvm); as_id++) {
		/* Read once: KVM may replace the set at any time. */
		slots = __kvm_memslots(kvm, as_id);
		kvm_for_each_memslot(memslot, bkt, slots)
			err = err ?: fn(arg, as_id, memslot);
	}

	return err;
}

/* Arguments of fisc_slots_add_memslot(): the list to fill, and its VM. */
struct fisc_slots_search {
	struct fisc_slots *list;
	const struct fisc_vm *vm;
};

/* Add the parts of a memslot that files of the VM back. mmap_lock held. */
static int fisc_slots_add_memslot(void *arg, int as_id,
				  const struct kvm_memory_slot *memslot)
{
	const struct fisc_slots_search *search = arg;
	struct mm_struct *mm = search->list->kvm->mm;
	unsigned long start = memslot->userspace_addr;
	unsigned long end = start + (memslot->npages << PAGE_SHIFT);
	struct vm_area_struct *vma;
	int err = 0;

	for (vma = find_vma(mm, start); vma && vma->vm_start < end && !err;
	     vma = find_vma(mm, vma->vm_end)) {
		const struct fisc_region *region = fisc_region_of_file(vma->vm_file);
		unsigned long first = max(start, vma->vm_start);
		struct fisc_slot slot = {
			.file = vma->vm_file,
			.index = linear_page_index(vma, first),
			.nr_pages = (min(end, vma->vm_end) - first) >> PAGE_SHIFT,
			.gfn = memslot->base_gfn + ((first - start) >> PAGE_SHIFT),
			.hva = first,
			.as_id = as_id,
			.id = memslot->id,
		};

		if (region && region->vm == search->vm)
			err = fisc_slots_add(search->list, &slot);
	}

	return err;
}

static int fisc_slots_fill(struct fisc_slots *list, struct fisc_vm *vm)
{
	struct fisc_slots_search search = { .list = list, .vm = vm };
	struct kvm *kvm = list->kvm;
	int idx, err;

	if (!mmget_not_zero(kvm->mm))
		return -ESRCH;

	idx = srcu_read_lock(&kvm->srcu);
	mmap_read_lock(kvm->mm);
	err = fisc_kvm_memslots(kvm, fisc_slots_add_memslot, &search);
	mmap_read_unlock(kvm->mm);
	srcu_read_unlock(&kvm->srcu, idx);
	mmput(kvm->mm);

	return err;
}

/* List the memslots of the process's VM of KVM number @nth that @vm backs. */
static struct fisc_slots *fisc_slots_get_nth(struct fisc_vm *vm,
					     struct task_struct *task,
					     unsigned int nth)
{
	struct fisc_slots *list;
	struct kvm *kvm;
	int err;

	kvm = fisc_kvm_find(task, nth);
	if (!kvm)
		return ERR_PTR(-ENODEV);
	list = kzalloc(sizeof(*list), GFP_KERNEL);
	if (!list) {
		fisc_kvm_put(kvm);
		return ERR_PTR(-ENOMEM);
	}
	/* The VM of KVM holds kvm.ko, so symbol_get() cannot fail. */
	list->put = symbol_get(kvm_put_kvm);
	list->kvm = kvm;
	list->pid = task_tgid_nr(task);
	err = fisc_slots_fill(list, vm);
	if (err) {
		fisc_slots_put(list);
		return ERR_PTR(err);
	}

	return list;
}

/**
 * fisc_kvm_each_memslot() - call a function for each memslot of a process
 * @task: the process
 * @fn: called with the address space and the memslot under SRCU; must not wait
 *	for the process
 * @arg: passed to @fn
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0, the first error of @fn, or -ENODEV if the process has no VM of
 * KVM. After an error @fn is not called again.
 */
int fisc_kvm_each_memslot(struct task_struct *task, fisc_memslot_fn fn, void *arg)
{
	struct kvm *kvm;
	unsigned int nth;
	int err = -ENODEV, idx;

	for (nth = 0; nth < FISC_KVMS_OF_A_PROCESS; nth++) {
		kvm = fisc_kvm_find(task, nth);
		if (!kvm)
			break;
		idx = srcu_read_lock(&kvm->srcu);
		err = fisc_kvm_memslots(kvm, fn, arg);
		srcu_read_unlock(&kvm->srcu, idx);
		fisc_kvm_put(kvm);
		if (err)
			break;
	}

	return err;
}
EXPORT_SYMBOL_NS_GPL(fisc_kvm_each_memslot, FISC);

static bool fisc_vcpus_have_run(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (rcu_access_pointer(vcpu->pid))
			return true;

	return false;
}

/**
 * fisc_kvm_has_run() - tell whether a process's VMs have run
 * @task: the process
 *
 * Those that have not may wait for a migration to come in.
 *
 * Context: may sleep; no lock of this module held.
 * Return: 0 if a vCPU of one of its VMs of KVM has run, -EAGAIN if none has,
 * -ENODEV if the process has no VM of KVM.
 */
int fisc_kvm_has_run(struct task_struct *task)
{
	unsigned int nth;
	struct kvm *kvm;
	bool run = false;

	for (nth = 0; nth < FISC_KVMS_OF_A_PROCESS && !run; nth++) {
		kvm = fisc_kvm_find(task, nth);
		if (!kvm)
			return nth ? -EAGAIN : -ENODEV;
		run = fisc_vcpus_have_run(kvm);
		fisc_kvm_put(kvm);
	}

	return run ? 0 : -EAGAIN;
}

/**
 * fisc_slots_get() - list a VM's memslots
 * @vm: the VM
 *
 * The list holds the struct kvm, the files and kvm.ko, so put it soon.
 *
 * Context: may sleep; no lock of this module held, nor mmap_lock.
 * Return: the list, not empty, or an error pointer: -ENODEV if no VM of KVM is
 * found that has the memory in its slots, -ESRCH if it is ending, -ENOMEM.
 */
struct fisc_slots *fisc_slots_get(struct fisc_vm *vm)
{
	struct fisc_slots *list = ERR_PTR(-ENODEV);
	struct task_struct *task = fisc_vmm_task(vm);
	unsigned int nth;

	for (nth = 0; task && nth < FISC_KVMS_OF_A_PROCESS; nth++) {
		list = fisc_slots_get_nth(vm, task, nth);
		if (IS_ERR(list) || list->nr)
			break;
		fisc_slots_put(list);
		list = ERR_PTR(-ENODEV);
	}
	if (task)
		put_task_struct(task);
	/* Not proved any more: let the next fault decide who the VMM is. */
	if (IS_ERR(list))
		WRITE_ONCE(vm->vmm.mm, NULL);

	return list;
}

/**
 * fisc_slots_put() - release a list of memslots
 * @list: the list
 *
 * Context: may sleep, as long as KVM takes to destroy the VM if the VMM has
 * closed it meanwhile; no lock held.
 */
void fisc_slots_put(struct fisc_slots *list)
{
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		fput(list->slots[i].file);
	kvfree(list->slots);
	list->put(list->kvm);
	symbol_put(kvm_put_kvm);
	kfree(list);
}

/* Is the address in one of the first @nr slots? */
static bool fisc_slots_cover(const struct fisc_slots *list, unsigned int nr,
			     unsigned long hva)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		const struct fisc_slot *slot = &list->slots[i];

		if (hva >= slot->hva &&
		    hva - slot->hva < slot->nr_pages << PAGE_SHIFT)
			return true;
	}

	return false;
}

/**
 * fisc_slots_young() - count the pages that the guest has accessed
 * @list: the VM's memslots
 *
 * Reads and clears the access bits of KVM's page tables through its MMU
 * notifier. Accesses by the VMM and vhost are not included. A mapping of 2 MiB
 * counts as one page: it has one access bit, and asking for its first page
 * clears it.
 *
 * KVM answers for all address spaces at once. An address in several of them
 * (that of SMM has nearly all) is asked for once; otherwise an access between
 * two queries would count twice.
 *
 * Context: may sleep.
 * Return: number of pages accessed since the last call.
 */
long fisc_slots_young(const struct fisc_slots *list)
{
	struct mmu_notifier *notifier = &list->kvm->mmu_notifier;
	long young = 0;
	unsigned int i;

	for (i = 0; i < list->nr; i++) {
		const struct fisc_slot *slot = &list->slots[i];
		unsigned long page;

		for (page = 0; page < slot->nr_pages; page++) {
			unsigned long hva = slot->hva + (page << PAGE_SHIFT);

			if (fisc_slots_cover(list, i, hva))
				continue;
			young += notifier->ops->clear_young(notifier,
							    list->kvm->mm, hva,
							    hva + PAGE_SIZE);
			cond_resched();
		}
	}

	return young;
}

#ifdef FISC_KUNIT
#include "tests/kvm-kunit.h"
#endif
