/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_VM_VM_H
#define _FISC_VM_VM_H

#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>

#include "base/stats.h"
#include "memory/domain.h"

struct fisc_adoption;
struct fisc_balloon;
struct fisc_member;
struct fisc_quota;
struct fisc_reclaim_vm;
struct fisc_region;
struct fisc_sampler;
struct pid;

/**
 * DOC: Virtual machines
 *
 * A VM begins with an entry in the root directory and ends with the last inode
 * that came from it. If the entry goes first (a guest can run on an unlinked
 * file), the VM stays in sysfs as NAME~ID, because its memory is still there.
 * Creating, renaming and removing root entries is serialised by the lock of the
 * root directory's inode.
 *
 * What is known of a VM besides its files belongs to its *parts* (struct
 * fisc_vm_part): sampling, quota, balloon and so on. A VM has a pointer to what each
 * part keeps, which only that part follows. main.c lists the parts.
 */

/**
 * struct fisc_vmm - the process that a VM belongs to (kvm/vmm.c)
 * @pid: the process, or NULL; under fisc_vmm_lock
 * @mm: its memory if it is known to be the VMM, to be compared only
 * @looked: when it was last tried to find out, in jiffies
 */
struct fisc_vmm {
	struct pid *pid;
	const void *mm;
	unsigned long looked;
};

/**
 * struct fisc_vm - a virtual machine: all that lies below one root entry
 * @kobj: directory below /sys/kernel/fisc/vms; its reference count is the
 *	VM's, and every inode of the VM holds one
 * @id: number that no other VM has or had; tells VMs of one name apart
 * @lock: see the lock order in memory/map.h
 * @regions: the VM's files (struct fisc_region.vm_node)
 * @gone: counts of regions that no longer exist, so that events are not lost
 * @key: its domain, for the scanner; all 0 while it changes
 * @vmm: the process it belongs to
 * @nr_parts: parts that have begun
 * @member: which domain it is in (share/member.c)
 * @sampler: how active it is (sample/sample.c)
 * @quota: how much memory it should have (tax/quota.c)
 * @reclaim: what is taken from it (reclaim/vms.c)
 * @balloon: what it has in the balloon (balloon/balloon.c)
 * @adoption: where its memory comes from, NULL if it was not adopted (adopt/adopt.c)
 * @rcu: for freeing
 */
struct fisc_vm {
	struct kobject kobj;
	u64 id;
	spinlock_t lock;	/* protects regions, gone, key */
	struct list_head regions;
	struct fisc_counters gone;
	struct fisc_key key;
	struct fisc_vmm vmm;
	unsigned int nr_parts;
	struct fisc_member *member;
	struct fisc_sampler *sampler;
	struct fisc_quota *quota;
	struct fisc_reclaim_vm *reclaim;
	struct fisc_balloon *balloon;
	struct fisc_adoption *adoption;
	struct rcu_head rcu;
};

/**
 * struct fisc_vm_part - a part of the module that keeps something of each VM
 * @group: its files in a VM's directory, or NULL
 * @begin: called for a new VM that nobody else knows, or NULL; 0 or -errno
 * @end: called when a VM that began ends, or NULL
 *
 * Both may sleep.
 */
struct fisc_vm_part {
	const struct attribute_group *group;
	int (*begin)(struct fisc_vm *vm);
	void (*end)(struct fisc_vm *vm);
};

#define FISC_VM_PARTS_MAX	16

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
void fisc_vm_add_region(struct fisc_vm *vm, struct fisc_region *region);
void fisc_vm_drop_region(struct fisc_region *region);
struct fisc_region *fisc_vm_due_region(struct fisc_vm *vm);
struct fisc_region *fisc_vm_random_page(struct fisc_vm *vm, pgoff_t *index);
int fisc_vm_each_region(struct fisc_vm *vm,
			int (*fn)(struct fisc_region *region, void *arg),
			void *arg);
u64 fisc_vm_size(struct fisc_vm *vm);
long fisc_vm_sum(struct fisc_vm *vm, enum fisc_counter c);
int fisc_vm_init(const struct fisc_vm_part *parts, unsigned int nr);
void fisc_vm_exit(void);

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

#endif /* _FISC_VM_VM_H */
