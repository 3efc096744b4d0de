// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM that does what VMMs do to their memory, at random and in several
 * threads, while it is adopted and released: private memory must behave as
 * anonymous memory does, to the byte.
 *
 *   SEED        seed of the pseudo-random numbers; by default, there is a run
 *               for each that is known to be worth it (known_seeds)
 *   OPERATIONS  operations in each run (5000)
 *   ADOPT       0: never adopt, to see that it finds nothing then
 *
 * Prints KTAP: a run is a test case. Each thread has memory of its own
 * (fuzz_arena.h), in memslots that come and go. Another thread runs the guest,
 * which writes all the time; another one adopts and releases, has pages shared
 * and paged out, and closes the VM and makes it anew.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adoption.h"
#include "fuzz_arena.h"
#include "nullb.h"
#include "vmm.h"

#define NAME		"st-fuzz"
#define ADOPTION	FISC_SYSFS "/vms/" NAME "/adoption"
#define DISK		"st-fuzz-disk"
#define SWAP		"st-fuzz-swap"
#define SWAP_MIB	64

#define THREADS		2
#define SLOTS		6
#define OPERATIONS	5000L
#define PROGRESS_S	10
/* More than any operation takes; then something hangs. */
#define HANG_S		300

/* Where slots of arenas and of the guest's memory are. */
#define GPA_ARENA	0x40000000UL
#define GPA_SLOT	0x2000000UL
#define GPA_GUEST	0x10000000UL
#define GUEST_PAGES	256UL
#define GUEST_SLOT	30
/* Held for writing while there is no VM. */
static pthread_rwlock_t vm_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct vmm vmm;
static unsigned int vm_number;		/* of VMs made so far */

static struct arena arenas[THREADS];
static long target;			/* operations of each thread */
static bool stop;
static unsigned long adoptions, rounds, vms;
static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;

/* --- threads with memory of their own ------------------------------------ */

struct slots {
	unsigned int vm_number;
	bool set[SLOTS];
};

/* Make a slot of any part of the arena, or delete it. */
static void change_slot(struct arena *a, struct slots *slots)
{
	unsigned int i = arena_rnd(a, SLOTS);
	int slot = a->id * SLOTS + i, ret;
	size_t first = arena_rnd(a, ARENA_PAGES - 1);
	size_t nr = 1 + arena_rnd(a, ARENA_PAGES - first);

	/* Mostly all there is, or much of it. */
	if (arena_one_in(a, 2)) {
		first = 0;
		nr = ARENA_PAGES;
	}
	if (pthread_rwlock_tryrdlock(&vm_lock))
		return;
	if (slots->vm_number != vm_number) {
		slots->vm_number = vm_number;
		memset(slots->set, 0, sizeof(slots->set));
	}
	arena_log(a, "slot", first, 0, nr);
	if (slots->set[i])
		ret = vmm_delete_slot(&vmm, slot);
	else
		ret = vmm_set_slot(&vmm, slot, GPA_ARENA + slot * GPA_SLOT,
				   arena_page(a, first), nr);
	if (ret)
		arena_fail(a, "slot %u: %s", i, strerror(-ret));
	slots->set[i] = !slots->set[i];
	pthread_rwlock_unlock(&vm_lock);
}

static struct operation *choose(struct arena *a, struct operation *ops,
				size_t nr)
{
	unsigned int sum = 0;
	__u64 at;
	size_t i;

	for (i = 0; i < nr; i++)
		sum += ops[i].weight;
	at = arena_rnd(a, sum);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	return &ops[i];
}

static void operate(struct arena *a)
{
	struct operation *op;
	bool done;

	if (arena_one_in(a, 8))
		op = choose(a, io_operations, io_nr_operations);
	else
		op = choose(a, arena_operations, arena_nr_operations);
	done = op->run(a);
	pthread_mutex_lock(&count_lock);
	op->tried++;
	op->done += done;
	pthread_mutex_unlock(&count_lock);
}

static void *operator(void *argument)
{
	struct arena *a = argument;
	struct slots slots = {};

	fisc_catch_signals();
	while ((long)a->done < target) {
		operate(a);
		if (arena_one_in(a, 64))
			change_slot(a, &slots);
	}
	arena_finish_io(a);
	arena_check_all(a);
	return NULL;
}

/* --- the guest ----------------------------------------------------------- */

static char *guest_mem;
static __u64 guest_rnd;

static void fail_guest(const char *what, long detail)
{
	fprintf(stderr, "# guest, round %lu: %s %ld\n", rounds, what, detail);
	_exit(1);
}

/* Map the guest's memory somewhere else, empty. */
static void map_guest(void)
{
	guest_mem = (char *)0x200000000000UL +
		    fisc_rand(&guest_rnd) % 64 * 2 * GUEST_PAGES * PAGE_SIZE;
	if (mmap(guest_mem, GUEST_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) != guest_mem)
		fail_guest("mmap", errno);
	if (fisc_rand(&guest_rnd) % 4)
		madvise(guest_mem, GUEST_PAGES * PAGE_SIZE, MADV_MERGEABLE);
}

