#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Figure 7 of the paper, its policy half, inside the lab host: targets of two
guests of MEM (512M) with equal shares, one idle, one that touches all memory
it can get, when 70 % of what both have is there for them; without a tax on idle
memory, then with 75 %.  PERIOD_MS (5000): the sampling period, shorter than the
default, so that the experiment is."""
import statistics
import time

import inside
from toucher import LOOKS, MEM, PERIOD_MS, Toucher, looks

# As in the paper: two times 256 MB in 358 MB.
CAPACITY = 358 / 512
TAX_PERCENT = 75
# Each half; results are of the last of them.
PERIODS = 24
STEADY_PERIODS = 12
# Of what the guest's kernel has to give, this is left to it.
SPARE_MIB = 24

MIB = 1 << 20
NAMES = {"idle": "idle1", "busy": "busy1"}


def look(tax_percent, begin):
    row = {"time_s": time.monotonic() - begin, "tax_rate": tax_percent}
    for who, name in NAMES.items():
        for value in ("target", "active", "allocated"):
            row[f"{who}_{value}_mib"] = inside.read_vm(name, value) / MIB
        row[f"{who}_rho"] = float(
            inside.read_file(f"{inside.SYSFS}/vms/{name}/rho"))
    return row


def watch(tax_percent, begin):
    inside.write_knob("tax/tax_rate", tax_percent)
    rows = [look(tax_percent, begin) for _ in looks(PERIODS)]
    inside.say("  ".join(f"{key} {value:.2f}"
                         for key, value in rows[-1].items()))
    return rows


def expected(active, most, capacity, tax_percent):
    """Targets at equal shares per taxed page, an idle page's price being
    1 / (1 - tax), none above what the VM has: what both can pay for is sought."""
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


def available_mib(name):
    return int(inside.guest_run(
        name, "awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo"))


def judge(rows, capacity_mib, size_mib):
    def middle(tax_percent, key):
        values = [row[key] for row in rows if row["tax_rate"] == tax_percent]
        return statistics.median(values[-STEADY_PERIODS * LOOKS:])

    def both(tax_percent, what):
        return [middle(tax_percent, f"{who}_{what}_mib") for who in NAMES]

    even, taxed = both(0, "target"), both(TAX_PERCENT, "target")
    active = both(TAX_PERCENT, "active")
    idle, busy = expected(active, size_mib, capacity_mib, TAX_PERCENT)
    return {
        "size_mib": size_mib,
        "capacity_mib": capacity_mib,
        "even_split_error_pct": inside.percent(abs(even[0] - even[1]),
                                               capacity_mib / 2),
        "idle_target_untaxed_mib": even[0],
        "busy_target_untaxed_mib": even[1],
        "idle_target_mib": taxed[0],
        "busy_target_mib": taxed[1],
        "idle_expected_mib": idle,
        "busy_expected_mib": busy,
        "idle_active_mib": active[0],
        "busy_active_mib": active[1],
        "busy_gain_pct": inside.percent(taxed[1] - even[1], even[1]),
        "targets_of_capacity_pct": inside.percent(sum(taxed), capacity_mib),
    }


def main():
    inside.load()
    inside.write_knob("sample/period_ms", PERIOD_MS)
    inside.run("lab/guest", "start", "1", "--prefix", "idle", "--mem", MEM,
               "--backend", inside.MOUNT)
    busy_mib = available_mib(NAMES["idle"]) - SPARE_MIB
    busy = Toucher("busy", busy_mib)
    busy.touch(busy_mib)
    size = inside.read_vm(NAMES["idle"], "size_bytes")
    inside.write_knob("tax/capacity", round(CAPACITY * 2 * size))
    capacity = int(inside.read_file(f"{inside.SYSFS}/tax/capacity"))
    inside.say(f"period {PERIOD_MS} ms; the busy guest touches {busy_mib} of "
               f"{size / MIB:.0f} MiB; {capacity / MIB:.0f} MiB for both")
    begin = time.monotonic()
    rows = watch(0, begin) + watch(TAX_PERCENT, begin)
    inside.say(f"longest pause of the toucher: {busy.longest_pause_ms()} ms")
    inside.run("lab/guest", "kill", "-9", "--all")
    inside.remove_memory()
    inside.write_rows("/out/targets.csv", rows)
    inside.write_summary("/out/summary.json", judge(
        rows, capacity / MIB, size / MIB) | {
            "touched_mib": busy_mib, "period_ms": PERIOD_MS})


main()
