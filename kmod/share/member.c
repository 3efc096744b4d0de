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

/*
 * Move a VM to the domain @name.
 * Return: 0, or -ENOMEM, -EHWPOISON or -EINTR and the VM stays where it was.
 */
static int fisc_member_move(struct fisc_vm *vm, const char *name)
{
	struct fisc_domain *old =
		rcu_dereference_protected(vm->member->domain,
					  lockdep_is_held(&vm->member->lock));
	long needed = fisc_vm_sum(vm, FISC_SHARING);
	struct fisc_domain *new;
	int err;

	if (!strcmp(old->name, name))
		return 0;
	if (si_mem_available() < needed) {
		guard(rcu)();
		pr_warn_ratelimited("VM %s cannot change its domain: its shared pages need %ld MiB of host memory, which is not available\n",
				    fisc_vm_name(vm), needed >> (20 - PAGE_SHIFT));
		return -ENOMEM;
	}
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
	struct fisc_vm *vm = NULL;
	int err, ret;

	ret = fisc_domain_parse(name, buf, len);
	if (ret)
		return ret;

	spin_lock(&fisc_member_default_lock);
	strscpy(fisc_member_default_name, name);
	spin_unlock(&fisc_member_default_lock);

	while ((vm = fisc_vm_after(vm))) {
		/* Not @name: a concurrent call may have set a newer default. */
		err = fisc_member_change(vm, NULL);
		ret = ret ?: err;
	}

	return ret;
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
