/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_DOMAIN_H
#define _FISC_MEMORY_DOMAIN_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>

/**
 * DOC: Share domains
 *
 * A page is shared between VMs only if they are in the same domain. By default
 * a VM is alone in a domain of its own: then only its own duplicates share, and
 * zero pages, which say nothing about a neighbour.
 *
 * A domain has a number that no other domain has or had, and a random seed for
 * the hashes of its content. A shared frame carries the number of its domain;
 * the table finds a frame only for the same number, so two domains have no
 * frame in common whatever their contents.
 *
 * A VM that changes its domain is in none while it changes: the number it shows
 * (struct fisc_key) is 0, and the scanner leaves it alone. What the scanner had
 * begun before, it checks again under the lock of the chunk whose entries it is
 * going to change; changing the domain takes each chunk's lock after the number
 * was changed, and gives shared pages frames of their own. So an entry made in
 * the old domain is either not made, or found and undone.
 *
 * A VM either has chosen a domain by name, or follows the module's default.
 */

#define FISC_DOMAIN_NAME_MAX	63

/**
 * struct fisc_domain - VMs that share with each other
 * @users: VMs in it
 * @id: its number, not 0
 * @seed: for hashes
 * @frames: its shared frames
 * @sharing: pages that share them, counted up by fisc_domain_account()
 * @part: how much of a frame one of them pays for, when last counted
 * @node: in the list of domains that have a name
 * @rcu: for freeing
 * @name: empty if it is one VM's own
 */
struct fisc_domain {
	refcount_t users;
	u64 id;
	u64 seed;
	atomic_long_t frames;
	u64 sharing;
	u32 part;
	struct list_head node;
	struct rcu_head rcu;
	char name[FISC_DOMAIN_NAME_MAX + 1];
};

/**
 * struct fisc_key - what of a domain the scanner has to know
 * @domain: its number, 0 if nothing may be shared
 * @seed: its seed
 */
struct fisc_key {
	u64 domain;
	u64 seed;
};

int fisc_domain_parse(char *name, const char *buf, size_t len);
struct fisc_domain *fisc_domain_get(const char *name);
void fisc_domain_put(struct fisc_domain *domain);
void fisc_domain_count_frame(u64 id, int n);
void fisc_domain_each(void (*fn)(struct fisc_domain *domain));

#endif /* _FISC_MEMORY_DOMAIN_H */
