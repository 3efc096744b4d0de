// SPDX-License-Identifier: GPL-2.0
/*
 * Virtual machines. See DOC: Virtual machines in vm.h.
 */
#include <linux/atomic.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/xarray.h>

#include "base/knob.h"
#include "base/later.h"
#include "base/poke.h"
#include "memory/listed.h"
#include "memory/region.h"
#include "vm/vm.h"

static struct kset *fisc_vms;
static u64 fisc_vm_last_id;
static DEFINE_XARRAY(fisc_vm_table);	/* all VMs by id */
static atomic_t fisc_nr_vms;

/* The parts of a VM, and their attribute groups for fisc_vm_type. */
static const struct fisc_vm_part *fisc_vm_parts;
static unsigned int fisc_vm_nr_parts;
static const struct attribute_group *fisc_vm_groups[FISC_VM_PARTS_MAX + 1];

/**
 * fisc_vm_sum() - return the value of one of a VM's counters
 * @vm: the VM
 * @c: the counter
 *
 * Context: any.
 * Return: the sum over the VM's files, including files that no longer exist.
 */
long fisc_vm_sum(struct fisc_vm *vm, enum fisc_counter c)
{
	struct fisc_region *region;
	long sum;

	spin_lock(&vm->lock);
	sum = vm->gone.v[c];
	list_for_each_entry(region, &vm->regions, vm_node)
		sum += fisc_region_sum(region, c);
	spin_unlock(&vm->lock);

	return sum;
}

/**
 * fisc_vm_size() - return the size of a VM's memory
 * @vm: the VM
 *
 * Context: any.
 * Return: bytes.
 */
u64 fisc_vm_size(struct fisc_vm *vm)
{
	struct fisc_region *region;
	u64 size = 0;

	spin_lock(&vm->lock);
	list_for_each_entry(region, &vm->regions, vm_node)
		size += i_size_read(region->inode);
	spin_unlock(&vm->lock);

	return size;
}

/* Begin the VM's parts in order. On error, fisc_vm_end() ends those begun. */
static int fisc_vm_begin(struct fisc_vm *vm)
{
	for (; vm->nr_parts < fisc_vm_nr_parts; vm->nr_parts++) {
		const struct fisc_vm_part *part = &fisc_vm_parts[vm->nr_parts];
		int err = part->begin ? part->begin(vm) : 0;

		if (err)
			return err;
	}

	return 0;
}

static void fisc_vm_end(struct fisc_vm *vm)
{
	while (vm->nr_parts) {
		const struct fisc_vm_part *part = &fisc_vm_parts[--vm->nr_parts];

		if (part->end)
			part->end(vm);
	}
}

static void fisc_vm_release(struct kobject *kobj)
{
	struct fisc_vm *vm = to_fisc_vm(kobj);

	xa_erase(&fisc_vm_table, vm->id);
	fisc_vm_end(vm);
	fisc_policy_poke();
	atomic_dec(&fisc_nr_vms);
	kfree(rcu_dereference_protected(vm->name, true));
	kfree_rcu(vm, rcu);
}

static const struct kobj_type fisc_vm_type = {
	.release = fisc_vm_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = fisc_vm_groups,
};

static const struct {
	const char *dir;
	const char *attr;
} fisc_vm_files[FISC_NR_NEWS] = {
	[FISC_NEWS_ACTIVE] = { NULL, "active" },
	[FISC_NEWS_TARGET] = { NULL, "target" },
	[FISC_NEWS_BALLOON] = { "balloon", "target" },
};

/* Tell readers of changes, and drop the reference of the work. */
static void fisc_vm_work(struct work_struct *work)
{
	struct fisc_vm *vm = container_of(work, struct fisc_vm, work);
	enum fisc_vm_news news;

	for (news = 0; news < FISC_NR_NEWS; news++)
		if (test_and_clear_bit(news, &vm->news))
			sysfs_notify(&vm->kobj, fisc_vm_files[news].dir,
				     fisc_vm_files[news].attr);
	fisc_vm_put(vm);
}

