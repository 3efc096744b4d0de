/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture of programs that test the balloon, and the guest that they are:
 * its memory is a fisc file that the device sees at GPA and whose first pages
 * hold the rings; its driver is that of vdpa.h. The device's module stays
 * loaded from case to case, as loading it takes a debug kernel long; run.sh
 * unloads it.
 */
#ifndef FISC_SELFTESTS_BALLOON_H
#define FISC_SELFTESTS_BALLOON_H

#define FISC_OWN_FIXTURE
#include "fixture.h"
#include "vdpa.h"

/* Where guests have memory, and the first page that is not the driver's. */
#define GPA		0x40000000UL
#define GPA_2		0x80000000UL
#define GPA_3		0xc0000000UL
#define FIRST		VDPA_PAGES

/* How long to wait for what must not happen. */
#define QUIET_MS	300

/* Bits of the device's status */
#define NEEDS_RESET	VIRTIO_CONFIG_S_NEEDS_RESET
#define DRIVER_OK	VIRTIO_CONFIG_S_DRIVER_OK

static inline void set_up(struct __test_metadata *_metadata,
			  struct fisc_before *before)
{
	fisc_set_up(_metadata, before);
	ASSERT_EQ(0, vdpa_load());
	ASSERT_EQ(0, fisc_balloon("ballooned"));
	ASSERT_EQ(0, fisc_balloon("devices"));
}

static inline void tear_down(struct __test_metadata *_metadata,
			     const struct fisc_before *before)
{
	if (before->pid != getpid()) {
		vdpa_sweep();
		EXPECT_EQ(0, fisc_balloon("devices"));
		EXPECT_TRUE(fisc_wait("balloon", "ballooned", 0));
	}
	fisc_tear_down(_metadata, before);
}

FIXTURE(balloon)
{
	struct fisc_before before;
};

FIXTURE_SETUP(balloon)
{
	set_up(_metadata, &self->before);
}

FIXTURE_TEARDOWN_PARENT(balloon)
{
	tear_down(_metadata, &self->before);
}

/* Guests */

/**
 * struct guest - a VM and its driver
 * @vdpa: the device
 * @fd: of the file that is its memory
 * @map: the file
 * @nr_pages: size of the file
 */
struct guest {
	struct vdpa vdpa;
	int fd;
	char *map;
	size_t nr_pages;
};

static inline void make_memory(struct __test_metadata *_metadata,
			       struct guest *guest, const char *path,
			       size_t nr_pages)
{
	guest->fd = fisc_create(path, nr_pages);
	ASSERT_LE(0, guest->fd);
	guest->map = fisc_map(guest->fd, nr_pages);
	ASSERT_NE(NULL, guest->map);
	guest->nr_pages = nr_pages;
}

/* Add and open a device for the memory that make_memory() made. */
static inline void plug(struct __test_metadata *_metadata, struct guest *guest,
			const char *device)
{
	ASSERT_EQ(0, vdpa_add(device));
	ASSERT_EQ(0, vdpa_open(&guest->vdpa, device));
	ASSERT_EQ(0, vdpa_map(&guest->vdpa, GPA, guest->map,
			      guest->nr_pages * PAGE_SIZE));
}

static inline void start(struct __test_metadata *_metadata, struct guest *guest,
			 __u64 features)
{
	ASSERT_EQ(0, vdpa_start(&guest->vdpa, guest->map, GPA, features,
				VDPA_NUM));
	ASSERT_EQ(DRIVER_OK,
		  vdpa_status(&guest->vdpa) & (DRIVER_OK | NEEDS_RESET));
}

static inline void boot(struct __test_metadata *_metadata, struct guest *guest,
			size_t nr_pages, __u64 features)
{
	make_memory(_metadata, guest, ST "a", nr_pages);
	plug(_metadata, guest, "st-a");
	start(_metadata, guest, features);
}

