// SPDX-License-Identifier: GPL-2.0
/*
 * Membership of VMs in domains. See DOC: Share domains in memory/domain.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "memory/cow.h"
#include "memory/domain.h"
#include "share/member.h"
#include "vm/vm.h"

/*
 * struct fisc_member.lock is outside of the locks of domain.c and of chunks.
 * What reclaim and the policy read is published under RCU: they never wait for
 * a VM that is changing its domain, which may take all the memory there is.
 */
static DEFINE_SPINLOCK(fisc_member_default_lock);
static char fisc_member_default_name[FISC_DOMAIN_NAME_MAX + 1];
/* Unmergeable pages are shared, too, where a VM has no choice of its own. */
static bool fisc_member_all;

static void fisc_member_set_key(struct fisc_vm *vm, u64 domain, u64 seed)
{
	spin_lock(&vm->lock);
	/* The domain is also compared without the lock. */
	WRITE_ONCE(vm->key.domain, domain);
	vm->key.seed = seed;
	spin_unlock(&vm->lock);
}

/**
 * fisc_member_begin() - put a new VM into its default domain
 * @vm: the VM, not yet visible to others
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_member_begin(struct fisc_vm *vm)
{
	struct fisc_member *member = kzalloc(sizeof(*member), GFP_KERNEL);
	char name[FISC_DOMAIN_NAME_MAX + 1];
	struct fisc_domain *domain;

	if (!member)
		return -ENOMEM;

	fisc_member_default(name);
	domain = fisc_domain_get(name);
	if (!domain) {
		kfree(member);
		return -ENOMEM;
	}
	mutex_init(&member->lock);
	RCU_INIT_POINTER(member->domain, domain);
	vm->member = member;
	fisc_member_set_key(vm, domain->id, domain->seed);

	return 0;
}

/**
 * fisc_member_end() - remove a VM from its domain
 * @vm: the VM, which is ending and has no memory left
 *
 * Context: may sleep.
 */
void fisc_member_end(struct fisc_vm *vm)
{
	fisc_domain_put(rcu_dereference_protected(vm->member->domain, true));
	mutex_destroy(&vm->member->lock);
	kfree(vm->member);
}

static int fisc_member_unshare(struct fisc_region *region, void *unused)
{
	return fisc_region_unshare(region);
}

/* Call a function for all VMs. Return: its first error. */
static int fisc_member_each(int (*fn)(struct fisc_vm *vm))
{
	struct fisc_vm *vm = NULL;
	int err, ret = 0;

	while ((vm = fisc_vm_after(vm))) {
		err = fn(vm);
		ret = ret ?: err;
	}

	return ret;
}

/* Is there memory for copies of all pages that a VM shares? */
static bool fisc_member_has_memory(struct fisc_vm *vm)
{
	long needed = fisc_vm_sum(vm, FISC_SHARING);

	if (si_mem_available() >= needed)
		return true;
	guard(rcu)();
	pr_warn_ratelimited("VM %s goes on sharing pages: copies of them need %ld MiB of host memory, which is not available\n",
			    fisc_vm_name(vm), needed >> (20 - PAGE_SHIFT));

	return false;
}

/*
 * Move a VM to the domain @name.
 * Return: 0, or -ENOMEM, -EHWPOISON or -EINTR and the VM stays where it was.
 */
static int fisc_member_move(struct fisc_vm *vm, const char *name)
{
	struct fisc_domain *old =
		rcu_dereference_protected(vm->member->domain,
					  lockdep_is_held(&vm->member->lock));
	struct fisc_domain *new;
	int err;

	if (!strcmp(old->name, name))
		return 0;
	if (!fisc_member_has_memory(vm))
		return -ENOMEM;
	new = fisc_domain_get(name);
	if (!new)
		return -ENOMEM;

	fisc_member_set_key(vm, 0, 0);
	err = fisc_vm_each_region(vm, fisc_member_unshare, NULL);
	if (err) {
		swap(old, new);
		rcu_read_lock();
		if (err != -EINTR)
			pr_warn_ratelimited("VM %s stays in its domain: cannot copy its shared pages (error %d)\n",
					    fisc_vm_name(vm), err);
		rcu_read_unlock();
	}
	rcu_assign_pointer(vm->member->domain, new);
	fisc_member_set_key(vm, new->id, new->seed);
	fisc_domain_put(old);

	return err;
}

/**
 * fisc_member_name() - return the name of a VM's domain
 * @vm: the VM
 * @buf: room for FISC_DOMAIN_NAME_MAX + 1 characters
 *
 * Context: any.
 */
