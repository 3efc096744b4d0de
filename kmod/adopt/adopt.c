// SPDX-License-Identifier: GPL-2.0
/*
 * Adopt running VMs and release them. See DOC: Adoption in adopt.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "adopt/adopt.h"
#include "adopt/discard.h"
#include "adopt/ram.h"
#include "adopt/release.h"
#include "adopt/vma.h"
#include "adopt/walk.h"
#include "balloon/balloon.h"
#include "base/state.h"
#include "kvm/kvm.h"
#include "kvm/vmm.h"
#include "vm/vm.h"

/* Interval at which the memslots are checked for new memory. */
#define FISC_ADOPT_LOOK		HZ

static DEFINE_MUTEX(fisc_adopt_mutex);
static LIST_HEAD(fisc_adoptions);
static DECLARE_WAIT_QUEUE_HEAD(fisc_adopt_wait);

static bool fisc_adopt_has(const struct pid *pid)
{
	struct fisc_adoption *adoption;

	list_for_each_entry(adoption, &fisc_adoptions, node)
		if (adoption->pid == pid)
			return true;

	return false;
}

/*
 * Add an adoption to the list, unless the process has one already. Done before
 * anything that a second adoption of the process could be in the way of, such
 * as its name.
 */
static int fisc_adoption_add(struct fisc_adoption *adoption)
{
	guard(mutex)(&fisc_adopt_mutex);

	if (fisc_adopt_has(adoption->pid))
		return -EALREADY;
	list_add_tail(&adoption->node, &fisc_adoptions);

	return 0;
}

static void fisc_adoption_del(struct fisc_adoption *adoption)
{
	guard(mutex)(&fisc_adopt_mutex);
	list_del(&adoption->node);
	if (adoption->vm)
		adoption->vm->adoption = NULL;
}

/**
 * fisc_adopt_begin() - link a new VM to the adoption that it is made for
 * @vm: the VM
 *
 * Done before sysfs shows the VM, as its release may be asked for from then on.
 *
 * Context: may sleep; takes fisc_adopt_mutex.
 * Return: 0.
 */
int fisc_adopt_begin(struct fisc_vm *vm)
{
	struct fisc_adoption *adoption;

	guard(mutex)(&fisc_adopt_mutex);
	list_for_each_entry(adoption, &fisc_adoptions, node) {
		if (READ_ONCE(adoption->starter) == current) {
			vm->adoption = adoption;
			adoption->vm = vm;
		}
	}

	return 0;
}

/**
 * fisc_adopt_end() - undo fisc_adopt_begin()
 * @vm: the VM
 *
 * Context: may sleep; takes fisc_adopt_mutex.
 */
void fisc_adopt_end(struct fisc_vm *vm)
{
	guard(mutex)(&fisc_adopt_mutex);
	if (vm->adoption)
		vm->adoption->vm = NULL;
}

/* Make the VM, with its directory. */
static int fisc_adoption_make_vm(struct fisc_adoption *adoption,
				 const char *name)
{
	struct dentry *dir;

	WRITE_ONCE(adoption->starter, current);
	dir = fisc_adopt_make_dir(name);
	WRITE_ONCE(adoption->starter, NULL);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	adoption->dir = dir;
	fisc_vm_get(d_inode(dir)->i_private);

	return 0;
}

static void fisc_adoption_free(struct fisc_adoption *adoption)
{
	fisc_adoption_del(adoption);
	mmu_notifier_unregister(&adoption->notifier, adoption->mm);
	fisc_rams_free(adoption);
	fisc_adopt_unlink(adoption->dir);
	dput(adoption->dir);
	put_pid(adoption->pid);
	mmdrop(adoption->mm);
	xa_destroy(&adoption->busy);
	fisc_vm_put(adoption->vm);
	kfree(adoption);
	fisc_adopt_release_fs();
}

/* A balloon device goes by whose memory it is. */
static void fisc_adopt_tell_balloon(const struct fisc_adoption *adoption,
				    u64 before)
{
	if (READ_ONCE(adoption->adopted) != before)
		fisc_balloon_look(adoption->mm);
}

