#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Figure 6 of the paper, inside the lab host: how well sampling estimates the
memory in use of a guest of MEM (512M) that touches varying amounts of it; and
what sampling costs.

PERIOD_MS (5000): the period, shorter than the default to shorten the
experiment. SAMPLES: pages per period, if not the default. RUNS (9): of each
setting, for the cost. Otherwise the module's defaults apply, except that large
pages are off unless noted."""
import math
import os
import statistics
import time

import fault
import inside
from toucher import LOOKS, MEM, PERIOD_MS, Toucher, looks

RUNS = int(os.environ.get("RUNS", 9))
SAMPLES = os.environ.get("SAMPLES")

# Touched in each step, in percent of the VM's memory. Kernel and user space of
# the guest leave 74 % of 512M.
STEPS = (20, 60, 40, 70, 30, 10)
STEPS_LARGE = (20, 60, 30)
# How long a step is observed once the estimate has had time to follow.
STEADY_PERIODS = 8
# The estimate should follow growth at once. It should have followed a drop when
# less than SETTLED_POINTS of the drop are left in the slow average, but no
# earlier than after SETTLED_PERIODS.
GROWN_PERIODS = 2
SETTLED_POINTS = 2
SETTLED_PERIODS = 6
IDLE_PERIODS = 8

DEFAULTS = {"pages": 100, "period_ms": 30000}
RATES = {
    "off": {"pages": 10, "period_ms": 3600000},
    "default": DEFAULTS,
    # Enough faults for their cost to exceed the noise.
    "many": {"pages": 1000, "period_ms": 500},
}
COST_MEM = "256M"
COST_MIB = 112
COST_S = 15


def set_sampling(settings):
    for knob, value in settings.items():
        inside.write_knob(f"sample/{knob}", value)


def settling_periods(drop):
    """Return how long the slow average takes to follow a drop in points."""
    keeps = 1 - int(inside.read_file(
        f"{inside.SYSFS}/sample/slow_percent")) / 100
    return max(SETTLED_PERIODS,
               math.ceil(math.log(SETTLED_POINTS / drop) / math.log(keeps)))


class Watch:
    """What the module reports about a VM, in percent of its memory, next to
    what its toucher does."""

    def __init__(self, toucher):
        self.name = toucher.name
        self.toucher = toucher
        self.size = inside.read_vm(self.name, "size_bytes")
        self.begin = time.monotonic()
        self.rows = []

    def read_pct(self, value):
        return inside.percent(inside.read_vm(self.name, value), self.size)

    def read_young_pct(self):
        """Return what the guest accessed since the last call, by KVM's bits."""
        pages = dict(line.split() for line in inside.read_file(
            f"{inside.DEBUGFS}/young").splitlines())
        return inside.percent(4096 * int(pages[self.name]), self.size)

    def step(self, touched, periods, steady_from):
        """Touch an amount for a number of periods; add rows."""
        self.toucher.touch(round(touched / 100 * self.size / (1 << 20)))
        self.read_young_pct()
        for look in looks(periods):
            self.rows.append({
                "time_s": time.monotonic() - self.begin,
                "periods": look / LOOKS,
                "steady": int(look / LOOKS > steady_from),
                "touched_pct": touched,
                "slow_pct": self.read_pct("active_slow"),
                "fast_pct": self.read_pct("active_fast"),
                "estimate_pct": self.read_pct("active"),
                "error_pct": self.read_pct("active_error"),
                "young_pct": "",
            })
            if look % LOOKS == 0:
                self.rows[-1]["young_pct"] = self.read_young_pct()
        inside.say(f"touched {touched} %: " + "  ".join(
            f"{key} {value:.1f}" for key, value in self.rows[-1].items()
            if key.endswith("_pct")))

    def idle_pct(self):
        """Return what the guest without its toucher accesses in a period."""
        self.step(0, IDLE_PERIODS, GROWN_PERIODS)
        return statistics.median(young(self.rows))

    def follow(self, steps):
        before = 0
        for touched in steps:
            steady_from = GROWN_PERIODS if touched > before else \
                settling_periods(before - touched)
            self.step(touched, steady_from + STEADY_PERIODS, steady_from)
            before = touched


def young(rows):
    """Return the counts of whole periods in steady stretches."""
    return [row["young_pct"] for row in rows
            if row["steady"] and row["young_pct"] != ""]


def watch(steps, name, path, idle=None):
    """Take a new guest through the steps. Return rows, including the truth,
    and what the guest itself accesses: "idle", or measured if that is None."""
    size_mib = int(MEM.rstrip("M"))
    toucher = Toucher(name, round(max(steps) / 100 * size_mib))
    seen = Watch(toucher)
    own = seen.idle_pct()
    if idle is None:
        idle = own
    inside.say(f"{name}: large pages {inside.read_vm(seen.name, 'large_pages')}"
               f", of itself the guest accesses {own:.2f} % in a period")
    seen.follow(steps)
    inside.say(f"longest pause of the toucher: {toucher.longest_pause_ms()} ms")
    toucher.kill()
    for row in seen.rows:
        row["true_pct"] = row["touched_pct"] + idle
    inside.write_rows(path, seen.rows)
    return [row for row in seen.rows if row["touched_pct"]], idle


