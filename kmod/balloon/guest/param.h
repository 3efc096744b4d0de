/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_PARAM_H
#define _FISC_BALLOON_GUEST_PARAM_H

#include <linux/moduleparam.h>

/**
 * struct fisc_guest_param - a parameter of the module: a number with bounds
 * @value: the number; whoever uses it reads it once
 * @lowest: what it may be at least
 * @highest: what it may be at most
 */
struct fisc_guest_param {
	unsigned int value;
	unsigned int lowest;
	unsigned int highest;
};

extern const struct kernel_param_ops fisc_guest_param_ops;

#endif /* _FISC_BALLOON_GUEST_PARAM_H */
