/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_HINT_H
#define _FISC_HINT_H

#include <linux/types.h>

/**
 * struct fisc_hint - where content of this hash was last seen
 * @hash: the hash
 * @place: region id and page index, packed; 0 if the slot is free
 *
 * Nothing keeps a hint true: the page may have changed, moved or gone.
 */
struct fisc_hint {
	u64 hash;
	u64 place;
};

/**
 * struct fisc_hints - hints by hash
 * @slots: open addressing with linear probing, at most 3/4 full
 * @nr_slots: a power of two
 * @used: slots in use
 *
 * Belongs to one thread; there is no lock.
 */
struct fisc_hints {
	struct fisc_hint *slots;
	unsigned long nr_slots;
	unsigned long used;
};

int fisc_hints_init(struct fisc_hints *hints, unsigned long nr);
void fisc_hints_exit(struct fisc_hints *hints);
u64 fisc_hints_find(const struct fisc_hints *hints, u64 hash);
bool fisc_hints_set(struct fisc_hints *hints, u64 hash, u64 place);
void fisc_hints_del(struct fisc_hints *hints, u64 hash);
bool fisc_hints_full(const struct fisc_hints *hints);

#endif /* _FISC_HINT_H */
