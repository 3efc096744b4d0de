// SPDX-License-Identifier: GPL-2.0
/*
 * Shares, min, max, admission and targets in sysfs and debugfs.
 */
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>

#include "base/knob.h"
#include "base/poke.h"
#include "share/account.h"
#include "tax/quota.h"
#include "tax/sensitive.h"
#include "tax/sysfs.h"
#include "tax/target.h"
#include "tax/tax.h"
#include "uapi/fisc.h"
#include "vm/knob.h"

static ssize_t fisc_emit_bytes(char *buf, u64 pages)
{
	return sysfs_emit(buf, "%llu\n", pages << PAGE_SHIFT);
}

/* --- module-wide ---------------------------------------------------------- */

static ssize_t capacity_show(struct kobject *kobj, struct kobj_attribute *attr,
			     char *buf)
{
	return fisc_emit_bytes(buf, fisc_quota_capacity());
}

static ssize_t capacity_store(struct kobject *kobj, struct kobj_attribute *attr,
			      const char *buf, size_t count)
{
	u64 pages;
	int err;

	err = fisc_knob_parse_bytes(buf, &pages);
	if (!err)
		err = fisc_quota_set_capacity(pages ?: FISC_PAGES_FOLLOW);

	return err ?: count;
}

static struct kobj_attribute capacity_attr = __ATTR_RW(capacity);

/* A percentage with a setter that may refuse. */
#define FISC_PERCENT_ATTR(_name, _most)					\
static ssize_t _name##_show(struct kobject *kobj,			\
			    struct kobj_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, "%u\n", fisc_quota_##_name());		\
}									\
									\
static ssize_t _name##_store(struct kobject *kobj,			\
			     struct kobj_attribute *attr,		\
			     const char *buf, size_t count)		\
{									\
	unsigned int percent;						\
									\
	if (kstrtouint(buf, 0, &percent) || percent > (_most))		\
		return -EINVAL;						\
									\
	return fisc_quota_set_##_name(percent) ?: count;		\
}									\
static struct kobj_attribute _name##_attr = __ATTR_RW(_name)

FISC_PERCENT_ATTR(min_percent, 100);
FISC_PERCENT_ATTR(reserve_percent, FISC_RESERVE_PERCENT_MAX);

static struct fisc_knob fisc_tax_rate_knob =
	FISC_KNOB_NOTIFY(tax_rate, &fisc_tax_rate, 0, FISC_TAX_RATE_MAX,
			 fisc_policy_poke);

static struct fisc_knob fisc_overcommit_knob =
	FISC_KNOB(overcommit, &fisc_overcommit, 0, 1);

#define FISC_ADMISSION_ATTR(_name, _value)				\
static ssize_t _name##_show(struct kobject *kobj,			\
			    struct kobj_attribute *attr, char *buf)	\
{									\
	struct fisc_admission now;					\
									\
	fisc_quota_admission(&now);					\
									\
	return sysfs_emit(buf, "%llu\n", _value);			\
}									\
static struct kobj_attribute _name##_attr = __ATTR_RO(_name)

FISC_ADMISSION_ATTR(reserved, now.reserved << PAGE_SHIFT);
FISC_ADMISSION_ATTR(promised, now.promised << PAGE_SHIFT);
FISC_ADMISSION_ATTR(missing, now.missing << PAGE_SHIFT);
FISC_ADMISSION_ATTR(refused, now.refused);

static struct attribute *fisc_tax_attrs[] = {
	&fisc_tax_rate_knob.attr.attr,
	&capacity_attr.attr,
	&min_percent_attr.attr,
	&reserve_percent_attr.attr,
	&reserved_attr.attr,
	&fisc_overcommit_knob.attr.attr,
	&promised_attr.attr,
	&missing_attr.attr,
	&refused_attr.attr,
	NULL,
};

const struct attribute_group fisc_tax_group = {
	.name = "tax",
	.attrs = fisc_tax_attrs,
};

/* --- per VM --------------------------------------------------------------- */

static ssize_t min_show(struct kobject *kobj, struct kobj_attribute *attr,
			char *buf)
{
	struct fisc_claim claim;

	fisc_quota_claim(to_fisc_vm(kobj), &claim);

	return fisc_emit_bytes(buf, claim.min);
}

static ssize_t min_store(struct kobject *kobj, struct kobj_attribute *attr,
			 const char *buf, size_t count)
{
	u64 pages = FISC_PAGES_FOLLOW;
	int err;

	if (!sysfs_streq(buf, "") && fisc_knob_parse_bytes(buf, &pages))
		return -EINVAL;
	err = fisc_quota_set_min(to_fisc_vm(kobj), pages);

	return err ?: count;
}

static struct kobj_attribute min_attr = __ATTR_RW(min);

static ssize_t max_show(struct kobject *kobj, struct kobj_attribute *attr,
			char *buf)
{
	struct fisc_claim claim;

	fisc_quota_claim(to_fisc_vm(kobj), &claim);

	return fisc_emit_bytes(buf, claim.max);
}

