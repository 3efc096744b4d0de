/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VMM: a few ioctls on /dev/kvm. Its guest is a loop in 32-bit mode that
 * touches pages, in a page of ordinary memory at GUEST_CODE.
 */
#ifndef FISC_SELFTESTS_VMM_H
#define FISC_SELFTESTS_VMM_H

#include <linux/types.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct kvm_run;

/* Guest-physical addresses of the program and of the memory that it touches */
#define GUEST_CODE	0x1000UL
#define GUEST_MEM	0x100000UL
#define GFN(address)	((address) / PAGE_SIZE)
#define CODE_SLOT	31

/* What the guest writes, at the start of each page */
#define GUEST_BYTE	0x5a

/**
 * struct vmm - a VMM of one VM
 * @vm: descriptor of the VM
 * @vcpu: descriptor of its only vCPU; -1 if it has none
 * @run: the vCPU's state that is shared with KVM
 * @run_size: bytes of @run
 * @code: the guest's program
 * @async: KVM may fault asynchronously
 * @thread: the thread that runs the vCPU
 * @stop: tells @thread to end
 * @rounds: rounds that @thread has run so far
 */
struct vmm {
	int vm;
	int vcpu;
	struct kvm_run *run;
	size_t run_size;
	unsigned char *code;
	bool async;
	pthread_t thread;
	bool stop;
	unsigned long rounds;
};

/* Set a slot at @gpa; with no pages, delete it. */
int vmm_set_slot(struct vmm *vmm, int slot, __u64 gpa, const void *mem,
		 size_t nr_pages);
int vmm_delete_slot(struct vmm *vmm, int slot);

/*
 * Open a VM with one vCPU, which has run once, and nothing for it to touch: 0
 * or -errno.
 */
int vmm_open(struct vmm *vmm);

/* The same, but the vCPU has never run. */
int vmm_open_idle(struct vmm *vmm);

/* Enter KVM_RUN, but not the guest: 0 or -errno. */
int vmm_run_once(struct vmm *vmm);

/*
 * The same with an interrupt controller in the kernel and interrupts on, so
 * that KVM may fault asynchronously. A round ends with KVM_EXIT_IO.
 */
int vmm_open_async(struct vmm *vmm);

/* Close everything that holds the VM; its memory stays mapped. */
void vmm_close(struct vmm *vmm);

/* Have the guest touch @nr_pages pages from @gpa on in every round. */
int vmm_aim(struct vmm *vmm, __u64 gpa, size_t nr_pages, bool write);

/* Never halt, for VMMs that are killed while their guest runs. */
void vmm_never_halt(struct vmm *vmm);

/* Run one round: the exit reason, or -errno. */
int vmm_run(struct vmm *vmm);
int vmm_touch(struct vmm *vmm, __u64 gpa, size_t nr_pages, bool write);

/* Much shorter than a sampling period, yet leaves the CPU to others. */
#define VMM_ROUND_MS	10

/* Run rounds in a thread of their own. */
int vmm_start(struct vmm *vmm);
void vmm_stop(struct vmm *vmm);

#endif /* FISC_SELFTESTS_VMM_H */
