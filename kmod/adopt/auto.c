// SPDX-License-Identifier: GPL-2.0
/*
 * VMs that are adopted without being named one by one. See auto.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/ctype.h>
#include <linux/glob.h>
#include <linux/kobject.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>

#include "../array.h"
#include "../knob.h"
#include "../vm.h"
#include "adoption.h"
#include "auto.h"
#include "shared.h"

#define FISC_AUTO_LOOK	HZ
#define FISC_AUTO_LOOKS	30
/* Of a command line, as much as is read to find a name. */
#define FISC_AUTO_ARGS	4096
#define FISC_AUTO_NAME	64
#define FISC_AUTO_MIN_BYTES	SZ_128M

enum fisc_auto_policy {
	FISC_AUTO_NONE,
	FISC_AUTO_LISTED,
	FISC_AUTO_ALL,
};

static const char * const fisc_auto_policies[] = { "none", "listed", "all" };

/**
 * struct fisc_candidate - a process that may be adopted
 * @node: in fisc_candidates
 * @pid: the process, held
 * @looks: how often it has been looked at
 * @told: KVM says that it has a VM, though its file may be on its way still
 */
struct fisc_candidate {
	struct list_head node;
	struct pid *pid;
	unsigned int looks;
	bool told;
};

static DEFINE_MUTEX(fisc_auto_mutex);
static LIST_HEAD(fisc_candidates);
static enum fisc_auto_policy fisc_auto_policy;
/* Patterns, one a line; NULL if there are none. */
static char *fisc_auto_names;
static u64 fisc_auto_min_bytes = FISC_AUTO_MIN_BYTES;
static bool fisc_auto_any_uid = true;
static kuid_t fisc_auto_uid;
static struct kobject *fisc_auto_kobj;

static void fisc_auto_look(struct work_struct *work);
static DECLARE_DELAYED_WORK(fisc_auto_work, fisc_auto_look);

/* --- names --------------------------------------------------------------------- */

static bool fisc_is_name(const char *name)
{
	if (!*name || *name == '.')
		return false;
	for (; *name; name++)
		if (!isalnum(*name) && !strchr(".-_:", *name))
			return false;

	return true;
}

/* QEMU's "[guest=]NAME[,OPTION=VALUE]..." */
static bool fisc_name_of_option(char *option, char *name)
{
	char *word;

	while ((word = strsep(&option, ","))) {
		const char *value = word;

		if (str_has_prefix(word, "guest="))
			value = word + strlen("guest=");
		else if (strchr(word, '='))
			continue;
		return strscpy(name, value, FISC_AUTO_NAME) > 0 &&
		       fisc_is_name(name);
	}

	return false;
}

/* The VM's name, if the process was told one. */
static bool fisc_name_of_task(struct task_struct *task, char *name)
{
	char *args __free(kfree) = kzalloc(FISC_AUTO_ARGS, GFP_KERNEL);
	struct mm_struct *mm = args ? get_task_mm(task) : NULL;
	unsigned long start, end;
	const char *arg;
	int len;

	if (!mm)
		return false;
	spin_lock(&mm->arg_lock);
	start = mm->arg_start;
	end = mm->arg_end;
	spin_unlock(&mm->arg_lock);
	mmput(mm);
	if (end <= start)
		return false;
	/* The last byte stays 0. */
	len = access_process_vm(task, start, args,
				min(end - start, FISC_AUTO_ARGS - 1UL),
				FOLL_FORCE);
	for (arg = args; arg < args + len; arg += strlen(arg) + 1) {
		const char *option = arg + strlen(arg) + 1;

		if ((!strcmp(arg, "-name") || !strcmp(arg, "--name")) &&
		    option < args + len)
			return fisc_name_of_option((char *)option, name);
	}

	return false;
}

static bool fisc_name_is_listed(const char *name)
{
	const char *at = fisc_auto_names;

	while (at && *at) {
		const char *end = strchrnul(at, '\n');
		char pattern[FISC_AUTO_NAME] = "";

		memcpy(pattern, at, end - at);
		if (glob_match(pattern, name))
			return true;
		at = *end ? end + 1 : end;
	}

	return false;
}

/* --- candidates ------------------------------------------------------------------ */

static int fisc_memslot_bytes(void *arg, int as_id,
			      const struct kvm_memory_slot *memslot)
{
	u64 *bytes = arg;

	/* SMM's slots are the same memory again. */
	if (!as_id)
		*bytes += (u64)memslot->npages << PAGE_SHIFT;

	return 0;
}

