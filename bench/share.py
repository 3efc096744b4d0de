#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sharing, inside the lab host, all in one boot: fisc compared with KSM on the
same guests, memory of guests on fisc compared with a memfd's with large pages,
and page faults.

Environment: RUNS (3), of each in turn, results are medians; VMS (4) guests of
MEM (128M); STEADY_S (60), for how long the steady state is observed, after a
rest of the same length; PAGES (8192), for faults."""
import os
import statistics
import time

import fault
import inside

RUNS = int(os.environ.get("RUNS", 3))
VMS = int(os.environ.get("VMS", 4))
MEM = os.environ.get("MEM", "128M")
STEADY_S = int(os.environ.get("STEADY_S", 60))
PAGES = int(os.environ.get("PAGES", 8192))

KSM = fault.KSM
KSM_SETTINGS = {
    # The kernel's default, and the usual advice for hosts short of memory.
    "ksm_default": {"pages_to_scan": 100, "sleep_millisecs": 20},
    "ksm_fast": {"pages_to_scan": 5000, "sleep_millisecs": 20},
}
SETTLE_S = 10
# Converged: less than this much change within this many seconds.
STILL_MIB = 1.0
STILL_S = 20
CONVERGE_LIMIT_S = 400
# "The same saving": this part of what the engine that saves least saves.
SAME_SAVING = 0.95

# A memfd with large pages is a file in a tmpfs with large pages; QEMU aligns a
# file that it is given, but not a memfd.
THP_MOUNT = "/dev/shm-huge"
MEMORY_MIB = 48
MEMORY_S = 0.5
MEMORY_ROUNDS = 15


class Fisc:
    """Sharing by fisc.ko, at full speed."""
    name = "fisc"
    backend = ["--backend", inside.MOUNT]
    thread = "fisc_share/0"

    def start(self):
        inside.write_knob("share/domain", "bench")
        inside.scan()

    def passes(self):
        return inside.read_stats("share")["full_scans"]

    def stop(self):
        inside.write_knob("share/run", 0)

    def judge(self):
        """Compare with what perfect sharing would keep of the same memory."""
        for number in range(1, VMS + 1):
            inside.qmp(f"vm{number}", "stop")
        # Stop the scanner, too, so that all counts are of the same moment.
        self.stop()
        core = inside.read_stats("core")
        files = [f"{inside.MOUNT}/vm{n}" for n in range(1, VMS + 1)]
        oracle = dict(line.split() for line in inside.output(
            "build/bench/oracle", *files).splitlines())
        oracle = {key: int(value) for key, value in oracle.items()}
        perfect = core["present"] - oracle["distinct"]
        share = inside.read_stats("share")
        return {
            "present_mib": inside.mib(core["present"]),
            "frames_mib": inside.mib(core["frames"]),
            "oracle_frames_mib": inside.mib(oracle["distinct"]),
            "saved_vs_oracle_pct": inside.percent(
                core["present"] - core["frames"], perfect),
            "metadata_pct_of_guest_memory": inside.percent(
                core["metadata_bytes"], oracle["pages"] * 4096),
            "hold_max_us": share["hold_max_us"],
        }


class Ksm:
    """Sharing of anonymous memory by ksmd."""
    backend = ["--anon"]
    thread = "ksmd"

    def __init__(self, name):
        self.name = name

    def start(self):
        for knob, value in KSM_SETTINGS[self.name].items():
            inside.write_file(f"{KSM}/{knob}", value)
        inside.write_file(f"{KSM}/run", 1)

    def passes(self):
        return int(inside.read_file(f"{KSM}/full_scans"))

    def stop(self):
        inside.write_file(f"{KSM}/run", 0)

    def judge(self):
        return {}


def available_mib():
    """Return the host's available memory: the same measure for all engines."""
    for line in inside.read_file("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no MemAvailable")


