/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_DISK_H
#define _FISC_RECLAIM_DISK_H

int fisc_reclaim_set_device(const char *path);

#endif /* _FISC_RECLAIM_DISK_H */