static bool fisc_auto_is_owner(struct task_struct *task)
{
	return fisc_auto_any_uid || uid_eq(task_euid(task), fisc_auto_uid);
}

/* Return: 0 if it was adopted, -EAGAIN if it may be later, or why it is not. */
static int fisc_auto_try(struct pid *pid, struct task_struct *task)
{
	char name[FISC_AUTO_NAME], by_pid[FISC_AUTO_NAME];
	u64 bytes = 0;
	bool named;
	int err;

	if (!fisc_auto_is_owner(task))
		return -EPERM;
	err = fisc_kvm_each_memslot(task, fisc_memslot_bytes, &bytes);
	if (err)
		return err;
	if (bytes < fisc_auto_min_bytes)
		return -EAGAIN;
	fisc_adopt_name(pid, by_pid, sizeof(by_pid));
	named = fisc_name_of_task(task, name);
	if (fisc_auto_policy == FISC_AUTO_LISTED &&
	    !fisc_name_is_listed(named ? name : by_pid))
		return -ENOENT;
	err = named ? fisc_adopt_start(pid, task, name) : -EEXIST;
	if (err == -EEXIST)
		err = fisc_adopt_start(pid, task, by_pid);
	if (err && err != -EALREADY)
		pr_warn_ratelimited("process %d cannot be adopted (%pe): write its pid and a name to /sys/kernel/fisc/adopt to try again\n",
				    task_tgid_nr(task), ERR_PTR(err));

	return err;
}

static void fisc_candidate_free(struct fisc_candidate *candidate)
{
	list_del(&candidate->node);
	put_pid(candidate->pid);
	kfree(candidate);
}

static void fisc_candidates_free(void)
{
	struct fisc_candidate *candidate, *next;

	list_for_each_entry_safe(candidate, next, &fisc_candidates, node)
		fisc_candidate_free(candidate);
}

static void fisc_auto_look(struct work_struct *work)
{
	struct fisc_candidate *candidate, *next;

	guard(mutex)(&fisc_auto_mutex);
	list_for_each_entry_safe(candidate, next, &fisc_candidates, node) {
		struct task_struct *task = get_pid_task(candidate->pid,
							PIDTYPE_TGID);
		int err = task ? fisc_auto_try(candidate->pid, task) : -ESRCH;

		if (task)
			put_task_struct(task);
		if (err == -ENODEV && candidate->told)
			err = -EAGAIN;
		if (err != -EAGAIN || ++candidate->looks == FISC_AUTO_LOOKS)
			fisc_candidate_free(candidate);
	}
	if (!list_empty(&fisc_candidates))
		schedule_delayed_work(&fisc_auto_work, FISC_AUTO_LOOK);
}

/* Takes over the reference on @pid. fisc_auto_mutex held. */
static int fisc_candidate_add(struct pid *pid, bool told)
{
	struct fisc_candidate *candidate = kzalloc(sizeof(*candidate),
						   GFP_KERNEL);

	if (!candidate) {
		put_pid(pid);
		return -ENOMEM;
	}
	candidate->pid = pid;
	candidate->told = told;
	list_add_tail(&candidate->node, &fisc_candidates);
	mod_delayed_work(system_wq, &fisc_auto_work, 0);

	return 0;
}

struct fisc_pids {
	struct pid **pids;
	unsigned int nr;
	unsigned int room;
};

/* All processes there are, held. Return: false if there were more than room. */
static bool fisc_pids_collect(struct fisc_pids *list)
{
	struct task_struct *task;

	guard(rcu)();
	for_each_process(task) {
		if (task->flags & PF_KTHREAD)
			continue;
		if (list->nr == list->room)
			return false;
		list->pids[list->nr++] = get_task_pid(task, PIDTYPE_TGID);
	}

	return true;
}

static void fisc_pids_put(struct fisc_pids *list)
{
	while (list->nr)
		put_pid(list->pids[--list->nr]);
}

