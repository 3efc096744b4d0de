// SPDX-License-Identifier: GPL-2.0
/*
 * VMs that run are adopted and released. See DOC: Adoption in adopt.h.
 */
#include <linux/dcache.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "../vm.h"
#include "adoption.h"
#include "auto.h"
#include "discard.h"
#include "release.h"

/* How often memslots are looked at for new memory. */
#define FISC_ADOPT_LOOK		HZ

static DEFINE_MUTEX(fisc_adopt_mutex);
static LIST_HEAD(fisc_adoptions);
static DECLARE_WAIT_QUEUE_HEAD(fisc_adopt_wait);

static int fisc_adopt_thread(void *data);

/**
 * fisc_adopt_current() - is this a thread that adopts?
 *
 * Context: any.
 * Return: its adoption, or NULL.
 */
struct fisc_adoption *fisc_adopt_current(void)
{
	if (!(current->flags & PF_KTHREAD) ||
	    kthread_func(current) != fisc_adopt_thread)
		return NULL;

	return kthread_data(current);
}

static void fisc_adoption_free(struct fisc_adoption *adoption)
{
	mutex_lock(&fisc_adopt_mutex);
	list_del(&adoption->node);
	adoption->vm->adoption = NULL;
	mutex_unlock(&fisc_adopt_mutex);

	mmu_notifier_unregister(&adoption->notifier, adoption->mm);
	fisc_rams_free(adoption);
	fisc_adopt_unlink(adoption->dir);
	dput(adoption->dir);
	put_pid(adoption->pid);
	mmdrop(adoption->mm);
	fisc_vm_put(adoption->vm);
	kfree(adoption);
	fisc_adopt_release_fs();
}

static int fisc_adopt_thread(void *data)
{
	struct fisc_adoption *adoption = data;
	int err;

	do {
		if (READ_ONCE(adoption->release)) {
			WRITE_ONCE(adoption->state, FISC_ADOPT_RELEASING);
			err = fisc_adopt_release(adoption);
			WRITE_ONCE(adoption->err, err);
			WRITE_ONCE(adoption->release, false);
			if (!err)
				break;
		}
		err = fisc_adopt_all(adoption);
		WRITE_ONCE(adoption->state, FISC_ADOPT_ADOPTED);
		wait_event_interruptible_timeout(fisc_adopt_wait,
						 READ_ONCE(adoption->release),
						 FISC_ADOPT_LOOK);
	} while (err != -ESRCH);
	fisc_adoption_free(adoption);
	/* Not from here: the module may be gone by then. */
	module_put_and_kthread_exit(0);
}

/* --- what is chosen and shown ------------------------------------------------------ */

static struct fisc_adoption *fisc_adoption_alloc(struct pid *pid,
						 struct task_struct *task,
						 const char *name)
{
	struct fisc_adoption *adoption;
	struct mm_struct *mm;
	int err;

	adoption = kzalloc(sizeof(*adoption), GFP_KERNEL);
	if (!adoption)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&adoption->node);
	INIT_LIST_HEAD(&adoption->rams);
	INIT_LIST_HEAD(&adoption->sources);
	err = fisc_adopt_pin_fs();
	if (err)
		goto err_free;
	mm = get_task_mm(task);
	if (!mm) {
		err = -ESRCH;
		goto err_pin;
	}
	mmgrab(mm);
	adoption->notifier.ops = &fisc_discard_ops;
	err = mmu_notifier_register(&adoption->notifier, mm);
	mmput(mm);
	adoption->mm = mm;
	adoption->pid = get_pid(pid);
	if (err)
		goto err_mm;
	adoption->dir = fisc_adopt_make_dir(name);
	if (IS_ERR(adoption->dir)) {
		err = PTR_ERR(adoption->dir);
		goto err_notifier;
	}
	adoption->vm = fisc_vm_get(d_inode(adoption->dir)->i_private);
	fisc_vmm_set(adoption->vm, pid, mm);

	return adoption;

