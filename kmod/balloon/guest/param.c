// SPDX-License-Identifier: GPL-2.0
/*
 * Parameters of the module: numbers within bounds.
 */
#include "balloon/guest/param.h"

static int fisc_guest_param_set(const char *text, const struct kernel_param *kp)
{
	const struct fisc_guest_param *param = kp->arg;

	/* param_set_uint_minmax() writes to where kp->arg points. */
	static_assert(!offsetof(struct fisc_guest_param, value));

	return param_set_uint_minmax(text, kp, param->lowest, param->highest);
}

const struct kernel_param_ops fisc_guest_param_ops = {
	.set = fisc_guest_param_set,
	.get = param_get_uint,
};
