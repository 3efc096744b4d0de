// SPDX-License-Identifier: GPL-2.0
/* A user-space driver of fisc's balloon device; see vdpa.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vdpa.h"

/* Modules */

int vdpa_load(void)
{
	if (!access("/sys/module/fisc_vdpa", F_OK))
		return 0;
	return fisc_modprobe("vdpa") ?:
	       fisc_modprobe("vhost_vdpa") ?:
	       fisc_load_beside("fisc_vdpa");
}

int vdpa_unload(void)
{
	int ret = fisc_unload_soon("fisc_vdpa");

	return ret == -ENOENT ? 0 : ret;
}

/* Devices */

int vdpa_add(const char *name)
{
	const char * const argv[] = {
		"vdpa", "dev", "add", "name", name, "mgmtdev", "fisc", NULL,
	};

	return fisc_run(argv);
}

int vdpa_del(const char *name)
{
	const char * const argv[] = { "vdpa", "dev", "del", name, NULL };

	return fisc_run(argv);
}

bool vdpa_exists(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), VDPA_DEVICES "/%s", name);
	return !access(path, F_OK);
}

/* Delete all devices that cases made: they are named as the files are. */
void vdpa_sweep(void)
{
	DIR *dir = opendir(VDPA_DEVICES);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "st-", 3))
			vdpa_del(entry->d_name);
	closedir(dir);
}

int vdpa_unbind(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), VDPA_DEVICES "/%s/driver/unbind", name);
	return fisc_write_str(path, name);
}

int vdpa_bind(const char *name, const char *driver)
{
	char path[128];
	int ret;

	snprintf(path, sizeof(path), VDPA_DEVICES "/%s/driver_override", name);
	ret = fisc_write_str(path, driver);
	if (ret)
		return ret;
	ret = vdpa_unbind(name);
	if (ret && ret != -ENOENT)
		return ret;
	snprintf(path, sizeof(path), VDPA_DRIVERS "/%s/bind", driver);
	return fisc_write_str(path, name);
}

/* An open device */

/* Find the device file of @name, which udev or devtmpfs makes in a moment. */
static int find_path(const char *name, char *path, size_t size)
{
	char dir_path[128];
	struct dirent *entry;
	int ret = -ENOENT;
	DIR *dir;

	snprintf(dir_path, sizeof(dir_path), VDPA_DEVICES "/%s", name);
	dir = opendir(dir_path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vhost-vdpa-", 11))
			continue;
		snprintf(path, size, "/dev/%s", entry->d_name);
		ret = 0;
	}
	closedir(dir);
	return ret;
}

static int control(struct vdpa *vdpa, unsigned long request, void *argument)
{
	return ioctl(vdpa->fd, request, argument) ? -errno : 0;
}