/* fisc_auto_mutex held. */
static int fisc_candidates_collect(void)
{
	struct fisc_pids list = {};
	int err = 0;

	do {
		void *pids;

		fisc_pids_put(&list);
		pids = fisc_array_grow(list.pids, list.room, &list.room,
				       sizeof(*list.pids));
		if (!pids) {
			err = -ENOMEM;
			break;
		}
		list.pids = pids;
	} while (!fisc_pids_collect(&list));
	while (list.nr && !err)
		err = fisc_candidate_add(list.pids[--list.nr], false);
	fisc_pids_put(&list);
	kvfree(list.pids);

	return err;
}

/* --- settings -------------------------------------------------------------------- */

static ssize_t policy_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%s\n", fisc_auto_policies[READ_ONCE(fisc_auto_policy)]);
}

static ssize_t policy_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	int policy = sysfs_match_string(fisc_auto_policies, buf);
	int err = 0;

	if (policy < 0)
		return policy;
	guard(mutex)(&fisc_auto_mutex);
	fisc_candidates_free();
	WRITE_ONCE(fisc_auto_policy, policy);
	if (policy != FISC_AUTO_NONE)
		err = fisc_candidates_collect();

	return err ?: count;
}

static ssize_t names_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	guard(mutex)(&fisc_auto_mutex);

	return sysfs_emit(buf, "%s\n", fisc_auto_names ?: "");
}

/* Words become lines. */
static ssize_t names_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t count)
{
	char *copy __free(kfree) = kstrndup(buf, count, GFP_KERNEL);
	char *names __free(kfree) = kzalloc(count + 1, GFP_KERNEL);
	char *rest = copy, *word;
	size_t len = 0;

	if (!copy || !names)
		return -ENOMEM;
	while ((word = strsep(&rest, " \t\n"))) {
		if (strlen(word) >= FISC_AUTO_NAME)
			return -ENAMETOOLONG;
		if (*word)
			len += sprintf(names + len, "%s%s", len ? "\n" : "",
				       word);
	}
	if (len + 1 >= PAGE_SIZE)
		return -E2BIG;
	guard(mutex)(&fisc_auto_mutex);
	swap(fisc_auto_names, names);

	return count;
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
	guard(mutex)(&fisc_auto_mutex);
	if (fisc_auto_any_uid)
		return sysfs_emit(buf, "any\n");

	return sysfs_emit(buf, "%u\n",
			  from_kuid_munged(&init_user_ns, fisc_auto_uid));
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
	guard(mutex)(&fisc_auto_mutex);
	fisc_auto_any_uid = any;
	fisc_auto_uid = uid;

	return count;
}

/* A process has made a VM: what KVM says is the thread that did. */
static ssize_t created_store(struct kobject *kobj, struct kobj_attribute *attr,
			     const char *buf, size_t count)
{
	struct task_struct *task;
	struct pid *pid;
	int nr, err = 0;

	if (kstrtoint(buf, 10, &nr) || nr <= 0)
		return -EINVAL;
	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return -ESRCH;
	pid = get_task_pid(task, PIDTYPE_TGID);
	put_task_struct(task);

	guard(mutex)(&fisc_auto_mutex);
	if (fisc_auto_policy == FISC_AUTO_NONE)
		put_pid(pid);
	else
		err = fisc_candidate_add(pid, true);

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
	FISC_KNOB(shared, &fisc_shared_wanted, 0, 1);

static struct attribute *fisc_auto_attrs[] = {
	&policy_attr.attr,
	&names_attr.attr,
	&min_bytes_attr.attr,
	&uid_attr.attr,
	&created_attr.attr,
	&release_all_attr.attr,
	&fisc_shared_knob.attr.attr,
	NULL,
};

static const struct attribute_group fisc_auto_group = {
	.attrs = fisc_auto_attrs,
};

/**
 * fisc_auto_init() - nothing is adopted by itself
 * @parent: /sys/kernel/fisc
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_auto_init(struct kobject *parent)
{
	int err;

	fisc_auto_kobj = kobject_create_and_add("adoption", parent);
	if (!fisc_auto_kobj)
		return -ENOMEM;
	err = sysfs_create_group(fisc_auto_kobj, &fisc_auto_group);
	if (err)
		fisc_auto_exit();

	return err;
}

/**
 * fisc_auto_exit() - undo fisc_auto_init()
 *
 * Context: may sleep.
 */
void fisc_auto_exit(void)
{
	/* No file is open, or will be. */
	kobject_put(fisc_auto_kobj);
	cancel_delayed_work_sync(&fisc_auto_work);
	fisc_candidates_free();
	kfree(fisc_auto_names);
}
