// SPDX-License-Identifier: GPL-2.0
/*
 * Adopt VMs that are not named one by one. See DOC: Automatic adoption in
 * auto.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>

#include "adopt/adopt.h"
#include "adopt/auto.h"
#include "adopt/name.h"
#include "adopt/vma.h"
#include "base/array.h"
#include "kvm/kvm.h"
#include "kvm/vmm.h"

#define FISC_AUTO_LOOK		HZ
#define FISC_AUTO_LOOKS		30
#define FISC_AUTO_MIN_BYTES	SZ_128M

/**
 * struct fisc_auto_candidate - a process that may be adopted
 * @node: in fisc_auto_candidates
 * @pid: the process, held
 * @looks: how often it has been checked
 * @told: KVM reported a VM, even if the VM's file is not open yet
 */
struct fisc_auto_candidate {
	struct list_head node;
	struct pid *pid;
	unsigned int looks;
	bool told;
};

/**
 * struct fisc_auto_settings - which processes are adopted
 * @policy: the policy
 * @any_uid: processes of any owner
 * @owner: the owner, otherwise
 */
struct fisc_auto_settings {
	enum fisc_auto_policy policy;
	bool any_uid;
	kuid_t owner;
};

static DEFINE_MUTEX(fisc_auto_mutex);
static LIST_HEAD(fisc_auto_candidates);
static struct fisc_auto_settings fisc_auto_settings = { .any_uid = true };
/* Changes when all candidates are dropped. */
static unsigned int fisc_auto_era;
u64 fisc_auto_min_bytes = FISC_AUTO_MIN_BYTES;

static void fisc_auto_look(struct work_struct *work);
static DECLARE_DELAYED_WORK(fisc_auto_work, fisc_auto_look);

/* --- candidates ----------------------------------------------------------- */

static int fisc_memslot_bytes(void *arg, int as_id,
			      const struct kvm_memory_slot *memslot)
{
	u64 *bytes = arg;

	/* The slots of SMM are the same memory once more. */
	if (!as_id)
		*bytes += (u64)memslot->npages << PAGE_SHIFT;

	return 0;
}

/* Has the VMM put its memory into files of ours? */
static bool fisc_auto_is_ours(struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	bool ours;

	if (!mm)
		return false;
	ours = fisc_mm_has_files(mm);
	mmput(mm);

	return ours;
}

/*
 * Return: 0 if it was adopted, -EAGAIN if it may be soon, -EBUSY if it may be
 * when its VM runs, or why it is not.
 */
static int fisc_auto_try(const struct fisc_auto_settings *settings,
			 struct pid *pid, struct task_struct *task)
{
	char name[FISC_NAME_MAX], by_pid[FISC_NAME_MAX];
	u64 bytes = 0;
	int err, named;

	if (!settings->any_uid && !uid_eq(task_euid(task), settings->owner))
		return -EPERM;
	err = fisc_kvm_each_memslot(task, fisc_memslot_bytes, &bytes);
	if (err)
		return err;
	if (fisc_auto_is_ours(task))
		return -EALREADY;
	if (bytes < READ_ONCE(fisc_auto_min_bytes))
		return -EAGAIN;
	fisc_adopt_name(pid, by_pid, sizeof(by_pid));
	named = fisc_name_of_task(task, name);
	if (named < 0)
		return named;
	if (settings->policy == FISC_AUTO_LISTED &&
	    !fisc_name_is_listed(named ? name : by_pid))
		return -ENOENT;
	err = named ? fisc_adopt_start(pid, task, name) : -EEXIST;
	if (err == -EEXIST)
		err = fisc_adopt_start(pid, task, by_pid);
	if (err == -EAGAIN)
		return -EBUSY;
	if (err && err != -EALREADY)
		pr_warn_ratelimited("process %d cannot be adopted (%pe): write its pid and a name to /sys/kernel/fisc/adopt to try again\n",
				    task_tgid_nr(task), ERR_PTR(err));

	return err;
}

static void fisc_auto_drop(struct fisc_auto_candidate *candidate)
{
	put_pid(candidate->pid);
	kfree(candidate);
}

/* fisc_auto_mutex held. */
static void fisc_auto_forget(void)
{
	struct fisc_auto_candidate *candidate, *next;

	list_for_each_entry_safe(candidate, next, &fisc_auto_candidates, node) {
		list_del(&candidate->node);
		fisc_auto_drop(candidate);
	}
	/* The one that is being looked at is not in the list. */
	fisc_auto_era++;
}

/* Return: true if the candidate is to be looked at again. */
static bool fisc_auto_look_at(const struct fisc_auto_settings *settings,
			      struct fisc_auto_candidate *candidate)
{
	struct task_struct *task = fisc_vmm_thread(candidate->pid);
	int err = task ? fisc_auto_try(settings, candidate->pid, task) : -ESRCH;

	if (task)
		put_task_struct(task);
	/* A migration may be long in coming. */
	if (err == -EBUSY)
		return true;
	if (err == -ENODEV && candidate->told)
		err = -EAGAIN;

