#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""How fast balloons are, inside the lab host: QEMU's own virtio-balloon, fisc's
device with the kernel's driver, and fisc's device with the paired driver, all
on memory of fisc.

Runs one guest of MEM (1G) at a time, which has touched all its memory, and
inflates its balloon to half of that and deflates it, RUNS (3) times. Reports
MiB per second, the CPU time of the host without that of the guest, and how much
of the memory is on 2 MiB pages once the guest has touched all of it again."""
import json
import os
import time

import inside

MEM = os.environ.get("MEM", "1G")
RUNS = int(os.environ.get("RUNS", "3"))
LIMIT_S = 300
MIB = 1 << 20
NAME = "vm1"
BALLOON = f"{inside.SYSFS}/vms/{NAME}/balloon"
# Leaves the guest what it needs to run. Zeroes will do: nothing scans for them.
FILL = ("mount -o remount,size=100% /dev/shm && "
        "dd if=/dev/zero of=/dev/shm/fill bs=1M status=none count=$(awk "
        "'/^MemAvailable/ { print int($2 / 1024) - 64 }' /proc/meminfo) && "
        "rm /dev/shm/fill")


class Qemu:
    """QEMU's own device, which is told how much memory its guest may have."""
    options = ["--balloon"]

    def __init__(self):
        self.size = inside.read_vm(NAME, "size_bytes")

    def set(self, size):
        self.ask("balloon", {"value": self.size - size})

    def actual(self):
        return self.size - self.ask("query-balloon")["actual"]

    @staticmethod
    def ask(command, arguments=None):
        text = {"execute": command}
        if arguments:
            text["arguments"] = arguments
        answer = inside.output("lab/guest", "qmp", NAME, json.dumps(text))
        return json.loads(answer)["return"]


class Fisc:
    """fisc's device, with the kernel's driver."""
    options = []

    def set(self, size):
        inside.write_file(f"{BALLOON}/target", size)

    def actual(self):
        return int(inside.read_file(f"{BALLOON}/actual"))


class Paired(Fisc):
    """The same, with the paired driver."""

    def __init__(self):
        inside.guest_run(NAME, "insmod /fisc/fisc_balloon.ko")


DEVICES = {"qemu": Qemu, "stock": Fisc, "paired": Paired}


def host_cpu_s():
    """Return the busy time of the host's CPUs, without guests."""
    user, nice, system, _, _, irq, softirq, _, guest, guest_nice = map(
        int, inside.read_file("/proc/stat").splitlines()[0].split()[1:11])
    return (user + nice + system + irq + softirq - guest - guest_nice) / 100


def move(device, size):
    """Resize the balloon; return MiB/s and CPU ms per MiB."""
    before = device.actual()
    cpu, begin = host_cpu_s(), time.monotonic()
    device.set(size)
    inside.wait_until(f"balloon of {size // MIB} MiB",
                      lambda: device.actual() == size, LIMIT_S)
    seconds, cpu = time.monotonic() - begin, host_cpu_s() - cpu
    moved = abs(size - before) / MIB
    return moved / seconds, 1000 * cpu / moved


def large_percent():
    """Return how much of the guest's present memory is on 2 MiB pages."""
    return inside.percent(inside.read_vm(NAME, "large_pages") * 512,
                          inside.read_vm(NAME, "present_pages"))


def measure(kind, run):
    inside.run("lab/guest", "start", "1", "--mem", MEM, "--backend",
               inside.MOUNT, *DEVICES[kind].options)
    device = DEVICES[kind]()
    inside.guest_run(NAME, FILL)
    # Give untouched pages a frame, too, so that each page frees one.
    inside.run("fallocate", "-l", MEM, f"{inside.MOUNT}/{NAME}")
    row = {"kind": kind, "run": run, "large_before_pct": large_percent()}
    size = inside.read_vm(NAME, "size_bytes") // 2
    frames = inside.read_stats("core")["frames"]
    row["inflate_mib_s"], row["inflate_cpu_ms_mib"] = move(device, size)
    row["freed_pct"] = inside.percent(
        frames - inside.read_stats("core")["frames"], size / 4096)
    row["deflate_mib_s"], row["deflate_cpu_ms_mib"] = move(device, 0)
    inside.guest_run(NAME, FILL)
    row["large_after_pct"] = large_percent()
    inside.say("  ".join(f"{key} {value:.2f}" if isinstance(value, float)
                         else f"{key} {value}" for key, value in row.items()))
    inside.run("lab/guest", "kill", "-9", "--all")
    inside.remove_memory()
    return row


def main():
    inside.load()
    Fisc.options = ["--qemu-extra", inside.balloon_device(NAME)]
    rows = [measure(kind, run) for run in range(RUNS) for kind in DEVICES]
    inside.write_rows("/out/runs.csv", rows)
    middle = {kind: inside.medians([row for row in rows if row["kind"] == kind])
              for kind in DEVICES}
    summary = {f"{kind}_{key}": value for kind, values in middle.items()
               for key, value in values.items() if key != "run"}
    for kind in ("paired", "stock"):
        summary[f"{kind}_ratio_to_qemu"] = (middle[kind]["inflate_mib_s"] /
                                            middle["qemu"]["inflate_mib_s"])
    summary["large_folio_back_pct"] = middle["paired"]["large_after_pct"]
    inside.write_summary("/out/summary.json", summary)


if __name__ == "__main__":
    main()