/* The guest writes its byte to each page, beside what the VMM has there. */
static void run_guest(unsigned char byte, __u64 seed)
{
	__u64 expected[PAGE_SIZE / 8];
	struct kvm_regs regs;
	size_t i;
	int ret;

	for (i = 0; i < GUEST_PAGES; i++)
		fisc_fill(guest_mem + i * PAGE_SIZE, seed + i);
	ret = vmm_aim(&vmm, GPA_GUEST, GUEST_PAGES, true);
	if (ret || ioctl(vmm.vcpu, KVM_GET_REGS, &regs))
		fail_guest("registers", ret);
	regs.rax = byte;
	if (ioctl(vmm.vcpu, KVM_SET_REGS, &regs))
		fail_guest("registers", errno);
	ret = vmm_run(&vmm);
	if (ret != KVM_EXIT_HLT)
		fail_guest("exit", ret);
	for (i = 0; i < GUEST_PAGES; i++) {
		fisc_fill(expected, seed + i);
		*(unsigned char *)expected = byte;
		if (memcmp(expected, guest_mem + i * PAGE_SIZE, PAGE_SIZE))
			fail_guest("content of page", i);
	}
}

static void move_guest(void)
{
	char *before = guest_mem;

	if (vmm_delete_slot(&vmm, GUEST_SLOT))
		fail_guest("slot", errno);
	map_guest();
	if (before != guest_mem)
		munmap(before, GUEST_PAGES * PAGE_SIZE);
}

static void *guest(void *argument)
{
	unsigned int made = 0;

	fisc_catch_signals();
	guest_rnd = (unsigned long)argument;
	map_guest();
	while (!READ_ONCE(stop)) {
		pthread_rwlock_rdlock(&vm_lock);
		if (made == vm_number && !(fisc_rand(&guest_rnd) % 16)) {
			move_guest();
			made = 0;
		}
		if (made != vm_number) {
			made = vm_number;
			if (vmm_set_slot(&vmm, GUEST_SLOT, GPA_GUEST, guest_mem,
					 GUEST_PAGES))
				fail_guest("slot", errno);
		}
		run_guest(rounds, rounds * GUEST_PAGES + 1);
		pthread_rwlock_unlock(&vm_lock);
		rounds++;
		fisc_sleep_ms(1);
	}
	return NULL;
}

/* --- adoption ------------------------------------------------------------ */

static void make_vm(void)
{
	int ret = vmm_open(&vmm);

	if (ret)
		errx(1, "no VM: %s", strerror(-ret));
	vm_number++;
	vms++;
}

/* Close the VM and make it anew, soon or when its memory is back. */
static void remake_vm(__u64 *rnd)
{
	pthread_rwlock_wrlock(&vm_lock);
	vmm_close(&vmm);
	fisc_sleep_ms(fisc_rand(rnd) % 4 ? fisc_rand(rnd) % 50 : 3000);
	make_vm();
	pthread_rwlock_unlock(&vm_lock);
}

/* What is set is put right at the end. */
static void set_knobs(__u64 *rnd)
{
	switch (fisc_rand(rnd) % 4) {
	case 0:
		fisc_write_str(SHARE_RUN, fisc_rand(rnd) % 2 ? "1" : "0");
		break;
	case 1:
		fisc_write_str(LARGE_ENABLED, fisc_rand(rnd) % 2 ? "1" : "0");
		break;
	default:
		fisc_low_on_memory(fisc_rand(rnd) % 2);
	}
}

static void *adopter(void *argument)
{
	const char *text = getenv("ADOPT");
	bool adopt = !text || strcmp(text, "0");
	__u64 rnd = (unsigned long)argument;

	while (adopt && !READ_ONCE(stop)) {
		int ret = adopt_as(getpid(), NAME);

		/* It watches memory, or its memory is being given back. */
		if (ret && ret != -EAGAIN && ret != -EALREADY && ret != -EEXIST)
			errx(1, "adoption: %s", strerror(-ret));
		adoptions += !ret;
		if (!(fisc_rand(&rnd) % 2))
			set_knobs(&rnd);
		fisc_sleep_ms(fisc_rand(&rnd) % 8 ? fisc_rand(&rnd) % 100 :
						    fisc_rand(&rnd) % 1500);
		if (!(fisc_rand(&rnd) % 16))
			remake_vm(&rnd);
		ret = fisc_vm_set(NAME, "adoption", "release");
		if (ret && ret != -ENODEV && ret != -ENOENT)
			errx(1, "release: %s", strerror(-ret));
		if (fisc_rand(&rnd) % 4 && !wait_vm_gone(NAME))
			errx(1, "%s is not released", NAME);
	}
	fisc_low_on_memory(false);
	fisc_write_str(SHARE_RUN, "0");
	fisc_vm_set(NAME, "adoption", "release");
	if (!wait_vm_gone(NAME))
		errx(1, "%s is not released", NAME);
	return NULL;
}

