/* SPDX-License-Identifier: GPL-2.0 */
/*
 * These headers have as much of the kernel's of the same name as kmod/tax/tax.c
 * needs to be a part of bench/tax.
 */
#include_next <linux/types.h>

#include <stdbool.h>
#include <stddef.h>

#define u64	__u64
#define u128	unsigned __int128
