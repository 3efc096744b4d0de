/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BASE_ARRAY_H
#define _FISC_BASE_ARRAY_H

#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/slab.h>

/**
 * fisc_array_grow() - make room for one more element in an array
 * @array: the array; NULL at first; freed by kvfree()
 * @nr: number of elements in use
 * @room: number of elements there is room for; raised if the array grows
 * @size: size of an element in bytes
 *
 * Context: may sleep.
 * Return: the array, which may have moved; NULL if there is no memory, and then
 * @array is unchanged.
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
