// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers in sysfs that a user may set.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "base/knob.h"

struct kobject *fisc_kobj;

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

/**
 * fisc_knob_parse_bytes() - read a number of bytes, perhaps with a suffix
 * @buf: the text
 * @pages: the number, in pages, rounded up
 *
 * Context: any.
 * Return: 0, or -EINVAL if it is none.
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

	/* memparse() knows the suffixes, but not when it is too much. */
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
 * fisc_knob_init() - make /sys/kernel/fisc
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