	return err == -EAGAIN && ++candidate->looks < FISC_AUTO_LOOKS;
}

/* Look at the first candidate, with fisc_auto_mutex released meanwhile. */
static void fisc_auto_look_at_first(void)
{
	struct fisc_auto_settings settings = fisc_auto_settings;
	struct fisc_auto_candidate *candidate =
		list_first_entry(&fisc_auto_candidates,
				 struct fisc_auto_candidate, node);
	unsigned int era = fisc_auto_era;
	bool again;

	list_del(&candidate->node);
	mutex_unlock(&fisc_auto_mutex);
	again = fisc_auto_look_at(&settings, candidate);
	mutex_lock(&fisc_auto_mutex);
	if (again && era == fisc_auto_era)
		list_add_tail(&candidate->node, &fisc_auto_candidates);
	else
		fisc_auto_drop(candidate);
}

static void fisc_auto_look(struct work_struct *work)
{
	unsigned int nr;

	guard(mutex)(&fisc_auto_mutex);
	for (nr = list_count_nodes(&fisc_auto_candidates);
	     nr && !list_empty(&fisc_auto_candidates); nr--)
		fisc_auto_look_at_first();
	if (!list_empty(&fisc_auto_candidates))
		schedule_delayed_work(&fisc_auto_work, FISC_AUTO_LOOK);
}

/* Takes over the reference on @pid. fisc_auto_mutex held. */
static int fisc_auto_add(struct pid *pid, bool told)
{
	struct fisc_auto_candidate *candidate = kzalloc(sizeof(*candidate),
						   GFP_KERNEL);

	if (!candidate) {
		put_pid(pid);
		return -ENOMEM;
	}
	candidate->pid = pid;
	candidate->told = told;
	list_add_tail(&candidate->node, &fisc_auto_candidates);
	mod_delayed_work(system_wq, &fisc_auto_work, 0);

	return 0;
}

struct fisc_pids {
	struct pid **pids;
	unsigned int nr;
	unsigned int room;
};

/* Collect all processes, held. Return: false if there is too little room. */
static bool fisc_pids_collect(struct fisc_pids *list)
{
	struct task_struct *task;

	guard(rcu)();
	for_each_process(task) {
		/* Other flags change at any time, but not this one. */
		if (data_race(task->flags) & PF_KTHREAD)
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
static int fisc_auto_collect(void)
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
		err = fisc_auto_add(list.pids[--list.nr], false);
	fisc_pids_put(&list);
	kvfree(list.pids);

	return err;
}

/* --- settings ------------------------------------------------------------- */

/**
 * fisc_auto_policy() - return the policy of automatic adoption
 *
 * Context: any.
 * Return: the policy.
 */
enum fisc_auto_policy fisc_auto_policy(void)
{
	return READ_ONCE(fisc_auto_settings.policy);
}

/**
 * fisc_auto_set_policy() - set the policy and consider all processes anew
 * @policy: the policy
 *
 * Context: may sleep; takes fisc_auto_mutex.
 * Return: 0 or -ENOMEM.
 */
int fisc_auto_set_policy(enum fisc_auto_policy policy)
{
	guard(mutex)(&fisc_auto_mutex);
	fisc_auto_forget();
	WRITE_ONCE(fisc_auto_settings.policy, policy);

	return policy == FISC_AUTO_NONE ? 0 : fisc_auto_collect();
}

/**
 * fisc_auto_uid() - return the owner whose processes are adopted
 * @uid: the owner, if there is such a filter
 *
 * Context: may sleep; takes fisc_auto_mutex.
 * Return: true if only processes of @uid are adopted.
 */
bool fisc_auto_uid(kuid_t *uid)
{
	guard(mutex)(&fisc_auto_mutex);
	*uid = fisc_auto_settings.owner;

	return !fisc_auto_settings.any_uid;
}

/**
 * fisc_auto_set_uid() - set the owner whose processes are adopted
 * @any: adopt processes of any owner
 * @uid: the owner, unless @any
 *
 * Context: may sleep; takes fisc_auto_mutex.
 */
void fisc_auto_set_uid(bool any, kuid_t uid)
{
	guard(mutex)(&fisc_auto_mutex);
	fisc_auto_settings.any_uid = any;
	fisc_auto_settings.owner = uid;
}

/**
 * fisc_auto_created() - consider a process that has created a VM
 * @pid: the process; the reference is taken over
 *
 * Context: may sleep; takes fisc_auto_mutex.
 * Return: 0 or -ENOMEM.
 */
int fisc_auto_created(struct pid *pid)
{
	guard(mutex)(&fisc_auto_mutex);
	if (fisc_auto_settings.policy != FISC_AUTO_NONE)
		return fisc_auto_add(pid, true);
	put_pid(pid);

	return 0;
}

/**
 * fisc_auto_exit() - stop automatic adoption
 *
 * The settings can no longer be changed.
 *
 * Context: may sleep.
 */
void fisc_auto_exit(void)
{
	cancel_delayed_work_sync(&fisc_auto_work);
	fisc_auto_forget();
	fisc_names_exit();
}
