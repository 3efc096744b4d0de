#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Overcommit, inside the lab host, all in one boot: fisc compared with a host
without it.

Two guests of MEM (384M) get 70 % of their memory in total. One is idle, and its
page cache is full of what it read last; the other one starts to read what its
own page cache would hold if it had all of its memory. With fisc: balloons,
sharing and paging with the module's defaults. Without: anonymous memory in a
memory cgroup, and KSM with the kernel's defaults. Both swap to the same disk.
RUNS (3), in turn.

Then, with fisc, how fast memory is reclaimed: a guest writes to all of its
memory as fast as it can, next to an idle one that has to give some up, by its
balloon or, without one, by paging; RUNS of each."""
import os
import statistics
import subprocess
import time

import fault
import inside
from reader import MEM, MIB, SIZE, Reader, swap_on

RUNS = int(os.environ.get("RUNS", 3))
# For both guests, as in figure 7.
LIMIT = round(358 / 512 * 2 * SIZE)
SWAP_MIB = 1024
SETTLE_S = 20
WATCH_S = 60
LOOK_S = 2
STEADY_S = 20
# "Has its memory": it has gained this part of what it gains in the end.
# "Full speed": it reads at this part of the final speed.
NEARLY = 0.95

# The other experiment: how much is written, by which way memory is reclaimed,
# and for how long (once memory is short) and how often the state is read.
RUSH_MIB = 220
WAYS = ("balloon", "paging")
RUSH_S = 15
LOOK_RUSH_S = 0.02

CGROUP = "/sys/fs/cgroup/guests"
NAMES = ("idle1", "busy1")


def start(place, devices=None):
    """Start the idle guest last: what it has read is the newest in memory."""
    return {name: Reader(name[:-1], place, (devices or {}).get(name, ""))
            for name in reversed(NAMES)}


def pid_of(name):
    return inside.read_file(f"/run/fisc-guests/{name}/pid")


class Fisc:
    name = "fisc"
    place = ["--backend", inside.MOUNT]

    def __init__(self):
        self.devices = {name: inside.balloon_device(name) for name in NAMES}

    def start(self):
        inside.write_knob("share/domain", "bench")
        inside.write_knob("share/run", 1)
        self.limit()
        return start(self.place, self.devices)

    @staticmethod
    def limit():
        inside.write_knob("tax/capacity", LIMIT)

    def has(self, name):
        return inside.read_vm(name, "allocated")

    def swapped(self):
        return inside.read_stats("reclaim")["swapped"] * 4096

    def stop(self):
        inside.write_knob("share/run", 0)
        inside.write_knob("tax/capacity", 0)
        if inside.remove_memory():
            raise RuntimeError("frames were leaked")


def resident(pid, size):
    """Return how many bytes of a VMM's guest memory are present: in its mapping
    of that size, or the largest part if the kernel has split the mapping."""
    best, rss, length = 0, 0, 0
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        for line in file:
            word = line.split()[0]
            if "-" in word and not word.endswith(":"):
                start, end = (int(part, 16) for part in word.split("-"))
                length = end - start
            elif word == "Rss:" and length >= size // 2 and length > best:
                best, rss = length, int(line.split()[1]) * 1024
    return rss


class Host:
    """No policy: anonymous memory, KSM, and swap."""
    name = "host"
    place = ["--anon"]

    def start(self):
        os.makedirs(CGROUP, exist_ok=True)
        inside.write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory")
        inside.write_file(f"{CGROUP}/memory.max", "max")
        inside.write_file(f"{fault.KSM}/run", 1)
        # Processes started from now on are in that cgroup. (The guests'
        # initramfs, a file in memory, is not: those on fisc came first.)
        self.move(CGROUP)
        guests = start(self.place)
        self.move("/sys/fs/cgroup")
        self.limit()
        return guests

    @staticmethod
    def move(cgroup):
        inside.write_file(f"{cgroup}/cgroup.procs", os.getpid())

    def used(self):
        return int(inside.read_file(f"{CGROUP}/memory.current"))

    def limit(self):
        """Set the guests' limit, on top of what else the VMMs use."""
        apart = self.used() - sum(self.has(name) for name in NAMES)
        inside.say(f"VMMs have {apart / MIB:.1f} MiB that are not the guests'")
        inside.write_file(f"{CGROUP}/memory.max", LIMIT + apart)

    def has(self, name):
        return resident(pid_of(name), SIZE)

    def swapped(self):
        return int(inside.read_file(f"{CGROUP}/memory.swap.current"))

    def stop(self):
        inside.write_file(f"{fault.KSM}/run", 2)


