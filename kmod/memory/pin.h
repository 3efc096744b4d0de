/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_PIN_H
#define _FISC_MEMORY_PIN_H

#include <linux/mm_types.h>

#include "memory/map.h"

/**
 * struct fisc_pins - pages of a process, in the place of a chunk
 * @pages: the pages, pinned or held; NULL elsewhere
 * @left: their number
 * @nid: node of the first of them
 * @pinned: they are pinned (anonymous memory), not held
 * @idle: the last folio seen without references from elsewhere, NULL if none
 */
struct fisc_pins {
	struct page *pages[FISC_CHUNK_PAGES];
	unsigned int left;
	int nid;
	bool pinned;
	struct folio *idle;
};

int fisc_pins_pin(struct fisc_pins *pins, struct mm_struct *mm,
		  unsigned long addr, unsigned int first, unsigned int nr);
int fisc_pins_hold(struct fisc_pins *pins, struct inode *inode, pgoff_t index,
		   unsigned int first, unsigned int nr);
bool fisc_pins_idle(struct fisc_pins *pins, struct page *page);
void fisc_pins_put(struct fisc_pins *pins, unsigned int i);
void fisc_pins_drop(struct fisc_pins *pins);
int fisc_pins_poll(unsigned long start);

#endif /* _FISC_MEMORY_PIN_H */
