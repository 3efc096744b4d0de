// SPDX-License-Identifier: GPL-2.0
/* Running commands, and loading and unloading modules; see fisc.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fisc.h"

int fisc_run(const char * const argv[])
{
	pid_t pid = fork();
	int null, status;

	if (!pid) {
		null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], (char * const *)argv);
		_exit(127);
	}
	status = fisc_wait_child(pid);
	if (status == 127)
		return -ENOENT;
	return status ? -EIO : 0;
}

int fisc_modprobe(const char *module)
{
	const char * const argv[] = { "modprobe", module, NULL };

	return fisc_run(argv);
}

int fisc_modprobe_remove(const char *module)
{
	const char * const argv[] = { "modprobe", "-r", module, NULL };

	return fisc_run(argv);
}

static int load_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

int fisc_load(void)
{
	return load_file(getenv("FISC_KO") ?: "fisc.ko");
}

int fisc_load_beside(const char *module)
{
	const char *fisc = getenv("FISC_KO") ?: "fisc.ko";
	const char *end = strrchr(fisc, '/');
	char path[512];

	snprintf(path, sizeof(path), "%.*s%s.ko",
		 end ? (int)(end - fisc) + 1 : 0, fisc, module);
	return load_file(path);
}

int fisc_unload(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK) ? -errno : 0;
}

/* Unload, allowing a module's last users a moment to let go of it. */
int fisc_unload_soon(const char *module)
{
	double end = fisc_now() + WAIT_S;
	int ret;

	while ((ret = fisc_unload(module)) && fisc_now() < end)
		fisc_sleep_ms(20);
	return ret;
}
