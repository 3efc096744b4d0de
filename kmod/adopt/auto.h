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
 * left alone until then. So is one whose VMM maps files of this module: it need
 * not be adopted.
 *
 * A VM that has not run yet may wait for a migration to come in: it stays a
 * candidate for as long as that takes. In a post-copy migration, the VMM asks
 * userfaultfd() to watch its memory just before the VM runs on this host. That
 * fails for memory of a file of ours, at a time when the VM no longer runs on
 * the other one. For the same reason, nothing is adopted while userfaultfd()
 * watches any of the process's memory.
 *
 * *Names.* QEMU is given the VM's name on its command line ("-name web",
 * "-name guest=web,..."). A VM without a name is called after its process,
 * "pid-N"; so is one whose name is taken or contains anything but letters,
 * digits and ".-_:". The user who starts a VMM chooses its arguments: if users
 * must not pass their VMs off as someone else's, the uid filter is what tells
 * them apart.
 *
 * Locks: fisc_auto_mutex protects the settings and the list of candidates. It
 * is not held while a candidate is looked at, as that takes the process's
 * mmap_lock: the candidate is not in the list then, and does not return to it
 * if all candidates have been dropped meanwhile (fisc_auto_era). Its arguments
 * are read without waiting for the process.
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
