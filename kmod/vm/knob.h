/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_VM_KNOB_H
#define _FISC_VM_KNOB_H

#include <linux/kobject.h>
#include <linux/limits.h>
#include <linux/stddef.h>
#include <linux/sysfs.h>

#include "vm/vm.h"

/* The value of a VM's knob that follows the module's knob. */
#define FISC_FOLLOW	UINT_MAX

/**
 * struct fisc_vm_knob - a number in a VM's directory that a user may set
 * @attr: the file
 * @part: offset in struct fisc_vm of the pointer to the part it belongs to
 * @offset: offset of the number in the part's structure; the number is
 *	FISC_FOLLOW while the VM follows the module
 * @module: the module's number
 * @lowest: minimum
 * @highest: maximum
 * @changed: called after the number was set, or NULL
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

/* A struct fisc_vm_knob for _field of the part _part, a structure _type. */
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

/**
 * fisc_knob_value() - return the value of a VM's knob
 * @own: the VM's number
 * @module: the module's number
 *
 * Context: any.
 * Return: the VM's number, or the module's if the VM follows it.
 */
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
