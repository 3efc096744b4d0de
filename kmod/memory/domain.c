// SPDX-License-Identifier: GPL-2.0
/*
 * Share domains: names, numbers and counts of shared frames. See DOC: Share
 * domains in domain.h.
 */
#include <linux/ctype.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/xarray.h>

#include "memory/domain.h"

/* Protects the list of names; nothing is allocated under it. */
static DEFINE_MUTEX(fisc_domain_mutex);
static LIST_HEAD(fisc_domains);			/* domains with a name */
static DEFINE_XARRAY(fisc_domain_table);	/* all domains by id */
static atomic64_t fisc_domain_last_id;

const struct fisc_key fisc_key_alone = { .domain = FISC_DOMAIN_ALONE };

/**
 * fisc_domain_parse() - copy a domain's name without the trailing newline
 * @name: room for FISC_DOMAIN_NAME_MAX + 1 characters
 * @buf: the text
 * @len: its length
 *
 * Context: any.
 * Return: 0, or -EINVAL if the text is not a valid name.
 */
int fisc_domain_parse(char *name, const char *buf, size_t len)
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

/* Make a domain, and enter it in the table. */
static struct fisc_domain *fisc_domain_make(const char *name)
{
	struct fisc_domain *domain = kzalloc(sizeof(*domain), GFP_KERNEL);

	if (!domain)
		return NULL;
	refcount_set(&domain->users, 1);
	domain->id = atomic64_inc_return(&fisc_domain_last_id);
	domain->seed = get_random_u64();
	strscpy(domain->name, name);
	INIT_LIST_HEAD(&domain->node);
	if (xa_err(xa_store(&fisc_domain_table, domain->id, domain,
			    GFP_KERNEL))) {
		kfree(domain);
		return NULL;
	}

	return domain;
}

static void fisc_domain_free(struct fisc_domain *domain)
{
	xa_erase(&fisc_domain_table, domain->id);
	kfree_rcu(domain, rcu);
}

/*
 * Take a reference on the domain of this name; if there is none, @new gets the
 * name. Return: the domain, NULL if there is none and no @new.
 */
static struct fisc_domain *fisc_domain_named(const char *name,
					     struct fisc_domain *new)
{
	struct fisc_domain *domain;

	guard(mutex)(&fisc_domain_mutex);

	list_for_each_entry(domain, &fisc_domains, node) {
		if (strcmp(domain->name, name))
			continue;
		refcount_inc(&domain->users);
		return domain;
	}
	if (new)
		list_add_tail(&new->node, &fisc_domains);

	return new;
}

/**
 * fisc_domain_get() - take a reference on a domain, creating it if needed
 * @name: its name; empty for a new private domain
 *
 * Context: may sleep.
 * Return: the domain, NULL if there is no memory.
 */
struct fisc_domain *fisc_domain_get(const char *name)
{
	struct fisc_domain *domain, *new;

	if (!*name)
		return fisc_domain_make(name);

	domain = fisc_domain_named(name, NULL);
	if (domain)
		return domain;
	new = fisc_domain_make(name);
	if (!new)
		return NULL;
	domain = fisc_domain_named(name, new);
	if (domain != new)
		fisc_domain_free(new);

	return domain;
}

/**
 * fisc_domain_put() - drop a reference on a domain
 * @domain: the domain
 *
 * Context: may sleep.
 */
void fisc_domain_put(struct fisc_domain *domain)
{
	if (!refcount_dec_and_mutex_lock(&domain->users, &fisc_domain_mutex))
		return;
	list_del(&domain->node);
	mutex_unlock(&fisc_domain_mutex);
	fisc_domain_free(domain);
}

/**
 * fisc_domain_count_frame() - count a shared frame that comes or goes
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
 * fisc_domain_each() - call a function for each domain
 * @fn: the function; must not sleep
 *
 * Domains that come or go meanwhile may be missed.
 *
 * Context: any.
 */
void fisc_domain_each(void (*fn)(struct fisc_domain *domain))
{
	struct fisc_domain *domain;
	unsigned long id;

	rcu_read_lock();
	xa_for_each(&fisc_domain_table, id, domain)
		fn(domain);
	rcu_read_unlock();
}
