/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_POLICY_H
#define _FISC_POLICY_H

/**
 * DOC: Policy
 *
 * One piece of work does what has its time: it ends and begins the VMs' samples,
 * and says how much memory each VM should have. It runs once a second while there are
 * VMs (or earlier, if a period is shorter), and at once when it is poked: because
 * a VM has come or gone, a file has another size, or somebody has turned a knob.
 * Targets are computed when a sample is complete, and when the work was poked,
 * which the end of a state of memory does, too (DOC: Reclaim). Balloons follow each
 * time.
 */

int fisc_policy_start(void);

#endif /* _FISC_POLICY_H */
