/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_AUTO_H
#define _FISC_ADOPT_AUTO_H

#include <linux/types.h>
#include <linux/uidgid.h>

struct pid;

/**
 * DOC: Automatic adoption
 *
 * None, unless the administrator says so in /sys/kernel/fisc/adoption: policy is
 * "none", "listed" (those whose name matches a pattern in names) or "all". Two filters
 * hold for both, so that other users of KVM on the host are left alone: uid, the
 * owner of the process, and min_bytes, what there is in its memslots.
 *
 * *Who tells of a new VM.* KVM does, by a uevent with the pid; the udev rule that
 * comes with the module (host/60-fisc.rules) writes that to "created". Those that run
 * already are looked for among all processes when the policy is set.
 *
 * *When it is decided.* KVM tells when a VM is made, and it has no memory then. So a
 * process is a candidate (struct fisc_candidate) at first: it is looked at once a second,
 * for half a minute, until it has as much memory as is asked for, or is gone. A policy that
 * is set anew begins anew, with all processes. A VM that was released is left alone
 * until then.
 *
 * *Names.* QEMU is told the VM's name ("-name web", "-name guest=web,..."); a VM
 * without one, or with one that is taken or is more than letters, digits and ".-_:",
 * is called after its process, "pid-N". Whoever runs a VMM chooses its arguments: where
 * users are not to pass their VMs off as others', uid is what tells them apart.
 *
 * Locks: fisc_auto_mutex protects the settings and the list of candidates.
 * fisc_adopt_mutex is taken within it.
 */

enum fisc_auto_policy {
	FISC_AUTO_NONE,
	FISC_AUTO_LISTED,
	FISC_AUTO_ALL,
};

extern u64 fisc_auto_min_bytes;

enum fisc_auto_policy fisc_auto_policy(void);
int fisc_auto_set_policy(enum fisc_auto_policy policy);
bool fisc_auto_uid(kuid_t *uid);
void fisc_auto_set_uid(bool any, kuid_t uid);
int fisc_auto_created(struct pid *pid);
void fisc_auto_exit(void);

#endif /* _FISC_ADOPT_AUTO_H */
