#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Figure 2 of the paper, inside the lab host: throughput of dbench with 40
clients in a guest of MEM_MIB (512) that has less memory because of its balloon,
compared with guests that have that amount from the start, with the same device
and driver but an empty balloon.

RUNS (9) runs of SECONDS_WORK (4) seconds of measured time for each, in turn, so
that a disturbance affects both. Each run starts without files and with an empty
cache, after free memory has been reported to the host; dirty pages are written
back when there are too many, not every few seconds. Both guests are new for
each size, as most were fastest in the beginning, and after a run that does not
end (see Documentation/benchmarks.rst), which is repeated."""
import os
import re
import shutil
import statistics
import subprocess

import inside

MEM_MIB = int(os.environ.get("MEM_MIB", "512"))
RUNS = int(os.environ.get("RUNS", "9"))
SECONDS = int(os.environ.get("SECONDS_WORK", "4"))
CLIENTS = 40
# 50, 62.5, 75 and 87.5 % of the full size, as in the paper.
EIGHTHS = (4, 5, 6, 7)
DISK_MIB = 1024
# Give up after this many runs of a size that do not end.
MOST_REPEATED = 5
MIB = 1 << 20


def make_disk(name):
    """Make an ext4 with dbench; guests have no disk of their own."""
    path, tree = f"/tmp/{name}.img", f"/tmp/{name}.tree"
    os.makedirs(tree)
    inside.run("cp", "/usr/bin/dbench", "/usr/share/dbench/client.txt", tree)
    for line in inside.output("ldd", "/usr/bin/dbench").splitlines():
        library = re.search(r"/\S+", line)
        if library:
            inside.run("cp", "-L", library[0], tree)
    inside.run("truncate", "-s", f"{DISK_MIB}M", path)
    inside.run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree,
               path)
    return (f"-drive file={path},format=raw,if=none,id=disk,cache=unsafe "
            "-device virtio-blk-pci,drive=disk")


def start(name, mib):
    """Start a guest with a disk and the paired driver."""
    device = inside.balloon_device(f"{name}1")
    inside.run("lab/guest", "start", "1", "--prefix", name, "--mem",
               f"{mib}M", "--backend", inside.MOUNT, "--disk-modules",
               "--qemu-extra", f"{make_disk(name)} {device}")
    inside.guest_run(f"{name}1", "for m in /fisc/disk/*.ko; do insmod $m; done"
                     " && mkdir -p /disk && mount /dev/vda /disk"
                     " && insmod /fisc/fisc_balloon.ko floor_mb=16"
                     " && echo 0 >/proc/sys/vm/dirty_writeback_centisecs")


def end(mib):
    for name in (f"native{mib}-", "full"):
        inside.run("lab/guest", "kill", "-9", f"{name}1")
        inside.run("vdpa", "dev", "del", f"{name}1")
        os.unlink(f"{inside.MOUNT}/{name}1")
        os.unlink(f"/tmp/{name}.img")
        shutil.rmtree(f"/tmp/{name}.tree")


def dbench(name):
    text = inside.guest_run(
        f"{name}1", "cd /disk && LD_LIBRARY_PATH=/disk ./dbench -c client.txt "
        f"-D /disk -t {SECONDS} {CLIENTS} | tail -n 3; "
        "rm -rf /disk/clients; sync; echo 3 >/proc/sys/vm/drop_caches; sleep 3",
        timeout_s=SECONDS * 15)
    return float(re.search(r"Throughput ([\d.]+) MB/sec", text)[1])


def inflate(mib):
    """Inflate the balloon of the full-sized guest to leave it mib MiB."""
    path = f"{inside.SYSFS}/vms/full1/balloon"
    size = (MEM_MIB - mib) * MIB
    inside.write_file(f"{path}/target", size)
    inside.wait_until(f"balloon of {MEM_MIB - mib} MiB", lambda: int(
        inside.read_file(f"{path}/actual")) == size, 120)


def pair(mib):
    """Return the throughput of both, or None if one does not end."""
    try:
        return {"native": dbench(f"native{mib}-"), "ballooned": dbench("full")}
    except subprocess.CalledProcessError:
        return None


def begin(mib):
    """Start a guest of that size, and one that a balloon shrinks to it."""
    start(f"native{mib}-", mib)
    start("full", MEM_MIB)
    inflate(mib)
    # The first run does not count: everything is new to the guests.
    return pair(mib) is not None


def compare(mib):
    rows, repeated, going = [], 0, False
    while len(rows) < RUNS:
        going = going or begin(mib)
        now = pair(mib) if going else None
        if now:
            rows.append({"mib": mib, "run": len(rows)} | now)
            inside.say("  ".join(f"{key} {value}"
                                 for key, value in rows[-1].items()))
            continue
        repeated += 1
        if repeated > MOST_REPEATED:
            raise SystemExit(f"{repeated} runs at {mib} MiB did not end")
        inside.say(f"mib {mib}  a run did not end, and is repeated")
        end(mib)
        going = False
    end(mib)
    return rows


def main():
    inside.load()
    rows = []
    for eighths in EIGHTHS:
        rows += compare(MEM_MIB * eighths // 8)
        # Save now, as the next size may not come to an end.
        inside.write_rows("/out/runs.csv", rows)
    points = []
    for mib in sorted({row["mib"] for row in rows}):
        runs = [row for row in rows if row["mib"] == mib]
        middle = inside.medians(runs)
        # Compare within pairs, which ran one after the other: changes in the
        # machine's speed affect both alike.
        ratio = statistics.median(row["ballooned"] / row["native"]
                                  for row in runs)
        points.append({"mib": mib, "native": middle["native"],
                       "ballooned": middle["ballooned"],
                       "slowdown_pct": round(100 * (1 - ratio), 2)})
    inside.write_rows("/out/points.csv", points)
    inside.write_summary("/out/summary.json", {
        "worst_slowdown_pct": max(p["slowdown_pct"] for p in points),
        "mem_mib": MEM_MIB, "clients": CLIENTS, "runs": RUNS,
        "seconds": SECONDS} | {
            f"slowdown_pct_{p['mib']}": p["slowdown_pct"] for p in points})


main()
