/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Block devices of null_blk that store what is written.
 */
#ifndef FISC_SELFTESTS_NULLB_H
#define FISC_SELFTESTS_NULLB_H

/* Make /dev/NAME, of @mib MiB, that takes @us for each request: 0, or -1. */
int nullb_start(const char *name, unsigned int mib, unsigned long us);
void nullb_stop(const char *name);

/* Use all of it for swap: 0, or -1. */
int nullb_swapon(const char *name, unsigned int mib);

/* Set one of its attributes: 0 or -errno. */
int nullb_set(const char *name, const char *attr, const char *value);

#endif /* FISC_SELFTESTS_NULLB_H */
