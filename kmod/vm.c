// SPDX-License-Identifier: GPL-2.0
/*
 * Virtual machines: the first level of the file system, and its sysfs side.
 *
 * A VM begins with an entry in the root directory and ends with the last inode
 * that came from it. If the entry goes first (a guest can run on an unlinked
 * file), the VM stays in sysfs as NAME~ID, because its memory is still there.
 * Creating, renaming and removing root entries is serialised by the lock of the
 * root directory's inode.
 */
#include <linux/atomic.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/xarray.h>

#include "adopt/adopt.h"
#include "policy.h"
#include "region.h"
#include "tax/target.h"
#include "vm.h"

static struct kset *fisc_vms;
static u64 fisc_vm_last_id;
static DEFINE_XARRAY(fisc_vm_table);	/* all VMs by id */
static atomic_t fisc_nr_vms;

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

/**
 * fisc_vm_allocated() - memory that a VM has to account for
 * @vm: the VM
 *
 * See DOC: Targets for who pays for a shared frame.
 *
 * Context: may sleep.
 * Return: pages.
 */
u64 fisc_vm_allocated(struct fisc_vm *vm)
{
	return fisc_vm_sum(vm, FISC_PRIVATE) +
	       fisc_fraction_of(fisc_vm_sum(vm, FISC_SHARING),
				fisc_domain_part(vm));
}

static ssize_t size_bytes_show(struct kobject *kobj,
			       struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", fisc_vm_size(to_fisc_vm(kobj)));
}

static ssize_t present_pages_show(struct kobject *kobj,
				  struct kobj_attribute *attr, char *buf)
{
	struct fisc_vm *vm = to_fisc_vm(kobj);

	return sysfs_emit(buf, "%ld\n", fisc_vm_sum(vm, FISC_PRIVATE) +
					fisc_vm_sum(vm, FISC_SHARING) +
					fisc_vm_sum(vm, FISC_ZERO));
}

static ssize_t domain_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return fisc_domain_show(to_fisc_vm(kobj), buf);
}

static ssize_t domain_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	return fisc_domain_choose(to_fisc_vm(kobj), buf, count) ?: count;
}

#define FISC_VM_ATTR(_name, _counter)					\
static ssize_t _name##_show(struct kobject *kobj,			\
			    struct kobj_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, "%ld\n",					\
			  fisc_vm_sum(to_fisc_vm(kobj), _counter));		\
}									\
static struct kobj_attribute _name##_attr = __ATTR_RO(_name)

static struct kobj_attribute size_bytes_attr = __ATTR_RO(size_bytes);
static struct kobj_attribute present_pages_attr = __ATTR_RO(present_pages);
static struct kobj_attribute domain_attr = __ATTR_RW(domain);
FISC_VM_ATTR(private_pages, FISC_PRIVATE);
FISC_VM_ATTR(sharing_pages, FISC_SHARING);
FISC_VM_ATTR(zero_pages, FISC_ZERO);
FISC_VM_ATTR(large_pages, FISC_LARGE);
FISC_VM_ATTR(faults, FISC_FAULTS);
FISC_VM_ATTR(cow_breaks, FISC_COW_BREAKS);

static struct attribute *fisc_vm_attrs[] = {
	&domain_attr.attr,
	&size_bytes_attr.attr,
	&present_pages_attr.attr,
	&private_pages_attr.attr,
	&sharing_pages_attr.attr,
	&zero_pages_attr.attr,
	&large_pages_attr.attr,
	&faults_attr.attr,
	&cow_breaks_attr.attr,
	NULL,
};

static const struct attribute_group fisc_vm_group = {
	.attrs = fisc_vm_attrs,
};

static const struct attribute_group *fisc_vm_groups[] = {
	&fisc_vm_group,
	&fisc_sample_vm_group,
	&fisc_quota_vm_group,
	&fisc_target_vm_group,
	&fisc_balloon_vm_group,
	&fisc_reclaim_vm_group,
	&fisc_adopt_vm_group,
	NULL,
};

static void fisc_vm_release(struct kobject *kobj)
{
	struct fisc_vm *vm = to_fisc_vm(kobj);

	xa_erase(&fisc_vm_table, vm->id);
	fisc_domain_leave(vm);
	fisc_vmm_forget(vm);
	fisc_quota_remove(&vm->quota);
	fisc_sampler_exit(&vm->sampler);
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
	fisc_sampler_init(&vm->sampler);
	fisc_quota_add(&vm->quota);
	fisc_balloon_init_vm(&vm->balloon);
	atomic_inc(&fisc_nr_vms);

	kobject_init(&vm->kobj, &fisc_vm_type);
	err = fisc_domain_join(vm);
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

int fisc_vm_init(struct kobject *parent)
{
	fisc_vms = kset_create_and_add("vms", NULL, parent);

	return fisc_vms ? 0 : -ENOMEM;
}

void fisc_vm_exit(void)
{
	kset_unregister(fisc_vms);
}
