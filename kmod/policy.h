/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_POLICY_H
#define _FISC_POLICY_H

/**
 * DOC: Policy
 *
 * A single work item does all periodic work: it ends and begins the VMs'
 * samples, accounts shared frames, and sets the targets and the balloons. It
 * runs once a second while there are VMs, or earlier if a sampling period is
 * shorter. It runs at once when poked (fisc_policy_poke()): when a VM begins or
 * ends, a file changes its size, a knob changes, or a state of memory ends
 * (DOC: Reclaim). Targets are computed when a sample is complete or the work
 * was poked; balloons follow their targets in every run.
 *
 * Reclaim follows the targets, so the policy must not wait for memory. It never
 * reclaims but may use the last reserves (memalloc_noreclaim_save()), for what
 * it frees at the end of a run and for chunks of the frame map that a sample is
 * the first to look at. The samples themselves, which are kept, do without: if
 * memory is short, a period has none.
 */

int fisc_policy_start(void);

#endif /* _FISC_POLICY_H */