void fisc_member_name(struct fisc_vm *vm, char *buf)
{
	rcu_read_lock();
	strscpy(buf, rcu_dereference(vm->member->domain)->name,
		FISC_DOMAIN_NAME_MAX + 1);
	rcu_read_unlock();
}

/*
 * Put a VM into the domain @name, by choice, or if @name is NULL into the
 * default unless it has chosen. Return: as fisc_member_choose().
 */
static int fisc_member_change(struct fisc_vm *vm, const char *name)
{
	char now[FISC_DOMAIN_NAME_MAX + 1];
	int err = mutex_lock_killable(&vm->member->lock);

	if (err)
		return err;
	if (name || !vm->member->chosen) {
		fisc_member_default(now);
		err = fisc_member_move(vm, name && *name ? name : now);
		if (!err && name)
			vm->member->chosen = *name;
	}
	mutex_unlock(&vm->member->lock);

	return err;
}

/* Not the name: a concurrent call may have set a newer default. */
static int fisc_member_follow(struct fisc_vm *vm)
{
	return fisc_member_change(vm, NULL);
}

/**
 * fisc_member_choose() - choose a VM's domain
 * @vm: the VM
 * @buf: the domain's name, with or without a trailing newline; if empty, the
 *	VM follows the default
 * @len: length of @buf
 *
 * Context: may sleep, for as long as it takes to copy the VM's shared pages.
 * Return: 0; -EINVAL if @buf is no valid name; -ENOMEM if there is no memory
 * for the copies; -EHWPOISON if a page was lost to a memory error; -EINTR if
 * the process is being killed. On error the VM stays where it was.
 */
int fisc_member_choose(struct fisc_vm *vm, const char *buf, size_t len)
{
	char name[FISC_DOMAIN_NAME_MAX + 1];

	return fisc_domain_parse(name, buf, len) ?: fisc_member_change(vm, name);
}

/**
 * fisc_region_key() - return the key of a file's domain
 * @region: the file
 *
 * Context: any.
 * Return: the key; all 0 while its VM must not share.
 */
struct fisc_key fisc_region_key(const struct fisc_region *region)
{
	struct fisc_vm *vm = region->vm;
	struct fisc_key key = {};

	spin_lock(&vm->lock);
	if (!fisc_vm_is_sensitive(vm))
		key = *region->key;
	spin_unlock(&vm->lock);

	return key;
}

/* The key that a file is to have; fisc_member.lock held. */
static const struct fisc_key *fisc_member_key(const struct fisc_region *region)
{
	struct fisc_vm *vm = region->vm;
	enum fisc_merge merge = vm->member->merge;

	if (merge == FISC_MERGE_NO)
		return &fisc_key_alone;
	if (merge == FISC_MERGE_AUTO && region->unmergeable &&
	    !READ_ONCE(fisc_member_all))
		return &fisc_key_alone;

	return &vm->key;
}

static void fisc_member_give_key(struct fisc_region *region,
				 const struct fisc_key *key)
{
	spin_lock(&region->vm->lock);
	WRITE_ONCE(region->key, key);
	spin_unlock(&region->vm->lock);
}

/* Have a file share or not share, as it should; fisc_member.lock held. */
static int fisc_member_place(struct fisc_region *region, void *unused)
{
	const struct fisc_key *old = region->key, *key = fisc_member_key(region);
	int err;

	if (key == old)
		return 0;
	if (!fisc_member_has_memory(region->vm))
		return -ENOMEM;
	fisc_member_give_key(region, key);
	/* Pages that have been seen already may have an equal now. */
	err = fisc_region_unshare(region);
	if (err)
		fisc_member_give_key(region, old);

	return err;
}

static int fisc_member_place_all(struct fisc_vm *vm)
{
	spin_lock(&vm->lock);
	WRITE_ONCE(vm->alone, vm->member->merge == FISC_MERGE_NO);
	spin_unlock(&vm->lock);

	return fisc_vm_each_region(vm, fisc_member_place, NULL);
}

static int fisc_member_place_again(struct fisc_vm *vm)
{
	int err = mutex_lock_killable(&vm->member->lock);

	if (err)
		return err;
	err = fisc_member_place_all(vm);
	mutex_unlock(&vm->member->lock);

	return err;
}

/**
 * fisc_member_merge() - return which of a VM's pages are shared
 * @vm: the VM
 *
 * Context: any.
 * Return: what was chosen.
 */
enum fisc_merge fisc_member_merge(const struct fisc_vm *vm)
{
	return READ_ONCE(vm->member->merge);
}

