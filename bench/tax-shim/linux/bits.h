/* SPDX-License-Identifier: GPL-2.0 */
#define BIT_ULL(nr)	(1ULL << (nr))
