#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What the module's threads cost a host of many VMs, inside the lab host, which
has one CPU and may get 127 more: VMS (1000) VMs of SIZE_MIB (1024), mapped, with
HELD_MIB (1) of memory each, spread over the first, middle and last MiB of the
file.  Everything else in the files is empty.

CPU time, in percent of one CPU, of the module's threads and of the kernel's
workers, less what the workers use without VMs:

  idle      memory suffices, nobody touches anything
  short     memory is short, but may not be taken: no VM may be paged
  paged     memory is short, and one VM writes WRITE_MIB (1) of new memory each
            second, for which the others are paged

"pressure" is the more expensive one of the last two. Each is watched for
WATCH_S (60) seconds, twice the period of a sample, after SETTLE_S (45)."""
import glob
import mmap
import os
import struct
import time

import inside

VMS = int(os.environ.get("VMS", 1000))
SIZE_MIB = int(os.environ.get("SIZE_MIB", 1024))
HELD_MIB = int(os.environ.get("HELD_MIB", 1))
WRITE_MIB = int(os.environ.get("WRITE_MIB", 1))
WATCH_S = int(os.environ.get("WATCH_S", 60))
SETTLE_S = int(os.environ.get("SETTLE_S", 45))

MIB = 1 << 20
PAGE = 4096
SPOTS = 4
# The reservation of metadata for VMs of that size is for when they are full.
CAPACITY = 64 << 30
LIMIT_S = 1200
TICKS_PER_S = 10
BASE = os.urandom(PAGE)


def page(number):
    """A page that no other equals."""
    return struct.pack("<Q", number) + BASE[8:]


class Vm:
    """A file that is mapped, as a VMM would."""

    def __init__(self, number):
        self.number = number
        self.filled = 0
        with open(f"{inside.MOUNT}/vm{number}", "w+b") as file:
            file.truncate(SIZE_MIB * MIB)
            self.map = mmap.mmap(file.fileno(), SIZE_MIB * MIB)

    def write(self, at):
        self.map[at:at + PAGE] = page(self.number << 32 | at // PAGE)

    def hold(self):
        """Write a few pages at a few places."""
        spot = HELD_MIB * MIB // SPOTS
        step = (SIZE_MIB * MIB - spot) // (SPOTS - 1) & -PAGE
        for start in range(0, SPOTS * step, step):
            for at in range(start, start + spot, PAGE):
                self.write(at)

    def grow(self, pages):
        for _ in range(pages):
            self.write(self.filled * PAGE)
            self.filled += 1


def threads():
    """CPU time of the module's threads and of the workers, by name, in s."""
    times = {"fisc_reclaim": 0, "fisc_share": 0, "workers": 0}
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            name = inside.read_file(path)
            if name.startswith("kworker"):
                name = "workers"
            name = name.split("/")[0]
            if name in times:
                times[name] += inside.cpu_seconds(path.split("/")[2])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return times


def watch(seconds, work=None):
    """Percent of a CPU that each used, while work() is done ten times a second."""
    begin, before = time.monotonic(), threads()
    end = begin + seconds
    while time.monotonic() < end:
        if work:
            work()
        time.sleep(1 / TICKS_PER_S)
    took = time.monotonic() - begin
    return {name: 100 * (now - before[name]) / took
            for name, now in threads().items()}


def describe(name, used, idle_workers):
    used["workers"] = max(used["workers"] - idle_workers, 0)
    reclaim = inside.read_stats("reclaim")
    core = inside.read_stats("core")
    state = inside.read_file(f"{inside.SYSFS}/reclaim/state")
    inside.say(f"{name}: state {state}, frames {core['frames']}, swapped "
               f"{core['swapped']}, map {core['map_bytes'] >> 10} KiB, excess "
               f"{reclaim['excess']}, {reclaim['changes']} changes of state; " +
               "  ".join(f"{key} {value:.3f} %" for key, value in used.items()))
    return {f"{name}_{key}_pct": value for key, value in used.items()} | {
        f"{name}_cpu_pct": sum(used.values())}


def make_short(ballast_keep_mib):
    """Take the host's memory but for so much; return what holds it."""
    free = next(int(line.split()[1]) >> 10 for line in
                inside.read_file("/proc/meminfo").splitlines()
                if line.startswith("MemAvailable"))
    size = (free - ballast_keep_mib) * MIB
    ballast = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS |
                        mmap.MAP_POPULATE)
    return ballast


def main():
    possible = inside.read_file("/sys/devices/system/cpu/possible")
    inside.say(f"possible CPUs: {possible}")
    inside.run("mkswap", "-q", "/dev/vdb")
    inside.run("swapon", "/dev/vdb")
    # The host's own memory, that of this program included, stays where it is.
    inside.write_file("/proc/sys/vm/swappiness", 0)
    inside.load()
    inside.write_knob("tax/overcommit", 1)
    inside.write_knob("tax/capacity", CAPACITY)
    inside.write_knob("large/enabled", 0)
    workers = watch(WATCH_S // 4)["workers"]
    inside.say(f"without VMs: workers {workers:.3f} %")

    vms = [Vm(number) for number in range(VMS + 1)]
    writer = vms.pop()
    for vm in vms:
        vm.hold()
    inside.write_knob("share/run", 1)
    time.sleep(SETTLE_S)
    summary = describe("idle", watch(WATCH_S), workers)
    main_short(summary, writer, workers)
    inside.write_summary("/out/summary.json", summary)


def main_short(summary, writer, workers):
    inside.write_knob("reclaim/paging", 0)
    total = inside.read_stats("reclaim")["host_total"] * PAGE // MIB
    ballast = make_short(total * 3 // 100)
    time.sleep(SETTLE_S)
    summary |= describe("short", watch(WATCH_S), workers)
    inside.write_knob("reclaim/paging", 1)
    inside.wait_until("calm", lambda: inside.read_file(
        f"{inside.SYSFS}/reclaim/state") in ("high", "clear"), LIMIT_S)

    def work():
        writer.grow(WRITE_MIB * MIB // PAGE // TICKS_PER_S)

    watch(SETTLE_S, work)
    summary |= describe("paged", watch(WATCH_S, work), workers)
    summary["pressure_cpu_pct"] = max(summary["short_cpu_pct"],
                                      summary["paged_cpu_pct"])
    ballast.close()


main()
