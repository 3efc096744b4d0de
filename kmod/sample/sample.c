// SPDX-License-Identifier: GPL-2.0
/*
 * Choosing the pages of samples and detecting touches. See DOC: Active memory
 * sampling in sample.h.
 */
#include <linux/bsearch.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "base/trace.h"
#include "kvm/kvm.h"
#include "memory/region.h"
#include "sample/sample.h"
#include "uapi/fisc.h"
#include "vm/knob.h"

/* A sample is not worth the reserves, which the policy may use. */
#define FISC_GFP_SAMPLE		(GFP_KERNEL | __GFP_NOMEMALLOC | __GFP_NOWARN)

unsigned int fisc_sample_pages = FISC_SAMPLE_PAGES_DEFAULT;
unsigned int fisc_sample_period_ms = FISC_SAMPLE_PERIOD_MS_DEFAULT;
unsigned int fisc_sample_slow = FISC_SAMPLE_SLOW_DEFAULT;
unsigned int fisc_sample_fast = FISC_SAMPLE_FAST_DEFAULT;

/* Time spent on choosing pages and unmapping them, in ns. */
static atomic64_t fisc_sample_ns;

static int fisc_sample_cmp(const void *a, const void *b)
{
	const struct fisc_sample_page *x = a, *y = b;

	if (x->region != y->region)
		return x->region < y->region ? -1 : 1;

	return (x->index > y->index) - (x->index < y->index);
}

/* Mark a page touched; a sample may have it several times. Lock held. */
static bool fisc_sample_mark(struct fisc_sampler *sampler,
			     const struct fisc_region *region, pgoff_t index)
{
	struct fisc_sample_page key = { .region = region, .index = index };
	struct fisc_sample_page *end = sampler->pages + sampler->nr;
	struct fisc_sample_page *page;

	page = bsearch(&key, sampler->pages, sampler->nr, sizeof(*page),
		       fisc_sample_cmp);
	if (!page || page->touched)
		return false;
	while (page > sampler->pages && !fisc_sample_cmp(page - 1, &key))
		page--;
	for (; page < end && !fisc_sample_cmp(page, &key); page++) {
		page->touched = true;
		sampler->touched++;
		fisc_count_total(FISC_SAMPLE_TOUCHED, 1);
	}

	return true;
}

/* Is a page of the chunk in the sample and not touched yet? Lock held. */
static bool fisc_sample_waits(const struct fisc_sampler *sampler,
			      const struct fisc_region *region, pgoff_t start)
{
	unsigned int i;

	for (i = 0; i < sampler->nr; i++)
		if (sampler->pages[i].region == region &&
		    sampler->pages[i].index >= start &&
		    sampler->pages[i].index < start + FISC_CHUNK_PAGES &&
		    !sampler->pages[i].touched)
			return true;

	return false;
}

/**
 * __fisc_sample_touch() - note a touch of a page of a sampled chunk
 * @region: the region
 * @chunk: the page's chunk
 * @index: the page
 *
 * Context: @chunk->lock held.
 */
void __fisc_sample_touch(struct fisc_region *region, struct fisc_chunk *chunk,
			 pgoff_t index)
{
	struct fisc_sampler *sampler = region->vm->sampler;

	spin_lock(&sampler->lock);
	if (fisc_sample_mark(sampler, region, index) &&
	    !test_bit(FISC_CHUNK_WATCHED, &chunk->flags))
		fisc_count_total(FISC_SAMPLE_FAULTS, 1);
	if (!fisc_sample_waits(sampler, region, fisc_chunk_start(chunk)))
		clear_bit(FISC_CHUNK_SAMPLED, &chunk->flags);
	spin_unlock(&sampler->lock);
}

/**
 * __fisc_sample_splits() - test whether a watched page could be mapped at large
 * @vmf: a fault that has found its page
 *
 * A concurrent fault that maps 2 MiB here holds the folio lock to do so, and
 * began before the chunk was watched; its mapping is seen here.
 *
 * Context: a page fault; the page's folio locked.
 * Return: true if there is neither a page table nor a mapping.
 */
bool __fisc_sample_splits(struct vm_fault *vmf)
{
	if (pmd_none(READ_ONCE(*vmf->pmd)))
		return true;
	fisc_count_total(FISC_SAMPLE_FAULTS, 1);

	return false;
}

/**
 * fisc_sample_split() - make the kernel map only one page of a large frame
 * @vmf: the fault
 *
 * Where a page table exists, the kernel maps one page instead of 2 MiB, so this
 * allocates one.
 *
 * Context: a page fault; no folio locked, as the thread that pages out waits
 * for these.
 * Return: VM_FAULT_NOPAGE or VM_FAULT_OOM.
 */
