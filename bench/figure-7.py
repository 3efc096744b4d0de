#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Figure 7 of the paper, inside the lab host: two guests of MEM (384M) with
equal shares and balloons with the paired driver, on 70 % of the memory of both.
One is idle, and its page cache is full of what it read last; the other one
continuously reads what its page cache would hold if it had all of its memory.
First without a tax on idle memory, then with 75 %: targets, allocated memory,
the estimates of active memory, and how much the busy guest reads.

PERIOD_MS (5000): the sampling period, shorter than the default to shorten the
experiment."""
import statistics
import time

import inside
from reader import MIB, READ_MIB, SIZE, Reader, swap_on
from toucher import LOOKS, PERIOD_MS, looks

# As in the paper: twice 256 MB in 358 MB.
CAPACITY = 358 / 512
TAX_PERCENT = 75
# Periods in each half; the results are those of the last STEADY_PERIODS.
PERIODS = 14
STEADY_PERIODS = 7
SETTLE_S = 30
SWAP_MIB = 1024

NAMES = {"idle": "idle1", "busy": "busy1"}
VALUES = ("target", "active", "allocated", "swapped", "balloon/actual")


def look(tax_percent, begin):
    reclaim = inside.read_stats("reclaim")
    row = {"time_s": time.monotonic() - begin, "tax_rate": tax_percent,
           "free_mib": inside.mib(reclaim["pool_free"]),
           "swap_out": reclaim["swap_out"], "swap_in": reclaim["swap_in"]}
    for who, name in NAMES.items():
        for value in VALUES:
            row[f"{who}_{value.split('/')[0]}_mib"] = \
                inside.read_vm(name, value) / MIB
        row[f"{who}_rho"] = float(
            inside.read_file(f"{inside.SYSFS}/vms/{name}/rho"))
    row["size_mib"] = SIZE / MIB
    return row


def watch(tax_percent, begin):
    inside.write_knob("tax/tax_rate", tax_percent)
    rows = []
    for number in looks(PERIODS):
        rows.append(look(tax_percent, begin))
        if number % (4 * LOOKS) == 0:
            inside.say("  ".join(f"{key} {value:.2f}"
                                 for key, value in rows[-1].items()))
    return rows


def expected(active, most, capacity, tax_percent):
    """Return the targets at equal shares per taxed page, where an idle page
    costs 1 / (1 - tax), and no target exceeds the VM's size ("most"): found by
    bisecting the taxed pages that both can pay for."""
    def target(taxed, idle_from):
        return min(most, min(taxed, idle_from) +
                   max(0, taxed - idle_from) * (1 - tax_percent / 100))

    low, high = 0, 2 * most / (1 - tax_percent / 100)
    for _ in range(60):
        middle = (low + high) / 2
        if sum(target(middle, pages) for pages in active) > capacity:
            high = middle
        else:
            low = middle
    return [target(low, pages) for pages in active]


def add_reads(rows, seconds, begin):
    """Add the MiB read per second between one look and the next."""
    last = 0
    for row in rows:
        reads = [nr for at, nr, _ in seconds if last < at - begin <= row["time_s"]]
        row["busy_mib_s"] = statistics.mean(reads) if reads else ""
        last = row["time_s"]


def judge(rows, pool_mib, size_mib):
    def values(tax_percent, key):
        column = [row[key] for row in rows
                  if row["tax_rate"] == tax_percent and row[key] != ""]
        return column[-STEADY_PERIODS * LOOKS:]

    def middle(tax_percent, key):
        return statistics.median(values(tax_percent, key))

    def both(tax_percent, what):
        return [middle(tax_percent, f"{who}_{what}_mib") for who in NAMES]

    def apart_pct(what):
        idle, busy = both(0, what)
        return inside.percent(abs(idle - busy), (idle + busy) / 2)

    before, after = (middle(tax, "busy_mib_s") for tax in (0, TAX_PERCENT))
    taxed = both(TAX_PERCENT, "target")
    active = both(TAX_PERCENT, "active")
    idle, busy = expected(active, size_mib, pool_mib, TAX_PERCENT)
    result = {
        "even_split_error_pct": apart_pct("allocated"),
        "even_targets_error_pct": apart_pct("target"),
        "throughput_gain_pct": inside.percent(after - before, before),
        "size_mib": size_mib,
        "divided_mib": pool_mib,
        "idle_expected_mib": idle,
        "busy_expected_mib": busy,
        "targets_of_divided_pct": inside.percent(sum(taxed), pool_mib),
    }
    for tax in (0, TAX_PERCENT):
        result |= {f"{who}_{what}_tax_{tax}_mib": value
                   for what in ("target", "allocated", "active", "balloon")
                   for who, value in zip(NAMES, both(tax, what))}
        result[f"mib_s_tax_{tax}"] = middle(tax, "busy_mib_s")
    return result


def main():
    inside.load()
    swap_on(SWAP_MIB)
    inside.write_knob("sample/period_ms", PERIOD_MS)
    inside.write_knob("tax/tax_rate", 0)
    inside.write_knob("tax/capacity", round(CAPACITY * 2 * SIZE))
    # Memory gets short when the second guest starts, and only the first has its
    # driver by then. What is paged out of the idle guest now would stay so.
    inside.write_knob("reclaim/paging", 0)
    for who, name in NAMES.items():
        busy = Reader(who, ["--backend", inside.MOUNT],
                      inside.balloon_device(name))
    begin = time.monotonic()
    time.sleep(SETTLE_S)
    inside.write_knob("reclaim/paging", 1)
    inside.say("  ".join(f"{key} {value:.2f}"
                         for key, value in look(0, begin).items()))
    busy.read()
    begin = time.monotonic()
    rows = watch(0, begin) + watch(TAX_PERCENT, begin)
    pool = inside.read_stats("tax")["pool"] / MIB
    seconds = busy.seconds()
    add_reads(rows, seconds, begin)
    inside.say(inside.read_file(f"{inside.DEBUGFS}/reclaim"))
    inside.run("lab/guest", "kill", "-9", "--all")
    inside.remove_memory()
    inside.write_rows("/out/targets.csv", rows)
    inside.write_summary("/out/summary.json", judge(rows, pool, SIZE / MIB) | {
        "read_mib": READ_MIB, "period_ms": PERIOD_MS,
        "longest_read_ms": max(longest for _, _, longest in seconds)})


main()