/* Return: true if all memory is given back, or none is left. */
static bool fisc_adopt_try_release(struct fisc_adoption *adoption)
{
	int err;

	WRITE_ONCE(adoption->state, FISC_ADOPT_RELEASING);
	err = fisc_adopt_release(adoption);
	fisc_balloon_look(adoption->mm);
	WRITE_ONCE(adoption->err, err);
	WRITE_ONCE(adoption->release, false);

	return !err || err == -ESRCH;
}

/*
 * Memory of a process that has no VM any more is given back unasked, unless the
 * process ends or has a VM again a moment later. If that fails, it is tried
 * again.
 */
static int fisc_adopt_thread(void *data)
{
	struct fisc_adoption *adoption = data;
	unsigned int missed = 0;
	u64 before;

	while (atomic_read(&adoption->mm->mm_users)) {
		if ((missed > 1 || READ_ONCE(adoption->release)) &&
		    fisc_adopt_try_release(adoption))
			break;
		before = adoption->adopted;
		missed = fisc_adopt_all(adoption) ? missed + 1 : 0;
		fisc_adopt_tell_balloon(adoption, before);
		WRITE_ONCE(adoption->state, FISC_ADOPT_ADOPTED);
		wait_event_interruptible_timeout(fisc_adopt_wait,
						 READ_ONCE(adoption->release) ||
						 !atomic_read(&adoption->mm->mm_users),
						 FISC_ADOPT_LOOK);
	}
	fisc_adoption_free(adoption);
	/* Do not return: the module may be gone by then. */
	module_put_and_kthread_exit(0);
}

/* Is there memory for copies of the pages that KSM has merged? */
static int fisc_adopt_admit(struct pid *pid, const struct mm_struct *mm)
{
	u64 needs = 0, lacks;

#ifdef CONFIG_KSM
	needs = READ_ONCE(mm->ksm_merging_pages);
#endif
	lacks = fisc_host_lacks_mib(needs);
	if (!lacks)
		return 0;
	pr_warn_ratelimited("process %d is not adopted: KSM has merged %llu MiB of its memory, and copies of that need %llu MiB more free memory\n",
			    pid_nr(pid), (needs << PAGE_SHIFT) / SZ_1M, lacks);

	return -ENOMEM;
}

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
	INIT_LIST_HEAD(&adoption->rams);
	INIT_LIST_HEAD(&adoption->sources);
	xa_init(&adoption->busy);
	adoption->pid = get_pid(pid);
	err = fisc_adoption_add(adoption);
	if (err)
		goto err_free;
	err = fisc_adopt_pin_fs();
	if (err)
		goto err_del;
	mm = get_task_mm(task);
	if (!mm) {
		err = -ESRCH;
		goto err_pin;
	}
	mmgrab(mm);
	err = fisc_mm_is_watched(mm) ? -EAGAIN : fisc_adopt_admit(pid, mm);
	adoption->notifier.ops = &fisc_discard_ops;
	if (!err)
		err = mmu_notifier_register(&adoption->notifier, mm);
	mmput(mm);
	adoption->mm = mm;
	if (err)
		goto err_mm;
	err = fisc_adoption_make_vm(adoption, name);
	if (err)
		goto err_notifier;
	fisc_vmm_set(adoption->vm, pid, mm);

	return adoption;

err_notifier:
	mmu_notifier_unregister(&adoption->notifier, mm);
err_mm:
	mmdrop(mm);
err_pin:
	fisc_adopt_release_fs();
err_del:
	fisc_adoption_del(adoption);
err_free:
	put_pid(pid);
	kfree(adoption);
	return ERR_PTR(err);
}

/**
 * fisc_adopt_name() - make a name for a VM that has none
 * @pid: its process
 * @name: buffer for the name, "pid-N"
 * @size: size of @name in bytes
 *
 * Context: any.
 */
