/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture of programs that test fisc with KVM: the usual one, with sampling
 * on, as in production. VMMs are a few ioctls on /dev/kvm (see vmm.h); the
 * memory that their guests touch is that of fisc files.
 */
#ifndef FISC_SELFTESTS_KVM_H
#define FISC_SELFTESTS_KVM_H

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#define FISC_OWN_FIXTURE
#include "fixture.h"
#include "kvm_list.h"
#include "vmm.h"

/* The part of a VM whose slot 0 is all 64 pages of st-a, as in most cases */
#define WHOLE_FILE { \
	.slot = 0, .gfn = GFN(GUEST_MEM), .nr_pages = 64, .path = "st-a", \
}

#define KVM_PERIOD_MS	"500"

/* Return "kvm_amd", "kvm_intel", or NULL if KVM is not a module. */
static inline const char *kvm_module(void)
{
	if (!access("/sys/module/kvm_amd/refcnt", F_OK))
		return "kvm_amd";
	if (!access("/sys/module/kvm_intel/refcnt", F_OK))
		return "kvm_intel";
	return NULL;
}

FIXTURE(kvm)
{
	struct fisc_before before;
	char module[16];
};

FIXTURE_SETUP(kvm)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

	if (kvm < 0)
		SKIP(return, "/dev/kvm: %s", strerror(errno));
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		SKIP(return, "KVM_CREATE_VM: %s", strerror(errno));
	close(vm);
	close(kvm);
	signal(SIGPIPE, SIG_IGN);
	snprintf(self->module, sizeof(self->module), "%s", kvm_module() ?: "");
	fisc_set_up(_metadata, &self->before);
	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, KVM_PERIOD_MS));
}

FIXTURE_TEARDOWN_PARENT(kvm)
{
	if (self->module[0] && access("/dev/kvm", F_OK))
		EXPECT_EQ(0, fisc_modprobe(self->module));
	if (access("/sys/module/fisc", F_OK)) {
		EXPECT_EQ(0, fisc_load());
		EXPECT_EQ(0, fisc_mount(FISC_MNT, NULL));
	}
	fisc_tear_down(_metadata, &self->before);
}

/* Map a new file full of pages that all differ. */
static inline char *make_mem(const char *path, size_t nr_pages)
{
	char *map = fisc_map(fisc_create(path, nr_pages), nr_pages);

	if (map)
		fisc_fill_pages(map, nr_pages, 1);
	return map;
}

#endif /* FISC_SELFTESTS_KVM_H */
