// SPDX-License-Identifier: GPL-2.0
/*
 * When a page is worth reading again. See DOC: Map entries in entry.h.
 */
#include <linux/math.h>
#include <linux/minmax.h>

#include "memory/entry.h"

u16 fisc_epoch;

/**
 * fisc_entry_due() - when shall the scanner read a page that is not clean?
 * @e: its entry
 *
 * Context: any.
 * Return: the epoch; the present one if the page was never hashed.
 */
u16 fisc_entry_due(unsigned long e)
{
	unsigned int level = fisc_entry_level(e);
	unsigned int due;

	if (!level)
		return fisc_entry_stamp(e);

	due = fisc_entry_stamp(e) + (1U << level);

	return level > 2 ? round_up(due, 1U << (level - 2)) : due;
}

/**
 * fisc_entry_written() - a page that was clean is about to be written
 * @e: its entry
 * @epoch: the time
 *
 * Twice the time the page would have been left alone is what it has to rest
 * to start from the beginning. An entry that is not clean is not changed: the
 * scanner has not looked at the page since the last write.
 *
 * Context: any.
 * Return: the entry as it has to be.
 */
unsigned long fisc_entry_written(unsigned long e, u16 epoch)
{
	unsigned int level = fisc_entry_level(e);
	u16 rest = epoch - fisc_entry_stamp(e);

	if (!(e & FISC_ENTRY_CLEAN))
		return e;
	if (rest <= 2U << level)
		level = min(level + 1, (unsigned int)FISC_ENTRY_LEVEL_MAX);
	else
		level = 1;

	return fisc_entry_set_history(e & ~FISC_ENTRY_KNOWN, level, epoch);
}

/**
 * fisc_entry_is_due() - shall the scanner read the page?
 * @e: entry of a private page
 * @epoch: the time
 *
 * Context: any.
 * Return: false if its content is known, or it is to be left alone for now.
 */
bool fisc_entry_is_due(unsigned long e, u16 epoch)
{
	u16 stamp = fisc_entry_stamp(e);

	if (e & FISC_ENTRY_CLEAN)
		return !(e & FISC_ENTRY_HASHED);

	return (u16)(epoch - stamp) >= (u16)(fisc_entry_due(e) - stamp);
}

#ifdef FISC_KUNIT
#include "tests/entry-kunit.h"
#endif
