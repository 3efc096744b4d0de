// SPDX-License-Identifier: GPL-2.0
/* VMs, VMMs and modules may go away at any time, and nothing keeps them. */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kvm.h"

/* Other processes */

/**
 * struct child - a VMM that is a process of its own
 * @pid: its process ID
 * @ready: pipe on which it reports that its guest has run
 * @go: pipe on which it waits for a command
 */
struct child {
	pid_t pid;
	int ready;
	int go;
};

static int vmm_main(const char *path, int ready, int go, int transfer);

static bool start_child(struct child *child, const char *path, int transfer)
{
	int ready[2], go[2];
	char word;

	if (pipe(ready) || pipe(go))
		return false;
	child->pid = fork();
	if (!child->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		close(go[1]);
		_exit(vmm_main(path, ready[1], go[0], transfer));
	}
	close(ready[1]);
	close(go[0]);
	child->ready = ready[0];
	child->go = go[1];
	return child->pid > 0 && read(child->ready, &word, 1) == 1;
}

static bool tell(const struct child *child, char word)
{
	char answer;

	return write(child->go, &word, 1) == 1 &&
	       read(child->ready, &answer, 1) == 1;
}

static void end_child(const struct child *child, int sig)
{
	int status;

	kill(child->pid, sig);
	waitpid(child->pid, &status, 0);
	close(child->ready);
	close(child->go);
}

static int send_fd(int to, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {
		.header = {
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		},
	};
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control.room),
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(to, &msg, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int from)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control.room),
	};
	int fd;

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != 1 ||
	    control.header.cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

/*
 * Be a VMM in a process of its own, with 64 pages of the file @path. Commands:
 *	c	close the VM
 *	s	send it over @transfer
 *	x	execute this program again, which then is the same VMM
 *	r	run the guest for ever
 *	u	take its memory from the guest, and unmap it
 */
static int vmm_main(const char *path, int ready, int go, int transfer)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char *map = fisc_map(fd, 64), word, args[3][12];
	struct vmm vmm;

	close(fd);
	if (!map || vmm_open(&vmm) ||
	    vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64) ||
	    vmm_touch(&vmm, GUEST_MEM, 64, true) != KVM_EXIT_HLT ||
	    write(ready, "x", 1) != 1)
		return 1;
	while (read(go, &word, 1) == 1) {
		switch (word) {
		case 'c':
			vmm_close(&vmm);
			break;
		case 's':
			if (send_fd(transfer, vmm.vm))
				return 2;
			break;
		case 'x':
			snprintf(args[0], sizeof(args[0]), "%d", ready);
			snprintf(args[1], sizeof(args[1]), "%d", go);
			snprintf(args[2], sizeof(args[2]), "%d", transfer);
			execl("/proc/self/exe", "kvm", "vmm", path, args[0],
			      args[1], args[2], NULL);
			return 3;
		case 'r':
			vmm_never_halt(&vmm);
			if (write(ready, "x", 1) != 1)
				return 4;
			vmm_run(&vmm);
			return 5;
		case 'u':
			if (vmm_delete_slot(&vmm, 0))
				return 6;
			munmap(map, 64 * PAGE_SIZE);
			break;
		}
		if (write(ready, "x", 1) != 1)
			return 7;
	}
	return 0;
}

TEST_F(kvm, vm_in_other_hands_does_no_harm)
{
	struct part parts[MAX_PARTS];
	struct child child;
	int sockets[2], vm, nr;

	ASSERT_LE(0, fisc_create(ST "a", 64));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	ASSERT_TRUE(start_child(&child, ST "a", sockets[1]));
	ASSERT_TRUE(tell(&child, 's'));
	vm = receive_fd(sockets[0]);
	ASSERT_LE(0, vm);
	ASSERT_TRUE(tell(&child, 'c'));
	/* Its memory is still that of the other process. */
	nr = list("st-a", parts);
	EXPECT_TRUE(nr == 0 || nr == 1);
	EXPECT_NE(BAD_LINE, young_pages("st-a"));
	fisc_sleep_ms(1000);
	nr = list("st-a", parts);
	EXPECT_TRUE(nr == 0 || nr == 1);
	if (nr == 1)
		EXPECT_EQ(child.pid, parts[0].pid);
	/* When that ends, its memory has no VM, though a descriptor is left. */
	end_child(&child, SIGKILL);
	EXPECT_TRUE(soon_lists_none("st-a"));
	EXPECT_EQ(-ENODEV, young_pages("st-a"));
	fisc_sweep();
	close(vm);
	EXPECT_TRUE(soon_lists_none("st-a") ||
		    list("st-a", parts) == NOT_LISTED);
}

