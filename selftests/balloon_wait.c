// SPDX-License-Identifier: GPL-2.0
/*
 * What a balloon's progress is worth: whether its VM is paged, and whether
 * others wait for it.
 */
#include <sys/swap.h>

#include "balloon.h"
#include "nullb.h"
#include "waiter.h"

#define SWAP		"fiscswap"
#define SWAP_MIB	64

/* A VM, a pool of half its size, and what makes memory short there. */
#define VM_PAGES	4096
#define POOL_BYTES	"8388608"
#define FILLED		1700
#define NEXT		4000		/* a page that is not there yet */

#define VM_A		FISC_SYSFS "/vms/st-a"

static void boot_filled(struct __test_metadata *_metadata, struct guest *guest)
{
	boot(_metadata, guest, VM_PAGES, VDPA_FEATURES);
	fill(guest, FIRST, FILLED);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, POOL_BYTES));
}

static void swap_on(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, nullb_start(SWAP, SWAP_MIB, 0));
	ASSERT_EQ(0, nullb_swapon(SWAP, SWAP_MIB));
	ASSERT_EQ(0, fisc_write_str(RECLAIM_COLD, "10"));
}

static void swap_off(struct __test_metadata *_metadata, struct guest *guest)
{
	vdpa_close(&guest->vdpa);
	munmap(guest->map, VM_PAGES * PAGE_SIZE);
	close(guest->fd);
	ASSERT_EQ(0, unlink(ST "a"));
	EXPECT_TRUE(fisc_wait("core", "swapped", 0));
	EXPECT_EQ(0, swapoff("/dev/" SWAP));
	nullb_stop(SWAP);
}

static int soft(bool on)
{
	const char *value = on ? "50" : "0";

	/* Where one state ends depends on the one before. */
	return on ? fisc_write_str(RECLAIM_HIGH, value) ?:
		    fisc_write_str(RECLAIM_SOFT, value) :
		    fisc_write_str(RECLAIM_SOFT, value) ?:
		    fisc_write_str(RECLAIM_HIGH, value);
}

/* Move the balloon by a page. */
static void twitch(void *arg)
{
	struct guest *guest = arg;

	inflate(guest, FIRST, 1);
	fisc_sleep_ms(20);
	deflate(guest, FIRST, 1);
}

TEST_F(balloon, vm_is_paged_if_its_balloon_only_twitches)
{
	static struct guest guest;
	double end;
	int i;

	swap_on(_metadata);
	boot_filled(_metadata, &guest);
	ASSERT_EQ(0, fisc_write_str(VM_A "/balloon/target", "8M"));
	for (i = 0; i < 10; i++)
		twitch(&guest);
	ASSERT_EQ(0, soft(true));
	ASSERT_TRUE(waiter_word(RECLAIM_STATE, "soft"));
	end = fisc_now() + WAIT_S;
	while (!fisc_vm("st-a", "swapped") && fisc_now() < end)
		twitch(&guest);
	EXPECT_LT(0, fisc_vm("st-a", "swapped"));
	EXPECT_EQ(-1, damaged(&guest, FIRST + 1, FILLED - 1));
	ASSERT_EQ(0, soft(false));
	swap_off(_metadata, &guest);
}

/* A target that changes by a page all the time; the guest does not care. */
TEST_F(balloon, vm_is_paged_if_only_its_target_twitches)
{
	static const char * const targets[] = { "4M", "4100K" };
	static struct guest guest;
	double end;
	int i;

	swap_on(_metadata);
	boot_filled(_metadata, &guest);
	ASSERT_EQ(0, soft(true));
	ASSERT_TRUE(waiter_word(RECLAIM_STATE, "soft"));
	end = fisc_now() + WAIT_S;
	for (i = 0; !fisc_vm("st-a", "swapped") && fisc_now() < end; i++) {
		ASSERT_EQ(0, fisc_write_str(VM_A "/balloon/target",
					    targets[i % 2]));
		fisc_sleep_ms(200);
	}
	EXPECT_LT(0, fisc_vm("st-a", "swapped"));
	EXPECT_EQ(-1, damaged(&guest, FIRST, FILLED));
	ASSERT_EQ(0, soft(false));
	swap_off(_metadata, &guest);
}