/**
 * fisc_vm_tell() - tell those who wait for a file of a VM that it has changed
 * @vm: the VM
 * @news: the file
 *
 * Context: any. They are told by a worker, as sysfs_notify() takes locks that
 * others hold while they allocate memory.
 */
void fisc_vm_tell(struct fisc_vm *vm, enum fisc_vm_news news)
{
	set_bit(news, &vm->news);
	fisc_vm_get(vm);
	/* Not the last one: the caller has another. */
	if (!fisc_later(&vm->work))
		fisc_vm_put(vm);
}

/**
 * fisc_vm_put_later() - drop a reference on a VM without waiting
 * @vm: the VM; if this was the last reference, a worker ends the VM
 *
 * Context: any.
 */
void fisc_vm_put_later(struct fisc_vm *vm)
{
	/*
	 * If the work is pending already, it has a reference of its own, so
	 * this one is no longer the last.
	 */
	while (!refcount_dec_not_one(&vm->kobj.kref.refcount))
		if (fisc_later(&vm->work))
			return;
}

/**
 * fisc_vm_exists() - check whether a VM of this name exists
 * @name: the name
 *
 * Context: may sleep. The result is stable only while the root directory is
 * locked.
 * Return: true if it exists.
 */
bool fisc_vm_exists(const char *name)
{
	struct kobject *kobj = kset_find_obj(fisc_vms, name);

	kobject_put(kobj);

	return kobj;
}

/**
 * fisc_vm_create() - create a VM
 * @name: name of its root entry
 *
 * Context: may sleep; the root directory is locked.
 * Return: the VM with one reference, or an error pointer: -EEXIST if a VM
 * whose entry was removed still has this name, -ENOMEM.
 */
struct fisc_vm *fisc_vm_create(const char *name)
{
	char *copy __free(kfree) = NULL;
	struct fisc_vm *vm;
	int err;

	if (fisc_vm_exists(name))
		return ERR_PTR(-EEXIST);

	copy = kstrdup(name, GFP_KERNEL);
	vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	if (!copy || !vm) {
		kfree(vm);
		return ERR_PTR(-ENOMEM);
	}

	RCU_INIT_POINTER(vm->name, no_free_ptr(copy));
	vm->id = ++fisc_vm_last_id;
	spin_lock_init(&vm->lock);
	INIT_LIST_HEAD(&vm->regions);
	INIT_WORK(&vm->work, fisc_vm_work);
	atomic_inc(&fisc_nr_vms);

	kobject_init(&vm->kobj, &fisc_vm_type);
	err = fisc_vm_begin(vm);
	if (err)
		goto err_put;
	vm->kobj.kset = fisc_vms;
	err = kobject_add(&vm->kobj, NULL, "%s", name);
	if (err)
		goto err_put;
	err = xa_err(xa_store(&fisc_vm_table, vm->id, vm, GFP_KERNEL));
	if (err)
		goto err_put;
	kobject_uevent(&vm->kobj, KOBJ_ADD);
	fisc_policy_poke();

	return vm;

err_put:
	fisc_vm_put(vm);
	return ERR_PTR(err);
}

/* The VM with the lowest id from *@id on; @due: that has due chunks. */
static struct fisc_vm *fisc_vm_find(unsigned long *id, bool due)
{
	XA_STATE(xas, &fisc_vm_table, *id);
	struct fisc_vm *vm;

	rcu_read_lock();
	xas_for_each(&xas, vm, ULONG_MAX) {
		if (xas_retry(&xas, vm) ||
		    (due && atomic_read(&vm->nr_due) <= 0))
			continue;
		if (kobject_get_unless_zero(&vm->kobj))
			break;
	}
	if (vm)
		*id = xas.xa_index;
	rcu_read_unlock();

	return vm;
}

/**
 * fisc_vm_next() - find the VM with the lowest id that is not below @id
 * @id: where to start; the id of the VM found on return
 *
 * Context: any.
 * Return: the VM with a reference, or NULL if no VM has this id or a higher
 * one.
 */
struct fisc_vm *fisc_vm_next(unsigned long *id)
{
	return fisc_vm_find(id, false);
}

