/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Block devices of null_blk, with memory.
 */
#ifndef FISC_SELFTESTS_NULLB_H
#define FISC_SELFTESTS_NULLB_H

/* Makes /dev/NAME, of @mib MiB, that takes @us for each request: 0, or -1. */
int nullb_start(const char *name, unsigned int mib, unsigned long us);
void nullb_stop(const char *name);

/* Swap on all of it: 0, or -1. */
int nullb_swapon(const char *name, unsigned int mib);

/* One of its attributes: 0 or -errno. */
int nullb_set(const char *name, const char *attr, const char *value);

#endif /* FISC_SELFTESTS_NULLB_H */
