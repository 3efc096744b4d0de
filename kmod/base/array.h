/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BASE_ARRAY_H
#define _FISC_BASE_ARRAY_H

#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/slab.h>

/**
 * fisc_array_grow() - have room for one more in an array
 * @array: the array, NULL at first; to be freed by kvfree()
 * @nr: how many are in it
 * @room: for how many there is room; becomes more if need be
 * @size: bytes of each
 *
 * Context: may sleep.
 * Return: the array, perhaps elsewhere; NULL if there is no memory, and @array is as
 * it was.
 */
static inline void *fisc_array_grow(void *array, unsigned int nr,
				    unsigned int *room, size_t size)
{
	unsigned int more = max(2 * *room, 16U);

	if (nr < *room)
		return array;
	array = kvrealloc(array, array_size(more, size), GFP_KERNEL);
	if (array)
		*room = more;

	return array;
}

#endif /* _FISC_BASE_ARRAY_H */
