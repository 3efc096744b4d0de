/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_ADOPT_H
#define _FISC_ADOPT_ADOPT_H

#include <linux/types.h>

#include "adopt/adoption.h"

struct fisc_vm;
struct pid;
struct task_struct;

/**
 * DOC: Adoption
 *
 * VMs that run on ordinary memory come under management as they are, and get ordinary
 * memory back when they are told to. Neither the VMM nor the guest takes part.
 *
 * An adopted VM has a directory like any other, made by the module, with a file for
 * each mapping that guest memory is in. A thread of its own (fisc_adopt_thread())
 * asks KVM for memslots, moves what lies in them to the files, 2 MiB at a time (DOC:
 * Memory that comes in), and looks again every second: for slots that came later,
 * and for memory that was in use by somebody else. Private anonymous memory is moved,
 * and shared memory if that is wanted (DOC: Adoption of shared memory). What else
 * there is, is left alone, and counted by reason.
 *
 * Where a page of the process's memory lies in its file follows from its address, so
 * that large pages can be mapped: file offset and address are the same modulo
 * 2 MiB, and a file begins where its mapping did.
 *
 * *Release* is the other way round, 64 MiB at a time: a private mapping of
 * /dev/zero, which is what anonymous memory is, takes the place of the file's. Until
 * all content has been copied, page faults that it does not know are served by the
 * module (fisc_release_vm_operations), with copies of what the file holds; nobody
 * writes to the file any more. The thread writes to each page that has content, or
 * has the kernel believe so, so that all is copied; then the mapping becomes one that
 * the module has no part in. The kernel does not join it with the one before, and a
 * process may have 65530 mappings (vm.max_map_count): so it is not done in smaller parts,
 * and not in one, as faults wait while a mapping is exchanged. A file that is
 * made for such memory later is one for all of it.
 *
 * *Lifetimes.* The thread holds the file system (simple_pin_fs()), and by that the
 * module; the VM; and the process's mm_struct, but its memory (mm_users) only while
 * it works on a chunk: a process that ends or executes something else is not held up.
 * When it has ended, and after a release, the files are unlinked and the thread ends.
 *
 * *Forks.* A child of the VMM would share memory with it that it had a copy of
 * before. So adopted mappings are not inherited (VM_DONTCOPY), as QEMU's are not
 * anyway.
 *
 * Locks: fisc_adopt_mutex protects the list of adoptions and fisc_vm.adoption; nothing
 * is taken within it. A step takes the file's inode lock, then mmap_lock through
 * vm_mmap().
 */

/**
 * struct fisc_adopt_report - how far an adoption is
 * @state: see there
 * @err: what a release failed for
 * @bytes: memory in memslots, of any kind
 * @adopted: of it, what is in files
 * @left: of it, what is left alone, by reason
 */
struct fisc_adopt_report {
	enum fisc_adopt_state state;
	int err;
	u64 bytes;
	u64 adopted;
	u64 left[FISC_NR_LEFT];
};

void fisc_adopt_name(struct pid *pid, char *name, size_t size);
int fisc_adopt_start(struct pid *pid, struct task_struct *task, const char *name);
int fisc_adopt_release_vm(struct fisc_vm *vm);
void fisc_adopt_release_all(void);
int fisc_adopt_get_report(struct fisc_vm *vm, struct fisc_adopt_report *report);
unsigned int fisc_adopt_count(void);
void fisc_adopt_exit(void);

#endif /* _FISC_ADOPT_ADOPT_H */
