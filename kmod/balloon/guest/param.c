// SPDX-License-Identifier: GPL-2.0
/*
 * Parameters of the module.
 */
#include "balloon/guest/param.h"

static int fisc_guest_param_set(const char *text, const struct kernel_param *kp)
{
	const struct fisc_guest_param *param = kp->arg;

	/* It writes where kp->arg points to. */
	static_assert(!offsetof(struct fisc_guest_param, value));

	return param_set_uint_minmax(text, kp, param->lowest, param->highest);
}

const struct kernel_param_ops fisc_guest_param_ops = {
	.set = fisc_guest_param_set,
	.get = param_get_uint,
};
