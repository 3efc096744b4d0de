/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SHARE_SCAN_H
#define _FISC_SHARE_SCAN_H

#include <linux/types.h>

struct fisc_chunk;
struct fisc_region;

/* Knobs in share/; see fisc_scan_turned(). */
extern unsigned int fisc_scan_run;
extern unsigned int fisc_scan_pages_per_sec;
extern unsigned int fisc_scan_cpu_percent;
extern unsigned int fisc_scan_recheck_ms;
extern unsigned int fisc_scan_pressure_percent;

void fisc_scan_chunk(struct fisc_region *region, struct fisc_chunk *chunk);
void fisc_scan_turned(void);
u64 fisc_scan_full_scans(void);
u64 fisc_scan_cpu_ns(void);
int fisc_scan_init(void);
void fisc_scan_exit(void);

#endif /* _FISC_SHARE_SCAN_H */