/* 0 also means the size of the files. */
static ssize_t max_store(struct kobject *kobj, struct kobj_attribute *attr,
			 const char *buf, size_t count)
{
	u64 pages = 0;
	int err;

	if (!sysfs_streq(buf, "") && fisc_knob_parse_bytes(buf, &pages))
		return -EINVAL;
	err = fisc_quota_set_max(to_fisc_vm(kobj), pages ?: FISC_PAGES_FOLLOW);

	return err ?: count;
}

static struct kobj_attribute max_attr = __ATTR_RW(max);

static const struct {
	const char *name;
	unsigned int shares;
} fisc_shares_levels[] = {
	{ "low", FISC_SHARES_LOW },
	{ "normal", FISC_SHARES_NORMAL },
	{ "high", FISC_SHARES_HIGH },
};

static ssize_t shares_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	bool per_mib;
	unsigned int shares = fisc_quota_shares(to_fisc_vm(kobj), &per_mib);
	unsigned int i;

	for (i = 0; per_mib && i < ARRAY_SIZE(fisc_shares_levels); i++)
		if (shares == fisc_shares_levels[i].shares)
			return sysfs_emit(buf, "%s\n",
					  fisc_shares_levels[i].name);

	return sysfs_emit(buf, "%u\n", shares);
}

static ssize_t shares_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	unsigned int i, shares = 0;

	for (i = 0; i < ARRAY_SIZE(fisc_shares_levels); i++)
		if (sysfs_streq(buf, fisc_shares_levels[i].name))
			break;
	if (i < ARRAY_SIZE(fisc_shares_levels))
		shares = fisc_shares_levels[i].shares;
	else if (kstrtouint(buf, 0, &shares) || !shares ||
		 shares > FISC_SHARES_MAX)
		return -EINVAL;
	fisc_quota_set_shares(to_fisc_vm(kobj), shares,
			      i < ARRAY_SIZE(fisc_shares_levels));

	return count;
}

static struct kobj_attribute shares_attr = __ATTR_RW(shares);

static ssize_t latency_sensitive_show(struct kobject *kobj,
				      struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  fisc_vm_is_sensitive(to_fisc_vm(kobj)));
}

static ssize_t latency_sensitive_store(struct kobject *kobj,
				       struct kobj_attribute *attr,
				       const char *buf, size_t count)
{
	unsigned int sensitive;
	int err;

	if (kstrtouint(buf, 0, &sensitive) || sensitive > 1)
		return -EINVAL;
	err = fisc_sensitive_set(to_fisc_vm(kobj), sensitive);

	return err ?: count;
}

static struct kobj_attribute latency_sensitive_attr =
	__ATTR_RW(latency_sensitive);

static struct fisc_vm_knob fisc_tax_vm_knob =
	FISC_VM_KNOB(tax_rate, quota, struct fisc_quota, tax_rate,
		     &fisc_tax_rate, 0, FISC_TAX_RATE_MAX, fisc_policy_poke);

static ssize_t target_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return fisc_emit_bytes(buf, fisc_quota_target(to_fisc_vm(kobj)));
}

static struct kobj_attribute target_attr = __ATTR_RO(target);

static ssize_t allocated_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	return fisc_emit_bytes(buf, fisc_vm_allocated(to_fisc_vm(kobj)));
}

static struct kobj_attribute allocated_attr = __ATTR_RO(allocated);

static ssize_t rho_show(struct kobject *kobj, struct kobj_attribute *attr,
			char *buf)
{
	struct fisc_vm *vm = to_fisc_vm(kobj);
	struct fisc_claim claim;
	u64 rho;

	fisc_target_claim(vm, &claim);
	rho = fisc_tax_rho(&claim, fisc_vm_allocated(vm));
	if (rho == U64_MAX)
		return sysfs_emit(buf, "inf\n");

	return sysfs_emit(buf, "%llu.%06llu\n", rho >> 32,
			  ((rho & U32_MAX) * 1000000) >> 32);
}

static struct kobj_attribute rho_attr = __ATTR_RO(rho);

static struct attribute *fisc_tax_vm_attrs[] = {
	&min_attr.attr,
	&max_attr.attr,
	&shares_attr.attr,
	&latency_sensitive_attr.attr,
	&fisc_tax_vm_knob.attr.attr,
	&target_attr.attr,
	&allocated_attr.attr,
	&rho_attr.attr,
	NULL,
};

const struct attribute_group fisc_tax_vm_group = {
	.attrs = fisc_tax_vm_attrs,
};

/* --- debugfs -------------------------------------------------------------- */

/**
 * fisc_tax_stats_show() - print statistics about targets to debugfs
 * @m: the file
 * @v: unused
 *
 * Context: may sleep.
 * Return: 0.
 */
int fisc_tax_stats_show(struct seq_file *m, void *v)
{
	struct fisc_admission admission;
	struct fisc_target_stats stats;

	fisc_target_get_stats(&stats);
	fisc_quota_admission(&admission);
	seq_printf(m, "runs: %llu\n", stats.runs);
	seq_printf(m, "cpu_us: %llu\n", div_u64(stats.ns, NSEC_PER_USEC));
	seq_printf(m, "capacity: %llu\n", fisc_quota_capacity() << PAGE_SHIFT);
	seq_printf(m, "reserved: %llu\n", admission.reserved << PAGE_SHIFT);
	seq_printf(m, "pool: %llu\n", stats.pool << PAGE_SHIFT);

	return 0;
}
