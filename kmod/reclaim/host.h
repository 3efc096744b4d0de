/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_RECLAIM_HOST_H
#define _FISC_RECLAIM_HOST_H

#include <linux/types.h>

/**
 * struct fisc_host_stats - requests of the rest of the host
 * @asked: pages requested and not yet freed
 * @freed: pages freed so far
 */
struct fisc_host_stats {
	long asked;
	long freed;
};

long fisc_host_asked(void);
void fisc_host_forget(void);
void fisc_host_freed(u64 pages);
void fisc_host_set_available(u64 pages);
void fisc_host_get_stats(struct fisc_host_stats *stats);
int fisc_host_init(void);
void fisc_host_exit(void);

#endif /* _FISC_RECLAIM_HOST_H */