TEST_F(kvm, descriptor_keeps_no_memory)
{
	struct child child;
	int sockets[2], vm;

	close(fisc_create(ST "a", 64));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	ASSERT_TRUE(start_child(&child, ST "a", sockets[1]));
	ASSERT_TRUE(tell(&child, 's'));
	vm = receive_fd(sockets[0]);
	ASSERT_LE(0, vm);
	EXPECT_EQ(64, fisc_core("frames"));
	end_child(&child, SIGKILL);
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_TRUE(fisc_wait("core", "regions", 0));
	close(vm);
}

TEST_F(kvm, killed_vmm_leaves_nothing)
{
	__u64 rnd = 3;
	int round;

	for (round = 0; round < 10; round++) {
		struct part wanted = WHOLE_FILE;
		struct child child;

		close(fisc_create(ST "a", 64));
		ASSERT_TRUE(start_child(&child, ST "a", -1));
		wanted.pid = child.pid;
		if (round < 2)
			EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		ASSERT_TRUE(tell(&child, 'r'));
		fisc_sleep_ms(fisc_rand(&rnd) % 100);
		if (round & 1) {
			ASSERT_EQ(0, unlink(ST "a"));
			end_child(&child, SIGKILL);
			EXPECT_TRUE(fisc_wait("core", "vms", 0));
		} else {
			end_child(&child, SIGKILL);
			EXPECT_TRUE(soon_lists_none("st-a"));
			EXPECT_EQ(64, fisc_core("frames"));
		}
	}
	EXPECT_EQ(0, fisc_core("frames"));
}

TEST_F(kvm, restarted_vmm_is_found_again)
{
	struct part wanted = WHOLE_FILE;
	struct child child;
	int round;

	ASSERT_LE(0, fisc_create(ST "a", 64));
	for (round = 0; round < 3; round++) {
		ASSERT_TRUE(start_child(&child, ST "a", -1));
		wanted.pid = child.pid;
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		/* The same process, but another VM and address space. */
		ASSERT_TRUE(tell(&child, 'x'));
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		EXPECT_LE(0, young_pages("st-a"));
		ASSERT_TRUE(tell(&child, 'x'));
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		ASSERT_TRUE(tell(&child, 'c'));
		EXPECT_TRUE(soon_lists_none("st-a"));
		end_child(&child, SIGTERM);
		EXPECT_TRUE(soon_lists_none("st-a"));
	}
}

TEST_F(kvm, unmapped_memory_is_no_longer_the_vms)
{
	struct part wanted = WHOLE_FILE;
	struct child child;

	ASSERT_LE(0, fisc_create(ST "a", 64));
	ASSERT_TRUE(start_child(&child, ST "a", -1));
	wanted.pid = child.pid;
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	ASSERT_TRUE(tell(&child, 'u'));
	EXPECT_TRUE(soon_lists_none("st-a"));
	end_child(&child, SIGKILL);
}

/* Modules that come and go */

TEST_F(kvm, kvm_can_be_removed_when_its_vms_are_gone)
{
	struct part wanted = WHOLE_FILE;
	struct child child;
	int round;
	char *map;

	if (!self->module[0])
		SKIP(return, "KVM is built into this kernel");
	map = make_mem(ST "a", 64);
	ASSERT_NE(NULL, map);
	for (round = 0; round < 3; round++) {
		ASSERT_TRUE(start_child(&child, ST "a", -1));
		wanted.pid = child.pid;
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		EXPECT_NE(0, fisc_unload(self->module));
		/* The VMM ends, is killed, or closes its VM. */
		if (round == 2)
			ASSERT_TRUE(tell(&child, 'c'));
		if (round < 2)
			end_child(&child, round ? SIGKILL : SIGTERM);
		ASSERT_EQ(0, fisc_unload_soon(self->module));
		ASSERT_EQ(0, fisc_unload_soon("kvm"));
		EXPECT_TRUE(soon_lists_none("st-a"));
		EXPECT_EQ(-ENODEV, young_pages("st-a"));
		/* A few sampling periods without KVM. */
		map[0]++;
		fisc_sleep_ms(1200);
		ASSERT_EQ(0, fisc_modprobe(self->module));
		EXPECT_TRUE(soon_lists_none("st-a"));
	}
	end_child(&child, SIGKILL);
	ASSERT_TRUE(start_child(&child, ST "a", -1));
	wanted.pid = child.pid;
	EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
	end_child(&child, SIGKILL);
}