/**
 * fisc_vm_next_due() - as fisc_vm_next(), of VMs with pages for the scanner
 * @id: where to start; the id of the VM found on return
 *
 * Passes over the others for the price of a look at each.
 *
 * Context: any.
 * Return: the VM with a reference, or NULL.
 */
struct fisc_vm *fisc_vm_next_due(unsigned long *id)
{
	return fisc_vm_find(id, true);
}

/**
 * fisc_vm_after() - return the next VM of an iteration
 * @vm: the previous one, whose reference is dropped; NULL for the first VM
 *
 * Context: any.
 * Return: the VM with a reference, or NULL after the last.
 */
struct fisc_vm *fisc_vm_after(struct fisc_vm *vm)
{
	unsigned long id = 0;

	if (vm) {
		id = vm->id + 1;
		fisc_vm_put_later(vm);
	}

	return fisc_vm_next(&id);
}

/**
 * fisc_vm_add_region() - add a file to a VM
 * @vm: the VM; the file takes a reference on it
 * @region: the file, not yet visible to others
 *
 * Context: any.
 */
void fisc_vm_add_region(struct fisc_vm *vm, struct fisc_region *region)
{
	region->vm = fisc_vm_get(vm);
	region->nr_due = &vm->nr_due;
	spin_lock(&vm->lock);
	region->key = vm->alone ? &fisc_key_alone : &vm->key;
	list_add_tail(&region->vm_node, &vm->regions);
	spin_unlock(&vm->lock);
}

/**
 * fisc_vm_drop_region() - undo fisc_vm_add_region()
 * @region: the file, empty by now; the VM keeps its counts
 *
 * Context: may sleep.
 */
void fisc_vm_drop_region(struct fisc_region *region)
{
	struct fisc_vm *vm = region->vm;
	enum fisc_counter c;

	spin_lock(&vm->lock);
	list_del(&region->vm_node);
	for (c = 0; c < FISC_NR_COUNTERS; c++)
		vm->gone.v[c] += fisc_region_sum(region, c);
	spin_unlock(&vm->lock);
	fisc_vm_put(vm);
}

/**
 * fisc_vm_due_region() - choose a file that has pages for the scanner to read
 * @vm: the VM
 *
 * Context: any.
 * Return: a random one of the VM's regions with due chunks, held, or NULL if
 * there is none.
 */
struct fisc_region *fisc_vm_due_region(struct fisc_vm *vm)
{
	struct fisc_region *found = NULL;
	struct fisc_region *region;
	unsigned int nr = 0;

	spin_lock(&vm->lock);
	list_for_each_entry(region, &vm->regions, vm_node)
		/* The nth replaces the previous choice with probability 1/n. */
		if (xa_marked(&region->chunks, FISC_MARK_DUE) &&
		    !get_random_u32_below(++nr))
			found = region;
	if (found && !fisc_region_get_live(found))
		found = NULL;
	spin_unlock(&vm->lock);

	return found;
}

/**
 * fisc_vm_get_region() - hold a file if it still is one of a VM's
 * @vm: the VM
 * @region: what was one of its files; compared only
 *
 * Context: any.
 * Return: the file, held, or NULL if it has gone or is going away. It may be a
 * new one, if that has the old one's address.
 */
struct fisc_region *fisc_vm_get_region(struct fisc_vm *vm,
				       const struct fisc_region *region)
{
	struct fisc_region *found = NULL;
	struct fisc_region *each;

	spin_lock(&vm->lock);
	list_for_each_entry(each, &vm->regions, vm_node)
		if (each == region && fisc_region_get_live(each))
			found = each;
	spin_unlock(&vm->lock);

	return found;
}

/**
 * fisc_vm_random_chunk() - choose a chunk at random where a VM has memory
 * @vm: the VM
 * @chunk: the chunk, of the file returned
 *
 * Each chunk with private frames is as likely as the others. Empty parts of
 * files cost nothing (DOC: Listed chunks).
 *
 * Context: any.
 * Return: the file, held, or NULL if the VM has no private frames or the file
 * is going away.
 */
struct fisc_region *fisc_vm_random_chunk(struct fisc_vm *vm,
					 struct fisc_chunk **chunk)
{
	struct fisc_region *found = NULL;
	struct fisc_region *region;
	u32 chunks = 0;

