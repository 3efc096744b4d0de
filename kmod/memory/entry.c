// SPDX-License-Identifier: GPL-2.0
/* When the scanner reads a page again. See DOC: Map entries in entry.h. */
#include <linux/math.h>
#include <linux/minmax.h>

#include "memory/entry.h"

u16 fisc_epoch;

/**
 * fisc_entry_due() - return when the scanner should read a page
 * @e: entry of a page that is not clean
 *
 * Context: any.
 * Return: the epoch; the entry's stamp if its level is 0.
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
 * fisc_entry_written() - return the entry of a page that is about to be written
 * @e: its entry so far
 * @epoch: the current epoch
 *
 * The level rises, unless the page has rested for more than twice the time for
 * which it would have been left alone: then it starts again at 1. An entry that
 * is not clean stays as it is: the scanner has not looked at the page since the
 * last write.
 *
 * Context: any.
 * Return: the new entry.
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
 * fisc_entry_is_due() - test whether the scanner should read a page
 * @e: entry of a private page
 * @epoch: the current epoch
 *
 * Context: any.
 * Return: false if its hash is known, or if the page is left alone for now.
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
