// SPDX-License-Identifier: GPL-2.0
/* Taking pages of VMs, node by node. See DOC: Pagers in pager.h. */
#include <linux/container_of.h>
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "base/state.h"
#include "memory/region.h"
#include "memory/write.h"
#include "reclaim/armed.h"
#include "reclaim/pageout.h"
#include "reclaim/pager.h"
#include "reclaim/vms.h"
#include "reclaim/wait.h"
#include "reclaim/watch.h"
#include "uapi/fisc.h"
#include "vm/vm.h"

/* Most pages taken in a turn. */
#define FISC_TURN_PAGES		16384

/* Most chunks visited per VM and turn. */
#define FISC_RECLAIM_TRIES	256

/* Chunks that are armed for each chunk's worth of pages wanted. */
#define FISC_RECLAIM_ARM	4

/* A VM has cold pages if one in this many of those looked at is cold. */
#define FISC_COLD_PART		16

/*
 * How long to wait beyond cold_ms before pages in use are taken, in ms, if
 * there are too few cold ones.
 */
#define FISC_COLD_ENOUGH_MS	500

/**
 * struct fisc_pager - what takes pages on behalf of a node
 * @work: a turn of it
 * @batch: its working memory
 * @busy: it has VMs in this turn
 * @taken: pages taken in this turn
 * @total: pages taken so far
 */
struct fisc_pager {
	struct work_struct work;
	struct fisc_swap_batch *batch;
	bool busy;
	u64 taken;
	u64 total;
};

static struct fisc_pager *fisc_pagers[MAX_NUMNODES];
static struct fisc_pager *fisc_first_pager;
static unsigned int fisc_nr_pagers;
static struct workqueue_struct *fisc_pager_queue;

/* Do not change while pagers work. */
static u64 fisc_turn_excess;		/* excess of all VMs that are paged */
static u64 fisc_turn_want;		/* pages wanted of them */

static unsigned long fisc_cold;		/* when any VM last had cold pages */

unsigned int fisc_reclaim_cold_ms = FISC_COLD_MS_DEFAULT;

/* --- choosing pages ------------------------------------------------------- */

/**
 * fisc_pagers_patience() - return for how long a VM's pages are looked at
 *
 * That long a VM must have had no cold pages before others are taken.
 *
 * Context: any.
 * Return: the time in ms.
 */
unsigned int fisc_pagers_patience(void)
{
	return READ_ONCE(fisc_reclaim_cold_ms) + FISC_COLD_ENOUGH_MS;
}

/* Account for pages taken of a VM. */
static void fisc_pager_took(struct fisc_vm *vm, u64 pages)
{
	struct fisc_reclaim_vm *known = vm->reclaim;

	known->over -= min(known->over, pages);
	WRITE_ONCE(known->excess, known->excess - min(known->excess, pages));
	if (pages && !known->excess)
		fisc_reclaim_unblock();
	fisc_reclaim_freed(pages);
}

/* Is more wanted of a VM? */
static bool fisc_pager_goes_on(const struct fisc_pager *pager,
			       const struct fisc_vm *vm)
{
	return (fisc_reclaim_wanted() || vm->reclaim->over) &&
	       fisc_swap_room() > 0 && !pager->batch->vm;
}

/*
 * Page out up to @want pages of a chunk, but no more than may be taken before
 * the next look. @region: is put. @any: take pages in use, too. Return: how
 * many went out.
 */
static u64 fisc_pager_chunk(struct fisc_pager *pager, struct fisc_vm *vm,
			    struct fisc_region *region,
			    struct fisc_chunk *chunk, u64 want, bool any)
{
	unsigned int gone;

	gone = fisc_swap_out(pager->batch, region, chunk,
			     min(want, fisc_reclaim_slice()), any);
	fisc_region_put(region);
	fisc_pager_took(vm, gone);
	cond_resched();

	return gone;
}

/* Arm chunks of a VM, so that @want cold pages are found later. */
static void fisc_pager_arm(struct fisc_vm *vm, u64 want)
{
	unsigned int room = fisc_armed_room(vm, want * FISC_RECLAIM_ARM /
					    FISC_CHUNK_PAGES + 1);
	unsigned int tries = FISC_RECLAIM_TRIES;

	while (room && tries--) {
		struct fisc_region *region;
		struct fisc_chunk *chunk;

		region = fisc_vm_random_chunk(vm, &chunk);
		if (!region)
			break;
		if (fisc_armed_arm(vm, region, chunk))
			room--;
		fisc_region_put(region);
		cond_resched();
	}
}

