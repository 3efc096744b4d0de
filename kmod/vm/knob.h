/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_VM_KNOB_H
#define _FISC_VM_KNOB_H

#include <linux/kobject.h>
#include <linux/limits.h>
#include <linux/stddef.h>
#include <linux/sysfs.h>

#include "vm/vm.h"

/* The value of a number of a VM that follows the module's. */
#define FISC_FOLLOW	UINT_MAX

/**
 * struct fisc_vm_knob - a number in a VM's directory that a user may set
 * @attr: the file
 * @part: where in struct fisc_vm the pointer to the part is that it belongs to
 * @offset: where in what the part keeps it is; FISC_FOLLOW if it is the module's
 * @module: the module's
 * @lowest: what it may be at least
 * @highest: what it may be at most
 * @changed: called when it was set, or NULL
 */
struct fisc_vm_knob {
	struct kobj_attribute attr;
	size_t part;
	size_t offset;
	const unsigned int *module;
	unsigned int lowest;
	unsigned int highest;
	void (*changed)(void);
};

#define FISC_VM_KNOB(_name, _part, _type, _field, _module, _lowest,	\
		     _highest, _changed) {				\
	.attr = __ATTR(_name, 0644, fisc_vm_knob_show, fisc_vm_knob_store), \
	.part = offsetof(struct fisc_vm, _part),			\
	.offset = offsetof(_type, _field),				\
	.module = _module,						\
	.lowest = _lowest,						\
	.highest = _highest,						\
	.changed = _changed,						\
}

/* What is chosen, or else the module's. */
static inline unsigned int fisc_knob_value(const unsigned int *own,
					   const unsigned int *module)
{
	unsigned int value = READ_ONCE(*own);

	return value == FISC_FOLLOW ? READ_ONCE(*module) : value;
}

ssize_t fisc_vm_knob_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf);
ssize_t fisc_vm_knob_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t count);

#endif /* _FISC_VM_KNOB_H */