vm_fault_t fisc_sample_split(struct vm_fault *vmf)
{
	if (apply_to_page_range(vmf->vma->vm_mm, vmf->address & PAGE_MASK,
				PAGE_SIZE, NULL, NULL))
		return VM_FAULT_OOM;

	return VM_FAULT_NOPAGE;
}

/**
 * fisc_sample_activity() - return how active a VM is
 * @vm: the VM
 * @activity: the result
 *
 * Context: any.
 */
void fisc_sample_activity(struct fisc_vm *vm, struct fisc_activity *activity)
{
	struct fisc_sampler *sampler = vm->sampler;

	spin_lock(&sampler->lock);
	activity->slow = sampler->estimate.slow;
	activity->fast = sampler->estimate.fast;
	activity->active =
		fisc_estimate_active(&sampler->estimate,
				     fisc_fraction(sampler->touched,
						   sampler->nr));
	activity->error = fisc_estimate_error(activity->active, sampler->nr);
	spin_unlock(&sampler->lock);
}

/**
 * fisc_sample_active() - return the estimated active memory of a VM
 * @vm: the VM
 *
 * Context: any.
 * Return: the amount, in pages.
 */
u64 fisc_sample_active(struct fisc_vm *vm)
{
	struct fisc_activity activity;

	fisc_sample_activity(vm, &activity);

	return fisc_fraction_of(fisc_vm_size(vm) >> PAGE_SHIFT, activity.active);
}

/**
 * struct fisc_sample_choice - a sample that is being chosen
 * @pages: the pages chosen
 * @room: number of pages to choose
 * @nr: number of pages chosen so far
 * @total: number of pages of the VM
 * @base: number of pages in the regions already visited
 * @numbers: random numbers below @total, sorted: the pages to choose
 * @next: index of the next element of @numbers to use
 * @watched: numbers of the current region's large chunks that are watched
 * @nr_watched: number of elements of @watched
 */
struct fisc_sample_choice {
	struct fisc_sample_page *pages;
	unsigned int room;
	unsigned int nr;
	u64 total;
	u64 base;
	u64 *numbers;
	unsigned int next;
	u32 *watched;
	unsigned int nr_watched;
};

