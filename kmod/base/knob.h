/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_BASE_KNOB_H
#define _FISC_BASE_KNOB_H

#include <linux/kobject.h>
#include <linux/limits.h>
#include <linux/sysfs.h>

/* /sys/kernel/fisc */
extern struct kobject *fisc_kobj;

/**
 * struct fisc_knob - a number in sysfs that a user may set
 * @attr: the file
 * @value: the number; it may change at any time, so readers use READ_ONCE()
 * @lowest: smallest value allowed
 * @highest: largest value allowed
 * @changed: called after the value was set; may be NULL
 */
struct fisc_knob {
	struct kobj_attribute attr;
	unsigned int *value;
	unsigned int lowest;
	unsigned int highest;
	void (*changed)(void);
};

/**
 * FISC_KNOB_NOTIFY() - initialise a knob that reports changes
 * @_name: name of the file
 * @_value: the number, an unsigned int
 * @_lowest: smallest value allowed
 * @_highest: largest value allowed
 * @_changed: called after the value was set
 */
#define FISC_KNOB_NOTIFY(_name, _value, _lowest, _highest, _changed) {	\
	.attr = __ATTR(_name, 0644, fisc_knob_show, fisc_knob_store),	\
	.value = _value,						\
	.lowest = _lowest,						\
	.highest = _highest,						\
	.changed = _changed,						\
}

/**
 * FISC_KNOB() - initialise a knob
 * @_name: name of the file
 * @_value: the number, an unsigned int
 * @_lowest: smallest value allowed
 * @_highest: largest value allowed
 */
#define FISC_KNOB(_name, _value, _lowest, _highest)			\
	FISC_KNOB_NOTIFY(_name, _value, _lowest, _highest, NULL)

int fisc_knob_init(void);
void fisc_knob_exit(void);
int fisc_knob_parse_bytes(const char *buf, u64 *pages);
ssize_t fisc_knob_show(struct kobject *kobj, struct kobj_attribute *attr,
		       char *buf);
ssize_t fisc_knob_store(struct kobject *kobj, struct kobj_attribute *attr,
			const char *buf, size_t count);

#endif /* _FISC_BASE_KNOB_H */
