#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The demo, inside the lab host: guests share memory, and then use more than
there is."""
import argparse
import os
import subprocess
import sys
import time

from inside import (MOUNT, SYSFS, adopt, adoption, load, mib, percent, read_file,
                    read_stats, read_vm, remove_memory, run, say, scan, wait_until,
                    write_knob, write_rows, write_summary)
from overcommit import overcommit, swap_off

PASSES = 2
SETTLE_S = 2
DOMAIN = "demo"
BREAK_PAGES = 16
LIMIT_S = 300
# Status of the build, which may go on while guests start; written by demo/run.
BUILT = "/out/built"


class Series:
    """Samples over time, one row per second."""

    def __init__(self):
        self.rows = []
        self.start = time.monotonic()

    def restart(self):
        """Count time from now on; make the times of earlier rows negative."""
        now = time.monotonic() - self.start
        for row in self.rows:
            row["time_s"] -= now
        self.start += now

    def sample(self, guests):
        core, share = read_stats("core"), read_stats("share")
        row = {
            "time_s": time.monotonic() - self.start,
            "guests": guests,
            "present_mib": mib(core["present"]),
            "frames_mib": mib(core["frames"]),
            "saved_mib": mib(share["saved"]),
            "zero_mib": mib(share["zero"]),
            "full_scans": share["full_scans"],
            "scan_cpu_s": share["cpu_us"] / 1e6,
        }
        self.rows.append(row)
        say(f"{row['time_s']:6.0f} s  {guests} guests up"
            f"  present {row['present_mib']:7.1f} MiB"
            f"  frames {row['frames_mib']:7.1f} MiB"
            f"  saved {row['saved_mib']:7.1f} MiB"
            f"  scanner {row['scan_cpu_s']:5.2f} s CPU")
        return row


def load_module():
    """Load the module when it has been built, and mount its file system."""
    if not os.path.exists(BUILT):
        say("waiting for fisc.ko, which is still being built")
    wait_until("fisc.ko is built", lambda: os.path.exists(BUILT), LIMIT_S)
    if read_file(BUILT) != "0":
        sys.exit("demo: fisc.ko could not be built")
    say(f"loading fisc.ko, mounting {MOUNT}")
    load()
    say(f"by default VMs share nothing with each other: putting all of them "
        f"into one share domain, \"{DOMAIN}\"")
    write_knob("share/domain", DOMAIN)


def say_up(start):
    """Return a function that says how many guests are up."""
    return lambda up: say(f"{time.monotonic() - start:6.0f} s  {up} guests up")


def start_guests(args, show):
    """Start the guests; show how many of them are up, which lab/guest prints."""
    say(f"starting {args.vms} stock guests of {args.mem}")
    command = ["lab/guest", "start", str(args.vms), "--mem", args.mem,
               "--backend", "anon" if args.adopt else MOUNT, "--timeout", str(LIMIT_S + 60 * args.vms)]
    said = ""
    with subprocess.Popen(command, stderr=subprocess.PIPE) as guests:
        os.set_blocking(guests.stderr.fileno(), False)
        while guests.poll() is None:
            said += (guests.stderr.read() or b"").decode()
            show(said.count(" is up "))
            time.sleep(2)
        said += (guests.stderr.read() or b"").decode()
    if guests.returncode:
        sys.exit(f"demo: not all guests came up\n{said}")


def adopt_guests(args, series):
    """Adopt the guests, which know nothing of fisc."""
    names = [f"vm{number}" for number in range(1, args.vms + 1)]
    say(f"adopting {args.vms} guests, which run on ordinary memory")
    adopt(names)
    for name in names:
        say(f"          {name:6} {adoption(name)}")
    series.sample(args.vms)


def share(args, series):
    """Share until PASSES complete passes are done; return the last row."""
    first = read_stats("share")["full_scans"]
    series.restart()
    # At full speed, as nothing else runs here.
    scan(break_pages=BREAK_PAGES)
    while True:
        row = series.sample(args.vms)
        if row["full_scans"] >= first + PASSES:
            return row
        if row["time_s"] > LIMIT_S:
            sys.exit(f"demo: no {PASSES} passes within {LIMIT_S} s")
        time.sleep(1)


def table(names):
    """Print a row per VM and a total. Users of a shared frame count equally."""
    share_stats = read_stats("share")
    kept = share_stats["shared"] / max(share_stats["sharing"], 1)
    columns = "{:8} {:>12} {:>12} {:>12} {:>8} {:>12}"
    say()
    say(columns.format("VM", "present MiB", "shared MiB", "saved MiB",
                       "saved %", "zero MiB"))
    total = [0, 0, 0, 0]
    for name in names:
        present = read_vm(name, "present_pages")
        sharing = read_vm(name, "sharing_pages")
        zero = read_vm(name, "zero_pages")
        saved = zero + sharing * (1 - kept)
        total = [a + b for a, b in zip(total, (present, sharing, saved, zero))]
        say(columns.format(name, *row(present, sharing, saved, zero)))
    say(columns.format("total", *row(*total)))
    say()


def row(present, sharing, saved, zero):
    return (f"{mib(present):.1f}", f"{mib(sharing):.1f}", f"{mib(saved):.1f}",
            f"{percent(saved, present):.1f}", f"{mib(zero):.1f}")


def stop():
    """Kill all guests, unload; return the number of frames left."""
    run("lab/guest", "kill", "-9", "--all")
    frames = remove_memory()
    run("umount", MOUNT)
    run("rmmod", "fisc")
    return frames


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=8)
    parser.add_argument("--mem", default="128M")
    parser.add_argument("--adopt", action="store_true",
                        help="start guests on ordinary memory, and adopt them")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    if args.adopt:
        start_guests(args, say_up(time.monotonic()))
        load_module()
        series = Series()
        adopt_guests(args, series)
    else:
        load_module()
        series = Series()
        start_guests(args, series.sample)
    core = read_stats("core")
    say(f"all up, with {core['large']} large pages of 2 MiB and "
        f"{core['faults']} page faults; {SETTLE_S} s to settle, "
        f"then sharing is switched on")
    time.sleep(SETTLE_S)

    last = share(args, series)
    core, stats = read_stats("core"), read_stats("share")
    table(sorted(os.listdir(f"{SYSFS}/vms")))
    say(f"{core['large_breaks']} large pages were broken, as at least "
        f"{BREAK_PAGES} of the 512 pages in each had an equal; "
        f"{core['large']} are left")
    say(f"{percent(stats['saved'], core['present']):.1f} % of the guests' "
        f"present pages reclaimed in {PASSES} passes, "
        f"{stats['cpu_us'] / 1e6:.2f} s of CPU, "
        f"{stats['cpu_us'] / max(stats['saved'], 1):.1f} us a page")
    say()
    second = overcommit(sorted(os.listdir(f"{SYSFS}/vms")))
    say("killing all guests, unloading fisc.ko")
    frames = stop()
    swap_off()
    say(f"frames left: {frames}")

    write_rows(f"{args.out}/series.csv", series.rows)
    summary = {
        "guests": args.vms,
        "present_mib": round(mib(core["present"]), 1),
        "saved_mib": round(mib(stats["saved"]), 1),
        "reclaimed_pct": round(percent(stats["saved"], core["present"]), 1),
        "zero_mib": round(mib(stats["zero"]), 1),
        "scan_cpu_s": round(last["scan_cpu_s"], 2),
        "scan_cpu_us_per_page": round(stats["cpu_us"] /
                                      max(stats["saved"], 1), 2),
        "large_breaks": core["large_breaks"],
        "large_pages_left": core["large"],
        "metadata_pct": round(100 * core["metadata_bytes"] /
                              (core["present"] * 4096), 2),
        "frames_after_exit": frames,
    } | second
    write_summary(f"{args.out}/summary.json", summary)
    if second["guests_that_lost_memory"]:
        sys.exit("demo: guests did not find what they had left in their memory")
    sys.exit(0 if frames == 0 else "demo: frames were leaked")


main()
