/* SPDX-License-Identifier: GPL-2.0 */
#define OPTIMIZER_HIDE_VAR(var)	((void)(var))
