// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers in sysfs.
 */
#include <linux/kernel.h>

#include "knob.h"

ssize_t fisc_knob_show(struct kobject *kobj, struct kobj_attribute *attr,
		       char *buf)
{
	struct fisc_knob *knob = container_of(attr, struct fisc_knob, attr);

	return sysfs_emit(buf, "%u\n", READ_ONCE(*knob->value));
}

/* Set a knob, or refuse and leave it as it was. */
ssize_t fisc_knob_store(struct kobject *kobj, struct kobj_attribute *attr,
			const char *buf, size_t count)
{
	struct fisc_knob *knob = container_of(attr, struct fisc_knob, attr);
	unsigned int value;

	if (kstrtouint(buf, 0, &value) || value < knob->lowest ||
	    value > knob->highest)
		return -EINVAL;

	WRITE_ONCE(*knob->value, value);
	if (knob->changed)
		knob->changed();

	return count;
}
