/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SHARE_MEMBER_H
#define _FISC_SHARE_MEMBER_H

#include <linux/mutex.h>
#include <linux/types.h>

struct fisc_domain;
struct fisc_vm;

/**
 * struct fisc_member - a VM's membership in a domain
 * @lock: serialises changes; held while the VM's shared pages are copied, so
 *	nobody takes it but those who change the domain of the same VM
 * @domain: the domain; changes under @lock, read under RCU
 * @chosen: the VM has chosen it and does not follow the default; under @lock
 */
struct fisc_member {
	struct mutex lock;	/* serialises changes of the domain */
	struct fisc_domain __rcu *domain;
	bool chosen;
};

int fisc_member_begin(struct fisc_vm *vm);
void fisc_member_end(struct fisc_vm *vm);
void fisc_member_name(struct fisc_vm *vm, char *buf);
int fisc_member_choose(struct fisc_vm *vm, const char *buf, size_t len);
void fisc_member_default(char *buf);
int fisc_member_set_default(const char *buf, size_t len);
void fisc_member_count(struct fisc_vm *vm);
u32 fisc_member_part(struct fisc_vm *vm);

#endif /* _FISC_SHARE_MEMBER_H */
