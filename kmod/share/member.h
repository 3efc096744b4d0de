/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SHARE_MEMBER_H
#define _FISC_SHARE_MEMBER_H

#include <linux/mutex.h>
#include <linux/types.h>

#include "memory/domain.h"

struct fisc_region;
struct fisc_vm;

/**
 * enum fisc_merge - whether a VM's pages are shared with others
 * @FISC_MERGE_AUTO: those that its VMM has not marked unmergeable
 * @FISC_MERGE_NO: none, but for zero pages
 * @FISC_MERGE_YES: all
 */
enum fisc_merge {
	FISC_MERGE_AUTO,
	FISC_MERGE_NO,
	FISC_MERGE_YES,
};

/**
 * struct fisc_member - a VM's membership in a domain
 * @lock: serialises changes; held while the VM's shared pages are copied, so
 *	nobody takes it but those who change the domain of the same VM
 * @domain: the domain; changes under @lock, read under RCU
 * @chosen: the VM has chosen it and does not follow the default; under @lock
 * @merge: which of its pages are shared; changes under @lock
 */
struct fisc_member {
	struct mutex lock;	/* serialises changes of the domain */
	struct fisc_domain __rcu *domain;
	bool chosen;
	enum fisc_merge merge;
};

struct fisc_key fisc_region_key(const struct fisc_region *region);
int fisc_member_begin(struct fisc_vm *vm);
void fisc_member_end(struct fisc_vm *vm);
void fisc_member_name(struct fisc_vm *vm, char *buf);
int fisc_member_choose(struct fisc_vm *vm, const char *buf, size_t len);
enum fisc_merge fisc_member_merge(const struct fisc_vm *vm);
int fisc_member_set_merge(struct fisc_vm *vm, enum fisc_merge merge);
int fisc_member_mark(struct fisc_region *region, bool unmergeable);
void fisc_member_default(char *buf);
int fisc_member_set_default(const char *buf, size_t len);
bool fisc_member_unmergeable(void);
int fisc_member_set_unmergeable(bool share);
void fisc_member_count(struct fisc_vm *vm);
u32 fisc_member_part(struct fisc_vm *vm);

#endif /* _FISC_SHARE_MEMBER_H */
