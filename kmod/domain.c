// SPDX-License-Identifier: GPL-2.0
/*
 * Who may share with whom. See DOC: Share domains in domain.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ctype.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/xarray.h>

#include "domain.h"
#include "region.h"
#include "sample/estimate.h"
#include "vm.h"

/* Domains, the default, and which VM is in which. */
static DEFINE_MUTEX(fisc_domain_mutex);
static LIST_HEAD(fisc_domains);
static DEFINE_XARRAY(fisc_domain_table);	/* all of them by id */
static char fisc_domain_default_name[FISC_DOMAIN_NAME_MAX + 1];
static u64 fisc_domain_last_id;

/* Return: the domain of this name with one user more; NULL if no memory. */
static struct fisc_domain *fisc_domain_get(const char *name)
{
	struct fisc_domain *domain;

	lockdep_assert_held(&fisc_domain_mutex);

	if (*name) {
		list_for_each_entry(domain, &fisc_domains, node) {
			if (strcmp(domain->name, name))
				continue;
			refcount_inc(&domain->users);
			return domain;
		}
	}

	domain = kzalloc(sizeof(*domain), GFP_KERNEL);
	if (!domain)
		return NULL;
	refcount_set(&domain->users, 1);
	domain->id = ++fisc_domain_last_id;
	if (xa_err(xa_store(&fisc_domain_table, domain->id, domain,
			    GFP_KERNEL))) {
		kfree(domain);
		return NULL;
	}
	domain->seed = get_random_u64();
	strscpy(domain->name, name);
	INIT_LIST_HEAD(&domain->node);
	if (*name)
		list_add_tail(&domain->node, &fisc_domains);

	return domain;
}

static void fisc_domain_put(struct fisc_domain *domain)
{
	lockdep_assert_held(&fisc_domain_mutex);

	if (!refcount_dec_and_test(&domain->users))
		return;
	list_del(&domain->node);
	xa_erase(&fisc_domain_table, domain->id);
	kfree_rcu(domain, rcu);
}

static void fisc_vm_set_key(struct fisc_vm *vm, u64 domain, u64 seed)
{
	spin_lock(&vm->lock);
	vm->key.domain = domain;
	vm->key.seed = seed;
	spin_unlock(&vm->lock);
}

/**
 * fisc_domain_join() - a new VM gets the domain it has by default
 * @vm: the VM; nobody else knows it
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_domain_join(struct fisc_vm *vm)
{
	guard(mutex)(&fisc_domain_mutex);

	vm->domain = fisc_domain_get(fisc_domain_default_name);
	if (!vm->domain)
		return -ENOMEM;
	fisc_vm_set_key(vm, vm->domain->id, vm->domain->seed);

	return 0;
}

/**
 * fisc_domain_leave() - a VM ends
 * @vm: the VM; it has no memory any more
 *
 * Context: may sleep.
 */
void fisc_domain_leave(struct fisc_vm *vm)
{
	guard(mutex)(&fisc_domain_mutex);

	if (vm->domain)
		fisc_domain_put(vm->domain);
}

static int fisc_domain_unshare(struct fisc_region *region, void *unused)
{
	return fisc_region_unshare(region);
}

/*
 * Put a VM into the domain called @name.
 * Return: 0; -ENOMEM, -EHWPOISON: the VM is where it was.
 */
static int fisc_domain_move(struct fisc_vm *vm, const char *name)
{
	struct fisc_domain *old = vm->domain;
	long needed = fisc_vm_sum(vm, FISC_SHARING);
	struct fisc_domain *new;
	int err;

	lockdep_assert_held(&fisc_domain_mutex);

	if (!strcmp(old->name, name))
		return 0;
	if (si_mem_available() < needed) {
		pr_warn_ratelimited("VM %s cannot change its domain: %ld MiB of host memory for its shared pages are not to be had\n",
				    kobject_name(&vm->kobj),
				    needed >> (20 - PAGE_SHIFT));
		return -ENOMEM;
	}
	new = fisc_domain_get(name);
	if (!new)
		return -ENOMEM;

	fisc_vm_set_key(vm, 0, 0);
	err = fisc_vm_each_region(vm, fisc_domain_unshare, NULL);
	if (err) {
		swap(old, new);
		pr_warn_ratelimited("VM %s stays in its domain: error %d\n",
				    kobject_name(&vm->kobj), err);
	}
	vm->domain = new;
	fisc_vm_set_key(vm, new->id, new->seed);
	fisc_domain_put(old);

	return err;
}

/* Copy a name without the newline behind it. Return: 0 or -EINVAL. */
static int fisc_domain_parse(char *name, const char *buf, size_t len)
{
	size_t i;

	if (len && buf[len - 1] == '\n')
		len--;
	if (len > FISC_DOMAIN_NAME_MAX)
		return -EINVAL;
	for (i = 0; i < len; i++)
		if (!isascii(buf[i]) ||
		    (!isalnum(buf[i]) && !strchr("._-", buf[i])) || !buf[i])
			return -EINVAL;
	memcpy(name, buf, len);
	name[len] = '\0';

	return 0;
}

