// SPDX-License-Identifier: GPL-2.0
/*
 * How long it takes to divide memory among VMs: fisc_tax_targets() for random
 * VMs. Prints the medians of RUNS populations of each size, in ms, as JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../kmod/tax/tax.h"

#define RUNS	21
#define MOST	10000

static struct fisc_claim claims[MOST];

/* 64 MiB to 64 GiB, shares as in ESX, memory for 60 % of the total. */
static u64 random_vms(size_t nr)
{
	static const unsigned int per_mib[] = { 5, 10, 20 };
	u64 total = 0;
	size_t i;

	for (i = 0; i < nr; i++) {
		u64 mib = 64ULL << random() % 11;
		u64 pages = mib * 256;

		claims[i] = (struct fisc_claim) {
			.shares = mib * per_mib[random() % 3],
			.min = pages * (random() % 50) / 100,
			.max = pages,
			.active = random() % pages,
			.tax_rate = 75,
		};
		total += pages;
	}

	return total * 6 / 10;
}

/* No VM gets its next page before the others: x is bisected to the end. */
static u64 equal_vms(size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		claims[i] = (struct fisc_claim) {
			.shares = 10240,
			.max = 262144,
			.active = 50000,
			.tax_rate = 75,
		};

	return nr * 157286 + nr / 2;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_ms(u64 (*make)(size_t), size_t nr)
{
	double ms[RUNS];
	int i;

	for (i = 0; i < RUNS; i++) {
		u64 capacity = make(nr);
		struct timespec start, end;

		clock_gettime(CLOCK_MONOTONIC, &start);
		fisc_tax_targets(claims, nr, capacity);
		clock_gettime(CLOCK_MONOTONIC, &end);
		ms[i] = (end.tv_sec - start.tv_sec) * 1e3 +
			(end.tv_nsec - start.tv_nsec) / 1e6;
	}
	qsort(ms, RUNS, sizeof(*ms), compare);

	return ms[RUNS / 2];
}

int main(void)
{
	printf("{\"ms_100_vms\": %.4f, \"ms_1000_vms\": %.4f, ",
	       median_ms(random_vms, 100), median_ms(random_vms, 1000));
	printf("\"ms_10000_vms\": %.3f, \"ms_10000_equal_vms\": %.3f}\n",
	       median_ms(random_vms, 10000), median_ms(equal_vms, 10000));

	return 0;
}
