// SPDX-License-Identifier: GPL-2.0
/*
 * Adoption in sysfs and debugfs.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/kobject.h>
#include <linux/pid.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/user_namespace.h>

#include "adopt/adopt.h"
#include "adopt/auto.h"
#include "adopt/name.h"
#include "adopt/sysfs.h"
#include "adopt/vma.h"
#include "base/knob.h"
#include "base/stats.h"
#include "kvm/vmm.h"
#include "vm/vm.h"

/* "PID [NAME]" */
static ssize_t adopt_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t count)
{
	char *copy __free(kfree) = kstrndup(buf, count, GFP_KERNEL);
	char *name, *word, pid_name[16];
	struct task_struct *task;
	struct pid *pid;
	int nr, err;

	if (!copy)
		return -ENOMEM;
	name = strim(copy);
	word = strsep(&name, " \t");
	if (kstrtoint(word, 10, &nr) || nr <= 0)
		return -EINVAL;
	pid = find_get_pid(nr);
	task = fisc_vmm_thread(pid);
	err = -ESRCH;
	if (task) {
		fisc_adopt_name(pid, pid_name, sizeof(pid_name));
		name = name ? skip_spaces(name) : pid_name;
		err = fisc_adopt_start(pid, task, name);
		put_task_struct(task);
	}
	put_pid(pid);
	if (err == -EAGAIN)
		pr_info_ratelimited("process %d is not adopted: its VM has not run yet, or userfaultfd watches its memory, as while a migration comes in; try again when the VM runs\n",
				    nr);
	/* No notifier can be registered while a signal is pending: restart. */
	if (err == -EINTR)
		err = -ERESTARTNOINTR;

	return err ?: count;
}

static struct kobj_attribute adopt_attr = __ATTR_WO(adopt);

static struct attribute *fisc_adopt_attrs[] = {
	&adopt_attr.attr,
	NULL,
};

const struct attribute_group fisc_adopt_group = {
	.attrs = fisc_adopt_attrs,
};

/* --- automatic adoption --------------------------------------------------- */

static const char * const fisc_auto_policies[] = {
	[FISC_AUTO_NONE] = "none",
	[FISC_AUTO_LISTED] = "listed",
	[FISC_AUTO_ALL] = "all",
};

static ssize_t policy_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%s\n", fisc_auto_policies[fisc_auto_policy()]);
}

static ssize_t policy_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	int policy = sysfs_match_string(fisc_auto_policies, buf);
	int err;

	if (policy < 0)
		return policy;
	err = fisc_auto_set_policy(policy);

	return err ?: count;
}

static ssize_t names_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	return fisc_names_get(buf);
}

static ssize_t names_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t count)
{
	return fisc_names_set(buf) ?: count;
}

static ssize_t min_bytes_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(fisc_auto_min_bytes));
}

static ssize_t min_bytes_store(struct kobject *kobj,
			       struct kobj_attribute *attr, const char *buf,
			       size_t count)
{
	u64 pages;
	int err = fisc_knob_parse_bytes(buf, &pages);

	if (err)
		return err;
	WRITE_ONCE(fisc_auto_min_bytes, pages << PAGE_SHIFT);

	return count;
}

static ssize_t uid_show(struct kobject *kobj, struct kobj_attribute *attr,
			char *buf)
{
	kuid_t uid;

	if (!fisc_auto_uid(&uid))
		return sysfs_emit(buf, "any\n");

	return sysfs_emit(buf, "%u\n", from_kuid_munged(&init_user_ns, uid));
}

static ssize_t uid_store(struct kobject *kobj, struct kobj_attribute *attr,
			 const char *buf, size_t count)
{
	bool any = sysfs_streq(buf, "any");
	kuid_t uid = INVALID_UID;
	unsigned int nr;

	if (!any) {
		if (kstrtouint(buf, 10, &nr))
			return -EINVAL;
		uid = make_kuid(&init_user_ns, nr);
		if (!uid_valid(uid))
			return -EINVAL;
	}
	fisc_auto_set_uid(any, uid);

	return count;
}

