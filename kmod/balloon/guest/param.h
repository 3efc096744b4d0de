/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BALLOON_GUEST_PARAM_H
#define _FISC_BALLOON_GUEST_PARAM_H

#include <linux/moduleparam.h>

/**
 * struct fisc_guest_param - a module parameter: a number within bounds
 * @value: the number; may change at any time, so read it once
 * @lowest: its smallest value
 * @highest: its largest value
 */
struct fisc_guest_param {
	unsigned int value;
	unsigned int lowest;
	unsigned int highest;
};

extern const struct kernel_param_ops fisc_guest_param_ops;

#endif /* _FISC_BALLOON_GUEST_PARAM_H */
