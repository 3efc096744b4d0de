#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""One module compared with another, inside the lab host, in turn. RUNS (5) of
each and PARTS (faults sharing balloons) come from the environment."""
import os
import statistics

import balloon
import fault
import inside

RUNS = int(os.environ.get("RUNS", 5))
PARTS = os.environ.get("PARTS", "faults sharing balloons").split()
PAGES = 8192
MODULES = {"before": "build/before", "after": "build/stock"}
# Guests whose pages are shared.
VMS = 2
MEM = "128M"


def faults():
    """Return the ns that page faults take, per page."""
    touch = fault.Faults(PAGES)
    row = {}
    for size, large in (("4k", 0), ("2m", 1)):
        inside.write_knob("large/enabled", large)
        row |= touch.fisc([f"{size}_write_ns", f"{size}_refault_ns"],
                          "write", "forget", "read")
        row |= touch.fisc([f"{size}_read_ns"], "read")
    inside.write_knob("large/enabled", 0)
    row |= touch.fisc(["shared_refault_ns", "cow_mapped_ns"], "fill", "wait",
                      "read", "write", wait=fault.share_all)
    row |= touch.fisc(["cow_unmapped_ns"], "fill", "wait", "write",
                      wait=fault.share_all)
    inside.write_knob("large/enabled", 1)
    return row


def sharing():
    """Return the scanner's CPU time for each MiB that it saves of guests."""
    inside.run("lab/guest", "start", str(VMS), "--mem", MEM, "--backend",
               inside.MOUNT)
    for number in range(1, VMS + 1):
        inside.qmp(f"vm{number}", "stop")
    inside.write_knob("share/domain", "bench")
    thread = inside.process("fisc_share/0")
    passes = inside.read_stats("share")["full_scans"]
    cpu = inside.cpu_seconds(thread)
    inside.scan()
    inside.wait_until("sharing", lambda: inside.read_stats(
        "share")["full_scans"] >= passes + 3, 300)
    inside.write_knob("share/run", 0)
    cpu = inside.cpu_seconds(thread) - cpu
    saved = inside.mib(inside.read_stats("share")["saved"])
    inside.run("lab/guest", "kill", "-9", "--all")
    inside.remove_memory()
    return {"share_cpu_ms_per_mib": 1000 * cpu / saved, "saved_mib": saved}


def balloons():
    """Return the MiB/s at which balloons grow and shrink."""
    balloon.Fisc.options = ["--qemu-extra", inside.balloon_device(balloon.NAME)]
    row = {}
    for kind in ("stock", "paired"):
        for key, value in balloon.measure(kind, 0).items():
            if key.endswith("mib_s"):
                row[f"balloon_{kind}_{key}"] = value
    inside.run("vdpa", "dev", "del", balloon.NAME)
    inside.run("rmmod", "fisc_vdpa")
    return row


def main():
    balloon.MEM = "512M"
    rows = []
    for number in range(RUNS):
        for name, modules in MODULES.items():
            inside.load(modules)
            row = {}
            for part in PARTS:
                row |= {"faults": faults, "sharing": sharing,
                        "balloons": balloons}[part]()
            inside.unload()
            rows.append({"run": number, "module": name} | row)
            inside.say(f"run {number}, {name}: " + "  ".join(
                f"{key} {value:.4g}" for key, value in row.items()))
    inside.write_rows("/out/runs.csv", rows)
    summary = {}
    for key in row:
        values = {name: [r[key] for r in rows if r["module"] == name]
                  for name in MODULES}
        middle = {name: statistics.median(v) for name, v in values.items()}
        noise = max((max(v) - min(v)) / statistics.median(v)
                    for v in values.values())
        summary |= {f"{key}_before": middle["before"],
                    f"{key}_after": middle["after"],
                    f"{key}_change_pct":
                        100 * (middle["after"] / middle["before"] - 1),
                    f"{key}_spread_pct": 100 * noise}
    inside.write_summary("/out/summary.json", summary)


if __name__ == "__main__":
    main()
