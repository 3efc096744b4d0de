// SPDX-License-Identifier: GPL-2.0
/*
 * Have the kernel put pages on its LRU lists that are on their way there.
 *
 * Each CPU collects pages that are to be added, moved or activated, and has a
 * reference on each until it has 15 or 31 of them. On a CPU that does little
 * else, that can take for ever, and memory with such references is taken to be
 * in use. No function that empties these collections is exported, but releasing
 * a batch of pages does it, too, for the CPU that it is done on.
 */
#include <linux/cpu.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagevec.h>
#include <linux/percpu.h>
#include <linux/workqueue.h>

#include "adopt/drain.h"

static DEFINE_MUTEX(fisc_drain_mutex);
static struct work_struct __percpu *fisc_drain_works;

static void fisc_drain_work(struct work_struct *work)
{
	struct folio *folio = page_folio(ZERO_PAGE(0));
	struct folio_batch batch;

	folio_batch_init(&batch);
	folio_get(folio);
	folio_batch_add(&batch, folio);
	folio_batch_release(&batch);
}

/**
 * fisc_drain_lru() - have pages of all CPUs put on the LRU lists
 *
 * Context: may sleep, until each CPU has had a turn; mmap_lock not held.
 */
void fisc_drain_lru(void)
{
	unsigned int cpu;

	mutex_lock(&fisc_drain_mutex);
	cpus_read_lock();
	for_each_online_cpu(cpu)
		queue_work_on(cpu, system_wq, per_cpu_ptr(fisc_drain_works, cpu));
	for_each_online_cpu(cpu)
		flush_work(per_cpu_ptr(fisc_drain_works, cpu));
	cpus_read_unlock();
	mutex_unlock(&fisc_drain_mutex);
}

/**
 * fisc_drain_init() - prepare for fisc_drain_lru()
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_drain_init(void)
{
	unsigned int cpu;

	fisc_drain_works = alloc_percpu(struct work_struct);
	if (!fisc_drain_works)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		INIT_WORK(per_cpu_ptr(fisc_drain_works, cpu), fisc_drain_work);

	return 0;
}

/**
 * fisc_drain_exit() - undo fisc_drain_init()
 *
 * Context: any; nobody drains any more.
 */
void fisc_drain_exit(void)
{
	free_percpu(fisc_drain_works);
}