void fisc_adopt_name(struct pid *pid, char *name, size_t size)
{
	snprintf(name, size, "pid-%d", pid_nr(pid));
}

/**
 * fisc_adopt_start() - start to adopt a VM
 * @pid: its process
 * @task: a thread of it that has its memory
 * @name: name for the VM
 *
 * Context: process context; may sleep. Takes fisc_adopt_mutex and mmap_lock.
 * Return: 0; -ENODEV if the process has no VM of KVM, or the module is being
 * unloaded; -EAGAIN if its VM has not run yet, or userfaultfd() watches memory
 * of it, as in a migration that comes in; -EALREADY if the VM is adopted
 * already; -EEXIST if the name is taken; -EACCES if it cannot be a name; -ESRCH
 * if the process has ended; -ENOMEM, also if there is none for copies of what
 * KSM has merged; -EINTR if a signal is pending.
 */
int fisc_adopt_start(struct pid *pid, struct task_struct *task,
		     const char *name)
{
	struct fisc_adoption *adoption;
	struct task_struct *thread;
	int err;

	err = fisc_kvm_has_run(task);
	if (err)
		return err;
	/* The thread holds this reference. */
	if (!try_module_get(THIS_MODULE))
		return -ENODEV;
	adoption = fisc_adoption_alloc(pid, task, name);
	err = PTR_ERR_OR_ZERO(adoption);
	if (err)
		goto err_module;

	thread = kthread_run(fisc_adopt_thread, adoption, "fisc_adopt/%d",
			     task_tgid_nr(task));
	err = PTR_ERR_OR_ZERO(thread);
	if (!err)
		return 0;

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
 * fisc_adopt_release_all() - start to release all adopted VMs
 *
 * Context: may sleep; takes fisc_adopt_mutex.
 */
void fisc_adopt_release_all(void)
{
	struct fisc_adoption *adoption;

	guard(mutex)(&fisc_adopt_mutex);
	list_for_each_entry(adoption, &fisc_adoptions, node)
		fisc_adopt_ask_release(adoption);
}

/**
 * fisc_adopt_release_vm() - start to release a VM
 * @vm: the VM
 *
 * Context: may sleep; takes fisc_adopt_mutex.
 * Return: 0, or -ENODEV if the VM is not adopted.
 */
int fisc_adopt_release_vm(struct fisc_vm *vm)
{
	guard(mutex)(&fisc_adopt_mutex);
	if (!vm->adoption)
		return -ENODEV;
	fisc_adopt_ask_release(vm->adoption);

	return 0;
}

/**
 * fisc_adopt_get_report() - report how far the adoption of a VM has come
 * @vm: the VM
 * @report: the result
 *
 * Context: may sleep; takes fisc_adopt_mutex.
 * Return: 0, or -ENODEV if the VM is not adopted.
 */
int fisc_adopt_get_report(struct fisc_vm *vm, struct fisc_adopt_report *report)
{
	const struct fisc_adoption *adoption;

	guard(mutex)(&fisc_adopt_mutex);
	adoption = vm->adoption;
	if (!adoption)
		return -ENODEV;
	report->state = READ_ONCE(adoption->state);
	report->err = READ_ONCE(adoption->err);
	report->bytes = READ_ONCE(adoption->bytes);
	report->unmergeable = READ_ONCE(adoption->unmergeable);
	report->adopted = READ_ONCE(adoption->adopted);
	/* Read by people only: some numbers may be those of the next walk. */
	data_race(memcpy(report->left, adoption->left, sizeof(report->left)));

	return 0;
}

/**
 * fisc_adopt_count() - return the number of adopted VMs
 *
 * Context: may sleep; takes fisc_adopt_mutex.
 * Return: the number.
 */
unsigned int fisc_adopt_count(void)
{
	guard(mutex)(&fisc_adopt_mutex);

	return list_count_nodes(&fisc_adoptions);
}

/**
 * fisc_adopt_exit() - free what is left of adoptions after all have ended
 *
 * Context: process context.
 */
void fisc_adopt_exit(void)
{
	fisc_release_exit();
}
