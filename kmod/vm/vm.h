/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_VM_VM_H
#define _FISC_VM_VM_H

#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>
#include <linux/workqueue.h>

#include "base/stats.h"
#include "memory/domain.h"

struct fisc_adoption;
struct fisc_balloon;
struct fisc_chunk;
struct fisc_member;
struct fisc_quota;
struct fisc_reclaim_vm;
struct fisc_region;
struct fisc_sampler;
struct pid;

/**
 * DOC: Virtual machines
 *
 * A VM begins when an entry is created in the root directory and ends when the
 * last inode below that entry is freed. If the entry is removed first (a guest
 * can run on an unlinked file), the VM stays in sysfs as NAME~ID, because its
 * memory still exists. The lock of the root directory's inode serialises the
 * creation, renaming and removal of root entries.
 *
 * Everything about a VM other than its files belongs to its *parts* (struct
 * fisc_vm_part): sampling, quota, balloon and so on. A VM has a pointer to each
 * part's data, and only that part dereferences it. main.c lists the parts.
 */

/**
 * enum fisc_vm_news - files of a VM whose readers can wait for a change
 * @FISC_NEWS_ACTIVE: active
 * @FISC_NEWS_TARGET: target
 * @FISC_NEWS_BALLOON: balloon/target
 * @FISC_NR_NEWS: number of files
 */
enum fisc_vm_news {
	FISC_NEWS_ACTIVE,
	FISC_NEWS_TARGET,
	FISC_NEWS_BALLOON,
	FISC_NR_NEWS,
};

/**
 * struct fisc_vmm - the process that a VM belongs to (kvm/vmm.c)
 * @pid: the process, or NULL; protected by fisc_vmm_lock
 * @mm: its memory if a fault has proved that it is the VMM, else NULL; compared
 *	only, never dereferenced
 * @looked: when a fault was last checked for that proof, in jiffies; 0: never
 */
struct fisc_vmm {
	struct pid *pid;
	const void *mm;
	unsigned long looked;
};

/**
 * struct fisc_vm - a virtual machine: all files below one root entry
 * @kobj: directory below /sys/kernel/fisc/vms; its reference count is the
 *	VM's, and every inode of the VM holds a reference
 * @name: the directory's name, for those who do not keep the VM from being
 *	renamed: this copy is freed after an RCU grace period, the directory's
 *	own at once; written with the root directory locked
 * @id: number that no other VM has or had; tells VMs of the same name apart
 * @lock: see the lock order in memory/map.h
 * @regions: the VM's files (struct fisc_region.vm_node)
 * @nr_due: number of due chunks in its files (DOC: Due chunks)
 * @gone: counts of regions that no longer exist, so that events are not lost
 * @key: its domain, for the scanner; all 0 while the domain changes
 * @alone: new files share nothing but zero pages (share/member.c)
 * @sensitive: nothing is done to it that costs it time (tax/sensitive.c)
 * @vmm: the process it belongs to
 * @news: files whose readers are to be told of a change, by enum fisc_vm_news
 * @work: tells them; queued, it holds a reference, which may be the last
 * @nr_parts: number of parts that have begun
 * @member: its domain (share/member.c)
 * @sampler: its samples and estimate (sample/sample.c)
 * @quota: its min, max and shares (tax/quota.c)
 * @reclaim: what is reclaimed from it (reclaim/vms.c)
 * @balloon: its balloon (balloon/balloon.c)
 * @adoption: where its memory comes from, or NULL if it was not adopted
 *	(adopt/adopt.c)
 * @rcu: frees it after lockless lookups by id have ended
 */
struct fisc_vm {
	struct kobject kobj;
	char __rcu *name;
	u64 id;
	spinlock_t lock;	/* protects regions, gone, key, alone */
	struct list_head regions;
	atomic_t nr_due;
	struct fisc_counters gone;
	struct fisc_key key;
	bool alone;
	bool sensitive;
	struct fisc_vmm vmm;
	unsigned long news;
	struct work_struct work;
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
 * struct fisc_vm_part - a part of the module that has data of each VM
 * @group: its files in a VM's directory, or NULL
 * @begin: called for a new VM, not yet visible to others, or NULL; returns 0
 *	or -errno
 * @end: called when a VM ends for which @begin succeeded, or NULL
 *
 * Both functions may sleep.
 */
struct fisc_vm_part {
	const struct attribute_group *group;
	int (*begin)(struct fisc_vm *vm);
	void (*end)(struct fisc_vm *vm);
};

#define FISC_VM_PARTS_MAX	16

/**
 * to_fisc_vm() - return the VM of a directory in sysfs
 * @kobj: the directory
 *
 * Context: any.
 * Return: the VM.
 */
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
struct fisc_vm *fisc_vm_next_due(unsigned long *id);
struct fisc_vm *fisc_vm_after(struct fisc_vm *vm);
void fisc_vm_put_later(struct fisc_vm *vm);
void fisc_vm_tell(struct fisc_vm *vm, enum fisc_vm_news news);
void fisc_vm_add_region(struct fisc_vm *vm, struct fisc_region *region);
void fisc_vm_drop_region(struct fisc_region *region);
struct fisc_region *fisc_vm_due_region(struct fisc_vm *vm);
struct fisc_region *fisc_vm_get_region(struct fisc_vm *vm,
				       const struct fisc_region *region);
struct fisc_region *fisc_vm_random_chunk(struct fisc_vm *vm,
					 struct fisc_chunk **chunk);
int fisc_vm_each_region(struct fisc_vm *vm,
			int (*fn)(struct fisc_region *region, void *arg),
			void *arg);
u64 fisc_vm_size(struct fisc_vm *vm);
long fisc_vm_sum(struct fisc_vm *vm, enum fisc_counter c);
int fisc_vm_init(const struct fisc_vm_part *parts, unsigned int nr);
void fisc_vm_exit(void);

/**
 * fisc_vm_name() - return the name of a VM
 * @vm: the VM
 *
 * Context: any; RCU read lock held for as long as the name is used.
 * Return: the name.
 */
static inline const char *fisc_vm_name(const struct fisc_vm *vm)
{
	return rcu_dereference(vm->name);
}

/**
 * fisc_vm_is_sensitive() - test whether a VM is latency-sensitive
 * @vm: the VM
 *
 * Context: any.
 * Return: true if it must not be sampled, scanned or paged.
 */
static inline bool fisc_vm_is_sensitive(const struct fisc_vm *vm)
{
	return READ_ONCE(vm->sensitive);
}

/**
 * fisc_vm_get() - take a reference on a VM
 * @vm: a VM that the caller has a reference on
 *
 * Context: any.
 * Return: @vm.
 */
static inline struct fisc_vm *fisc_vm_get(struct fisc_vm *vm)
{
	kobject_get(&vm->kobj);
	return vm;
}

/**
 * fisc_vm_put() - drop a reference on a VM
 * @vm: the VM; ends with the last reference
 *
 * Context: may sleep, also for those who use the VM's files in sysfs.
 */
static inline void fisc_vm_put(struct fisc_vm *vm)
{
	kobject_put(&vm->kobj);
}

#endif /* _FISC_VM_VM_H */
