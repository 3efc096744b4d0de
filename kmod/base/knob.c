// SPDX-License-Identifier: GPL-2.0
/* Knobs: numbers in sysfs that a user may set. */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "base/knob.h"

struct kobject *fisc_kobj;

/**
 * fisc_knob_show() - show a knob's value
 * @kobj: its directory
 * @attr: its file, part of a struct fisc_knob
 * @buf: the text
 *
 * Context: may sleep; called by sysfs.
 * Return: length of the text.
 */
ssize_t fisc_knob_show(struct kobject *kobj, struct kobj_attribute *attr,
		       char *buf)
{
	struct fisc_knob *knob = container_of(attr, struct fisc_knob, attr);

	return sysfs_emit(buf, "%u\n", READ_ONCE(*knob->value));
}

/**
 * fisc_knob_store() - set a knob, or leave it unchanged
 * @kobj: its directory
 * @attr: its file, part of a struct fisc_knob
 * @buf: the text
 * @count: its length
 *
 * Context: may sleep; called by sysfs.
 * Return: @count, or -EINVAL if the text is no number or is out of range.
 */
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

/**
 * fisc_knob_parse_bytes() - parse a number of bytes that may have a suffix
 * @buf: the text; the suffixes are those of memparse()
 * @pages: the result in pages, rounded up
 *
 * Context: any.
 * Return: 0, or -EINVAL if the text is no such number.
 */
int fisc_knob_parse_bytes(const char *buf, u64 *pages)
{
	size_t length = strspn(buf, "0123456789");
	unsigned long long number, unit = 1;
	const char *end = buf + length;
	char digits[24];
	u64 bytes;

	if (length >= sizeof(digits))
		return -EINVAL;
	strscpy(digits, buf, length + 1);
	if (kstrtoull(digits, 10, &number))
		return -EINVAL;

	/* memparse() knows the suffixes, but does not detect overflow. */
	if (*end && *end != '\n') {
		char one[] = { '1', *end++, '\0' };

		unit = memparse(one, NULL);
		if (unit == 1)
			return -EINVAL;
	}
	if (!sysfs_streq(end, "") || check_mul_overflow(number, unit, &bytes) ||
	    bytes > S64_MAX)
		return -EINVAL;
	*pages = DIV_ROUND_UP_ULL(bytes, PAGE_SIZE);

	return 0;
}

/**
 * fisc_knob_init() - create /sys/kernel/fisc
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int fisc_knob_init(void)
{
	fisc_kobj = kobject_create_and_add("fisc", kernel_kobj);

	return fisc_kobj ? 0 : -ENOMEM;
}

/**
 * fisc_knob_exit() - remove /sys/kernel/fisc
 *
 * Context: may sleep.
 */
void fisc_knob_exit(void)
{
	kobject_put(fisc_kobj);
}
