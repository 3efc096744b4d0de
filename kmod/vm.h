/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_VM_H
#define _FISC_VM_H

#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/spinlock.h>

#include "stats.h"

/**
 * struct fisc_vm - a virtual machine: all that lies below one root entry
 * @kobj: directory below /sys/kernel/fisc/vms; its reference count is the
 *	VM's, and every inode of the VM holds one
 * @id: number that no other VM has or had; tells VMs of one name apart
 * @lock: innermost; taken with nothing else held that matters
 * @regions: the VM's files (struct fisc_region.vm_node)
 * @gone: counts of regions that no longer exist, so that events are not lost
 */
struct fisc_vm {
	struct kobject kobj;
	u64 id;
	spinlock_t lock;	/* protects regions, gone */
	struct list_head regions;
	struct fisc_counters gone;
};

struct fisc_vm *fisc_vm_create(const char *name);
int fisc_vm_rename(struct fisc_vm *vm, const char *name);
int fisc_vm_unname(struct fisc_vm *vm, const char *name);
bool fisc_vm_exists(const char *name);
unsigned int fisc_vm_count(void);

static inline struct fisc_vm *fisc_vm_get(struct fisc_vm *vm)
{
	kobject_get(&vm->kobj);
	return vm;
}

static inline void fisc_vm_put(struct fisc_vm *vm)
{
	kobject_put(&vm->kobj);
}

int fisc_vm_init(struct kobject *parent);
void fisc_vm_exit(void);

#endif /* _FISC_VM_H */
