/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_KNOB_H
#define _FISC_KNOB_H

#include <linux/kobject.h>
#include <linux/limits.h>
#include <linux/sysfs.h>

/**
 * struct fisc_knob - a number in sysfs that a user may set
 * @attr: the file
 * @value: the number; whoever uses it reads it once
 * @lowest: what it may be at least
 * @highest: what it may be at most
 * @changed: called when it was set, or NULL
 */
struct fisc_knob {
	struct kobj_attribute attr;
	unsigned int *value;
	unsigned int lowest;
	unsigned int highest;
	void (*changed)(void);
};

#define FISC_KNOB_NOTIFY(_name, _value, _lowest, _highest, _changed) {	\
	.attr = __ATTR(_name, 0644, fisc_knob_show, fisc_knob_store),	\
	.value = _value,						\
	.lowest = _lowest,						\
	.highest = _highest,						\
	.changed = _changed,						\
}

#define FISC_KNOB(_name, _value, _lowest, _highest)			\
	FISC_KNOB_NOTIFY(_name, _value, _lowest, _highest, NULL)

/* A number of a VM that is the module's unless one is chosen. */
#define FISC_FOLLOW	UINT_MAX

/**
 * struct fisc_vm_knob - a number in a VM's directory that a user may set
 * @attr: the file
 * @offset: where in struct fisc_vm it is; FISC_FOLLOW if it is the module's
 * @module: the module's
 * @lowest: what it may be at least
 * @highest: what it may be at most
 */
struct fisc_vm_knob {
	struct kobj_attribute attr;
	size_t offset;
	const unsigned int *module;
	unsigned int lowest;
	unsigned int highest;
};

#define FISC_VM_KNOB(_name, _field, _module, _lowest, _highest) {	\
	.attr = __ATTR(_name, 0644, fisc_vm_knob_show, fisc_vm_knob_store), \
	.offset = offsetof(struct fisc_vm, _field),			\
	.module = _module,						\
	.lowest = _lowest,						\
	.highest = _highest,						\
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
int fisc_knob_parse_bytes(const char *buf, u64 *pages);
ssize_t fisc_knob_show(struct kobject *kobj, struct kobj_attribute *attr,
		       char *buf);
ssize_t fisc_knob_store(struct kobject *kobj, struct kobj_attribute *attr,
			const char *buf, size_t count);

#endif /* _FISC_KNOB_H */
