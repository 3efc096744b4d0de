// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers in sysfs.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "knob.h"
#include "policy.h"
#include "vm.h"

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

static unsigned int *fisc_vm_knob_own(struct kobject *kobj,
				      const struct fisc_vm_knob *knob)
{
	return (void *)to_fisc_vm(kobj) + knob->offset;
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
	fisc_policy_poke();

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