TEST_F(balloon, other_vms_do_not_wait_for_it)
{
	static struct guest guest, other;
	struct waiter waiter;
	int i;

	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	boot(_metadata, &guest, VM_PAGES, VDPA_FEATURES);
	fill(&guest, FIRST, FILLED / 2);
	make_memory(_metadata, &other, ST "b", VM_PAGES);
	fill(&other, 0, FILLED / 2);
	ASSERT_EQ(0, fisc_write_str(TAX_CAPACITY, POOL_BYTES));
	ASSERT_EQ(0, fisc_write_str(VM_A "/balloon/target", "8M"));
	ASSERT_TRUE(waiter_start(&waiter, page_of(other.map, NEXT)));
	ASSERT_EQ(0, fisc_low_on_memory(true));
	ASSERT_TRUE(waiter_word(RECLAIM_STATE, "low"));
	for (i = 0; i < 10; i++)
		twitch(&guest);
	waiter_go(&waiter);
	EXPECT_TRUE(waiter_end(&waiter, WAIT_S, twitch, &guest));
	EXPECT_TRUE(waiter_word(FISC_SYSFS "/vms/st-b/reclaim", "none"));
	ASSERT_EQ(0, fisc_low_on_memory(false));
}

/* What is done about the VM first as memory becomes short. */
static void first_reason(char *reason, size_t size)
{
	double end = fisc_now() + WAIT_S;

	do {
		if (fisc_read_str(VM_A "/reclaim", reason, size))
			break;
	} while (!strcmp(reason, "none") && fisc_now() < end);
}

TEST_F(balloon, balloon_has_its_turn_first)
{
	static struct guest guest;
	char reason[32] = "";
	int i;

	swap_on(_metadata);
	boot_filled(_metadata, &guest);
	/* If this process is not run for too long, it misses the first one. */
	for (i = 0; i < 5 && strcmp(reason, "balloon"); i++) {
		ASSERT_EQ(0, soft(false));
		ASSERT_TRUE(waiter_word(VM_A "/reclaim", "none"));
		EXPECT_EQ(-1, damaged(&guest, FIRST, FILLED));
		ASSERT_EQ(0, soft(true));
		first_reason(reason, sizeof(reason));
	}
	EXPECT_STREQ("balloon", reason);
	/* It does nothing, and so it has had its time. */
	EXPECT_TRUE(waiter_word(VM_A "/reclaim", "paging"));
	EXPECT_TRUE(fisc_wait_vm_between("st-a", "swapped", 1, FILLED * 4096L));
	ASSERT_EQ(0, soft(false));
	swap_off(_metadata, &guest);
}

/**
 * struct slow - a balloon that grows slowly
 * @guest: the guest
 * @next: the next page
 */
struct slow {
	struct guest *guest;
	size_t next;
};

static void grow(void *arg)
{
	struct slow *slow = arg;

	inflate(slow->guest, slow->next, 8);
	slow->next += 8;
	fisc_sleep_ms(100);
}

TEST_F(balloon, wait_ends_with_the_excess)
{
	static struct guest guest;
	struct slow slow = { .guest = &guest, .next = FIRST };
	struct waiter waiter;
	char state[32] = "";
	double end;

	ASSERT_EQ(0, fisc_write_str(RECLAIM_PAGING, "0"));
	boot_filled(_metadata, &guest);
	ASSERT_TRUE(waiter_start(&waiter, page_of(guest.map, NEXT)));
	ASSERT_EQ(0, fisc_write_str(VM_A "/balloon/target", "8M"));
	/* The driver has its buffer, and does not have to wait for it. */
	grow(&slow);
	ASSERT_EQ(0, fisc_low_on_memory(true));
	ASSERT_TRUE(waiter_word(VM_A "/reclaim", "blocked"));
	waiter_go(&waiter);
	/* Longer than what a balloon that does nothing is given. */
	for (end = fisc_now() + 4; fisc_now() < end && waiter_waits(&waiter); )
		grow(&slow);
	EXPECT_TRUE(waiter_waits(&waiter))
		TH_LOG("%zu pages in the balloon", slow.next - FIRST);
	/* The VM is not above its target any more, but memory is as short. */
	ASSERT_EQ(0, fisc_vm_set("st-a", "min", "7680K"));
	EXPECT_TRUE(waiter_end(&waiter, WAIT_S / 3, grow, &slow));
	ASSERT_EQ(0, fisc_read_str(RECLAIM_STATE, state, sizeof(state)));
	EXPECT_STREQ("low", state);
	ASSERT_EQ(0, fisc_low_on_memory(false));
}

TEST_HARNESS_MAIN
