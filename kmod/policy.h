/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_POLICY_H
#define _FISC_POLICY_H

/**
 * DOC: Policy
 *
 * A single work item does all periodic work: it ends and begins the VMs'
 * samples, accounts shared frames, and sets the targets and the balloons. It
 * runs once a second while there are VMs, or earlier if a sampling period is
 * shorter. It runs when poked (fisc_policy_poke()): when a VM begins or ends, a
 * file changes its size, a knob changes, or a state of memory ends (DOC:
 * Reclaim). Targets are computed when a sample is complete or the work was
 * poked; balloons follow their targets in every run.
 *
 * A poke takes effect at once, or when the policy has rested from its last run:
 * 19 times as long as that took, but a quarter of a second at most. So with few
 * VMs nobody waits, and with many, no sequence of pokes makes the policy take
 * more than a twentieth of a CPU. A run costs a few hundred ns for each VM, on
 * any number of CPUs (DOC: Counters).
 *
 * Reclaim follows the targets, so the policy must not wait for memory. It never
 * reclaims but may use the last reserves (memalloc_noreclaim_save()), for what
 * it frees at the end of a run. The samples themselves, which are kept, do
 * without: if memory is short, a period has none.
 */

int fisc_policy_start(void);

#endif /* _FISC_POLICY_H */
