// SPDX-License-Identifier: GPL-2.0
/*
 * Hints: content seen once, and where.
 */
#include <linux/err.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "hint.h"

/* The slot of @hash, or the free one where it would go. */
static unsigned long fisc_hints_slot(const struct fisc_hints *hints, u64 hash)
{
	unsigned long mask = hints->nr_slots - 1;
	unsigned long i = hash & mask;

	while (hints->slots[i].place && hints->slots[i].hash != hash)
		i = (i + 1) & mask;

	return i;
}

/**
 * fisc_hints_init() - make an empty table
 * @hints: the table
 * @nr: number of hints it has to hold
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_hints_init(struct fisc_hints *hints, unsigned long nr)
{
	hints->nr_slots = roundup_pow_of_two(max(nr + nr / 3 + 1, 256UL));
	hints->used = 0;
	hints->slots = kvcalloc(hints->nr_slots, sizeof(*hints->slots),
				GFP_KERNEL);

	return hints->slots ? 0 : -ENOMEM;
}

/**
 * fisc_hints_exit() - free a table's memory
 * @hints: the table
 *
 * Context: may sleep.
 */
void fisc_hints_exit(struct fisc_hints *hints)
{
	kvfree(hints->slots);
	hints->slots = NULL;
}

/**
 * fisc_hints_find() - where was content of this hash seen?
 * @hints: the table
 * @hash: the hash
 *
 * Return: the place, 0 if nowhere.
 */
u64 fisc_hints_find(const struct fisc_hints *hints, u64 hash)
{
	return hints->slots[fisc_hints_slot(hints, hash)].place;
}

/**
 * fisc_hints_full() - must the table be made anew before one more hint?
 * @hints: the table
 *
 * Return: true if it is 3/4 full.
 */
bool fisc_hints_full(const struct fisc_hints *hints)
{
	return hints->used >= hints->nr_slots / 4 * 3;
}

/**
 * fisc_hints_set() - note where content of this hash is
 * @hints: the table
 * @hash: the hash
 * @place: the place, not 0; takes the place of the one known so far
 *
 * Return: false if the table is full and the hint was dropped.
 */
bool fisc_hints_set(struct fisc_hints *hints, u64 hash, u64 place)
{
	struct fisc_hint *slot = &hints->slots[fisc_hints_slot(hints, hash)];

	if (!slot->place) {
		if (fisc_hints_full(hints))
			return false;
		hints->used++;
	}
	slot->hash = hash;
	slot->place = place;

	return true;
}

/**
 * fisc_hints_del() - forget a hint
 * @hints: the table
 * @hash: its hash; need not be there
 *
 * Moves later hints of the run up, so that no probe stops short of them.
 */
void fisc_hints_del(struct fisc_hints *hints, u64 hash)
{
	unsigned long mask = hints->nr_slots - 1;
	unsigned long free = fisc_hints_slot(hints, hash);
	unsigned long i;

	if (!hints->slots[free].place)
		return;

	for (i = (free + 1) & mask; hints->slots[i].place; i = (i + 1) & mask) {
		unsigned long home = hints->slots[i].hash & mask;

		/* Stays if its home lies cyclically behind the free slot. */
		if (((i - home) & mask) < ((i - free) & mask))
			continue;
		hints->slots[free] = hints->slots[i];
		free = i;
	}
	hints->slots[free].place = 0;
	hints->used--;
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "../tests/hint-kunit.h"
#endif