int vdpa_open(struct vdpa *vdpa, const char *name)
{
	char path[300];
	__u64 backend;
	int ret, i;

	memset(vdpa, 0, sizeof(*vdpa));
	vdpa->fd = -1;
	vdpa->config_call = -1;
	for (i = 0; i < VDPA_NR_QUEUES; i++) {
		vdpa->queues[i].kick = -1;
		vdpa->queues[i].call = -1;
	}
	ret = find_path(name, path, sizeof(path));
	if (ret)
		return ret;
	vdpa->fd = open(path, O_RDWR | O_CLOEXEC);
	if (vdpa->fd < 0)
		return -errno;
	ret = control(vdpa, VHOST_SET_OWNER, NULL) ?:
	      control(vdpa, VHOST_GET_BACKEND_FEATURES, &backend) ?:
	      control(vdpa, VHOST_SET_BACKEND_FEATURES, &backend);
	if (ret)
		vdpa_close(vdpa);
	return ret;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vdpa_close(struct vdpa *vdpa)
{
	int i;

	close_fd(&vdpa->fd);
	close_fd(&vdpa->config_call);
	for (i = 0; i < VDPA_NR_QUEUES; i++) {
		close_fd(&vdpa->queues[i].kick);
		close_fd(&vdpa->queues[i].call);
	}
}

static int send_iotlb(struct vdpa *vdpa, const struct vhost_iotlb_msg *iotlb)
{
	struct vhost_msg_v2 msg = { .type = VHOST_IOTLB_MSG_V2 };

	msg.iotlb = *iotlb;
	return write(vdpa->fd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -errno;
}

int vdpa_map_perm(struct vdpa *vdpa, __u64 iova, const void *mem, size_t len,
		  __u8 perm)
{
	const struct vhost_iotlb_msg iotlb = {
		.type = VHOST_IOTLB_UPDATE,
		.iova = iova,
		.size = len,
		.uaddr = (unsigned long)mem,
		.perm = perm,
	};

	return send_iotlb(vdpa, &iotlb);
}

int vdpa_map(struct vdpa *vdpa, __u64 iova, const void *mem, size_t len)
{
	return vdpa_map_perm(vdpa, iova, mem, len, VHOST_ACCESS_RW);
}

int vdpa_unmap(struct vdpa *vdpa, __u64 iova, size_t len)
{
	const struct vhost_iotlb_msg iotlb = {
		.type = VHOST_IOTLB_INVALIDATE,
		.iova = iova,
		.size = len,
	};

	return send_iotlb(vdpa, &iotlb);
}

int vdpa_device_id(struct vdpa *vdpa)
{
	__u32 id;

	return control(vdpa, VHOST_VDPA_GET_DEVICE_ID, &id) ?: (int)id;
}

__u64 vdpa_features(struct vdpa *vdpa)
{
	__u64 features;

	return control(vdpa, VHOST_GET_FEATURES, &features) ? 0 : features;
}

int vdpa_status(struct vdpa *vdpa)
{
	__u8 status;

	return control(vdpa, VHOST_VDPA_GET_STATUS, &status) ?: status;
}

int vdpa_set_status(struct vdpa *vdpa, __u8 status)
{
	return control(vdpa, VHOST_VDPA_SET_STATUS, &status);
}

/* The configuration of the devices tested here is never larger. */
struct config {
	struct vhost_vdpa_config head;
	char value[256];
};

int vdpa_read_config(struct vdpa *vdpa, size_t offset, void *value, size_t len)
{
	struct config config = { .head = { .off = offset, .len = len } };
	int ret;

	if (len > sizeof(config.value))
		return -EINVAL;
	ret = control(vdpa, VHOST_VDPA_GET_CONFIG, &config);
	if (!ret)
		memcpy(value, config.value, len);
	return ret;
}

int vdpa_write_config(struct vdpa *vdpa, size_t offset, const void *value,
		      size_t len)
{
	struct config config = { .head = { .off = offset, .len = len } };

	if (len > sizeof(config.value))
		return -EINVAL;
	memcpy(config.value, value, len);
	return control(vdpa, VHOST_VDPA_SET_CONFIG, &config);
}

/* Read a field of struct virtio_balloon_config; all ones on failure. */
__u32 vdpa_config(struct vdpa *vdpa, size_t offset)
{
	__u32 value;

	if (vdpa_read_config(vdpa, offset, &value, sizeof(value)))
		return -1U;
	return value;
}

/* From reset to running */

int vdpa_negotiate(struct vdpa *vdpa, __u64 features)
{
	__u8 status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	int ret;

	ret = vdpa_set_status(vdpa, 0) ?: vdpa_set_status(vdpa, status) ?:
	      control(vdpa, VHOST_SET_FEATURES, &features) ?:
	      vdpa_set_status(vdpa, status | VIRTIO_CONFIG_S_FEATURES_OK);
	if (ret)
		return ret;
	vdpa->features = features;
	ret = vdpa_status(vdpa);
	if (ret < 0)
		return ret;
	return ret & VIRTIO_CONFIG_S_FEATURES_OK ? 0 : -EPROTO;
}

void vdpa_lay_rings(struct vdpa *vdpa, char *mem, __u64 iova, unsigned int num)
{
	size_t i;

	vdpa->mem = mem;
	vdpa->iova = iova;
	for (i = 0; i < VDPA_NR_QUEUES; i++) {
		struct vdpa_queue *queue = &vdpa->queues[i];
		size_t ring = i * VDPA_RING_PAGES * PAGE_SIZE;
		size_t buffer = (VDPA_BUFFER + i * VDPA_BUFFER_PAGES) *
				PAGE_SIZE;

		memset(mem + ring, 0, VDPA_RING_PAGES * PAGE_SIZE);
		queue->num = num;
		queue->iova = iova + ring;
		queue->desc = (void *)(mem + ring);
		queue->avail =
			(void *)(mem + ring + VDPA_AVAIL_PAGE * PAGE_SIZE);
		queue->used = (void *)(mem + ring + VDPA_USED_PAGE * PAGE_SIZE);
		queue->buffer = mem + buffer;
		queue->buffer_iova = iova + buffer;
		queue->next_avail = 0;
		queue->next_desc = 0;
	}
}

int vdpa_set_ring(struct vdpa *vdpa, int queue, unsigned int num, __u64 desc,
		  __u64 avail, __u64 used)
{
	struct vhost_vring_state state = { .index = queue, .num = num };
	struct vhost_vring_addr addr = {
		.index = queue,
		.desc_user_addr = desc,
		.avail_user_addr = avail,
		.used_user_addr = used,
	};

	return control(vdpa, VHOST_SET_VRING_NUM, &state) ?:
	       control(vdpa, VHOST_SET_VRING_ADDR, &addr);
}

int vdpa_set_base(struct vdpa *vdpa, int queue, unsigned int base)
{
	struct vhost_vring_state state = { .index = queue, .num = base };

	return control(vdpa, VHOST_SET_VRING_BASE, &state);
}

static int need_eventfd(int *fd)
{
	if (*fd < 0)
		*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? -errno : 0;
}

/* A reset makes the device forget them. */
int vdpa_set_eventfds(struct vdpa *vdpa, int index)
{
	struct vdpa_queue *queue = &vdpa->queues[index];
	struct vhost_vring_file file = { .index = index };
	int ret = need_eventfd(&queue->kick) ?: need_eventfd(&queue->call);

	if (ret)
		return ret;
	file.fd = queue->kick;
	ret = control(vdpa, VHOST_SET_VRING_KICK, &file);
	if (ret)
		return ret;
	file.fd = queue->call;
	return control(vdpa, VHOST_SET_VRING_CALL, &file);
}

int vdpa_enable(struct vdpa *vdpa, int queue, bool on)
{
	struct vhost_vring_state state = { .index = queue, .num = on };

	return control(vdpa, VHOST_VDPA_SET_VRING_ENABLE, &state);
}

int vdpa_start(struct vdpa *vdpa, char *mem, __u64 iova, __u64 features,
	       unsigned int num)
{
	int ret, i;

	vdpa_lay_rings(vdpa, mem, iova, num);
	ret = vdpa_negotiate(vdpa, features) ?:
	      need_eventfd(&vdpa->config_call) ?:
	      control(vdpa, VHOST_VDPA_SET_CONFIG_CALL, &vdpa->config_call);
	for (i = 0; !ret && i < VDPA_NR_QUEUES; i++) {
		const struct vdpa_queue *queue = &vdpa->queues[i];

		ret = vdpa_set_ring(vdpa, i, num, queue->iova,
				    vdpa_avail_iova(queue),
				    vdpa_used_iova(queue)) ?:
		      vdpa_set_base(vdpa, i, 0) ?: vdpa_set_eventfds(vdpa, i) ?:
		      vdpa_enable(vdpa, i, true);
	}
	if (!ret)
		ret = vdpa_status(vdpa);
	if (ret < 0)
		return ret;
	return vdpa_set_status(vdpa, ret | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Rings */

void vdpa_put(struct vdpa_queue *queue, __u16 index, __u64 addr, __u32 len,
	      __u16 flags, __u16 next)
{
	struct vring_desc *desc = &queue->desc[index];

	desc->addr = addr;
	desc->len = len;
	desc->flags = flags;
	desc->next = next;
}

void vdpa_expose(struct vdpa_queue *queue, __u16 head, unsigned int nr)
{
	while (nr--)
		queue->avail->ring[queue->next_avail++ % queue->num] = head++;
	__atomic_store_n(&queue->avail->idx, queue->next_avail,
			 __ATOMIC_RELEASE);
}

void vdpa_kick(struct vdpa_queue *queue)
{
	eventfd_write(queue->kick, 1);
}

void vdpa_post(struct vdpa_queue *queue, __u64 addr, __u32 len, __u16 flags)
{
	__u16 index = queue->next_desc++ % queue->num;

	vdpa_put(queue, index, addr, len, flags, 0);
	vdpa_expose(queue, index, 1);
	vdpa_kick(queue);
}

static bool wait_eventfd(int fd, double seconds)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	eventfd_t value;

	if (poll(&poll_fd, 1, seconds > 0 ? seconds * 1000 + 1 : 0) != 1)
		return false;
	eventfd_read(fd, &value);
	return true;
}

bool vdpa_wait_used_s(struct vdpa_queue *queue, double seconds)
{
	double end = fisc_now() + seconds;

	for (;;) {
		if (__atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE) ==
		    queue->next_avail)
			return true;
		if (!wait_eventfd(queue->call, end - fisc_now()))
			return false;
	}
}

bool vdpa_wait_used(struct vdpa_queue *queue)
{
	if (vdpa_wait_used_s(queue, WAIT_S))
		return true;
	fprintf(stderr, "# used index is %u after %d s, not %u\n",
		queue->used->idx, WAIT_S, queue->next_avail);
	return false;
}

bool vdpa_wait_status(struct vdpa *vdpa, int bits)
{
	double end = fisc_now() + WAIT_S;
	int status;

	do {
		status = vdpa_status(vdpa);
		if (status >= 0 && (status & bits) == bits)
			return true;
		fisc_sleep_ms(2);
	} while (fisc_now() < end);
	fprintf(stderr, "# status is %#x after %d s, not %#x\n", status, WAIT_S,
		bits);
	return false;
}

bool vdpa_wait_config(struct vdpa *vdpa, double seconds)
{
	return wait_eventfd(vdpa->config_call, seconds);
}
