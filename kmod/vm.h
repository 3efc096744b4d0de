/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_VM_H
#define _FISC_VM_H

#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/spinlock.h>

#include "balloon/balloon.h"
#include "domain.h"
#include "kvm/kvm.h"
#include "reclaim/reclaim.h"
#include "sample/sample.h"
#include "stats.h"
#include "tax/quota.h"

struct fisc_adoption;
struct fisc_region;

/**
 * struct fisc_vm - a virtual machine: all that lies below one root entry
 * @kobj: directory below /sys/kernel/fisc/vms; its reference count is the
 *	VM's, and every inode of the VM holds one
 * @id: number that no other VM has or had; tells VMs of one name apart
 * @lock: innermost; taken with nothing else held that matters
 * @regions: the VM's files (struct fisc_region.vm_node)
 * @key: its domain, for the scanner; all 0 while it changes
 * @domain: its domain (domain.c)
 * @domain_chosen: it does not follow the default
 * @vmm: the process it belongs to (kvm/kvm.c)
 * @sampler: how active it is (sample/sample.c)
 * @quota: how much memory it should have (tax/quota.c, tax/target.c)
 * @balloon: what it has in the balloon (balloon/balloon.c)
 * @reclaim: what is taken from it (reclaim/reclaim.c)
 * @adoption: where its memory comes from, NULL if it was not adopted (adopt/adopt.c)
 * @rcu: for freeing
 * @gone: counts of regions that no longer exist, so that events are not lost
 */
struct fisc_vm {
	struct kobject kobj;
	u64 id;
	spinlock_t lock;	/* protects regions, gone, key */
	struct list_head regions;
	struct fisc_counters gone;
	struct fisc_key key;
	struct fisc_domain *domain;
	bool domain_chosen;
	struct fisc_vmm vmm;
	struct fisc_sampler sampler;
	struct fisc_quota quota;
	struct fisc_balloon balloon;
	struct fisc_reclaim_vm reclaim;
	struct fisc_adoption *adoption;
	struct rcu_head rcu;
};

static inline struct fisc_vm *to_fisc_vm(struct kobject *kobj)
{
	return container_of(kobj, struct fisc_vm, kobj);
}

struct fisc_vm *fisc_vm_create(const char *name);
int fisc_vm_rename(struct fisc_vm *vm, const char *name);
int fisc_vm_unname(struct fisc_vm *vm, const char *name);
bool fisc_vm_exists(const char *name);
unsigned int fisc_vm_count(void);
struct fisc_vm *fisc_vm_next(unsigned long *id);
struct fisc_vm *fisc_vm_after(struct fisc_vm *vm);
struct fisc_region *fisc_vm_due_region(struct fisc_vm *vm);
struct fisc_region *fisc_vm_random_page(struct fisc_vm *vm, pgoff_t *index);
int fisc_vm_each_region(struct fisc_vm *vm,
			int (*fn)(struct fisc_region *region, void *arg),
			void *arg);
u64 fisc_vm_size(struct fisc_vm *vm);
u64 fisc_vm_allocated(struct fisc_vm *vm);
long fisc_vm_sum(struct fisc_vm *vm, enum fisc_counter c);

/**
 * fisc_vm_key() - the domain that a VM is in
 * @vm: the VM
 *
 * Context: any.
 * Return: its key; all 0 if it may not share now.
 */
static inline struct fisc_key fisc_vm_key(struct fisc_vm *vm)
{
	struct fisc_key key;

	spin_lock(&vm->lock);
	key = vm->key;
	spin_unlock(&vm->lock);

	return key;
}

static inline struct fisc_vm *fisc_vm_get(struct fisc_vm *vm)
{
	kobject_get(&vm->kobj);
	return vm;
}

static inline void fisc_vm_put(struct fisc_vm *vm)
{
	kobject_put(&vm->kobj);
}

/**
 * fisc_vmm_faults() - a process has a fault on memory of a VM
 * @vm: the VM
 * @vmf: the fault; KVM's are the kernel's, not the user's
 *
 * Context: a page fault.
 */
static inline void fisc_vmm_faults(struct fisc_vm *vm,
				   const struct vm_fault *vmf)
{
	if (unlikely(READ_ONCE(vm->vmm.mm) != vmf->vma->vm_mm) &&
	    !(vmf->flags & FAULT_FLAG_USER))
		__fisc_vmm_faults(vm, vmf->vma);
}

int fisc_vm_init(struct kobject *parent);
void fisc_vm_exit(void);

#endif /* _FISC_VM_H */
