// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fisc.h"
#include "vmm.h"

/* In the flags register: interrupts are on. */
#define IF	0x200

int vmm_set_slot(struct vmm *vmm, int slot, __u64 gpa, const void *mem,
		 size_t nr_pages)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = nr_pages * PAGE_SIZE,
		.userspace_addr = (unsigned long)mem,
	};

	return ioctl(vmm->vm, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

int vmm_delete_slot(struct vmm *vmm, int slot)
{
	return vmm_set_slot(vmm, slot, 0, NULL, 0);
}

/* Enter flat 32-bit mode without paging: the guest's addresses are physical. */
static int set_flat_mode(int vcpu)
{
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1,
		.db = 1, .s = 1,
		.g = 1,
	};
	struct kvm_segment code = data;
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	code.selector = 0x8;
	code.type = 0xb;
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;
	sregs.cr0 |= 1;
	return ioctl(vcpu, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

static int add_vcpu(struct vmm *vmm, int kvm)
{
	vmm->run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vmm->code = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	vmm->vcpu = ioctl(vmm->vm, KVM_CREATE_VCPU, 0);
	if (vmm->vcpu < 0 || vmm->code == MAP_FAILED)
		return -errno;
	vmm->run = mmap(NULL, vmm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			vmm->vcpu, 0);
	if (vmm->run == MAP_FAILED)
		return -errno;
	return set_flat_mode(vmm->vcpu) ?:
	       vmm_set_slot(vmm, CODE_SLOT, GUEST_CODE, vmm->code, 1);
}

int vmm_run_once(struct vmm *vmm)
{
	int ret;

	vmm->run->immediate_exit = 1;
	ret = ioctl(vmm->vcpu, KVM_RUN, 0) ? -errno : -EIO;
	vmm->run->immediate_exit = 0;
	return ret == -EINTR ? 0 : ret;
}

static int open_vm(struct vmm *vmm, bool async)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), ret;

	memset(vmm, 0, sizeof(*vmm));
	vmm->async = async;
	if (kvm < 0)
		return -errno;
	vmm->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vmm->vm < 0 || (async && ioctl(vmm->vm, KVM_CREATE_IRQCHIP)))
		ret = -errno;
	else
		ret = add_vcpu(vmm, kvm);
	close(kvm);
	return ret;
}

int vmm_open_idle(struct vmm *vmm)
{
	return open_vm(vmm, false);
}

int vmm_open(struct vmm *vmm)
{
	return open_vm(vmm, false) ?: vmm_run_once(vmm);
}

int vmm_open_async(struct vmm *vmm)
{
	return open_vm(vmm, true) ?: vmm_run_once(vmm);
}

void vmm_close(struct vmm *vmm)
{
	munmap(vmm->run, vmm->run_size);
	munmap(vmm->code, PAGE_SIZE);
	close(vmm->vcpu);
	close(vmm->vm);
}

int vmm_aim(struct vmm *vmm, __u64 gpa, size_t nr_pages, bool write)
{
	static const unsigned char program[] = {
		0x89, 0xf3,			/* again: mov %esi, %ebx */
		0x89, 0xf9,			/*        mov %edi, %ecx */
		0x8a, 0x03,			/* page:  mov (%ebx), %al */
		0x81, 0xc3, 0x00, 0x10, 0, 0,	/*        add $4096, %ebx */
		0x49,				/*        dec %ecx */
		0x75, 0xf5,			/*        jnz page */
		0xf4,				/*        hlt */
		0xeb, 0xee,			/*        jmp again */
	};
	static const unsigned char end[] = {
		0xe6, 0x80,			/*        out %al, $0x80 */
		0xeb, 0xed,			/*        jmp again */
	};
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsi = gpa, .rdi = nr_pages,
		.rax = GUEST_BYTE, .rflags = 2 | (vmm->async ? IF : 0),
	};

	memcpy(vmm->code, program, sizeof(program));
	/* With that controller, a vCPU that halts stays in the kernel. */
	if (vmm->async)
		memcpy(vmm->code + 15, end, sizeof(end));
	if (write)
		vmm->code[4] = 0x88;			/* mov %al, (%ebx) */
	return ioctl(vmm->vcpu, KVM_SET_REGS, &regs) ? -errno : 0;
}

void vmm_never_halt(struct vmm *vmm)
{
	vmm->code[15] = 0x90;				/* nop */
}

int vmm_run(struct vmm *vmm)
{
	while (ioctl(vmm->vcpu, KVM_RUN, 0)) {
		if (errno != EINTR)
			return -errno;
	}
	return vmm->run->exit_reason;
}

int vmm_touch(struct vmm *vmm, __u64 gpa, size_t nr_pages, bool write)
{
	return vmm_aim(vmm, gpa, nr_pages, write) ?: vmm_run(vmm);
}

static void *vcpu_thread(void *arg)
{
	struct vmm *vmm = arg;

	while (!READ_ONCE(vmm->stop)) {
		if (vmm_run(vmm) != KVM_EXIT_HLT)
			break;
		WRITE_ONCE(vmm->rounds, vmm->rounds + 1);
		fisc_sleep_ms(VMM_ROUND_MS);
	}
	return NULL;
}

int vmm_start(struct vmm *vmm)
{
	vmm->stop = false;
	return pthread_create(&vmm->thread, NULL, vcpu_thread, vmm);
}

void vmm_stop(struct vmm *vmm)
{
	WRITE_ONCE(vmm->stop, true);
	pthread_join(vmm->thread, NULL);
}