err_notifier:
	mmu_notifier_unregister(&adoption->notifier, mm);
err_mm:
	put_pid(pid);
	mmdrop(mm);
err_pin:
	fisc_adopt_release_fs();
err_free:
	kfree(adoption);
	return ERR_PTR(err);
}

/* There is a VM of KVM: that is all that is asked. */
static int fisc_adopt_seen(void *arg, int as_id,
			   const struct kvm_memory_slot *memslot)
{
	return 0;
}

static bool fisc_adopt_has(const struct pid *pid)
{
	struct fisc_adoption *adoption;

	list_for_each_entry(adoption, &fisc_adoptions, node)
		if (adoption->pid == pid)
			return true;

	return false;
}

/* Make it known, unless there is one of this process. */
static int fisc_adoption_add(struct fisc_adoption *adoption)
{
	guard(mutex)(&fisc_adopt_mutex);

	if (fisc_adopt_has(adoption->pid))
		return -EALREADY;
	list_add_tail(&adoption->node, &fisc_adoptions);
	adoption->vm->adoption = adoption;

	return 0;
}

/**
 * fisc_adopt_name() - what a VM is called that has no name
 * @pid: its process
 * @name: the name
 * @size: of @name
 *
 * Context: any.
 */
void fisc_adopt_name(struct pid *pid, char *name, size_t size)
{
	snprintf(name, size, "pid-%d", pid_nr(pid));
}

/**
 * fisc_adopt_start() - begin to adopt a VM
 * @pid: its process
 * @task: the same
 * @name: what it is to be called
 *
 * Context: may sleep.
 * Return: 0; -ENODEV if it has no VM of KVM, or the module is on its way out; -EALREADY
 * if it is adopted; -EEXIST, -EACCES for the name; -ESRCH if it has ended; -ENOMEM;
 * -EINTR if a signal is pending.
 */
int fisc_adopt_start(struct pid *pid, struct task_struct *task,
		     const char *name)
{
	struct fisc_adoption *adoption;
	struct task_struct *thread;
	int err;

	err = fisc_kvm_each_memslot(task, fisc_adopt_seen, NULL);
	if (err)
		return err;
	/* For the thread. */
	if (!try_module_get(THIS_MODULE))
		return -ENODEV;
	adoption = fisc_adoption_alloc(pid, task, name);
	err = PTR_ERR_OR_ZERO(adoption);
	if (err)
		goto err_module;
	err = fisc_adoption_add(adoption);
	if (err)
		goto err_free;

	thread = kthread_run(fisc_adopt_thread, adoption, "fisc_adopt/%d",
			     task_tgid_nr(task));
	err = PTR_ERR_OR_ZERO(thread);
	if (!err)
		return 0;

err_free:
	fisc_adoption_free(adoption);
err_module:
	module_put(THIS_MODULE);
	return err;
}

static void fisc_adopt_ask_release(struct fisc_adoption *adoption)
{
	WRITE_ONCE(adoption->release, true);
	wake_up_all(&fisc_adopt_wait);
}

/**
 * fisc_adopt_release_all() - begin to give all VMs their memory back
 *
 * Context: may sleep.
 */
void fisc_adopt_release_all(void)
{
	struct fisc_adoption *adoption;

	guard(mutex)(&fisc_adopt_mutex);
	list_for_each_entry(adoption, &fisc_adoptions, node)
		fisc_adopt_ask_release(adoption);
}

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
	task = get_pid_task(pid, PIDTYPE_TGID);
	err = -ESRCH;
	if (task) {
		fisc_adopt_name(pid, pid_name, sizeof(pid_name));
		name = name ? skip_spaces(name) : pid_name;
		err = fisc_adopt_start(pid, task, name);
		put_task_struct(task);
	}
	put_pid(pid);
	/* A notifier cannot be registered while a signal is pending: after that. */
	if (err == -EINTR)
		err = -ERESTARTNOINTR;

	return err ?: count;
}