/* Page out up to @want cold pages of a VM. Return: how many went out. */
static u64 fisc_pager_cold(struct fisc_pager *pager, struct fisc_vm *vm,
			   u64 want)
{
	unsigned int cold_ms = READ_ONCE(fisc_reclaim_cold_ms);
	struct fisc_swap_batch *batch = pager->batch;
	struct fisc_reclaim_vm *known = vm->reclaim;
	unsigned int tries = FISC_RECLAIM_TRIES;
	u64 taken = 0;

	batch->looked = 0;
	batch->cold = 0;
	while (taken < want && tries-- && fisc_pager_goes_on(pager, vm)) {
		struct fisc_region *region;
		struct fisc_chunk *chunk;

		region = fisc_armed_first(vm, cold_ms, &chunk);
		if (!region)
			break;
		taken += fisc_pager_chunk(pager, vm, region, chunk,
					  want - taken, false);
	}
	if (!batch->looked)
		return taken;
	known->in_vain += batch->looked;
	if ((u64)batch->cold * FISC_COLD_PART >= batch->looked) {
		known->in_vain = 0;
		known->cold = jiffies;
		WRITE_ONCE(fisc_cold, jiffies);
	}

	return taken;
}

/* May pages in use be taken of a VM, as it has no others? */
static bool fisc_pager_may_take_any(const struct fisc_vm *vm)
{
	unsigned long since = jiffies -
			      msecs_to_jiffies(fisc_pagers_patience());

	if (!vm->reclaim->in_vain || time_before(since, vm->reclaim->cold))
		return false;

	return vm->reclaim->over ||
	       (fisc_reclaim_state() >= FISC_RECLAIM_HARD &&
		time_after(since, READ_ONCE(fisc_cold)));
}

/*
 * Page out up to @want pages at random places of a VM. Return: how many went
 * out.
 */
static u64 fisc_pager_any(struct fisc_pager *pager, struct fisc_vm *vm,
			  u64 want)
{
	unsigned int tries = FISC_RECLAIM_TRIES;
	u64 taken = 0;

	while (taken < want && tries-- && fisc_pager_goes_on(pager, vm) &&
	       fisc_pager_may_take_any(vm)) {
		struct fisc_region *region;
		struct fisc_chunk *chunk;

		region = fisc_vm_random_chunk(vm, &chunk);
		if (!region)
			break;
		taken += fisc_pager_chunk(pager, vm, region, chunk,
					  want - taken, true);
	}

	return taken;
}

/* Page out @want pages of a VM. Return: how many went out. */
static u64 fisc_pager_take(struct fisc_pager *pager, struct fisc_vm *vm,
			   u64 want)
{
	struct fisc_reclaim_vm *known = vm->reclaim;
	u64 taken;

	/* Nothing is known about its pages if it was left alone for long. */
	if (time_after(jiffies, known->paged +
				msecs_to_jiffies(fisc_pagers_patience()))) {
		known->cold = jiffies;
		known->in_vain = 0;
	}
	known->paged = jiffies;

	taken = fisc_pager_cold(pager, vm, want);
	if (taken < want)
		taken += fisc_pager_any(pager, vm, want - taken);
	if (fisc_pager_goes_on(pager, vm))
		fisc_pager_arm(vm, want);

	return taken;
}

/* --- turns ---------------------------------------------------------------- */

static bool fisc_pager_has(const struct fisc_pager *pager,
			   const struct fisc_vm *vm)
{
	return vm->reclaim->reason >= FISC_REASON_PAGING &&
	       (fisc_nr_pagers == 1 || vm->reclaim->pager == pager);
}

/*
 * Page out what is wanted of the VMs of a pager: of each, its part by its
 * excess, and at least what it has above its max.
 */
static void fisc_pager_turn(struct fisc_pager *pager)
{
	struct fisc_vm *vm = NULL;

	pager->taken = 0;
	while ((vm = fisc_vm_after(vm))) {
		u64 over = min_t(u64, vm->reclaim->over, FISC_TURN_PAGES);
		u64 part = 0;

		if (!fisc_pager_has(pager, vm))
			continue;
		if (fisc_turn_want && fisc_reclaim_wanted())
			part = mul_u64_u64_div_u64(fisc_turn_want,
						   vm->reclaim->excess,
						   fisc_turn_excess) + 1;
		if (part || over)
			pager->taken += fisc_pager_take(pager, vm,
							max(part, over));
		cond_resched();
	}
	WRITE_ONCE(pager->total, pager->total + pager->taken);
}

static void fisc_pager_work(struct work_struct *work)
{
	unsigned int flags = memalloc_noreclaim_save();

	fisc_pager_turn(container_of(work, struct fisc_pager, work));
	memalloc_noreclaim_restore(flags);
}

/* Return the pager of the node of one of a VM's chunks, chosen at random. */
static struct fisc_pager *fisc_pager_of(struct fisc_vm *vm)
{
	struct fisc_pager *pager = NULL;
	struct fisc_chunk *chunk;
	struct fisc_region *region = fisc_vm_random_chunk(vm, &chunk);