/**
 * fisc_domain_show() - name of a VM's domain
 * @vm: the VM
 * @buf: a page for the name and a newline
 *
 * Context: may sleep.
 * Return: number of characters.
 */
ssize_t fisc_domain_show(struct fisc_vm *vm, char *buf)
{
	guard(mutex)(&fisc_domain_mutex);

	return sysfs_emit(buf, "%s\n", vm->domain->name);
}

/**
 * fisc_domain_choose() - put a VM into a domain
 * @vm: the VM
 * @buf: the domain's name, perhaps with a newline; empty: what the default says
 * @len: length of @buf
 *
 * Context: may sleep, for as long as it takes to copy the VM's shared pages.
 * Return: 0; -EINVAL: no name for a domain; -ENOMEM: no memory for those
 * pages, -EHWPOISON: one is lost; on error the VM stays where it was.
 */
int fisc_domain_choose(struct fisc_vm *vm, const char *buf, size_t len)
{
	char name[FISC_DOMAIN_NAME_MAX + 1];
	int err;

	err = fisc_domain_parse(name, buf, len);
	if (err)
		return err;

	guard(mutex)(&fisc_domain_mutex);
	err = fisc_domain_move(vm, *name ? name : fisc_domain_default_name);
	if (!err)
		vm->domain_chosen = *name;

	return err;
}

/**
 * fisc_domain_count_frame() - a shared frame comes or goes
 * @id: number of its domain
 * @n: 1 or -1
 *
 * Context: any.
 */
void fisc_domain_count_frame(u64 id, int n)
{
	struct fisc_domain *domain;

	rcu_read_lock();
	domain = xa_load(&fisc_domain_table, id);
	if (domain)
		atomic_long_add(n, &domain->frames);
	rcu_read_unlock();
}

/**
 * fisc_domain_account() - find out what a sharing page pays in each domain
 *
 * Context: may sleep; from one thread only.
 */
void fisc_domain_account(void)
{
	struct fisc_domain *domain;
	struct fisc_vm *vm = NULL;
	unsigned long id;

	while ((vm = fisc_vm_after(vm))) {
		mutex_lock(&fisc_domain_mutex);
		vm->domain->sharing += fisc_vm_sum(vm, FISC_SHARING);
		mutex_unlock(&fisc_domain_mutex);
		cond_resched();
	}

	guard(mutex)(&fisc_domain_mutex);
	xa_for_each(&fisc_domain_table, id, domain) {
		u64 frames = max(atomic_long_read(&domain->frames), 0L);

		domain->part = 0;
		if (domain->sharing)
			domain->part =
				min_t(u64, FISC_FRACTION_ONE,
				      div64_u64(frames << FISC_FRACTION_SHIFT,
						domain->sharing));
		domain->sharing = 0;
	}
}

/**
 * fisc_domain_part() - how much of a frame a sharing page of a VM pays for
 * @vm: the VM
 *
 * Context: may sleep.
 * Return: a fraction, of FISC_FRACTION_ONE.
 */
u32 fisc_domain_part(struct fisc_vm *vm)
{
	guard(mutex)(&fisc_domain_mutex);

	return vm->domain->part;
}

/**
 * fisc_domain_default() - name of the domain of VMs that chose none
 * @buf: room for FISC_DOMAIN_NAME_MAX + 1 characters
 *
 * Context: may sleep.
 */
void fisc_domain_default(char *buf)
{
	guard(mutex)(&fisc_domain_mutex);

	strscpy(buf, fisc_domain_default_name, FISC_DOMAIN_NAME_MAX + 1);
}

/**
 * fisc_domain_set_default() - move all VMs that chose no domain
 * @buf: as for fisc_domain_choose(); empty: each VM into one of its own
 * @len: length of @buf
 *
 * Context: may sleep.
 * Return: as fisc_domain_choose(); a VM that cannot be moved stays where it
 * was, the others are moved.
 */
int fisc_domain_set_default(const char *buf, size_t len)
{
	char name[FISC_DOMAIN_NAME_MAX + 1];
	struct fisc_vm *vm = NULL;
	int err, ret;

	ret = fisc_domain_parse(name, buf, len);
	if (ret)
		return ret;

	mutex_lock(&fisc_domain_mutex);
	strscpy(fisc_domain_default_name, name);
	mutex_unlock(&fisc_domain_mutex);

	while ((vm = fisc_vm_after(vm))) {
		mutex_lock(&fisc_domain_mutex);
		/* Whoever was faster has moved it by the newest default. */
		err = vm->domain_chosen ? 0 :
		      fisc_domain_move(vm, fisc_domain_default_name);
		mutex_unlock(&fisc_domain_mutex);
		ret = ret ?: err;
	}

	return ret;
}
