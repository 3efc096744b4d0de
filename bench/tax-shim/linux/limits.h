/* SPDX-License-Identifier: GPL-2.0 */
#include_next <linux/limits.h>

#define U64_MAX	(~0ULL)
