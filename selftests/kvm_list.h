/* SPDX-License-Identifier: GPL-2.0 */
/* What the module lists of VMs of KVM: the slots that their files are in. */
#ifndef FISC_SELFTESTS_KVM_LIST_H
#define FISC_SELFTESTS_KVM_LIST_H

#include <stdbool.h>

/**
 * struct part - a line of the listing, read or expected
 * @pid: of the VMM; 0 in an expected line is the calling process
 * @slot: number of the slot
 * @gfn: first guest page frame of this part
 * @nr_pages: pages of this part
 * @offset: offset of this part in the file, in bytes
 * @path: the file, below the mount
 */
struct part {
	long pid;
	int slot;
	unsigned long gfn;
	unsigned long nr_pages;
	unsigned long offset;
	char path[128];
};

#define MAX_PARTS	16
#define NOT_LISTED	-1
#define BAD_LINE	-2

/*
 * Read the parts of VM @name, in order. Return their number, NOT_LISTED, or
 * BAD_LINE if any line of the listing is malformed.
 */
int list(const char *name, struct part *parts);

/* Wait until these @nr parts, in any order, are all that VM @name has. */
bool soon_lists(const char *name, const struct part *wanted, int nr);
bool soon_lists_none(const char *name);

/*
 * Return how many pages the guest of VM @name has accessed since the last call,
 * -ENODEV if it has no guest, NOT_LISTED, or BAD_LINE if any line is malformed.
 */
long young_pages(const char *name);

#endif /* FISC_SELFTESTS_KVM_LIST_H */