def converge(engine, rows, number):
    """Wait until nothing more is saved; return samples (time, saved, CPU)."""
    thread = inside.process(engine.thread)
    before, begin = available_mib(), time.monotonic()
    cpu_before, passes = inside.cpu_seconds(thread), engine.passes()
    samples = []
    engine.start()
    while True:
        now = time.monotonic() - begin
        samples.append((now, available_mib() - before,
                        inside.cpu_seconds(thread) - cpu_before))
        rows.append({"run": number, "engine": engine.name, "time_s": now,
                     "saved_mib": samples[-1][1],
                     "scanner_cpu_s": samples[-1][2]})
        still = [saved for at, saved, _ in samples if at >= now - STILL_S]
        if now > CONVERGE_LIMIT_S or \
           (now > STILL_S and engine.passes() >= passes + 2 and
                max(still) - min(still) < STILL_MIB):
            return samples
        time.sleep(1)


def steady(engine):
    """Return the scanner's CPU seconds per minute in the steady state."""
    thread = inside.process(engine.thread)
    time.sleep(STEADY_S)
    begin, before = time.monotonic(), inside.cpu_seconds(thread)
    time.sleep(STEADY_S)
    return (inside.cpu_seconds(thread) - before) * 60 / \
        (time.monotonic() - begin)


def share_once(engine, rows, number):
    """Measure one engine on new guests, from nothing to the steady state."""
    inside.run("lab/guest", "start", str(VMS), "--mem", MEM, *engine.backend)
    time.sleep(SETTLE_S)
    samples = converge(engine, rows, number)
    result = {"cpu_per_minute_s": steady(engine)}
    result |= engine.judge()
    engine.stop()
    inside.run("lab/guest", "kill", "-9", "--all")
    if inside.remove_memory():
        raise RuntimeError("frames were leaked")
    saved = max(saved for _, saved, _ in samples)
    inside.say(f"run {number}, {engine.name}: saved {saved:.1f} MiB with "
               f"{samples[-1][2]:.2f} s of CPU in {samples[-1][0]:.0f} s, then "
               f"{result['cpu_per_minute_s']:.3f} s a minute " +
               "  ".join(f"{key} {value:.2f}" for key, value in
                         list(result.items())[1:]))
    return {"samples": samples, "saved_mib": saved} | result


def cpu_to_save(samples, goal_mib):
    """Return the CPU seconds after which goal_mib were saved first."""
    for _, saved, cpu in samples:
        if saved >= goal_mib:
            return cpu
    raise RuntimeError(f"{goal_mib:.1f} MiB were never saved")


def compare_sharing(rows):
    """Compare fisc with KSM; return a summary."""
    engines = [Fisc(), Ksm("ksm_default"), Ksm("ksm_fast")]
    columns = []
    for number in range(RUNS):
        column = {}
        results = {engine.name: share_once(engine, rows, number)
                   for engine in engines}
        goal = SAME_SAVING * min(result["saved_mib"]
                                 for result in results.values())
        for name, result in results.items():
            samples = result.pop("samples")
            column[f"{name}_cpu_ms_per_mib"] = \
                1000 * cpu_to_save(samples, goal) / goal
            column |= {f"{name}_{key}": value
                       for key, value in result.items()}
        columns.append(column)
    median = inside.medians(columns)
    ratio = {}
    for what, ours in (("cpu_per_mib", "cpu_ms_per_mib"),
                       ("steady_cpu", "cpu_per_minute_s")):
        for name in KSM_SETTINGS:
            ratio[f"{what}_ratio_to_{name}"] = \
                median[f"fisc_{ours}"] / median[f"{name}_{ours}"]
        # The setting of KSM that does best.
        ratio[f"{what}_ratio_to_ksm"] = max(
            ratio[f"{what}_ratio_to_{name}"] for name in KSM_SETTINGS)
    return {"saved_vs_oracle_pct": median["fisc_saved_vs_oracle_pct"]} | \
        ratio | median


class MemoryGuest(fault.GuestProgram):
    """A guest that measures its memory on request, and is stopped otherwise."""

    def __init__(self, name, place):
        super().__init__(name, place, f"memory {MEMORY_MIB} {MEMORY_S}")

    def measure(self, line):
        """Return MiB/s read, ns per access, MiB/s written."""
        inside.qmp(self.name, "cont")
        numbers = self.ask(line)[0]
        inside.qmp(self.name, "stop")
        return [float(number) for number in numbers]


