/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_PAGER_H
#define _FISC_RECLAIM_PAGER_H

#include <linux/types.h>

/**
 * DOC: Pagers
 *
 * Each node that has CPUs has a *pager*, which takes pages from VMs and runs on
 * the node's CPUs, so that what it reads and writes is near, and a host with
 * several nodes pages out on as many CPUs. In every turn, the reclaim thread
 * decides what is wanted of each VM, gives each to one pager, lets them work
 * side by side, and waits for all of them. So a VM is paged by one at a time,
 * and what belongs to "the pager" of a VM needs no lock, although it may be
 * another in the next turn.
 *
 * A VM is given to the pager of the node of one of its chunks, chosen at
 * random. So one that has all its memory on a node is always paged there, and
 * one that has some on each node by all, in proportion.
 *
 * How much is wanted, and how much may be taken before memory is looked at
 * again, is common to all pagers (reclaim/watch.c).
 *
 * Pagers are work items: a workqueue has threads for each node, and one in
 * reserve if memory is so short that none can be made. On a host with one node
 * the reclaim thread is the pager.
 */

/* The knob: when an unused page counts as cold, in ms. */
extern unsigned int fisc_reclaim_cold_ms;

unsigned int fisc_pagers_patience(void);
u64 fisc_pagers_turn(u64 excess);
void fisc_pagers_settle(unsigned long timeout);
void fisc_pagers_rest(void);
s64 fisc_pager_total(int nid);
int fisc_pagers_init(void);
void fisc_pagers_exit(void);

#endif /* _FISC_RECLAIM_PAGER_H */