TEST_F(kvm, fisc_comes_and_goes_beside_vms_of_others)
{
	struct part wanted = WHOLE_FILE;
	struct child child;
	unsigned long rounds;
	struct vmm vmm;
	char *map;
	int i;

	if (!getenv("FISC_KO"))
		SKIP(return, "FISC_KO does not name the module");
	map = mmap(NULL, 64 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, vmm_open(&vmm));
	ASSERT_EQ(0, vmm_set_slot(&vmm, 0, GUEST_MEM, map, 64));
	ASSERT_EQ(0, vmm_aim(&vmm, GUEST_MEM, 64, true));
	ASSERT_EQ(0, vmm_start(&vmm));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "100"));
		close(fisc_create(ST "a", 64));
		ASSERT_TRUE(start_child(&child, ST "a", -1));
		wanted.pid = child.pid;
		EXPECT_TRUE(soon_lists("st-a", &wanted, 1));
		/* A VM that has let go of its memory is also not ours. */
		ASSERT_TRUE(tell(&child, 'u'));
		if (i == 2)
			end_child(&child, SIGKILL);
		ASSERT_EQ(0, umount(FISC_MNT));
		ASSERT_EQ(0, fisc_unload_soon("fisc"));
		rounds = READ_ONCE(vmm.rounds);
		fisc_sleep_ms(200);
		EXPECT_LT(rounds, READ_ONCE(vmm.rounds));
		ASSERT_EQ(0, fisc_load());
		ASSERT_EQ(0, fisc_mount(FISC_MNT, NULL));
		if (i < 2)
			end_child(&child, SIGKILL);
	}
	vmm_stop(&vmm);
	vmm_close(&vmm);
}

/* All at once */

#define STRESS_PAGES	128
#define STRESS_FILES	3
#define STRESS_VMMS	3
#define STRESS_SLOTS	3

static const char * const stress_files[STRESS_FILES] = {
	ST "0", ST "1", ST "2/x",
};

static int open_stress_file(__u64 rnd)
{
	int nr = rnd % STRESS_FILES;

	if (nr == 2)
		mkdir(ST "2", 0755);
	return open(stress_files[nr], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

/* Run the vCPU whatever happens: all kinds of exits and errors may occur. */
static void *stress_vcpu(void *arg)
{
	struct vmm *vmm = arg;

	while (!READ_ONCE(vmm->stop)) {
		if (vmm_run(vmm) != KVM_EXIT_HLT)
			fisc_sleep_ms(1);
		WRITE_ONCE(vmm->rounds, vmm->rounds + 1);
	}
	return NULL;
}

static void change_slot(struct vmm *vmm, char *map, __u64 r)
{
	int slot = r % STRESS_SLOTS;
	size_t at = (r >> 8) % STRESS_PAGES;
	size_t nr = (r >> 16) % (STRESS_PAGES - at) + 1;
	__u64 gpa = GUEST_MEM + (r >> 24) % STRESS_PAGES * PAGE_SIZE;

	/* Some are refused: they overlap, or exist with another size. */
	switch ((r >> 40) % 3) {
	case 0:
		vmm_delete_slot(vmm, slot);
		break;
	case 1:
		vmm_delete_slot(vmm, slot);
		vmm_set_slot(vmm, slot, gpa, map + at * PAGE_SIZE, nr);
		break;
	case 2:
		vmm_set_slot(vmm, slot, gpa, map, STRESS_PAGES);
		break;
	}
}

/* Make VM after VM, each with slots that change while it runs. */
static int stress_vmm(__u64 rnd)
{
	for (;;) {
		int fd = open_stress_file(fisc_rand(&rnd)), i;
		struct vmm vmm;
		char *map;

		if (fd < 0 || ftruncate(fd, STRESS_PAGES * PAGE_SIZE))
			continue;
		map = fisc_map(fd, STRESS_PAGES);
		close(fd);
		if (!map || vmm_open(&vmm))
			return 1;
		vmm_set_slot(&vmm, 0, GUEST_MEM, map, STRESS_PAGES);
		vmm_aim(&vmm, GUEST_MEM, STRESS_PAGES, fisc_rand(&rnd) & 1);
		if (pthread_create(&vmm.thread, NULL, stress_vcpu, &vmm))
			return 2;
		for (i = fisc_rand(&rnd) % 30; i; i--) {
			__u64 r = fisc_rand(&rnd);

			change_slot(&vmm, map, r);
			if ((r >> 50) % 4 == 0)
				fisc_try_write(map + (r >> 52) % STRESS_PAGES *
							       PAGE_SIZE,
					       1);
			/* Take memory away from under the slots. */
			if ((r >> 54) % 8 == 0)
				munmap(map + PAGE_SIZE, 8 * PAGE_SIZE);
			fisc_sleep_ms((r >> 58) % 16);
		}
		/* The memory goes before the VM, or after it. */
		if (fisc_rand(&rnd) & 1)
			munmap(map, STRESS_PAGES * PAGE_SIZE);
		vmm_stop(&vmm);
		vmm_close(&vmm);
		munmap(map, STRESS_PAGES * PAGE_SIZE);
	}
}

static int stress_files_worker(__u64 rnd)
{
	for (;;) {
		__u64 r = fisc_rand(&rnd);
		int fd = open_stress_file(r);

		if (fd < 0)
			continue;
		switch ((r >> 8) % 4) {
		case 0:
			if (ftruncate(fd, (r >> 16) % STRESS_PAGES * PAGE_SIZE))
				return 1;
			break;
		case 1:
			if (fallocate(fd, PUNCH,
				      (r >> 16) % STRESS_PAGES * PAGE_SIZE,
				      8 * PAGE_SIZE))
				return 2;
			break;
		case 2:
			unlink(stress_files[r % STRESS_FILES]);
			if (r % STRESS_FILES == 2)
				rmdir(ST "2");
			break;
		}
		close(fd);
		fisc_sleep_ms((r >> 32) % 16);
	}
}

/* Read the listings; a malformed line ends it. */
static int stress_reader(__u64 rnd)
{
	static const char * const names[] = { "st-0", "st-1", "st-2" };
	struct part parts[MAX_PARTS];
	long young;

	for (;;) {
		__u64 r = fisc_rand(&rnd);
		const char *name = names[r % ARRAY_SIZE(names)];

		if (list(name, parts) == BAD_LINE)
			return 1;
		young = young_pages(name);
		if (young == BAD_LINE || young > STRESS_SLOTS * STRESS_PAGES)
			return 2;
		fisc_vm_set(name, "sample_period_ms",
			    (r >> 8) & 1 ? "100" : "\n");
		fisc_vm_set(name, "sample_pages", (r >> 9) & 1 ? "1000" : "10");
		fisc_vm(name, "target");
		fisc_vm(name, "active");
		fisc_sleep_ms((r >> 16) % 8);
	}
}

static pid_t start_worker(int (*worker)(__u64 rnd), __u64 rnd)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(worker(rnd));
	}
	return pid;
}

