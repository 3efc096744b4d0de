/* SPDX-License-Identifier: GPL-2.0 */
/* Chains of descriptors for balloon_fuzz, well formed or spoilt. */
#ifndef FISC_SELFTESTS_FUZZ_CHAINS_H
#define FISC_SELFTESTS_FUZZ_CHAINS_H

#include "fisc.h"
#include "vdpa.h"

/*
 * Guest memory: two files side by side, a gap, and memory that is not fisc's.
 */
#define GPA		0x40000000UL
#define LOW_PAGES	1024UL
#define HIGH_PAGES	2048UL
#define PAGES		(LOW_PAGES + HIGH_PAGES)
#define GPA_END		(GPA + PAGES * PAGE_SIZE)
#define GPA_OTHER	0x80000000UL
#define OTHER_PAGES	16UL

/* The device that is tested. */
extern struct vdpa vdpa;

/* Random numbers of the driver; other threads have their own. */
extern __u64 fuzz_state;

static inline __u64 rnd(__u64 below)
{
	return fisc_rand(&fuzz_state) % below;
}

static inline bool one_in(unsigned int n)
{
	return !rnd(n);
}

/* Write fresh entries, of which chains are made, into the buffer of a queue. */
void fuzz_write_entries(struct vdpa_queue *queue, int index);

/* Make chains of all descriptors or of some, and return how many. */
unsigned int fuzz_good_chains(struct vdpa_queue *queue, int index);

/* Spoil one thing of the @nr chains that are about to be made available. */
void fuzz_spoil(struct vdpa_queue *queue, unsigned int *nr);

__u64 fuzz_bad_address(const struct vdpa_queue *queue);

#endif /* FISC_SELFTESTS_FUZZ_CHAINS_H */
