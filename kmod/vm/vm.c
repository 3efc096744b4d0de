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
#include "base/poke.h"
#include "memory/region.h"
#include "vm/vm.h"

static struct kset *fisc_vms;
static u64 fisc_vm_last_id;
static DEFINE_XARRAY(fisc_vm_table);	/* all VMs by id */
static atomic_t fisc_nr_vms;

/* The parts, and their groups for fisc_vm_type. */
static const struct fisc_vm_part *fisc_vm_parts;
static unsigned int fisc_vm_nr_parts;
static const struct attribute_group *fisc_vm_groups[FISC_VM_PARTS_MAX + 1];

/**
 * fisc_vm_sum() - value of one of a VM's counters
 * @vm: the VM
 * @c: the counter
 *
 * Context: any.
 * Return: the sum over its files, those that are gone included.
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
 * fisc_vm_size() - size of a VM's memory
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
	kfree_rcu(vm, rcu);
}

static const struct kobj_type fisc_vm_type = {
	.release = fisc_vm_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = fisc_vm_groups,
};

/**
 * fisc_vm_exists() - is there a VM of this name?
 * @name: the name
 *
 * Context: may sleep; the root directory locked if the answer is to last.
 * Return: true if there is one.
 */
bool fisc_vm_exists(const char *name)
{
	struct kobject *kobj = kset_find_obj(fisc_vms, name);

	kobject_put(kobj);

	return kobj;
}

/**
 * fisc_vm_create() - a VM comes into being
 * @name: name of its root entry
 *
 * Context: may sleep; the root directory locked.
 * Return: the VM with one reference, or an error pointer: -EEXIST if a VM whose
 * entry was removed is still called this, -ENOMEM.
 */
struct fisc_vm *fisc_vm_create(const char *name)
{
	struct fisc_vm *vm;
	int err;

	if (fisc_vm_exists(name))
		return ERR_PTR(-EEXIST);

	vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	if (!vm)
		return ERR_PTR(-ENOMEM);

	vm->id = ++fisc_vm_last_id;
	spin_lock_init(&vm->lock);
	INIT_LIST_HEAD(&vm->regions);
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

/**
 * fisc_vm_next() - find and hold the VM that follows in order of ids
 * @id: where to start looking; the id found on return
 *
 * Context: any.
 * Return: the VM with a reference, NULL if no VM has this id or a higher one.
 */
struct fisc_vm *fisc_vm_next(unsigned long *id)
{
	struct fisc_vm *vm;

	rcu_read_lock();
	vm = xa_find(&fisc_vm_table, id, ULONG_MAX, XA_PRESENT);
	while (vm && !kobject_get_unless_zero(&vm->kobj))
		vm = xa_find_after(&fisc_vm_table, id, ULONG_MAX, XA_PRESENT);
	rcu_read_unlock();

	return vm;
}

/**
 * fisc_vm_after() - go on to the next VM
 * @vm: the one before, which is let go of; NULL to begin
 *
 * Context: may sleep.
 * Return: the VM with a reference, NULL if there is no other.
 */
struct fisc_vm *fisc_vm_after(struct fisc_vm *vm)
{
	unsigned long id = 0;

	if (vm) {
		id = vm->id + 1;
		fisc_vm_put(vm);
	}

	return fisc_vm_next(&id);
}

/**
 * fisc_vm_add_region() - make a file part of a VM
 * @vm: the VM, which the file holds from now on
 * @region: the file; nobody else knows it
 *
 * Context: any.
 */
void fisc_vm_add_region(struct fisc_vm *vm, struct fisc_region *region)
{
	region->vm = fisc_vm_get(vm);
	spin_lock(&vm->lock);
	list_add_tail(&region->vm_node, &vm->regions);
	spin_unlock(&vm->lock);
}

/**
 * fisc_vm_drop_region() - undo fisc_vm_add_region()
 * @region: the file, which is empty; its counts stay with the VM
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
 * fisc_vm_due_region() - find and hold a file that the scanner has to look at
 * @vm: the VM
 *
 * Context: any.
 * Return: one of the VM's regions that have due chunks, at random, held; NULL
 * if there is none.
 */
struct fisc_region *fisc_vm_due_region(struct fisc_vm *vm)
{
	struct fisc_region *found = NULL;
	struct fisc_region *region;
	unsigned int nr = 0;

	spin_lock(&vm->lock);
	list_for_each_entry(region, &vm->regions, vm_node)
		/* The nth takes the place of those before it in 1/n of cases. */
		if (xa_marked(&region->chunks, FISC_MARK_DUE) &&
		    !get_random_u32_below(++nr))
			found = region;
	if (found && !fisc_region_get_live(found))
		found = NULL;
	spin_unlock(&vm->lock);

	return found;
}

/**
 * fisc_vm_random_page() - choose a page of a VM
 * @vm: the VM
 * @index: which one of the file it is
 *
 * Context: any.
 * Return: the file, held; NULL if there is none.
 */
struct fisc_region *fisc_vm_random_page(struct fisc_vm *vm, pgoff_t *index)
{
	struct fisc_region *found = NULL;
	struct fisc_region *region;
	u64 pages = 0, nr;

	spin_lock(&vm->lock);
	list_for_each_entry(region, &vm->regions, vm_node)
		pages += fisc_region_size_pages(region);
	nr = mul_u64_u64_shr(get_random_u64(), pages, 64);
	list_for_each_entry(region, &vm->regions, vm_node) {
		u64 size = fisc_region_size_pages(region);

		if (nr < size) {
			*index = nr;
			found = region;
			break;
		}
		nr -= size;
	}
	if (found && !fisc_region_get_live(found))
		found = NULL;
	spin_unlock(&vm->lock);

	return found;
}

/**
 * fisc_vm_each_region() - do something with all of a VM's files
 * @vm: the VM
 * @fn: what to do; the region is held, no lock is
 * @arg: for @fn
 *
 * Context: may sleep.
 * Return: 0, or the first error, which ends it.
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
		/* It leaves the list under the lock, so its place is good. */
		fisc_region_put(region);
		if (err)
			break;
	}
	spin_unlock(&vm->lock);

	return err;
}

/**
 * fisc_vm_rename() - a VM's root entry gets another name
 * @vm: the VM
 * @name: the new name
 *
 * Context: may sleep; the root directory locked.
 * Return: 0, -EEXIST, -ENOMEM.
 */
int fisc_vm_rename(struct fisc_vm *vm, const char *name)
{
	if (fisc_vm_exists(name))
		return -EEXIST;

	return kobject_rename(&vm->kobj, name);
}

/**
 * fisc_vm_unname() - a VM's root entry goes away
 * @vm: the VM
 * @name: the name it had
 *
 * Context: may sleep; the root directory locked.
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
 * fisc_vm_count() - number of VMs
 *
 * Context: any.
 * Return: the number, VMs without a root entry included.
 */
unsigned int fisc_vm_count(void)
{
	return atomic_read(&fisc_nr_vms);
}

/**
 * fisc_vm_init() - make it possible to have VMs
 * @parts: the parts of a VM, in the order in which they begin
 * @nr: number of parts, up to FISC_VM_PARTS_MAX
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
 * fisc_vm_exit() - undo fisc_vm_init(); there are no VMs
 *
 * Context: may sleep.
 */
void fisc_vm_exit(void)
{
	kset_unregister(fisc_vms);
}