	if (region) {
		pager = fisc_pagers[chunk->nid];
		fisc_region_put(region);
	}

	return pager ?: fisc_first_pager;
}

/* Divide the VMs that are paged among several pagers. */
static void fisc_pagers_divide(void)
{
	struct fisc_vm *vm = NULL;

	while ((vm = fisc_vm_after(vm))) {
		if (vm->reclaim->reason < FISC_REASON_PAGING)
			continue;
		vm->reclaim->pager = fisc_pager_of(vm);
		vm->reclaim->pager->busy = true;
		cond_resched();
	}
}

/**
 * fisc_pagers_turn() - page out what is wanted of the VMs that are paged
 * @excess: what these have above their targets, in pages
 *
 * Waits for all pagers. With one node, this thread is the pager.
 *
 * Context: may sleep; the reclaim thread.
 * Return: how many pages went out.
 */
u64 fisc_pagers_turn(u64 excess)
{
	struct fisc_pager *pager;
	u64 taken = 0;
	int nid;

	fisc_turn_excess = excess;
	fisc_turn_want = min3(fisc_reclaim_wanted(), excess,
			      (u64)FISC_TURN_PAGES);
	if (fisc_nr_pagers == 1) {
		fisc_pager_turn(fisc_first_pager);
		return fisc_first_pager->taken;
	}

	fisc_pagers_divide();
	for_each_node(nid) {
		pager = fisc_pagers[nid];
		if (pager && pager->busy)
			queue_work_node(nid, fisc_pager_queue, &pager->work);
	}
	for_each_node(nid) {
		pager = fisc_pagers[nid];
		if (!pager || !pager->busy)
			continue;
		flush_work(&pager->work);
		taken += pager->taken;
		pager->busy = false;
	}

	return taken;
}

/**
 * fisc_pagers_settle() - finish what pagers have left on its way
 * @timeout: how long to wait for the paging device at most, in jiffies
 *
 * Context: may sleep; the reclaim thread, or when it has ended.
 */
void fisc_pagers_settle(unsigned long timeout)
{
	int nid;

	for_each_node(nid)
		if (fisc_pagers[nid])
			fisc_swap_settle(fisc_pagers[nid]->batch, timeout);
}

/**
 * fisc_pagers_rest() - note that nothing is wanted of VMs
 *
 * Context: the reclaim thread.
 */
void fisc_pagers_rest(void)
{
	WRITE_ONCE(fisc_cold, jiffies);
}

/**
 * fisc_pager_total() - return how many pages a node's pager has taken
 * @nid: the node
 *
 * Context: any.
 * Return: the number; -ENODEV if the node has no pager.
 */
s64 fisc_pager_total(int nid)
{
	return fisc_pagers[nid] ? READ_ONCE(fisc_pagers[nid]->total) : -ENODEV;
}

/* --- start and stop ------------------------------------------------------- */

static void fisc_pager_free(struct fisc_pager *pager)
{
	if (pager->batch)
		fisc_write_free(&pager->batch->write);
	vfree(pager->batch);
	kfree(pager);
}

static struct fisc_pager *fisc_pager_make(int nid)
{
	struct fisc_pager *pager = kzalloc_node(sizeof(*pager), GFP_KERNEL, nid);

	if (!pager)
		return NULL;
	INIT_WORK(&pager->work, fisc_pager_work);
	pager->batch = vzalloc_node(sizeof(*pager->batch), nid);
	if (!pager->batch || fisc_write_alloc(&pager->batch->write)) {
		fisc_pager_free(pager);
		return NULL;
	}

	return pager;
}

/**
 * fisc_pagers_init() - make a pager for each node that has a CPU
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_pagers_init(void)
{
	int nid;

	/* Not freezable: the reclaim thread is, and waits for its turns. */
	fisc_pager_queue = alloc_workqueue("fisc_pager",
					   WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!fisc_pager_queue)
		return -ENOMEM;
	fisc_nr_pagers = 0;
	for_each_node_state(nid, N_CPU) {
		fisc_pagers[nid] = fisc_pager_make(nid);
		if (!fisc_pagers[nid]) {
			fisc_pagers_exit();
			return -ENOMEM;
		}
		if (!fisc_nr_pagers++)
			fisc_first_pager = fisc_pagers[nid];
	}

	return 0;
}

/**
 * fisc_pagers_exit() - undo fisc_pagers_init()
 *
 * Context: may sleep; the reclaim thread has ended.
 */
void fisc_pagers_exit(void)
{
	int nid;

	fisc_pagers_settle(MAX_SCHEDULE_TIMEOUT);
	destroy_workqueue(fisc_pager_queue);
	for_each_node(nid) {
		if (fisc_pagers[nid])
			fisc_pager_free(fisc_pagers[nid]);
		fisc_pagers[nid] = NULL;
	}
}