static struct kobj_attribute adopt_attr = __ATTR_WO(adopt);

static const char * const fisc_adopt_states[FISC_ADOPT_STATES] = {
	"adopting", "adopted", "releasing",
};

static const char * const fisc_left_names[FISC_NR_LEFT] = {
	"rom", "file", "shared", "locked", "busy", "error",
};

static ssize_t adoption_show(struct kobject *kobj, struct kobj_attribute *attr,
			     char *buf)
{
	const struct fisc_adoption *adoption;
	unsigned int i;
	ssize_t len;

	guard(mutex)(&fisc_adopt_mutex);
	adoption = to_fisc_vm(kobj)->adoption;
	if (!adoption)
		return sysfs_emit(buf, "none\n");
	len = sysfs_emit(buf, "%s %llu of %llu",
			 fisc_adopt_states[READ_ONCE(adoption->state)],
			 READ_ONCE(adoption->adopted), READ_ONCE(adoption->bytes));
	for (i = 0; i < FISC_NR_LEFT; i++)
		if (adoption->left[i])
			len += sysfs_emit_at(buf, len, " %s %llu",
					     fisc_left_names[i], adoption->left[i]);
	if (adoption->err)
		len += sysfs_emit_at(buf, len, " not released %d", adoption->err);

	return len + sysfs_emit_at(buf, len, "\n");
}

static ssize_t adoption_store(struct kobject *kobj, struct kobj_attribute *attr,
			      const char *buf, size_t count)
{
	struct fisc_adoption *adoption;

	if (!sysfs_streq(buf, "release"))
		return -EINVAL;
	guard(mutex)(&fisc_adopt_mutex);
	adoption = to_fisc_vm(kobj)->adoption;
	if (!adoption)
		return -ENODEV;
	fisc_adopt_ask_release(adoption);

	return count;
}

static struct kobj_attribute adoption_attr = __ATTR_RW(adoption);

static struct attribute *fisc_adopt_vm_attrs[] = {
	&adoption_attr.attr,
	NULL,
};

const struct attribute_group fisc_adopt_vm_group = {
	.attrs = fisc_adopt_vm_attrs,
};

static int fisc_adopt_stats_show(struct seq_file *m, void *unused)
{
	const struct fisc_adoption *adoption;
	unsigned int adoptions = 0;

	mutex_lock(&fisc_adopt_mutex);
	list_for_each_entry(adoption, &fisc_adoptions, node)
		adoptions++;
	mutex_unlock(&fisc_adopt_mutex);
	seq_printf(m, "adoptions: %u\n", adoptions);
	fisc_wait_show(m, FISC_WAIT_ADOPT_MAP, "map", FISC_WAIT_BUCKETS);
	fisc_wait_show(m, FISC_WAIT_ADOPT_COPY, "copy", FISC_WAIT_BUCKETS);
	fisc_wait_show(m, FISC_WAIT_RELEASE_MAP, "release", FISC_WAIT_BUCKETS);

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(fisc_adopt_stats);

/**
 * fisc_adopt_init() - make it possible to adopt
 * @parent: /sys/kernel/fisc
 * @debugfs: the module's directory there
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int fisc_adopt_init(struct kobject *parent, struct dentry *debugfs)
{
	int err = fisc_auto_init(parent);

	if (err)
		return err;
	err = sysfs_create_file(parent, &adopt_attr.attr);
	if (err)
		fisc_auto_exit();
	else
		debugfs_create_file("adopt", 0444, debugfs, NULL,
				    &fisc_adopt_stats_fops);

	return err;
}

/**
 * fisc_adopt_exit() - undo fisc_adopt_init(); nothing is adopted
 *
 * Context: may sleep.
 */
void fisc_adopt_exit(void)
{
	fisc_auto_exit();
	fisc_discard_exit();
	fisc_release_exit();
}
