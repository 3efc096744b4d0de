/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_TAX_SENSITIVE_H
#define _FISC_TAX_SENSITIVE_H

#include <linux/types.h>

struct fisc_vm;

/**
 * DOC: Latency-sensitive VMs
 *
 * Nothing is done to a VM that is latency-sensitive which would cost it time
 * later. Its min is its size, so it is never above its target and gives nothing
 * to others: it is not paged, no chunk of it is armed, and a balloon that
 * follows the tax stays empty. Its pages are not unmapped for samples; all of
 * them count as active. It is in no domain (fisc_region_key()), so it is not
 * scanned, its large pages are not broken up for the sake of duplicates, and
 * nothing of it is shared.
 *
 * What was taken of it before is given back when the VM becomes
 * latency-sensitive: shared pages get frames of their own, and pages come back
 * from swap. What became small stays small.
 *
 * This is ESX's "latency sensitivity: high", which requires a full reservation,
 * too.
 *
 * Locks: the VM's inode locks are not needed: admission sees every growth, and
 * pages that are shared or paged out by a visit that began earlier are seen
 * here, since such a visit tests the VM with the chunk's lock held.
 */

int fisc_sensitive_set(struct fisc_vm *vm, bool sensitive);

#endif /* _FISC_TAX_SENSITIVE_H */