def growth_periods(rows):
    """Return the longest delay, in periods, until growth was detected."""
    longest, before, waiting = 0, 0, False
    for row in rows:
        if row["touched_pct"] != before:
            waiting = row["touched_pct"] > before
            before = row["touched_pct"]
        if waiting and row["estimate_pct"] >= row["true_pct"] - row["error_pct"]:
            longest = max(longest, row["periods"])
            waiting = False
    return longest


def differences(rows, key):
    """Return the differences from the truth in steady stretches."""
    return [row[key] - row["true_pct"] for row in rows
            if row["steady"] and row[key] != ""]


def mean_abs(values):
    return statistics.fmean(abs(value) for value in values)


def judge(rows):
    """Return a summary of the observations with small pages."""
    steady = [row for row in rows if row["steady"]]
    estimate = differences(rows, "estimate_pct")
    counted = [row for row in steady if row["young_pct"] != ""]
    return {
        "mean_abs_error_points": mean_abs(estimate),
        "mean_error_points": statistics.fmean(estimate),
        "undershoot_points": max(0, -min(estimate)),
        "undershoot_beyond_error_points": max(0, max(
            row["true_pct"] - row["estimate_pct"] - row["error_pct"]
            for row in steady)),
        # How many of the estimates are too low by more than the error.
        "below_error_pct": inside.percent(
            sum(row["true_pct"] - row["estimate_pct"] > row["error_pct"]
                for row in steady), len(steady)),
        "reported_error_points": statistics.fmean(
            row["error_pct"] for row in steady),
        "growth_seen_periods": growth_periods(rows),
        # The same, taking KVM's access bits for the truth.
        "mean_abs_error_to_young_points": mean_abs(
            row["estimate_pct"] - row["young_pct"] for row in counted),
        "truth_to_young_points": mean_abs(differences(rows, "young_pct")),
    }


class CostGuest(fault.GuestProgram):
    """A guest that goes over its memory and measures how fast that is."""

    def __init__(self):
        super().__init__("cost", ["--backend", inside.MOUNT],
                         f"memory {COST_MIB} {COST_S}", COST_MEM)

    def measure(self, rate):
        """Read while memory is sampled at that rate. Starts with a new sample,
        as the pages of the last one have yet to fault."""
        set_sampling(RATES[rate] | {"period_ms": 100})
        time.sleep(0.5)
        set_sampling(RATES[rate])
        before, begin = inside.read_stats("sample"), time.monotonic()
        read, access, _ = (float(number) for number in self.ask("read")[0])
        seconds = time.monotonic() - begin
        after = inside.read_stats("sample")
        return {
            "rate": rate,
            "read_mib_s": read,
            "access_ns": access,
            "faults_per_s": (after["faults"] - before["faults"]) / seconds,
            "sampler_pct": inside.percent(
                (after["cpu_us"] - before["cpu_us"]) / 1e6, seconds),
        }


def slower_pct(rows, rate):
    """Compare with sampling off in the same round, for each round."""
    def values(name):
        return [row["read_mib_s"] for row in rows if row["rate"] == name]

    return [100 * (1 - ours / off)
            for ours, off in zip(values(rate), values("off"))]


def spread(values):
    """Return half of the interquartile range."""
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2


def measure_cost():
    """Measure what sampling costs a guest that only uses memory; summarize."""
    guest = CostGuest()
    rows = []
    for number in range(RUNS):
        for rate in RATES:
            rows.append({"round": number} | guest.measure(rate))
            inside.say("  ".join(
                f"{key} {value:.2f}" if isinstance(value, float) else
                f"{key} {value}" for key, value in rows[-1].items()))
    guest.kill()
    inside.write_rows("/out/cost.csv", rows)

    def of_rate(rate, key):
        return statistics.fmean(row[key] for row in rows
                                if row["rate"] == rate)

    # With one CPU, this includes what the sampler itself takes.
    many_pct = statistics.median(slower_pct(rows, "many"))
    fault_us = many_pct / 100 / of_rate("many", "faults_per_s") * 1e6
    return {
        "sampling_cost_pct":
            100 * of_rate("default", "faults_per_s") * fault_us / 1e6,
        "sampling_cost_measured_pct":
            statistics.median(slower_pct(rows, "default")),
        "noise_pct": spread(slower_pct(rows, "default")),
        "faults_per_s": of_rate("default", "faults_per_s"),
        "fault_us": fault_us,
        "many_cost_pct": many_pct,
        "many_noise_pct": spread(slower_pct(rows, "many")),
        "many_faults_per_s": of_rate("many", "faults_per_s"),
        "sampler_cpu_pct": of_rate("default", "sampler_pct"),
    }


def main():
    inside.load()
    inside.write_knob("large/enabled", 0)
    settings = {"period_ms": PERIOD_MS}
    if SAMPLES:
        settings["pages"] = SAMPLES
    set_sampling(settings)
    inside.say(f"period {PERIOD_MS} ms, not {DEFAULTS['period_ms']} ms; "
               f"{inside.read_file(f'{inside.SYSFS}/sample/pages')} pages")
    rows, idle = watch(STEPS, "small", "/out/samples.csv")
    inside.write_knob("large/enabled", 1)
    large, _ = watch(STEPS_LARGE, "large", "/out/samples-large.csv", idle)
    inside.write_knob("large/enabled", 0)
    inside.write_summary("/out/summary.json", judge(rows) | {
        "mean_abs_error_points_large": mean_abs(
            differences(large, "estimate_pct")),
        "idle_pct": idle,
        "period_ms": PERIOD_MS,
    } | measure_cost())


main()