static inline void fill(struct guest *guest, size_t first, size_t nr)
{
	size_t i;

	for (i = first; i < first + nr; i++)
		fisc_fill(guest->map + i * PAGE_SIZE, i);
}

/* Return the first page that is not as fill() left it, or -1. */
static inline long damaged(struct guest *guest, size_t first, size_t nr)
{
	size_t i;

	for (i = first; i < first + nr; i++)
		if (fisc_check(guest->map + i * PAGE_SIZE, i) >= 0)
			return i;
	return -1;
}

static inline long not_zero(struct guest *guest, size_t first, size_t nr)
{
	return fisc_check_zero(guest->map + first * PAGE_SIZE, nr * PAGE_SIZE);
}

static inline __u64 gfn(size_t page)
{
	return GPA / PAGE_SIZE + page;
}

/* Return the pages in the balloon, on which sysfs and the device must agree. */
static inline long actual(struct guest *guest)
{
	long pages = fisc_vm("st-a", "balloon/actual") / (long)PAGE_SIZE;
	long config =
		vdpa_config(&guest->vdpa,
			    offsetof(struct virtio_balloon_config, actual));

	return pages == config ? pages : -2;
}

/* Telling the device */

/*
 * Send @entries, which are page numbers or, if that was negotiated, ranges.
 * Return whether the device has answered.
 */
static inline bool tell(struct guest *guest, int index, const __u64 *entries,
			size_t nr)
{
	struct vdpa_queue *queue = &guest->vdpa.queues[index];
	bool paired = guest->vdpa.features & VDPA_F(FISC_BALLOON_F_PAIRED);
	__u32 *narrow = (__u32 *)queue->buffer;
	size_t i;

	if (paired)
		memcpy(queue->buffer, entries, nr * sizeof(*entries));
	else
		for (i = 0; i < nr; i++)
			narrow[i] = entries[i];
	vdpa_post(queue, queue->buffer_iova,
		  nr * (paired ? sizeof(__u64) : sizeof(__u32)), 0);
	return vdpa_wait_used(queue);
}

static inline __u64 entry(struct guest *guest, __u64 pfn)
{
	return guest->vdpa.features & VDPA_F(FISC_BALLOON_F_PAIRED) ?
	       FISC_BALLOON_RANGE(pfn, 0) : pfn;
}

/* Send @nr pages, at most 4096, from @first on in steps of @step. */
static inline bool tell_pages(struct guest *guest, int queue, size_t first,
			      size_t nr, long step)
{
	__u64 entries[4096];
	size_t i;

	for (i = 0; i < nr; i++, first += step)
		entries[i] = entry(guest, gfn(first));
	return tell(guest, queue, entries, nr);
}

static inline bool inflate(struct guest *guest, size_t first, size_t nr)
{
	return tell_pages(guest, VDPA_INFLATE, first, nr, 1);
}

static inline bool deflate(struct guest *guest, size_t first, size_t nr)
{
	return tell_pages(guest, VDPA_DEFLATE, first, nr, 1);
}

static inline bool inflate_range(struct guest *guest, __u64 pfn,
				 unsigned int order)
{
	const __u64 range = FISC_BALLOON_RANGE(pfn, order);

	return tell(guest, VDPA_INFLATE, &range, 1);
}

/* Return whether the device still listens to its driver. Changes nothing. */
static inline bool works(struct guest *guest)
{
	return deflate(guest, FIRST, 1) &&
	       !(vdpa_status(&guest->vdpa) & NEEDS_RESET);
}

static inline void boot_inflated(struct __test_metadata *_metadata,
				 struct guest *guest, __u64 features)
{
	boot(_metadata, guest, 2048, features);
	fill(guest, FIRST, 2048 - FIRST);
	ASSERT_TRUE(inflate(guest, 1024, 512));
	ASSERT_EQ(512, actual(guest));
}

#endif /* FISC_SELFTESTS_BALLOON_H */