	spin_lock(&vm->lock);
	list_for_each_entry(region, &vm->regions, vm_node) {
		u32 nr = fisc_listed_count(region);

		/* A region replaces the previous choice by its part of both. */
		chunks += nr;
		if (nr && get_random_u32_below(chunks) < nr)
			found = region;
	}
	if (found && !fisc_region_get_live(found))
		found = NULL;
	spin_unlock(&vm->lock);
	if (!found)
		return NULL;

	*chunk = fisc_listed_choose(found);
	if (!*chunk) {
		fisc_region_put(found);
		return NULL;
	}

	return found;
}

/**
 * fisc_vm_each_region() - call a function for each of a VM's files
 * @vm: the VM
 * @fn: called with the region held and no lock held
 * @arg: passed to @fn
 *
 * Context: may sleep.
 * Return: 0, or the first error of @fn, which stops the iteration.
 */
int fisc_vm_each_region(struct fisc_vm *vm,
			int (*fn)(struct fisc_region *region, void *arg),
			void *arg)
{
	struct fisc_region *region;
	int err = 0;

	spin_lock(&vm->lock);
	list_for_each_entry(region, &vm->regions, vm_node) {
		if (!fisc_region_get_live(region))
			continue;
		spin_unlock(&vm->lock);
		err = fn(region, arg);
		spin_lock(&vm->lock);
		/* Still in the list: regions leave it under the lock only. */
		fisc_region_put(region);
		if (err)
			break;
	}
	spin_unlock(&vm->lock);

	return err;
}

/**
 * fisc_vm_rename() - follow a renamed root entry
 * @vm: the VM
 * @name: the entry's new name
 *
 * Context: may sleep; the root directory is locked.
 * Return: 0, -EEXIST, -ENOMEM.
 */
int fisc_vm_rename(struct fisc_vm *vm, const char *name)
{
	char *copy;
	int err;

	if (fisc_vm_exists(name))
		return -EEXIST;

	copy = kstrdup(name, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	err = kobject_rename(&vm->kobj, name);
	if (!err)
		copy = rcu_replace_pointer(vm->name, copy, true);
	kvfree_rcu_mightsleep(copy);

	return err;
}

/**
 * fisc_vm_unname() - rename a VM to NAME~ID, as its root entry is removed
 * @vm: the VM
 * @name: the entry's name
 *
 * Context: may sleep; the root directory is locked.
 * Return: 0, -EEXIST, -ENAMETOOLONG, -ENOMEM.
 */
int fisc_vm_unname(struct fisc_vm *vm, const char *name)
{
	char *gone __free(kfree) = kasprintf(GFP_KERNEL, "%s~%llu", name,
					     vm->id);

	if (!gone)
		return -ENOMEM;

	return fisc_vm_rename(vm, gone);
}

/**
 * fisc_vm_count() - return the number of VMs
 *
 * Context: any.
 * Return: the number, including VMs without a root entry.
 */
unsigned int fisc_vm_count(void)
{
	return atomic_read(&fisc_nr_vms);
}

/**
 * fisc_vm_init() - register the parts of a VM and create the VMs' directory
 * @parts: the parts, in the order in which they begin
 * @nr: number of parts, FISC_VM_PARTS_MAX at most
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_vm_init(const struct fisc_vm_part *parts, unsigned int nr)
{
	unsigned int i, nr_groups = 0;

	fisc_vm_parts = parts;
	fisc_vm_nr_parts = nr;
	for (i = 0; i < nr; i++)
		if (parts[i].group)
			fisc_vm_groups[nr_groups++] = parts[i].group;
	fisc_vms = kset_create_and_add("vms", NULL, fisc_kobj);

	return fisc_vms ? 0 : -ENOMEM;
}

/**
 * fisc_vm_exit() - undo fisc_vm_init()
 *
 * No VM is left, but for those that end later.
 *
 * Context: may sleep.
 */
void fisc_vm_exit(void)
{
	fisc_later_flush();
	kset_unregister(fisc_vms);
}
