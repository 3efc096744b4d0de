// SPDX-License-Identifier: GPL-2.0
/*
 * Memslots and KVM's access bits in debugfs.
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "kvm/debugfs.h"
#include "kvm/kvm.h"
#include "vm/vm.h"

static void fisc_kvm_show_name(struct seq_file *m, const struct fisc_vm *vm)
{
	guard(rcu)();
	seq_printf(m, "%s ", fisc_vm_name(vm));
}

static void fisc_kvm_show_slots(struct seq_file *m, struct fisc_vm *vm)
{
	struct fisc_slots *list = fisc_slots_get(vm);
	unsigned int i;

	if (IS_ERR(list)) {
		fisc_kvm_show_name(m, vm);
		seq_puts(m, "-\n");
		return;
	}
	for (i = 0; i < list->nr; i++) {
		const struct fisc_slot *slot = &list->slots[i];

		fisc_kvm_show_name(m, vm);
		seq_printf(m, "%d %u %u %#llx %lu %#llx ", list->pid,
			   slot->as_id, slot->id, slot->gfn, slot->nr_pages,
			   (u64)slot->index << PAGE_SHIFT);
		seq_file_path(m, slot->file, " \t\n\\");
		seq_putc(m, '\n');
	}
	fisc_slots_put(list);
}

static void fisc_kvm_show_young(struct seq_file *m, struct fisc_vm *vm)
{
	struct fisc_slots *list = fisc_slots_get(vm);

	fisc_kvm_show_name(m, vm);
	if (IS_ERR(list)) {
		seq_puts(m, "-\n");
		return;
	}
	seq_printf(m, "%ld\n", fisc_slots_young(list));
	fisc_slots_put(list);
}

static void fisc_kvm_show_vms(struct seq_file *m,
			      void (*show)(struct seq_file *m,
					   struct fisc_vm *vm))
{
	struct fisc_vm *vm = NULL;

	while ((vm = fisc_vm_after(vm)))
		show(m, vm);
}

/**
 * fisc_kvm_slots_show() - list the memslots of all VMs
 * @m: the file "kvm" in debugfs
 * @v: unused
 *
 * Context: may sleep.
 * Return: 0.
 */
int fisc_kvm_slots_show(struct seq_file *m, void *v)
{
	fisc_kvm_show_vms(m, fisc_kvm_show_slots);

	return 0;
}

static int fisc_kvm_young_show(struct seq_file *m, void *v)
{
	fisc_kvm_show_vms(m, fisc_kvm_show_young);

	return 0;
}

/*
 * Counting clears the access bits, so the output has to fit the buffer at the
 * first try: there is room for all VMs.
 */
static int fisc_kvm_young_open(struct inode *inode, struct file *file)
{
	return single_open_size(file, fisc_kvm_young_show, NULL,
				(fisc_vm_count() + 16) * (NAME_MAX + 64));
}

/* "young": how many pages of each VM KVM's access bits show as accessed. */
const struct file_operations fisc_kvm_young_fops = {
	.owner = THIS_MODULE,
	.open = fisc_kvm_young_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};