static int fisc_sample_number_cmp(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int fisc_sample_add_size(struct fisc_region *region, void *arg)
{
	struct fisc_sample_choice *choice = arg;

	choice->total += fisc_region_size_pages(region);

	return 0;
}

/*
 * May the chunk be watched? A hash of its number decides, not the time it
 * became large, since chunks that are touched early are not typical.
 */
static bool fisc_sample_may_watch(const struct fisc_sample_choice *choice,
				  const struct fisc_region *region, u32 nr)
{
	u64 chunks = DIV_ROUND_UP_ULL(choice->total, FISC_CHUNK_PAGES);

	return mul_u64_u32_shr(chunks, hash_64((unsigned long)region + nr, 32),
			       32) < choice->room;
}

static void fisc_sample_find_watched(struct fisc_sample_choice *choice,
				     struct fisc_region *region)
{
	struct fisc_chunk *chunk;
	unsigned long nr;

	choice->nr_watched = 0;
	xa_for_each_marked(&region->chunks, nr, chunk, FISC_MARK_WATCHED) {
		if (choice->nr_watched == choice->room)
			return;
		if (READ_ONCE(chunk->large) &&
		    fisc_sample_may_watch(choice, region, nr))
			choice->watched[choice->nr_watched++] = nr;
	}
}

/*
 * For a page of a large chunk that is not watched: watch the chunk, or choose
 * the same page of a watched chunk instead. Return: the page.
 */
static pgoff_t fisc_sample_watch(struct fisc_sample_choice *choice,
				 struct fisc_region *region,
				 struct fisc_chunk *chunk, pgoff_t index)
{
	pgoff_t start = fisc_chunk_start(chunk);
	u64 since;
	u32 nr;

	if (choice->nr_watched == choice->room ||
	    (choice->nr_watched &&
	     !fisc_sample_may_watch(choice, region, chunk->nr))) {
		nr = choice->watched[get_random_u32_below(choice->nr_watched)];
		return ((pgoff_t)nr << FISC_CHUNK_SHIFT) + (index - start);
	}

	since = fisc_chunk_lock(chunk);
	if (chunk->large) {
		set_bit(FISC_CHUNK_WATCHED, &chunk->flags);
		xa_set_mark(&region->chunks, chunk->nr, FISC_MARK_WATCHED);
		folio_wait_locked(page_folio(fisc_entry_page(chunk->large)));
		fisc_region_unmap(region, start, FISC_CHUNK_PAGES);
		choice->watched[choice->nr_watched++] = chunk->nr;
	}
	fisc_chunk_unlock(chunk, since);

	return index;
}

/* Add the pages of a region that the random numbers select. */
static int fisc_sample_choose(struct fisc_region *region, void *arg)
{
	struct fisc_sample_choice *choice = arg;
	u64 end = choice->base + fisc_region_size_pages(region);

	fisc_sample_find_watched(choice, region);
	while (choice->next < choice->room &&
	       choice->numbers[choice->next] < end) {
		pgoff_t index = choice->numbers[choice->next] - choice->base;
		struct fisc_chunk *chunk;

		chunk = fisc_region_find_chunk(region, index);
		if (chunk && READ_ONCE(chunk->large) &&
		    !test_bit(FISC_CHUNK_WATCHED, &chunk->flags))
			index = fisc_sample_watch(choice, region, chunk, index);
		choice->pages[choice->nr++] = (struct fisc_sample_page) {
			.region = region,
			.index = index,
		};
		choice->next++;
	}
	choice->base = end;

	return 0;
}

/*
 * Unmap a page, so that its next touch is a fault. A page of a chunk that does
 * not exist is not mapped, and its first touch creates the chunk as a sampled
 * one.
 */
static void fisc_sample_unmap(struct fisc_region *region, pgoff_t index)
{
	struct fisc_chunk *chunk = fisc_region_find_chunk(region, index);
	unsigned long e;
	u64 since;

	if (!chunk)
		return;

	since = fisc_chunk_lock(chunk);
	set_bit(FISC_CHUNK_SAMPLED, &chunk->flags);
	e = fisc_chunk_entry(chunk, index);
	if (fisc_entry_has_page(e)) {
		struct folio *folio = page_folio(fisc_entry_page(e));

		folio_wait_locked(folio);
		if (folio_mapped(folio))
			fisc_region_unmap(region, index, 1);
	}
	fisc_chunk_unlock(chunk, since);
}

static int fisc_sample_begin_region(struct fisc_region *region, void *arg)
{
	const struct fisc_sample_choice *choice = arg;
	unsigned int i;

	for (i = 0; i < choice->nr; i++) {
		if (choice->pages[i].region == region)
			fisc_sample_unmap(region, choice->pages[i].index);
		cond_resched();
	}

	return 0;
}

static int fisc_sample_draw(struct fisc_vm *vm,
			    struct fisc_sample_choice *choice)
{
	unsigned int i;

	fisc_vm_each_region(vm, fisc_sample_add_size, choice);
	if (!choice->total)
		return 0;

	choice->pages = kvmalloc_array(choice->room, sizeof(*choice->pages),
				       FISC_GFP_SAMPLE);
	choice->numbers = kvmalloc_array(choice->room, sizeof(u64),
					 FISC_GFP_SAMPLE);
	choice->watched = kvmalloc_array(choice->room, sizeof(u32),
					 FISC_GFP_SAMPLE);
	if (!choice->pages || !choice->numbers || !choice->watched)
		return -ENOMEM;

	for (i = 0; i < choice->room; i++)
		choice->numbers[i] = mul_u64_u64_shr(get_random_u64(),
						     choice->total, 64);
	sort(choice->numbers, choice->room, sizeof(u64), fisc_sample_number_cmp,
	     NULL);

	return fisc_vm_each_region(vm, fisc_sample_choose, choice);
}

/* Pages were chosen in order of their numbers; with one file, that is it. */
static bool fisc_sample_is_sorted(const struct fisc_sample_choice *choice)
{
	unsigned int i;

	for (i = 1; i < choice->nr; i++)
		if (fisc_sample_cmp(&choice->pages[i - 1], &choice->pages[i]) > 0)
			return false;

	return true;
}

/* Choose a sample, and unmap its pages to detect touches. */
static void fisc_sample_begin(struct fisc_vm *vm)
{
	struct fisc_sampler *sampler = vm->sampler;
	struct fisc_sample_choice choice = {
		.room = fisc_knob_value(&sampler->nr_pages,
					&fisc_sample_pages),
	};

	/* If memory is short, this period has no sample. */
	if (fisc_sample_draw(vm, &choice))
		choice.nr = 0;
	if (!fisc_sample_is_sorted(&choice))
		sort(choice.pages, choice.nr, sizeof(*choice.pages),
		     fisc_sample_cmp, NULL);

	spin_lock(&sampler->lock);
	swap(sampler->pages, choice.pages);
	sampler->nr = choice.nr;
	sampler->touched = 0;
	sampler->began = jiffies;
	spin_unlock(&sampler->lock);
	kvfree(choice.pages);
	kvfree(choice.numbers);
	kvfree(choice.watched);

	/* Only this thread replaces the sample, so no lock is needed. */
	choice.pages = sampler->pages;
	fisc_vm_each_region(vm, fisc_sample_begin_region, &choice);
	fisc_count_total(FISC_SAMPLED, choice.nr);
}

/* Trace each page of the sample and whether it was touched. */
static void fisc_sample_trace(struct fisc_vm *vm)
{
	const struct fisc_sampler *sampler = vm->sampler;
	struct fisc_slots *slots = fisc_slots_get(vm);
	unsigned int i, k;

	for (i = 0; i < sampler->nr; i++) {
		const struct fisc_sample_page *page = &sampler->pages[i];
		u64 gfn = U64_MAX;
		bool touched;

		for (k = 0; !IS_ERR(slots) && k < slots->nr; k++)
			if (fisc_slot_gfn(&slots->slots[k], page->region,
					  page->index, &gfn))
				break;
		/* A page that is touched just now may be counted, too. */
		touched = data_race(page->touched);
		rcu_read_lock();
		trace_fisc_sample(fisc_vm_name(vm), page->index, gfn, touched);
		rcu_read_unlock();
	}
	if (!IS_ERR(slots))
		fisc_slots_put(slots);
}

/* End the period: add the sample to the estimate. */
static void fisc_sample_end(struct fisc_vm *vm)
{
	struct fisc_sampler *sampler = vm->sampler;
	struct fisc_activity activity;
	unsigned int touched;

	if (trace_fisc_sample_enabled())
		fisc_sample_trace(vm);

	spin_lock(&sampler->lock);
	touched = sampler->touched;
	fisc_estimate_add(&sampler->estimate,
			  fisc_fraction(touched, sampler->nr),
			  fisc_knob_value(&sampler->slow_percent,
					  &fisc_sample_slow),
			  fisc_knob_value(&sampler->fast_percent,
					  &fisc_sample_fast));
	spin_unlock(&sampler->lock);
	fisc_count_total(FISC_SAMPLE_PERIODS, 1);

	fisc_sample_activity(vm, &activity);
	rcu_read_lock();
	trace_fisc_estimate(fisc_vm_name(vm), touched, sampler->nr,
			    activity.slow, activity.fast, activity.active,
			    activity.error);
	rcu_read_unlock();
}

/*
 * Forget the sample and the estimate. Without one, all of a VM is active. Its
 * pages that are unmapped now come back with their next touch.
 */
static void fisc_sample_drop(struct fisc_sampler *sampler)
{
	spin_lock(&sampler->lock);
	sampler->nr = 0;
	sampler->touched = 0;
	sampler->estimate = (struct fisc_estimate) {};
	spin_unlock(&sampler->lock);
}

/**
 * fisc_sample_turn() - end a VM's period and begin the next, if it is time
 * @vm: the VM
 * @done: set to true if a sample was completed, else false
 *
 * A latency-sensitive VM is not sampled.
 *
 * Context: may sleep; from one thread only.
 * Return: time until the current period ends, in jiffies.
 */
unsigned long fisc_sample_turn(struct fisc_vm *vm, bool *done)
{
	struct fisc_sampler *sampler = vm->sampler;
	unsigned long period = msecs_to_jiffies(fisc_knob_value(&sampler->period_ms,
								  &fisc_sample_period_ms));
	unsigned long passed = jiffies - sampler->began;
	u64 start;

	*done = false;
	if (fisc_vm_is_sensitive(vm)) {
		if (sampler->nr || sampler->estimate.valid)
			fisc_sample_drop(sampler);
		return period;
	}
	if (passed < period)
		return period - passed;

	start = local_clock();
	if (sampler->nr) {
		fisc_sample_end(vm);
		*done = true;
	}
	fisc_sample_begin(vm);
	atomic64_add(local_clock() - start, &fisc_sample_ns);
	if (*done)
		fisc_vm_tell(vm, FISC_NEWS_ACTIVE);

	return period;
}

/**
 * fisc_sample_cpu_ns() - return the time spent on choosing and unmapping pages
 *
 * Context: any.
 * Return: the time, in ns.
 */
u64 fisc_sample_cpu_ns(void)
{
	return atomic64_read(&fisc_sample_ns);
}

/**
 * fisc_sampler_begin() - give a new VM its sampler
 * @vm: the VM
 *
 * Nothing is sampled in the first period, while the VM is being set up.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_sampler_begin(struct fisc_vm *vm)
{
	struct fisc_sampler *sampler = kzalloc(sizeof(*sampler), GFP_KERNEL);

	if (!sampler)
		return -ENOMEM;

	spin_lock_init(&sampler->lock);
	sampler->began = jiffies;
	sampler->nr_pages = FISC_FOLLOW;
	sampler->period_ms = FISC_FOLLOW;
	sampler->slow_percent = FISC_FOLLOW;
	sampler->fast_percent = FISC_FOLLOW;
	vm->sampler = sampler;

	return 0;
}

/**
 * fisc_sampler_end() - undo fisc_sampler_begin()
 * @vm: the VM, which is ending
 *
 * Context: may sleep.
 */
void fisc_sampler_end(struct fisc_vm *vm)
{
	kvfree(vm->sampler->pages);
	kfree(vm->sampler);
}
