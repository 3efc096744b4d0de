/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Block devices of null_blk that store what is written.
 */
#ifndef FISC_SELFTESTS_NULLB_H
#define FISC_SELFTESTS_NULLB_H

struct nullb_loop {
	char path[32];
	int fd;
};

/* Make /dev/NAME, of @mib MiB, that takes @us for each request: 0, or -1. */
int nullb_start(const char *name, unsigned int mib, unsigned long us);
void nullb_stop(const char *name);

/*
 * Make /dev/loopN over it, which stores what it reads when the request of the
 * device below has ended, not when it begins: 0, or -1. Read-ahead covers 2 MiB.
 */
int nullb_loop_start(const char *name, struct nullb_loop *loop);
void nullb_loop_stop(struct nullb_loop *loop);

/* Prepare all of it for swap, and use it: 0, or -1. */
int nullb_mkswap(const char *name, unsigned int mib);
int nullb_swapon(const char *name, unsigned int mib);

/*
 * Return the reads so far (kernel's Documentation/block/stat), and those on
 * their way, or -1.
 */
long nullb_reads(const char *name);
long nullb_inflight(const char *name);

/* Set one of its attributes: 0 or -errno. */
int nullb_set(const char *name, const char *attr, const char *value);

#endif /* FISC_SELFTESTS_NULLB_H */
