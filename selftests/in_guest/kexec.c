// SPDX-License-Identifier: GPL-2.0
/*
 * Run inside a guest: have another kernel take its place.
 *
 *   kexec KERNEL INITRAMFS	load one, with this one's command line
 *   kexec			run what was loaded, without a sync before
 */
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CMDLINE_MAX	4096

static void fail(const char *what)
{
	fprintf(stderr, "kexec: ");
	perror(what);
	exit(1);
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		fail(path);
	return fd;
}

/* Return its length, including the zero at the end. */
static size_t read_cmdline(char *cmdline, size_t size)
{
	int fd = open_file("/proc/cmdline");
	ssize_t len = read(fd, cmdline, size - 1);

	if (len < 0)
		fail("/proc/cmdline");
	close(fd);
	cmdline[len] = '\0';
	cmdline[strcspn(cmdline, "\n")] = '\0';
	return strlen(cmdline) + 1;
}

static void load(const char *kernel, const char *initramfs)
{
	char cmdline[CMDLINE_MAX];
	size_t len = read_cmdline(cmdline, sizeof(cmdline));

	if (syscall(SYS_kexec_file_load, open_file(kernel),
		    open_file(initramfs), len, cmdline, 0))
		fail("kexec_file_load");
}

static void run(void)
{
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		LINUX_REBOOT_CMD_KEXEC, NULL);
	fail("reboot");
}

int main(int argc, char *argv[])
{
	switch (argc) {
	case 1:
		run();
		break;
	case 3:
		load(argv[1], argv[2]);
		break;
	default:
		fprintf(stderr, "usage: kexec [KERNEL INITRAMFS]\n");
		return 2;
	}
	return 0;
}
