// SPDX-License-Identifier: GPL-2.0
/*
 * A VM's own settings in sysfs. See struct fisc_vm_knob.
 */
#include <linux/kernel.h>
#include <linux/string.h>

#include "vm/knob.h"

/* The VM's own number, a field of the part that the knob belongs to. */
static unsigned int *fisc_vm_knob_own(struct kobject *kobj,
				      const struct fisc_vm_knob *knob)
{
	void **part = (void *)to_fisc_vm(kobj) + knob->part;

	return *part + knob->offset;
}

/**
 * fisc_vm_knob_show() - show the value of a VM's knob
 * @kobj: the VM's directory
 * @attr: the knob's file
 * @buf: the text
 *
 * Shows the module's value if the VM follows it.
 *
 * Context: may sleep; called by sysfs.
 * Return: length of the text.
 */
ssize_t fisc_vm_knob_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	struct fisc_vm_knob *knob = container_of(attr, struct fisc_vm_knob,
						 attr);

	return sysfs_emit(buf, "%u\n",
			  fisc_knob_value(fisc_vm_knob_own(kobj, knob),
					  knob->module));
}

/**
 * fisc_vm_knob_store() - set a VM's knob
 * @kobj: the VM's directory
 * @attr: the knob's file
 * @buf: the number; an empty line makes the VM follow the module again
 * @count: length of @buf
 *
 * Context: may sleep; called by sysfs.
 * Return: @count, or -EINVAL and the knob is unchanged.
 */
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
