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
 * VMs that run on ordinary memory come under management as they are, and get
 * ordinary memory back on request. Neither the VMM nor the guest takes part.
 *
 * An adopted VM has a directory like any other. The module makes it, with one
 * file for each mapping that guest memory is in. Each adoption has a thread
 * (fisc_adopt_thread()), which asks KVM for the memslots and moves their
 * memory to the files, 2 MiB at a time (see memory/incoming.h). It looks again
 * every second: for slots that were added, and for memory that was in use
 * elsewhere. It moves private anonymous memory, and shared memory if that is
 * enabled (DOC: Adoption of shared memory). Everything else is left alone, and
 * counted by reason.
 *
 * The address of a page in the process determines its offset in the file, so
 * that large pages can be mapped: file offset and address are equal modulo
 * 2 MiB, and a file begins where its mapping did, rounded down to 2 MiB.
 *
 * *Release* is the reverse, 64 MiB at a time: a private mapping of an empty
 * file, which the kernel treats as anonymous memory, takes the place of the
 * file's mapping. Until all content has been copied, the module serves faults
 * on pages that are not present yet (fisc_release_vm_operations) with copies of
 * what the file holds; nothing writes to the file any more. The thread causes a
 * write fault on each page that has content, so that everything is copied.
 * After that, the module has no part in the mapping. The kernel does not merge
 * it with the one before, and a process may have 65530 mappings
 * (vm.max_map_count), so smaller parts are out of the question. Larger ones
 * are, too: faults wait while a mapping is exchanged. If such memory is
 * adopted again, one file covers all of these mappings.
 *
 * The process may move its mappings (mremap()), so it is mappings that are
 * released, wherever they are, not addresses; and what it has unmapped is freed
 * (trim.h). The address of a file's first page says only where new memory goes
 * in that file, for as long as none of its mappings has been moved.
 *
 * *Sharing.* What the process has not marked mergeable for KSM is not shared
 * with anybody here either (fisc_vma_is_unmergeable()), unless the
 * administrator decides otherwise (fisc_member_mark()). Such memory has files
 * of its own, marked before anything is moved to them. Mappings keep the mark;
 * a file of which a mapping loses it is marked at the next look.
 *
 * *Lifetimes.* The thread holds a reference on the VM and on the file system
 * (simple_pin_fs()), which keeps the module loaded. It holds the process's
 * mm_struct, but its memory (mm_users) only while it works on a chunk: it does
 * not delay a process that exits or calls execve(). After the process has
 * ended, or after a release, the thread unlinks the files and ends. A process
 * that closes its VM of KVM, but keeps its memory, gets it back unasked.
 * Threads come and go, the first one included: what counts is the mm_struct.
 *
 * *Forks.* A child of the VMM would share memory of which it used to get a
 * copy. So adopted mappings are not inherited (VM_DONTCOPY); QEMU sets that
 * flag anyway. If the VMM clears it, or forks while a mapping is being
 * released, the child has the mapping, but an access to it is a SIGSEGV
 * (fisc_fault_keep_from_child()).
 *
 * Locks: fisc_adopt_mutex protects the list of adoptions and
 * fisc_vm.adoption; it is an innermost lock. A step takes the file's inode
 * lock, then mmap_lock through vm_mmap().
 */

/**
 * struct fisc_adopt_report - how far an adoption has come
 * @state: its state
 * @err: why the last release failed, as -errno; 0 if it did not
 * @bytes: bytes in memslots, of any kind of memory
 * @adopted: of these, bytes that are in files
 * @left: of these, bytes that are left alone, by reason
 * @unmergeable: of @adopted, bytes that the process has not marked mergeable
 */
struct fisc_adopt_report {
	enum fisc_adopt_state state;
	int err;
	u64 bytes;
	u64 adopted;
	u64 left[FISC_NR_LEFT];
	u64 unmergeable;
};

void fisc_adopt_name(struct pid *pid, char *name, size_t size);
int fisc_adopt_start(struct pid *pid, struct task_struct *task, const char *name);
int fisc_adopt_release_vm(struct fisc_vm *vm);
void fisc_adopt_release_all(void);
int fisc_adopt_get_report(struct fisc_vm *vm, struct fisc_adopt_report *report);
unsigned int fisc_adopt_count(void);
int fisc_adopt_begin(struct fisc_vm *vm);
void fisc_adopt_end(struct fisc_vm *vm);
void fisc_adopt_exit(void);

#endif /* _FISC_ADOPT_ADOPT_H */
