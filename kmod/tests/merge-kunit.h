/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: a VM that leaves its domain while the scanner breaks a large frame.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/rwsem.h>

#include "tests/unit.h"

#define FISC_TEST_BYTE	0x5a

/**
 * struct fisc_merge_test - two chunks, a large frame in the first
 * @unit: their VM
 * @visit: a visit of the first chunk that is about to break the frame
 * @done: the thread has ended
 * @broken: result of fisc_visit_break()
 */
struct fisc_merge_test {
	struct fisc_unit *unit;
	struct fisc_visit *visit;
	struct completion done;
	bool broken;
};

static int fisc_test_break_thread(void *arg)
{
	struct fisc_merge_test *t = arg;

	t->broken = fisc_visit_break(t->visit);
	kthread_complete_and_exit(&t->done, 0);
}

static void fisc_test_set_domain(struct fisc_vm *vm, u64 domain)
{
	spin_lock(&vm->lock);
	vm->key.domain = domain;
	spin_unlock(&vm->lock);
}

static int fisc_merge_test_init(struct kunit *test)
{
	struct fisc_merge_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	init_completion(&t->done);
	t->visit = kvzalloc(sizeof(*t->visit), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->visit);
	t->unit = fisc_unit_begin(test, "kunit-merge", 2 * FISC_CHUNK_PAGES, 1);
	test->priv = t;

	return 0;
}

static void fisc_merge_test_exit(struct kunit *test)
{
	struct fisc_merge_test *t = test->priv;

	if (!t)
		return;
	fisc_unit_end(t->unit);
	kvfree(t->visit);
}

/* Share a page of the second chunk. Return: the hash of its content. */
static u64 fisc_test_share(struct kunit *test, struct fisc_region *region)
{
	pgoff_t index = FISC_CHUNK_PAGES;
	struct page *page = fisc_unit_write(test, region, index, FISC_TEST_BYTE);
	struct fisc_chunk *chunk = fisc_region_find_chunk(region, index);
	u64 hash = fisc_hash(page, region->key->seed);

	down_write(&chunk->lock);
	fisc_shared_add(page_folio(page), region->key->domain, hash, 1);
	fisc_region_make_shared(region, chunk, index);
	up_write(&chunk->lock);

	return hash;
}

/* Fill the first chunk; its first page equals the one of the given hash. */
static bool fisc_test_prepare(struct kunit *test, u64 hash)
{
	struct fisc_merge_test *t = test->priv;
	struct fisc_region *region = t->unit->region;
	struct fisc_chunk *chunk = fisc_region_make_chunk(region, 0);
	struct fisc_visit *visit = t->visit;
	struct folio *folio;

	KUNIT_ASSERT_NOT_NULL(test, chunk);
	if (fisc_large_fill(region, chunk, NULL))
		return false;
	fisc_unit_write(test, region, 0, FISC_TEST_BYTE);
	chunk->large |= FISC_ENTRY_KNOWN;
	folio = page_folio(fisc_entry_page(chunk->large));
	folio_get(folio);
	visit->region = region;
	visit->chunk = chunk;
	visit->key = *region->key;
	visit->large = folio;
	visit->nr = 1;
	visit->pages[0].page = folio_page(folio, 0);
	visit->pages[0].hash = hash;

	return true;
}

static void frame_is_not_broken_for_a_domain_that_was_left(struct kunit *test)
{
	struct fisc_merge_test *t = test->priv;
	struct fisc_region *region = t->unit->region;
	u64 domain = region->key->domain;
	struct task_struct *thread;
	struct fisc_chunk *chunk;

	if (!fisc_test_prepare(test, fisc_test_share(test, region)))
		kunit_skip(test, "no free block of 2 MiB");
	chunk = t->visit->chunk;
	thread = kthread_create(fisc_test_break_thread, t, "fisc_test");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, thread);
	down_read(&chunk->lock);
	wake_up_process(thread);
	/* It has found the equal, and waits for the lock. */
	while (!rwsem_is_contended(&chunk->lock))
		msleep(20);
	/* The VM leaves, and none of the chunk's pages is shared. */
	fisc_test_set_domain(t->unit->vm, 0);
	up_read(&chunk->lock);
	wait_for_completion(&t->done);
	KUNIT_EXPECT_FALSE(test, t->broken);
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_SHARING), 1);
	fisc_test_set_domain(t->unit->vm, domain);
}

static void frame_is_broken_within_a_domain(struct kunit *test)
{
	struct fisc_merge_test *t = test->priv;
	struct fisc_region *region = t->unit->region;

	if (!fisc_test_prepare(test, fisc_test_share(test, region)))
		kunit_skip(test, "no free block of 2 MiB");
	KUNIT_EXPECT_TRUE(test, fisc_visit_break(t->visit));
	KUNIT_EXPECT_EQ(test, fisc_region_sum(region, FISC_SHARING), 2);
}

static struct kunit_case fisc_merge_cases[] = {
	KUNIT_CASE(frame_is_not_broken_for_a_domain_that_was_left),
	KUNIT_CASE(frame_is_broken_within_a_domain),
	{}
};

static struct kunit_suite fisc_merge_suite = {
	.name = "fisc_merge",
	.init = fisc_merge_test_init,
	.exit = fisc_merge_test_exit,
	.test_cases = fisc_merge_cases,
};

kunit_test_suite(fisc_merge_suite);
