/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A user-space driver of fisc's balloon device, on /dev/vhost-vdpa-N. It can be
 * a good one, with vdpa_post() and vdpa_wait_used(), or any other kind: rings,
 * addresses and the status are the caller's to spoil.
 */
#ifndef FISC_SELFTESTS_VDPA_H
#define FISC_SELFTESTS_VDPA_H

#include <linux/vhost.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "fisc.h"
#include "../uapi/fisc_balloon.h"

#define VDPA_DEVICES	"/sys/bus/vdpa/devices"
#define VDPA_DRIVERS	"/sys/bus/vdpa/drivers"

/* Queues; reports have the queue after the one of hints, or take its place. */
#define VDPA_INFLATE	0
#define VDPA_DEFLATE	1
#define VDPA_STATS	2
#define VDPA_REPORT	3
#define VDPA_REPORT_4	4
#define VDPA_NR_QUEUES	5

#define VDPA_NUM_MAX	1024
#define VDPA_NUM	256		/* as in most drivers */

#define VDPA_F(feature)	(1ULL << (feature))
#define VDPA_FEATURES						\
	(VDPA_F(VIRTIO_F_VERSION_1) |				\
	 VDPA_F(VIRTIO_F_ACCESS_PLATFORM) |			\
	 VDPA_F(VIRTIO_BALLOON_F_MUST_TELL_HOST) |		\
	 VDPA_F(VIRTIO_BALLOON_F_STATS_VQ) |			\
	 VDPA_F(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |		\
	 VDPA_F(VIRTIO_BALLOON_F_PAGE_POISON) |			\
	 VDPA_F(VIRTIO_BALLOON_F_REPORTING))
#define VDPA_PAIRED	(VDPA_FEATURES | VDPA_F(FISC_BALLOON_F_PAIRED))

/* Layout of the driver's memory for vdpa_post() and the rings, in pages. */
#define VDPA_AVAIL_PAGE		4
#define VDPA_USED_PAGE		5
#define VDPA_RING_PAGES		8
#define VDPA_BUFFER		(VDPA_NR_QUEUES * VDPA_RING_PAGES)
#define VDPA_BUFFER_PAGES	(FISC_BALLOON_BUFFER_MAX / PAGE_SIZE + 1)
#define VDPA_PAGES		\
	(VDPA_BUFFER + VDPA_NR_QUEUES * VDPA_BUFFER_PAGES)

/**
 * struct vdpa_queue - a split ring, as its driver sees it
 * @num: descriptors
 * @desc: descriptors
 * @avail: what the driver makes available
 * @used: what the device has used
 * @buffer: FISC_BALLOON_BUFFER_MAX bytes and a spare page
 * @buffer_iova: where the device sees @buffer
 * @iova: where the device sees @desc
 * @kick: eventfd
 * @call: eventfd
 * @next_avail: the next index that vdpa_post() makes available
 * @next_desc: the next descriptor that it uses
 */
struct vdpa_queue {
	unsigned int num;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	char *buffer;
	__u64 buffer_iova;
	__u64 iova;
	int kick;
	int call;
	__u16 next_avail;
	__u16 next_desc;
};

/**
 * struct vdpa - an open device
 * @fd: of /dev/vhost-vdpa-N
 * @config_call: eventfd
 * @mem: memory for the rings, VDPA_PAGES pages
 * @iova: where the device sees @mem
 * @features: the accepted features
 * @queues: all possible queues
 */
struct vdpa {
	int fd;
	int config_call;
	char *mem;
	__u64 iova;
	__u64 features;
	struct vdpa_queue queues[VDPA_NR_QUEUES];
};

/* The modules of the device: 0 or -errno. */
int vdpa_load(void);
int vdpa_unload(void);

/* Devices, and the vdpa bus driver that they are bound to: 0 or -errno. */
int vdpa_add(const char *name);
int vdpa_del(const char *name);
bool vdpa_exists(const char *name);
void vdpa_sweep(void);
int vdpa_bind(const char *name, const char *driver);
int vdpa_unbind(const char *name);

/* An open device; functions that return an int return 0 or -errno. */
int vdpa_open(struct vdpa *vdpa, const char *name);
void vdpa_close(struct vdpa *vdpa);
int vdpa_map(struct vdpa *vdpa, __u64 iova, const void *mem, size_t len);
int vdpa_map_perm(struct vdpa *vdpa, __u64 iova, const void *mem, size_t len,
		  __u8 perm);
int vdpa_unmap(struct vdpa *vdpa, __u64 iova, size_t len);
int vdpa_device_id(struct vdpa *vdpa);
__u64 vdpa_features(struct vdpa *vdpa);
int vdpa_status(struct vdpa *vdpa);
int vdpa_set_status(struct vdpa *vdpa, __u8 status);
int vdpa_read_config(struct vdpa *vdpa, size_t offset, void *value, size_t len);
int vdpa_write_config(struct vdpa *vdpa, size_t offset, const void *value,
		      size_t len);
__u32 vdpa_config(struct vdpa *vdpa, size_t offset);

/*
 * Take the device from reset to running: negotiate, lay out rings of @num
 * descriptors at @mem, which the device sees at @iova, and set DRIVER_OK. The
 * steps are also there one by one, for cases that need something else.
 */
int vdpa_start(struct vdpa *vdpa, char *mem, __u64 iova, __u64 features,
	       unsigned int num);
int vdpa_negotiate(struct vdpa *vdpa, __u64 features);
void vdpa_lay_rings(struct vdpa *vdpa, char *mem, __u64 iova, unsigned int num);
int vdpa_set_ring(struct vdpa *vdpa, int queue, unsigned int num, __u64 desc,
		  __u64 avail, __u64 used);
int vdpa_set_base(struct vdpa *vdpa, int queue, unsigned int base);
int vdpa_set_eventfds(struct vdpa *vdpa, int queue);
int vdpa_enable(struct vdpa *vdpa, int queue, bool on);

static inline __u64 vdpa_avail_iova(const struct vdpa_queue *queue)
{
	return queue->iova + VDPA_AVAIL_PAGE * PAGE_SIZE;
}

static inline __u64 vdpa_used_iova(const struct vdpa_queue *queue)
{
	return queue->iova + VDPA_USED_PAGE * PAGE_SIZE;
}

/*
 * Rings: vdpa_put() fills a descriptor, vdpa_expose() makes chains available
 * that begin with the @nr descriptors at @head; vdpa_post() does both for one
 * buffer, and kicks. The wait succeeds once all that is available has been
 * used.
 */
void vdpa_put(struct vdpa_queue *queue, __u16 index, __u64 addr, __u32 len,
	      __u16 flags, __u16 next);
void vdpa_expose(struct vdpa_queue *queue, __u16 head, unsigned int nr);
void vdpa_kick(struct vdpa_queue *queue);
void vdpa_post(struct vdpa_queue *queue, __u64 addr, __u32 len, __u16 flags);
bool vdpa_wait_used(struct vdpa_queue *queue);
bool vdpa_wait_used_s(struct vdpa_queue *queue, double seconds);
bool vdpa_wait_status(struct vdpa *vdpa, int bits);
bool vdpa_wait_config(struct vdpa *vdpa, double seconds);

#endif /* FISC_SELFTESTS_VDPA_H */
