#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Paging, inside the lab host: guest memory of fisc compared with anonymous
memory that the host swaps, in turn, in one boot. fisc pages to a paging device
of its own, and to the host's swap; all devices are alike. RUNS (3)
and MEM_MIB (64) come from the environment, and so does LATENCY_US (0): for each
time in it, what the device takes for a request, all is measured once more.
While the CPU is idle the clock is that of the real machine, which must do
nothing else if times with latency are to mean anything."""
import os
import subprocess

import inside
from reader import MIB

RUNS = int(os.environ.get("RUNS", 3))
MEM_MIB = int(os.environ.get("MEM_MIB", 64))
LATENCIES_US = [int(us) for us in
                os.environ.get("LATENCY_US", "0").split()]
SWAP_MIB = 1024
PROGRAM = "build/bench/swap"
CGROUP = "/sys/fs/cgroup/bench"
NULLB = "/sys/kernel/config/nullb"
SWAP = "benchswap"
DISK = "benchdisk"
THP = "/sys/kernel/mm/transparent_hugepage/enabled"
# A VM that has its memory whatever happens: all others have to leave theirs.
KEPT = f"{inside.MOUNT}/kept"
COMMANDS = ("fill", "out", "in", "fill", "out", "random", "fill", "out",
            "write")


def device_on(name, latency_us):
    """A device with queues, like a solid-state disk's, that keeps its data in
    memory, prepared for paging."""
    os.makedirs(f"{NULLB}/{name}")
    for attr, value in (("size", SWAP_MIB), ("memory_backed", 1),
                        ("blocksize", 4096),
                        ("irqmode", 2 if latency_us else 0),
                        ("completion_nsec", latency_us * 1000), ("power", 1)):
        inside.write_file(f"{NULLB}/{name}/{attr}", value)
    inside.wait_until(name, lambda: os.path.exists(f"/dev/{name}"), 10)
    inside.run("mkswap", "-q", f"/dev/{name}")


def device_off(name):
    inside.write_file(f"{NULLB}/{name}/power", 0)
    os.rmdir(f"{NULLB}/{name}")


def measure(engine, size, memory, env, move=None):
    """Run the program; return MiB/s and ms of CPU time for each MiB."""
    said = subprocess.run([PROGRAM, memory, str(MEM_MIB), *COMMANDS],
                          check=True, text=True, stdout=subprocess.PIPE,
                          env=os.environ | env, preexec_fn=move).stdout
    row = {}
    for line in said.splitlines():
        name, ns, cpu, mib = line.split()
        # Of the two times that all goes out, the first one counts.
        key = f"{engine}_{size}_{name}"
        row.setdefault(f"{key}_mib_s", int(mib) / (int(ns) / 1e9))
        row.setdefault(f"{key}_cpu_ms_per_mib", int(cpu) / 1e6 / int(mib))
    return row


def host(size):
    inside.write_file(THP, "always" if size == "2m" else "never")
    os.makedirs(CGROUP, exist_ok=True)
    return measure("host", size, "anon", {"CGROUP": CGROUP},
                   lambda: inside.write_file(f"{CGROUP}/cgroup.procs",
                                             os.getpid()))


def fisc(size, device):
    """Page to the paging device if @device, or to the host's swap."""
    inside.write_knob("large/enabled", int(size == "2m"))
    inside.write_knob("reclaim/device", f"/dev/{DISK}" if device else "none")
    row = measure("fisc" if device else "swap", size, f"{inside.MOUNT}/bench",
                  {"CAPACITY": str(MEM_MIB * 2 * MIB)})
    os.unlink(f"{inside.MOUNT}/bench")
    inside.write_knob("reclaim/device", "none")
    return row


def keep():
    """Make a VM that has a right to half of the capacity, and uses it."""
    with open(KEPT, "wb") as file:
        page = b"x" * MIB
        for _ in range(MEM_MIB):
            file.write(page)
    inside.write_knob("vms/kept/min", MEM_MIB * MIB)


def ratios(median, latency):
    """Return the ratios of fisc to the host: with the paging device, and
    (through_swap) without."""
    result = {}
    for engine, way in (("fisc", ""), ("swap", "_through_swap")):
        for size in ("4k", "2m"):
            end = way + ("" if size == "4k" else "_2m") + \
                (f"_{latency}us" if latency else "")
            for what, name in (("in", "page_in"), ("random", "page_in_random"),
                               ("write", "page_in_write"),
                               ("out", "page_out")):
                for unit, part in (("mib_s", ""), ("cpu_ms_per_mib", "_cpu")):
                    result[f"{name}{part}_ratio_to_host{end}"] = \
                        median[f"{engine}_{size}_{what}_{unit}"] / \
                        median[f"host_{size}_{what}_{unit}"]
    return result


def main():
    inside.load()
    inside.run("modprobe", "null_blk", "nr_devices=0")
    if not os.path.ismount("/sys/kernel/config"):
        inside.run("mount", "-t", "configfs", "none", "/sys/kernel/config")
    inside.write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory")
    inside.write_knob("reclaim/cold_ms", 10)
    keep()
    # All that is not kept is wanted at once.
    inside.write_knob("reclaim/high_percent", 50)
    inside.write_knob("reclaim/soft_percent", 50)
    rows, summary, medians = [], {}, {}
    for latency in LATENCIES_US:
        for name in (SWAP, DISK):
            device_on(name, latency)
        inside.run("swapon", f"/dev/{SWAP}")
        part = []
        for number in range(RUNS):
            row = {"latency_us": latency, "run": number}
            for size in ("4k", "2m"):
                row |= host(size) | fisc(size, True) | fisc(size, False)
            part.append(row)
            inside.say("  ".join(f"{key} {value:.4g}"
                                 for key, value in row.items()))
        inside.run("swapoff", f"/dev/{SWAP}")
        for name in (SWAP, DISK):
            device_off(name)
        rows += part
        median = inside.medians(part)
        summary |= ratios(median, latency)
        end = f"_{latency}us" if latency else ""
        medians |= {f"{key}{end}_median": value for key, value in
                    median.items() if key not in ("latency_us", "run")}
    inside.write_rows("/out/runs.csv", rows)
    inside.write_summary("/out/summary.json", summary | medians)


if __name__ == "__main__":
    main()
