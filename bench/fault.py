#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Fault cost, inside the lab host: fisc against memfd, in turn."""
import argparse
import csv
import json
import os
import statistics
import subprocess

MOUNT = "/dev/fisc"
SYSFS = "/sys/kernel/fisc"
TOUCH = "build/bench/touch"


def output(*command):
    return subprocess.run(command, check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def touch(backing, pages, how):
    """Nanoseconds a page."""
    return float(output(TOUCH, backing, str(pages), how))


def knob(name, value):
    with open(f"{SYSFS}/share/{name}", "w", encoding="ascii") as file:
        file.write(str(value))


def share(path, pages):
    """Have all pages of the file, which are equal, shared."""
    knob("pages_per_sec", 1000000)
    knob("run", 1)
    vm = os.path.basename(path)
    while True:
        with open(f"{SYSFS}/vms/{vm}/sharing_pages", encoding="ascii") as file:
            if int(file.read()) == pages:
                break
    knob("run", 0)


def guest_touch(backing, name, mib):
    """Milliseconds for a guest to write memory it never touched before."""
    place = ["--memfd"] if backing == "memfd" else ["--backend", MOUNT]
    subprocess.run(["lab/guest", "start", "1", "--prefix", name, "--mem",
                    f"{mib + 160}M", *place], check=True,
                   stderr=subprocess.DEVNULL)
    script = ("mkdir -p /t; mount -t tmpfs -o size=90% t /t; "
              "a=$(cut -d' ' -f1 /proc/uptime); "
              f"dd if=/dev/zero of=/t/x bs=1M count={mib} 2>/dev/null; "
              "b=$(cut -d' ' -f1 /proc/uptime); echo $a $b")
    start, end = output("lab/guest", "exec", "--timeout", "300",
                        f"{name}1", "--", script).split()
    subprocess.run(["lab/guest", "kill", "-9", f"{name}1"], check=True)
    return (float(end) - float(start)) * 1000


def one_run(args, number):
    """All measurements once, fisc and memfd next to each other."""
    path = f"{MOUNT}/touch"
    row = {
        "memfd_write_ns": touch("memfd", args.pages, "write"),
        "fisc_write_ns": touch(path, args.pages, "write"),
    }
    # The file is there now: mapped anew, every page faults once more.
    row["fisc_refault_ns"] = touch(path, args.pages, "read")
    share(path, args.pages)
    row["fisc_shared_read_ns"] = touch(path, args.pages, "read")
    row["fisc_cow_ns"] = touch(path, args.pages, "write")
    os.unlink(path)
    row["memfd_read_ns"] = touch("memfd", args.pages, "read")
    row["fisc_read_ns"] = touch(path, args.pages, "read")
    os.unlink(path)
    row["memfd_guest_ms"] = guest_touch("memfd", f"m{number}-", args.guest_mib)
    row["fisc_guest_ms"] = guest_touch(MOUNT, f"f{number}-", args.guest_mib)
    os.unlink(f"{MOUNT}/f{number}-1")
    print("  ".join(f"{key} {value:.0f}" for key, value in row.items()),
          flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--pages", type=int, required=True)
    parser.add_argument("--guest-mib", type=int, required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    subprocess.run(["insmod", "build/stock/fisc.ko"], check=True)
    os.makedirs(MOUNT, exist_ok=True)
    subprocess.run(["mount", "-t", "fisc", "none", MOUNT], check=True)

    rows = [one_run(args, number) for number in range(args.runs)]
    with open(f"{args.out}/runs.csv", "w", newline="", encoding="ascii") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)

    median = {key: statistics.median(row[key] for row in rows)
              for key in rows[0]}
    summary = {
        "first_write_ratio_to_memfd":
            median["fisc_write_ns"] / median["memfd_write_ns"],
        "first_read_ratio_to_memfd":
            median["fisc_read_ns"] / median["memfd_read_ns"],
        "shared_read_ratio_to_private_refault":
            median["fisc_shared_read_ns"] / median["fisc_refault_ns"],
        "cow_break_ratio_to_first_write":
            median["fisc_cow_ns"] / median["fisc_write_ns"],
        "guest_first_write_ratio_to_memfd":
            median["fisc_guest_ms"] / median["memfd_guest_ms"],
    }
    summary = {key: round(value, 3) for key, value in summary.items()}
    summary.update({f"{key}_median": round(value, 1)
                    for key, value in median.items()})
    with open(f"{args.out}/summary.json", "w", encoding="ascii") as file:
        json.dump(summary, file, indent=2)
        file.write("\n")
    print(json.dumps(summary, indent=2))


main()
