/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/types.h>

static inline u64 mul_u64_u64_div_u64(u64 a, u64 b, u64 c)
{
	return (u128)a * b / c;
}
