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
 * Pages are shared between VMs only if the VMs are in the same domain. By
 * default a VM is alone in a domain of its own: then only its own duplicates
 * are shared, and zero pages, which reveal nothing about other VMs.
 *
 * A domain has a number that no other domain has or ever had, and a random seed
 * for the hashes of its content. A shared frame carries the number of its
 * domain, and the table of shared frames finds it for that number only. So two
 * domains never have a frame in common, whatever their contents.
 *
 * While a VM changes its domain it is in none: the number it shows (struct
 * fisc_key) is 0, and the scanner leaves it alone. What the scanner began
 * before that, it checks again with the lock of the chunk held whose entries it
 * is about to change. The change of domain takes each chunk's lock after the
 * number was changed, and gives shared pages frames of their own. So an entry
 * of the old domain is either not made, or found and undone.
 *
 * A VM either has a domain chosen by name, or follows the module's default.
 *
 * A file whose pages are to be shared with nobody, not even in its VM, has the
 * key fisc_key_alone instead of its VM's (fisc_member_mark()): its zero pages
 * are all that is merged.
 *
 * A change of domain copies all pages that the VM shares, which takes long and
 * may take all memory there is. Only another change of the same VM's domain
 * waits for that: a domain is published to everybody else, and lives until an
 * RCU grace period after its last VM has left it.
 */

#define FISC_DOMAIN_NAME_MAX	63

/**
 * struct fisc_domain - VMs that share pages with each other
 * @users: number of VMs in it
 * @id: its number, not 0
 * @seed: seed of its hashes
 * @frames: its shared frames
 * @sharing: pages that share them, as last counted by fisc_member_count()
 * @part: fraction of a frame that each of these pages is charged for, as last
 *	counted
 * @node: in the list of domains that have a name
 * @rcu: for freeing
 * @name: empty if the domain is private to one VM
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
 * struct fisc_key - what the scanner needs to know about a VM's domain
 * @domain: its number; 0 if nothing may be shared
 * @seed: its seed
 */
struct fisc_key {
	u64 domain;
	u64 seed;
};

/* The domain of a file that shares nothing but zero pages. */
#define FISC_DOMAIN_ALONE	U64_MAX

extern const struct fisc_key fisc_key_alone;

int fisc_domain_parse(char *name, const char *buf, size_t len);
struct fisc_domain *fisc_domain_get(const char *name);
void fisc_domain_put(struct fisc_domain *domain);
void fisc_domain_count_frame(u64 id, int n);
void fisc_domain_each(void (*fn)(struct fisc_domain *domain));

#endif /* _FISC_MEMORY_DOMAIN_H */
