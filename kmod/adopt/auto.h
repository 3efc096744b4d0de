/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_AUTO_H
#define _FISC_ADOPT_AUTO_H

#include <linux/types.h>
#include <linux/uidgid.h>

struct pid;

/**
 * DOC: Automatic adoption
 *
 * Nothing is adopted automatically unless the administrator asks for it in
 * /sys/kernel/fisc/adoption: policy is "none", "listed" (VMs whose name matches
 * a pattern in names) or "all". Two filters apply to both, so that other users
 * of KVM on the host are left alone: uid, the owner of the process, and
 * min_bytes, the least amount of memory in its memslots.
 *
 * *How new VMs are detected.* KVM sends a uevent with the pid; the udev rule
 * that comes with the module (host/60-fisc.rules) writes the pid to "created".
 * VMs that run already are found among all processes when the policy is set.
 *
 * *When the decision is made.* KVM sends the uevent when a VM is created, and
 * the VM has no memory then. So its process starts as a candidate (struct
 * fisc_auto_candidate): it is checked once a second, for half a minute, until
 * it has the amount of memory asked for, or is gone. Setting the policy drops
 * all candidates and starts over with all processes. A VM that was released is
 * left alone until then.
 *
 * *Names.* QEMU is given the VM's name on its command line ("-name web",
 * "-name guest=web,..."). A VM without a name is called after its process,
 * "pid-N"; so is one whose name is taken or contains anything but letters,
 * digits and ".-_:". The user who starts a VMM chooses its arguments: if users
 * must not pass their VMs off as someone else's, the uid filter is what tells
 * them apart.
 *
 * Locks: fisc_auto_mutex protects the settings and the list of candidates. It
 * is held while an adoption is started, so fisc_adopt_mutex,
 * fisc_names_mutex, inode locks and mmap_lock are taken within it.
 */

/**
 * enum fisc_auto_policy - which VMs are adopted automatically
 * @FISC_AUTO_NONE: no VMs
 * @FISC_AUTO_LISTED: VMs whose name matches one of the patterns
 * @FISC_AUTO_ALL: all VMs
 */
enum fisc_auto_policy {
	FISC_AUTO_NONE,
	FISC_AUTO_LISTED,
	FISC_AUTO_ALL,
};

/* Least memory, in bytes, of a VM that is adopted automatically. */
extern u64 fisc_auto_min_bytes;

enum fisc_auto_policy fisc_auto_policy(void);
int fisc_auto_set_policy(enum fisc_auto_policy policy);
bool fisc_auto_uid(kuid_t *uid);
void fisc_auto_set_uid(bool any, kuid_t uid);
int fisc_auto_created(struct pid *pid);
void fisc_auto_exit(void);

#endif /* _FISC_ADOPT_AUTO_H */