def compare_memory(rows):
    """Compare the memory of guests; return a summary."""
    os.makedirs(THP_MOUNT, exist_ok=True)
    inside.run("mount", "-t", "tmpfs", "-o", "huge=always", "none", THP_MOUNT)
    # The guest whose memory gets shared comes first, while the scanner runs.
    inside.write_knob("share/domain", "\n")
    shared = MemoryGuest("shared", ["--backend", inside.MOUNT])
    fault.share_all(MEMORY_MIB * inside.PAGES_PER_MIB, shared.name)
    guests = {
        "memfd": MemoryGuest("memfd", ["--backend", THP_MOUNT]),
        "large": MemoryGuest("large", ["--backend", inside.MOUNT]),
        "shared": shared,
    }
    for guest in guests.values():
        inside.qmp(guest.name, "stop")
    inside.say("large pages: " + ", ".join(
        f"{name} {inside.read_vm(name, 'large_pages')}"
        for name in ("large1", "shared1")))
    for number in range(MEMORY_ROUNDS):
        for name, guest in guests.items():
            read, access, write = guest.measure(
                "read" if name == "shared" else "all")
            rows.append({"round": number, "memory": name, "read_mib_s": read,
                         "access_ns": access, "write_mib_s": write})
            inside.say(f"memory of {name}: read {read:.0f} MiB/s, random "
                       f"{access:.1f} ns, write {write:.0f} MiB/s")
    inside.run("lab/guest", "kill", "-9", "--all")
    inside.remove_memory()
    inside.run("umount", THP_MOUNT)

    def values(name, what):
        return [row[what] for row in rows if row["memory"] == name]

    def against_memfd(name, what):
        """Return the median of the rounds, each measured side by side."""
        return 100 * statistics.median(
            ours / theirs for ours, theirs in
            zip(values(name, what), values("memfd", what)))

    # 100 is a memfd, and more is faster, for all of these.
    result = {
        "bandwidth_vs_memfd_pct": against_memfd("large", "read_mib_s"),
        "write_bandwidth_vs_memfd_pct": against_memfd("large", "write_mib_s"),
        "random_access_vs_memfd_pct":
            1e4 / against_memfd("large", "access_ns"),
        "shared_bandwidth_vs_memfd_pct": against_memfd("shared", "read_mib_s"),
        "shared_random_access_vs_memfd_pct":
            1e4 / against_memfd("shared", "access_ns"),
    }
    # The rounds that the machine disturbed least.
    for what in ("read_mib_s", "write_mib_s"):
        result[f"best_{what}_vs_memfd_pct"] = inside.percent(
            max(values("large", what)), max(values("memfd", what)))
    result["best_access_vs_memfd_pct"] = inside.percent(
        min(values("memfd", "access_ns")), min(values("large", "access_ns")))
    return result


def compare_faults():
    """Measure page faults; return a summary."""
    faults = fault.Faults(PAGES)
    rows = [fault.measure(faults) for _ in range(RUNS)]
    faults.save("/out/histograms.csv")
    inside.write_rows("/out/faults.csv", rows)
    ratio = fault.ratios(inside.medians(rows))
    return {
        "first_touch_ratio_to_memfd":
            max(ratio["first_write_ratio_to_memfd_4k"],
                ratio["first_write_ratio_to_memfd_2m"]),
        # A process that has not read the page since; one that has; a guest.
        "cow_break_ratio_to_ksm": max(ratio["cow_unmapped_ratio_to_ksm"],
                                      ratio["cow_mapped_ratio_to_ksm"],
                                      ratio["guest_cow_ratio_to_ksm"]),
    } | ratio


def main():
    inside.load()
    # Keep few free pages per CPU, as those do not count as available.
    inside.write_file("/proc/sys/vm/percpu_pagelist_high_fraction", 1 << 20)
    faults = compare_faults()
    rows = []
    memory = compare_memory(rows)
    inside.write_rows("/out/memory.csv", rows)
    rows = []
    summary = compare_sharing(rows)
    inside.write_rows("/out/saved.csv", rows)
    inside.write_summary("/out/summary.json", summary | memory | faults)


main()
