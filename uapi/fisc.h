/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What user space and the module both need to know about fisc.
 */
#ifndef _UAPI_FISC_H
#define _UAPI_FISC_H

/* "fisc": f_type of statfs(2) on a mounted fisc file system. */
#define FISC_SUPER_MAGIC		0x66697363

/* /sys/kernel/fisc/share/pages_per_sec: pages the scanner reads in a second. */
#define FISC_PAGES_PER_SEC_MIN		1
#define FISC_PAGES_PER_SEC_MAX		10000000
#define FISC_PAGES_PER_SEC_DEFAULT	20000

/* /sys/kernel/fisc/share/run */
#define FISC_SHARE_STOP			0
#define FISC_SHARE_RUN			1

#endif /* _UAPI_FISC_H */
