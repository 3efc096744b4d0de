/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The headers in this folder provide as much of the kernel's headers of the
 * same name as kmod/tax/tax.c needs to be compiled into bench/tax.
 */
#include_next <linux/types.h>

#include <stdbool.h>
#include <stddef.h>

#define u64	__u64
#define u128	unsigned __int128