/* --- a run --------------------------------------------------------------- */

static void *number(__u64 n)
{
	return (void *)n;
}

static unsigned long operations(void)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < THREADS; i++)
		sum += READ_ONCE(arenas[i].done);
	return sum;
}

/* Wait for the operators, and see to it that they go on. */
static void wait_for(pthread_t *threads)
{
	double begin = fisc_now(), said = begin, moved = begin;
	unsigned long before = 0;
	int i = 0;

	while (i < THREADS) {
		if (!pthread_tryjoin_np(threads[i], NULL)) {
			i++;
			continue;
		}
		fisc_sleep_ms(10);
		if (operations() != before) {
			before = operations();
			moved = fisc_now();
		} else if (fisc_now() > moved + HANG_S) {
			for (i = 0; i < THREADS; i++)
				fprintf(stderr, "# thread %d after %lu: %s\n",
					i, arenas[i].done,
					arena_last(&arenas[i])->name);
			errx(1, "nothing happens");
		}
		if (fisc_now() > said + PROGRESS_S) {
			said = fisc_now();
			printf("# %lu operations, %lu adoptions, %lu rounds, %lu VMs, %.0f s\n",
			       operations(), adoptions, rounds, vms,
			       said - begin);
		}
	}
}

static void show(const struct operation *ops, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		printf("# %s: %lu of %lu\n", ops[i].name, ops[i].done,
		       ops[i].tried);
}

/* In a process of its own. */
static void run(__u64 seed)
{
	pthread_t threads[THREADS], others[2];
	unsigned int i;

	make_vm();
	for (i = 0; i < THREADS; i++) {
		arena_open(&arenas[i], i, seed);
		arena_open_io(&arenas[i], "/dev/" DISK);
	}
	if (pthread_create(&others[0], NULL, guest, number(fisc_mix(~seed))) ||
	    pthread_create(&others[1], NULL, adopter, number(fisc_mix(seed))))
		errx(1, "no thread");
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, operator, &arenas[i]))
			errx(1, "no thread");
	wait_for(threads);
	WRITE_ONCE(stop, true);
	pthread_join(others[0], NULL);
	pthread_join(others[1], NULL);
	for (i = 0; i < THREADS; i++)
		arena_check_all(&arenas[i]);
	show(arena_operations, arena_nr_operations);
	show(io_operations, io_nr_operations);
	printf("# %lu operations, %lu adoptions, %lu rounds of the guest, %lu VMs\n",
	       operations(), adoptions, rounds, vms);
}

static bool run_in_child(__u64 seed)
{
	long frames = fisc_core("frames");
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		run(seed);
		exit(0);
	}
	return !fisc_wait_child(pid) && fisc_wait("core", "frames", frames) &&
	       fisc_wait("core", "vms", 0);
}

static void prepare(void)
{
	setlinebuf(stdout);
	fisc_sweep();
	fisc_write_str(SHARE_DOMAIN, "selftests");
	fisc_write_str(SHARE_RATE, RATE_MAX);
	fisc_write_str(SHARE_RECHECK, "10");
	fisc_write_str(RECLAIM_BLOCKING, "0");
	if (nullb_start(DISK, 4, 200) || nullb_start(SWAP, SWAP_MIB, 0) ||
	    nullb_swapon(SWAP, SWAP_MIB))
		printf("# no block devices\n");
}

static void clean_up(void)
{
	swapoff("/dev/" SWAP);
	nullb_stop(SWAP);
	nullb_stop(DISK);
	fisc_write_str(SHARE_DOMAIN, "\n");
	fisc_write_str(RECLAIM_BLOCKING, "1");
}

/* What they found, each within 3,000 operations. */
static const __u64 known_seeds[] = {
	1,	/* MADV_REMOVE; userfaultfd(); discarding during a release */
	2,
	3,
};

int main(void)
{
	const char *text = getenv("OPERATIONS"), *one = getenv("SEED");
	size_t nr = one ? 1 : sizeof(known_seeds) / sizeof(*known_seeds), i, failed = 0;

	target = (text ? atol(text) : OPERATIONS) / THREADS;
	printf("TAP version 13\n1..%zu\n", nr);
	prepare();
	for (i = 0; i < nr; i++) {
		__u64 seed = one ? strtoull(one, NULL, 0) : known_seeds[i];
		bool ok = run_in_child(seed);

		failed += !ok;
		printf("%sok %zu adopt_fuzz.seed_%llu\n", ok ? "" : "not ",
		       i + 1, seed);
	}
	clean_up();
	return failed ? 1 : 0;
}