def watch(engine, run, begin):
    rows = []
    for number in range(WATCH_S // LOOK_S):
        time.sleep(max(0, begin + number * LOOK_S - time.monotonic()))
        rows.append({"run": run, "engine": engine.name,
                     "time_s": time.monotonic() - begin,
                     "idle_mib": engine.has("idle1") / MIB,
                     "busy_mib": engine.has("busy1") / MIB,
                     "swapped_mib": engine.swapped() / MIB})
    return rows


def first(points, goal):
    """Return when the goal was first reached."""
    return next((at for at, value in points if value >= goal), "")


def compare_once(engine, run):
    """Measure new guests, from the idle state to the steady state."""
    busy = engine.start()["busy1"]
    time.sleep(SETTLE_S)
    busy.read()
    begin = time.monotonic()
    rows = watch(engine, run, begin)
    seconds = [(at - begin, nr, longest) for at, nr, longest in busy.seconds()]
    inside.run("lab/guest", "kill", "-9", "--all")
    engine.stop()
    last = 0
    for row in rows:
        reads = [nr for at, nr, _ in seconds if last < at <= row["time_s"]]
        row["mib_s"] = statistics.mean(reads) if reads else ""
        last = row["time_s"]
    steady = statistics.median(nr for at, nr, _ in seconds
                               if at > WATCH_S - STEADY_S)
    most = statistics.median(row["busy_mib"] for row in rows
                             if row["time_s"] > WATCH_S - STEADY_S)
    result = {
        "mib_s": steady,
        "mib_s_whole": sum(nr for _, nr, _ in seconds) / seconds[-1][0],
        "busy_mib": most,
        "idle_mib": statistics.median(
            row["idle_mib"] for row in rows
            if row["time_s"] > WATCH_S - STEADY_S),
        "had_mib": rows[0]["busy_mib"],
        "has_memory_s": first([(row["time_s"], row["busy_mib"])
                               for row in rows],
                              rows[0]["busy_mib"] +
                              NEARLY * (most - rows[0]["busy_mib"])),
        "full_speed_s": first([(at, nr) for at, nr, _ in seconds],
                              NEARLY * steady),
        "longest_read_ms": max(longest for _, _, longest in seconds),
    }
    inside.say(f"run {run}, {engine.name}: " + "  ".join(
        f"{key} {value:.2f}" for key, value in result.items()))
    return rows, result


def compare(engines):
    """Compare fisc with the host alone; return rows and a summary."""
    rows, results = [], {engine.name: [] for engine in engines}
    for run in range(RUNS):
        for engine in engines:
            more, result = compare_once(engine, run)
            rows += more
            results[engine.name].append(result)
    summary = {}
    for name, columns in results.items():
        summary |= {f"{name}_{key}": value
                    for key, value in inside.medians(columns).items()}
    summary["throughput_ratio_to_host"] = (summary["fisc_mib_s"] /
                                         summary["host_mib_s"])
    return rows, summary


def look(begin):
    """Return the state of the pool, the hungry guest and the idle one."""
    stats = inside.read_stats("reclaim")
    return {"time_s": time.monotonic() - begin,
            "state": inside.read_file(f"{inside.SYSFS}/reclaim/state"),
            "free_mib": inside.mib(stats["pool_free"]),
            "hungry_mib": inside.read_vm("hungry1", "allocated") / MIB,
            "idle_mib": inside.read_vm("idle1", "allocated") / MIB,
            "balloon_mib": inside.read_vm("idle1", "balloon/actual") / MIB,
            "swapped_mib": inside.read_vm("idle1", "swapped") / MIB}


def oom_kills():
    counts = dict(line.split() for line in
                  inside.read_file("/proc/vmstat").splitlines())
    return int(counts["oom_kill"])


def rush(hungry, way, run):
    """Return rows of samples while a guest writes to all of its memory."""
    begin = time.monotonic()
    rows = []
    with subprocess.Popen(["lab/guest", "exec", hungry.name, "--",
                           "echo go >/run/go"]):
        end = begin + fault.LIMIT_S
        while time.monotonic() < end:
            rows.append({"run": run, "way": way} | look(begin))
            if end == begin + fault.LIMIT_S and rows[-1]["state"] not in inside.CALM:
                end = time.monotonic() + RUSH_S
            time.sleep(LOOK_RUSH_S)
    return rows


def judge_rush(rows):
    """Return the times from when memory became short until the first memory
    was reclaimed, and until memory was no longer short."""
    short = [row["time_s"] for row in rows if row["state"] not in inside.CALM]
    back = next(row["time_s"] for row in rows if row["time_s"] >= short[0] and
                row["idle_mib"] < rows[0]["idle_mib"] - 1)
    return {"first_ms": 1000 * (back - short[0]),
            "calm_s": short[-1] - short[0],
            "least_free_mib": min(row["free_mib"] for row in rows),
            "given_mib": rows[0]["idle_mib"] - rows[-1]["idle_mib"],
            "given_paged_mib": rows[-1]["swapped_mib"]}


def react_once(engine, way, run):
    """Measure a guest that wants memory which an idle one has to give up."""
    engine.limit()
    Reader("idle", engine.place,
           engine.devices["idle1"] if way == "balloon" else "")
    hungry = fault.GuestProgram("hungry", engine.place,
                                f"touch anon {RUSH_MIB * inside.PAGES_PER_MIB}"
                                " wait write", MEM)
    time.sleep(SETTLE_S)
    kills = oom_kills()
    rows = rush(hungry, way, run)
    # Nanoseconds per page, once it is done.
    took = inside.guest_run(hungry.name, "until grep write /run/said; do "
                            "sleep 1; done").split()[1]
    result = judge_rush(rows) | {
        "mib_s": 1e9 / float(took) / inside.PAGES_PER_MIB,
        "oom_kills": oom_kills() - kills}
    inside.run("lab/guest", "kill", "-9", "--all")
    engine.stop()
    inside.say(f"run {run}, {way}: " + "  ".join(
        f"{key} {value:.2f}" for key, value in result.items()))
    return rows, result


def react(engine):
    """Measure each way; return rows and a summary."""
    rows, summary = [], {}
    for way in WAYS:
        results = []
        for run in range(RUNS):
            more, result = react_once(engine, way, run)
            rows += more
            results.append(result)
        summary |= {f"{way}_{key}": value
                    for key, value in inside.medians(results).items()}
        summary |= {f"{way}_worst_first_ms": max(r["first_ms"] for r in results),
                    f"{way}_oom_kills": sum(r["oom_kills"] for r in results)}
    return rows, summary


def main():
    inside.load()
    swap_on(SWAP_MIB)
    fisc = Fisc()
    rows, summary = compare([fisc, Host()])
    inside.write_rows("/out/compared.csv", rows)
    rows, reactions = react(fisc)
    inside.write_rows("/out/reactions.csv", rows)
    inside.write_summary("/out/summary.json", summary | reactions)


main()