static bool killed(pid_t pid)
{
	int status;

	return !kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid &&
	       WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

TEST_F_TIMEOUT(kvm, hooks_survive_everything, 3600)
{
	double end = fisc_now() + fisc_stress_s(5);
	long periods = fisc_sample("periods"), kills = 0;
	pid_t vmms[STRESS_VMMS], files, reader;
	long unloads = 0;
	__u64 rnd = getpid();
	int i;

	ASSERT_EQ(0, fisc_write_str(SAMPLE_PERIOD, "100"));
	ASSERT_EQ(0, fisc_scan_on());
	files = start_worker(stress_files_worker, fisc_rand(&rnd));
	reader = start_worker(stress_reader, fisc_rand(&rnd));
	for (i = 0; i < STRESS_VMMS; i++)
		vmms[i] = start_worker(stress_vmm, fisc_rand(&rnd));
	while (fisc_now() < end) {
		/* Kill all of them, so that KVM can go as well. */
		if (self->module[0] && kills % 16 == 8) {
			for (i = 0; i < STRESS_VMMS; i++)
				ASSERT_TRUE(killed(vmms[i]));
			ASSERT_EQ(0, fisc_unload_soon(self->module));
			ASSERT_EQ(0, fisc_unload_soon("kvm"));
			ASSERT_EQ(0, fisc_modprobe(self->module));
			for (i = 0; i < STRESS_VMMS; i++)
				vmms[i] = start_worker(stress_vmm,
						       fisc_rand(&rnd));
			unloads++;
		}
		fisc_sleep_ms(fisc_rand(&rnd) % 300);
		i = fisc_rand(&rnd) % STRESS_VMMS;
		/* A VMM that cannot be killed has failed. */
		ASSERT_TRUE(killed(vmms[i]))
			TH_LOG("VMM %d ended by itself", i);
		vmms[i] = start_worker(stress_vmm, fisc_rand(&rnd));
		kills++;
	}
	for (i = 0; i < STRESS_VMMS; i++)
		EXPECT_TRUE(killed(vmms[i]));
	EXPECT_TRUE(killed(files));
	EXPECT_TRUE(killed(reader));
	EXPECT_LT(periods, fisc_sample("periods"));
	TH_LOG("%ld VMMs killed, KVM unloaded %ld times, %ld periods", kills,
	       unloads, fisc_sample("periods") - periods);
	fisc_sweep();
	EXPECT_TRUE(fisc_wait("core", "frames", 0));
	EXPECT_TRUE(fisc_wait("core", "vms", 0));
	EXPECT_TRUE(fisc_wait("core", "regions", 0));
}

/* "kvm vmm PATH READY GO TRANSFER" is a VMM that executed itself again. */
int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "vmm"))
		return vmm_main(argv[2], atoi(argv[3]), atoi(argv[4]),
				atoi(argv[5]));
	return test_harness_run(argc, argv);
}
