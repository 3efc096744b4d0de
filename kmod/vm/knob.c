// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers of a VM that a user may set.
 */
#include <linux/kernel.h>
#include <linux/string.h>

#include "vm/knob.h"

static unsigned int *fisc_vm_knob_own(struct kobject *kobj,
				      const struct fisc_vm_knob *knob)
{
	void **part = (void *)to_fisc_vm(kobj) + knob->part;

	return *part + knob->offset;
}

ssize_t fisc_vm_knob_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	struct fisc_vm_knob *knob = container_of(attr, struct fisc_vm_knob,
						 attr);

	return sysfs_emit(buf, "%u\n",
			  fisc_knob_value(fisc_vm_knob_own(kobj, knob),
					  knob->module));
}

/* Set a VM's knob, an empty line: to the module's; or leave it as it was. */
ssize_t fisc_vm_knob_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t count)
{
	struct fisc_vm_knob *knob = container_of(attr, struct fisc_vm_knob,
						 attr);
	unsigned int value = FISC_FOLLOW;

	if (!sysfs_streq(buf, "") &&
	    (kstrtouint(buf, 0, &value) || value < knob->lowest ||
	     value > knob->highest))
		return -EINVAL;

	WRITE_ONCE(*fisc_vm_knob_own(kobj, knob), value);
	if (knob->changed)
		knob->changed();

	return count;
}