/* A process has created a VM: KVM reports the thread that did. */
static ssize_t created_store(struct kobject *kobj, struct kobj_attribute *attr,
			     const char *buf, size_t count)
{
	struct task_struct *task;
	struct pid *pid;
	int nr, err;

	if (kstrtoint(buf, 10, &nr) || nr <= 0)
		return -EINVAL;
	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return -ESRCH;
	pid = get_task_pid(task, PIDTYPE_TGID);
	put_task_struct(task);

	err = fisc_auto_created(pid);

	return err ?: count;
}

static ssize_t release_all_store(struct kobject *kobj,
				 struct kobj_attribute *attr, const char *buf,
				 size_t count)
{
	bool yes;

	if (kstrtobool(buf, &yes) || !yes)
		return -EINVAL;
	fisc_adopt_release_all();

	return count;
}

static struct kobj_attribute policy_attr = __ATTR_RW(policy);
static struct kobj_attribute names_attr = __ATTR_RW(names);
static struct kobj_attribute min_bytes_attr = __ATTR_RW(min_bytes);
static struct kobj_attribute uid_attr = __ATTR_RW(uid);
static struct kobj_attribute created_attr = __ATTR_WO(created);
static struct kobj_attribute release_all_attr = __ATTR_WO(release_all);

static struct fisc_knob fisc_shared_knob =
	FISC_KNOB(shared, &fisc_adopt_shared, 0, 1);

static struct attribute *fisc_adoption_attrs[] = {
	&policy_attr.attr,
	&names_attr.attr,
	&min_bytes_attr.attr,
	&uid_attr.attr,
	&created_attr.attr,
	&release_all_attr.attr,
	&fisc_shared_knob.attr.attr,
	NULL,
};

const struct attribute_group fisc_adoption_group = {
	.name = "adoption",
	.attrs = fisc_adoption_attrs,
};

/* --- a VM's directory ----------------------------------------------------- */

static const char * const fisc_adopt_states[FISC_ADOPT_STATES] = {
	"adopting", "adopted", "releasing",
};

static const char * const fisc_left_names[FISC_NR_LEFT] = {
	"rom", "file", "shared", "locked", "busy", "memory", "error",
};

static ssize_t adoption_show(struct kobject *kobj, struct kobj_attribute *attr,
			     char *buf)
{
	struct fisc_adopt_report report;
	unsigned int i;
	ssize_t len;

	if (fisc_adopt_get_report(to_fisc_vm(kobj), &report))
		return sysfs_emit(buf, "none\n");
	len = sysfs_emit(buf, "%s %llu of %llu", fisc_adopt_states[report.state],
			 report.adopted, report.bytes);
	for (i = 0; i < FISC_NR_LEFT; i++)
		if (report.left[i])
			len += sysfs_emit_at(buf, len, " %s %llu",
					     fisc_left_names[i], report.left[i]);
	if (report.unmergeable)
		len += sysfs_emit_at(buf, len, " unmergeable %llu",
				     report.unmergeable);
	if (report.err)
		len += sysfs_emit_at(buf, len, " not released %d", report.err);

	return len + sysfs_emit_at(buf, len, "\n");
}

static ssize_t adoption_store(struct kobject *kobj, struct kobj_attribute *attr,
			      const char *buf, size_t count)
{
	if (!sysfs_streq(buf, "release"))
		return -EINVAL;

	return fisc_adopt_release_vm(to_fisc_vm(kobj)) ?: count;
}

static struct kobj_attribute adoption_attr = __ATTR_RW(adoption);

static struct attribute *fisc_adopt_vm_attrs[] = {
	&adoption_attr.attr,
	NULL,
};

const struct attribute_group fisc_adopt_vm_group = {
	.attrs = fisc_adopt_vm_attrs,
};

/**
 * fisc_adopt_stats_show() - print the file "adopt" in debugfs
 * @m: where to print
 * @v: unused
 *
 * Context: may sleep; takes fisc_adopt_mutex.
 * Return: 0.
 */
int fisc_adopt_stats_show(struct seq_file *m, void *v)
{
	seq_printf(m, "adoptions: %u\n", fisc_adopt_count());
	fisc_wait_show(m, FISC_WAIT_ADOPT_MAP, "map", FISC_WAIT_BUCKETS);
	fisc_wait_show(m, FISC_WAIT_ADOPT_COPY, "copy", FISC_WAIT_BUCKETS);
	fisc_wait_show(m, FISC_WAIT_RELEASE_MAP, "release", FISC_WAIT_BUCKETS);

	return 0;
}