/**
 * fisc_member_set_merge() - choose which of a VM's pages are shared
 * @vm: the VM
 * @merge: the choice
 *
 * Context: may sleep, for as long as it takes to copy the VM's shared pages.
 * Return: 0 or -errno, as fisc_member_choose(). On error nothing changes.
 */
int fisc_member_set_merge(struct fisc_vm *vm, enum fisc_merge merge)
{
	struct fisc_member *member = vm->member;
	int err = mutex_lock_killable(&member->lock);
	enum fisc_merge old;

	if (err)
		return err;
	old = member->merge;
	WRITE_ONCE(member->merge, merge);
	err = fisc_member_place_all(vm);
	if (err) {
		WRITE_ONCE(member->merge, old);
		fisc_member_place_all(vm);
	}
	mutex_unlock(&member->lock);

	return err;
}

/**
 * fisc_member_mark() - say whether a VMM lets pages of a file be shared
 * @region: the file, an adopted one; held by the caller
 * @unmergeable: it does not
 *
 * Counts unless the administrator has decided otherwise.
 *
 * Context: may sleep, for as long as it takes to copy the file's shared pages.
 * Return: 0 or -errno, as fisc_member_choose(). On error nothing changes.
 */
int fisc_member_mark(struct fisc_region *region, bool unmergeable)
{
	struct fisc_member *member = region->vm->member;
	int err = mutex_lock_killable(&member->lock);
	bool old;

	if (err)
		return err;
	old = region->unmergeable;
	WRITE_ONCE(region->unmergeable, unmergeable);
	err = fisc_member_place(region, NULL);
	if (err)
		WRITE_ONCE(region->unmergeable, old);
	mutex_unlock(&member->lock);

	return err;
}

/**
 * fisc_member_default() - return the name of the default domain
 * @buf: room for FISC_DOMAIN_NAME_MAX + 1 characters
 *
 * Context: any.
 */
void fisc_member_default(char *buf)
{
	spin_lock(&fisc_member_default_lock);
	strscpy(buf, fisc_member_default_name, FISC_DOMAIN_NAME_MAX + 1);
	spin_unlock(&fisc_member_default_lock);
}

/**
 * fisc_member_set_default() - set the domain of VMs that have not chosen one
 * @buf: as for fisc_member_choose(); if empty, each VM has its own domain
 * @len: length of @buf
 *
 * Moves the VMs that follow the default.
 *
 * Context: may sleep.
 * Return: the first error, as fisc_member_choose(). A VM that cannot be moved
 * stays where it was; the others are moved.
 */
int fisc_member_set_default(const char *buf, size_t len)
{
	char name[FISC_DOMAIN_NAME_MAX + 1];
	int err = fisc_domain_parse(name, buf, len);

	if (err)
		return err;

	spin_lock(&fisc_member_default_lock);
	strscpy(fisc_member_default_name, name);
	spin_unlock(&fisc_member_default_lock);

	return fisc_member_each(fisc_member_follow);
}

/**
 * fisc_member_unmergeable() - tell whether unmergeable pages are shared
 *
 * Context: any.
 * Return: true if they are, where a VM has no choice of its own.
 */
bool fisc_member_unmergeable(void)
{
	return READ_ONCE(fisc_member_all);
}

/**
 * fisc_member_set_unmergeable() - choose whether unmergeable pages are shared
 * @share: they are, where a VM has no choice of its own
 *
 * Context: may sleep.
 * Return: the first error, as fisc_member_choose(). A VM whose pages cannot be
 * copied goes on sharing them.
 */
int fisc_member_set_unmergeable(bool share)
{
	WRITE_ONCE(fisc_member_all, share);

	return fisc_member_each(fisc_member_place_again);
}

/**
 * fisc_member_count() - add a VM's sharing pages to its domain's count
 * @vm: the VM
 *
 * Context: any; from one thread only.
 */
void fisc_member_count(struct fisc_vm *vm)
{
	long sharing = fisc_vm_sum(vm, FISC_SHARING);

	rcu_read_lock();
	rcu_dereference(vm->member->domain)->sharing += sharing;
	rcu_read_unlock();
}

/**
 * fisc_member_part() - return the part of a frame a VM's sharing page pays for
 * @vm: the VM
 *
 * Context: any.
 * Return: the part, as a fraction of FISC_FRACTION_ONE.
 */
u32 fisc_member_part(struct fisc_vm *vm)
{
	u32 part;

	rcu_read_lock();
	part = READ_ONCE(rcu_dereference(vm->member->domain)->part);
	rcu_read_unlock();

	return part;
}
