// SPDX-License-Identifier: GPL-2.0
/* The listing of VMs of KVM; see kvm_list.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fisc.h"
#include "kvm_list.h"

#define KVM_LIST	FISC_DEBUGFS "/kvm"
#define KVM_YOUNG	FISC_DEBUGFS "/young"

/* Parse a line: return 1 for a part, 0 for "NAME -", or BAD_LINE. */
static int parse_line(const char *line, char *name, struct part *part)
{
	int as = -1, end = 0;

	if (sscanf(line, "%63s -%n", name, &end) == 1 && end &&
	    !strcmp(line + end, "\n"))
		return 0;
	end = 0;
	if (sscanf(line, "%63s %ld %d %d 0x%lx %lu 0x%lx %127s%n", name,
		   &part->pid, &as, &part->slot, &part->gfn, &part->nr_pages,
		   &part->offset, part->path, &end) != 8 ||
	    !end || strcmp(line + end, "\n") || as)
		return BAD_LINE;
	return 1;
}

int list(const char *name, struct part *parts)
{
	FILE *f = fopen(KVM_LIST, "re");
	char line[512], found[64];
	int nr = NOT_LISTED;
	struct part part;

	while (f && fgets(line, sizeof(line), f)) {
		int kind = parse_line(line, found, &part);

		if (kind < 0) {
			fprintf(stderr, "# a malformed line: %s", line);
			nr = BAD_LINE;
			break;
		}
		if (strcmp(found, name))
			continue;
		nr = nr < 0 ? 0 : nr;
		if (kind && nr < MAX_PARTS)
			parts[nr++] = part;
	}
	if (f)
		fclose(f);
	return nr;
}

/* The listing may or may not include the path of the mount. */
static bool same_path(const char *listed, const char *path)
{
	size_t len = strlen(listed), tail = strlen(path);

	return len >= tail && !strcmp(listed + len - tail, path) &&
	       (len == tail || listed[len - tail - 1] == '/');
}

static bool same_part(const struct part *a, const struct part *wanted)
{
	return a->pid == (wanted->pid ?: getpid()) && a->slot == wanted->slot &&
	       a->gfn == wanted->gfn && a->nr_pages == wanted->nr_pages &&
	       a->offset == wanted->offset && same_path(a->path, wanted->path);
}

static bool lists(const char *name, const struct part *wanted, int nr)
{
	struct part parts[MAX_PARTS];
	int i, j;

	if (list(name, parts) != nr)
		return false;
	for (i = 0; i < nr; i++) {
		for (j = 0; j < nr && !same_part(&parts[j], &wanted[i]); j++)
			;
		if (j == nr)
			return false;
	}
	return true;
}

#define FOLLOW_S	20

bool soon_lists(const char *name, const struct part *wanted, int nr)
{
	double end = fisc_now() + FOLLOW_S;
	char line[512];
	FILE *f;

	while (!lists(name, wanted, nr)) {
		if (fisc_now() > end) {
			f = fopen(KVM_LIST, "re");
			fprintf(stderr, "# after %d s, for %s and %d parts:\n",
				FOLLOW_S, name, nr);
			while (f && fgets(line, sizeof(line), f))
				fprintf(stderr, "# %s", line);
			return false;
		}
		fisc_sleep_ms(10);
	}
	return true;
}

bool soon_lists_none(const char *name)
{
	return soon_lists(name, NULL, 0);
}

long young_pages(const char *name)
{
	FILE *f = fopen(KVM_YOUNG, "re");
	char line[512], found[64], pages[24], *end;
	long young = NOT_LISTED, nr;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %23s", found, pages) != 2) {
			young = BAD_LINE;
			break;
		}
		nr = strcmp(pages, "-") ? strtol(pages, &end, 10) : -ENODEV;
		if (nr != -ENODEV && (*end || nr < 0)) {
			young = BAD_LINE;
			break;
		}
		if (!strcmp(found, name))
			young = nr;
	}
	if (f)
		fclose(f);
	return young;
}
