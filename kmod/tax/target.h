/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_TAX_TARGET_H
#define _FISC_TAX_TARGET_H

#include <linux/types.h>

struct fisc_claim;
struct fisc_vm;

/**
 * struct fisc_target_stats - cost of computing targets
 * @runs: number of computations
 * @ns: time spent on them
 * @pool: pages divided by the latest one
 */
struct fisc_target_stats {
	u64 runs;
	u64 ns;
	u64 pool;
};

void fisc_target_claim(struct fisc_vm *vm, struct fisc_claim *claim);
bool fisc_targets_update(void);
void fisc_target_get_stats(struct fisc_target_stats *stats);

#endif /* _FISC_TAX_TARGET_H */
