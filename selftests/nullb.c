// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "fisc.h"
#include "nullb.h"

#define CONFIGFS	"/sys/kernel/config"
#define NULLB		CONFIGFS "/nullb"

int nullb_set(const char *name, const char *attr, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), NULLB "/%s/%s", name, attr);
	return fisc_write_str(path, value);
}

void nullb_stop(const char *name)
{
	char path[128];

	nullb_set(name, "power", "0");
	snprintf(path, sizeof(path), NULLB "/%s", name);
	rmdir(path);
}

int nullb_start(const char *name, unsigned int mib, unsigned long us)
{
	char path[128], size[16], ns[32];

	if (access(NULLB, F_OK) &&
	    mount("none", CONFIGFS, "configfs", 0, NULL) && errno != EBUSY)
		return -1;
	nullb_stop(name);
	snprintf(path, sizeof(path), NULLB "/%s", name);
	snprintf(size, sizeof(size), "%u", mib);
	snprintf(ns, sizeof(ns), "%lu", us * 1000);
	if (mkdir(path, 0755) || nullb_set(name, "size", size) ||
	    nullb_set(name, "memory_backed", "1") ||
	    nullb_set(name, "blocksize", "4096") ||
	    nullb_set(name, "irqmode", us ? "2" : "0") ||
	    nullb_set(name, "completion_nsec", us ? ns : "10000") ||
	    nullb_set(name, "power", "1"))
		return -1;
	return 0;
}

int nullb_loop_start(const char *name, struct nullb_loop *loop)
{
	struct loop_config config = { .block_size = PAGE_SIZE };
	char path[64];
	int control, nr, ok;

	snprintf(path, sizeof(path), "/sys/block/%s/queue/read_ahead_kb", name);
	if (fisc_write_str(path, "2048"))
		return -1;
	snprintf(path, sizeof(path), "/dev/%s", name);
	config.fd = open(path, O_RDWR | O_CLOEXEC);
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	nr = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	snprintf(loop->path, sizeof(loop->path), "/dev/loop%d", nr);
	loop->fd = open(loop->path, O_RDWR | O_CLOEXEC);
	ok = !ioctl(loop->fd, LOOP_CONFIGURE, &config);
	close(config.fd);
	return ok ? 0 : -1;
}

void nullb_loop_stop(struct nullb_loop *loop)
{
	ioctl(loop->fd, LOOP_CLR_FD);
	close(loop->fd);
}

/* The swap header (linux/swap.h): version and last page, after a boot block */
int nullb_mkswap(const char *name, unsigned int mib)
{
	__u32 page[PAGE_SIZE / 4] = { [256] = 1, [257] = mib * 256 - 1 };
	char path[64];
	int fd, ok;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	memcpy((char *)page + PAGE_SIZE - 10, "SWAPSPACE2", 10);
	ok = pwrite(fd, page, PAGE_SIZE, 0) == (ssize_t)PAGE_SIZE && !fsync(fd);
	close(fd);
	return ok ? 0 : -1;
}

int nullb_swapon(const char *name, unsigned int mib)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/%s", name);
	return nullb_mkswap(name, mib) ?: swapon(path, 0);
}

/* Return the first number in one of the device's files, -1 on failure. */
static long first_number(const char *name, const char *file)
{
	char path[64];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/%s/%s", name, file);
	f = fopen(path, "re");
	if (f && fscanf(f, "%ld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

long nullb_reads(const char *name)
{
	return first_number(name, "stat");
}

long nullb_inflight(const char *name)
{
	return first_number(name, "inflight");
}
