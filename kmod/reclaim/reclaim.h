/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_RECLAIM_H
#define _FISC_RECLAIM_RECLAIM_H

#include <linux/types.h>

/**
 * DOC: Reclaim
 *
 * A single thread watches free memory, both of the pool that VMs share and of
 * the host, and does what the *state* asks for (enum fisc_reclaim_state). The
 * scarcer of the two determines the state. Free memory of the pool is the
 * capacity minus all frames and the module's own memory; free memory of the
 * host is what the kernel could provide without swapping, plus what it only has
 * to drop from its swap cache (fisc_host_available()).
 * A state begins when free memory falls below a percentage, and ends only when
 * slightly more is free (fisc_levels_leave()), so that states do not flicker.
 *
 * The tax decides which VMs give memory: each gives in proportion to what it
 * has above its target (DOC: Targets). When a state begins, the targets are
 * recomputed.
 *
 * - From *clear* on, large frames with a duplicate are broken up, the scanner
 *   is faster (fisc_share_under_pressure()), and new memory comes in small
 *   frames.
 * - From *soft* on, balloons follow the targets. A VM is paged if its balloon
 *   is missing, has reached its limit, or is too slow (DOC: Progress). This
 *   goes on until the state is *high* again, or VMs are within their targets.
 *   It also begins if memory rests in *clear* for FISC_CLEAR_MS: that state
 *   costs VMs their large pages.
 * - From *hard* on, every VM above its target is paged (DOC: Host paging).
 * - In *low*, faults that would take memory for a VM above its target wait
 *   until the state ends, the VM is within its target, or a signal kills the
 *   process. They wait without the lock of the address space, so that the rest
 *   of the VMM can go on. So do system calls that write to its files. Whoever
 *   is not of the VMM waits no longer than a tenth of a second: a kernel thread
 *   cannot be killed, and the VMM could not, either, while it waits. A VM that
 *   gives nothing does not wait: it would do so for ever (DOC: Progress).
 *
 * Targets leave enough memory free for the state to be "high": VMs that are
 * within their targets are left alone.
 *
 * A VM above its *max* is paged in every state, as above: by its balloon, if
 * that works, or by the host.
 *
 * *Slices.* What is lacking is not taken in one go. After as many pages as end
 * the current state (FISC_SLICE_MAX at most), the thread looks at memory again:
 * VMs that wait go on as soon as "low" has ended, not when "high" has begun. A
 * turn ends after FISC_TURN_PAGES, so that the next one weighs VMs anew.
 *
 * *Cold pages first.* What counts as too few cold pages is judged by what was
 * found where the thread has looked, not by how much is lacking: a VM has cold
 * pages if one in FISC_COLD_PART of those looked at is cold. Pages in use are
 * taken from a VM only if it has had none for some time, it is above its max or
 * the state is "hard" or "low", and in these states only if no other VM has had
 * any either.
 *
 * The thread runs ten times a second, and as soon as enough has been allocated
 * since its last turn for a state to begin (fisc_reclaim_charge()). What it
 * reads about VMs is published, as is what the policy reads: neither takes a
 * lock that somebody holds while he allocates memory or waits for a guest.
 *
 * *Nodes.* On a host with several nodes, each has a pager, which takes memory
 * from the VMs that have it there (DOC: Pagers). The thread waits for all of
 * them.
 *
 * *The rest of the host* requests memory through a shrinker and, as a last
 * resort, an OOM notifier. Both only tell the thread how much is wanted; the
 * notifier also waits briefly to see whether memory is freed. Neither takes a
 * lock or allocates memory, so they are safe in any allocation that may
 * reclaim. VMs give what they have above their targets, and targets fall with
 * the memory that the host has left.
 */

/* The knob: whether VMs are paged. */
extern unsigned int fisc_reclaim_paging;

u64 fisc_reclaim_excess(void);
int fisc_reclaim_init(void);
void fisc_reclaim_exit(void);

#endif /* _FISC_RECLAIM_RECLAIM_H */
