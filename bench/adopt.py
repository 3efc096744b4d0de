#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Adoption of running guests, inside the lab host.

Measures how long the module blocks a guest's accesses to memory while it is
adopted or released, and how long accesses take in total, compared with first
accesses to memory that the host provides on large pages, and with the time it
takes to copy 2 MiB. Compares the speed of an adopted guest's memory, and the
memory saved, with guests that were started on fisc's files. Then adopts and
releases each of two guests CYCLES (500) times while they write and check their
memory, and runs a VMM that does OPERATIONS (1,000,000) at random
(selftests/adopt_fuzz.c).

Everything that is timed runs RUNS (3) times, in turn. The results are medians,
or the worst of all runs where they are upper bounds."""
import os
import re
import statistics
import time

import inside

RUNS = int(os.environ.get("RUNS", "3"))
CYCLES = int(os.environ.get("CYCLES", "500"))
OPERATIONS = int(os.environ.get("OPERATIONS", "1000000"))
MEM = "192M"
HOLD_MIB = 64
QUIET_S = 5
SETTLE_S = 15
MEMORY_MIB = 48
MEMORY_S = 0.5
CHECK_MIB = 32
LIMIT_S = 600
STILL_S = 10
# Waits for a mapping to be replaced, and for a chunk to be copied.
WAITS = ("map", "copy", "release")


def start(prefix, guests, *backend):
    inside.run("lab/guest", "start", str(guests), "--prefix", prefix, "--mem",
               MEM, *backend)
    return [f"{prefix}{number}" for number in range(1, guests + 1)]


def end():
    """Kill all guests; return the number of frames that are left."""
    inside.run("lab/guest", "kill", "-9", "--all")
    return inside.remove_memory()


def release(names):
    for name in names:
        inside.write_file(f"{inside.SYSFS}/vms/{name}/adoption", "release")
    for name in names:
        inside.wait_until(f"{name} is released",
                          lambda n=name: not inside.adoption(n), LIMIT_S)


def parse_holds(text):
    """Parse the output of bench/hold.c."""
    pairs = (line.split() for line in text.splitlines() if " " in line)
    return {key: float(value) for key, value in pairs}


def hold_during(name, work):
    """Measure a guest's accesses, over and over, during some work on it."""
    inside.run("lab/guest", "bg", name, "--",
               "rm -f /run/hold.*; "
               f"/fisc/hold again {HOLD_MIB} >/run/hold.out")
    inside.wait_until("guest holds its memory", lambda: "ready" in
                      inside.guest_run(name, "cat /run/hold.out || :"), LIMIT_S)
    work()
    inside.guest_run(name, "touch /run/hold.stop")
    inside.wait_until("guest has counted", lambda: "max_us" in
                      inside.guest_run(name, "cat /run/hold.out"), LIMIT_S)
    return parse_holds(inside.guest_run(name, "cat /run/hold.out"))


def holds():
    """Return histograms, one row for each kind of work and run."""
    rows = []
    for run in range(RUNS):
        name, = start("hold", 1, "--anon")
        fresh = parse_holds(inside.guest_run(
            name, f"/fisc/hold fresh {HOLD_MIB}", LIMIT_S))
        rows.append({"what": "first_access", "run": run} | fresh)
        for what, work in (("nothing", lambda: time.sleep(QUIET_S)),
                           ("adoption", lambda n=name: inside.adopt([n])),
                           ("release", lambda n=name: release([n]))):
            rows.append({"what": what, "run": run} | hold_during(name, work))
        for row in rows[-4:]:
            inside.say(f"{row['what']}: longest {row['max_us']:.0f} us")
        end()
    return rows


def histogram(rows):
    """Sum up all runs: a row for each duration, a column for each kind of work
    and for each wait that the module has counted so far."""
    kinds = sorted({row["what"] for row in rows})
    module = inside.read_stats("adopt")
    return [{"us": int(key[3:])} | {kind: sum(
        row[key] for row in rows if row["what"] == kind) for kind in kinds} | {
            f"waits_{wait}": module.get(f"{wait}_{key}", 0) for wait in WAITS}
            for key in rows[0] if key.startswith("us_")]


def waits_us(wait, part):
    """Return what @part of the module's waits so far took less than."""
    waits = inside.read_stats("adopt")
    counts = {int(key[len(wait) + 4:]): number for key, number in waits.items()
              if re.match(wait + r"_us_\d+$", key)}
    left = part * sum(counts.values())
    for us, number in sorted(counts.items()):
        left -= number
        if left <= 0:
            return us
    return 0


def hold_ms():
    """Return how long the module has blocked accesses at most so far: the
    longest waits that can follow each other, added up."""
    waits = inside.read_stats("adopt")
    return {"adoption": (waits["map_max_us"] + waits["copy_max_us"]) / 1000,
            "release": waits["release_max_us"] / 1000}


def longest_ms(rows, what):
    return max(row["max_us"] for row in rows if row["what"] == what) / 1000


def saved():
    """Return the pages saved when the scanner finds no more."""
    inside.write_knob("share/domain", "bench")
    inside.scan()
    history = []
    while len(history) <= STILL_S or \
            history[-1] - history[-1 - STILL_S] > history[-1] / 1000:
        time.sleep(1)
        history.append(inside.read_stats("share")["saved"])
    inside.write_knob("share/run", 0)
    return history[-1]


def speed(names):
    """Return read MiB/s, ns per random access, write MiB/s of each guest."""
    lines = []
    for name in names:
        text = inside.guest_run(
            name, f"echo | /fisc/memory {MEMORY_MIB} {MEMORY_S}", LIMIT_S)
        lines.append([float(word) for word in text.splitlines()[-1].split()])
    return lines


def against_native():
    """Compare two guests on files with two adopted ones, a row per run."""
    rows = []
    for run in range(RUNS):
        for kind in ("native", "adopted"):
            native = kind == "native"
            names = start(kind, 2, *(["--backend", inside.MOUNT] if native
                                     else ["--anon"]))
            if not native:
                inside.adopt(names)
            # Guests are busy for a while after they have booted.
            time.sleep(SETTLE_S)
            reads, accesses, writes = zip(*speed(names))
            row = {"kind": kind, "run": run,
                   "read_mib_s": statistics.median(reads),
                   "access_ns": statistics.median(accesses),
                   "write_mib_s": statistics.median(writes),
                   "saved_pages": saved()}
            row["saved_pct"] = inside.percent(row["saved_pages"],
                                              inside.read_stats("core")["present"])
            rows.append(row)
            inside.say("  ".join(f"{key} {value}" for key, value in row.items()))
            end()
    return rows


def cycle():
    """Adopt and release under load; return passes and wrong bytes."""
    names = start("cycle", 2, "--anon")
    for name in names:
        inside.run("lab/guest", "bg", name, "--",
                   f"/fisc/memcheck --mb {CHECK_MIB} --seconds 1000000 "
                   "--write-rate 2000 >/run/check.log 2>&1")
    for number in range(CYCLES):
        inside.adopt(names)
        release(names)
        if number % 10 == 9:
            inside.say(f"{number + 1} of {CYCLES} cycles")
    passes, wrong = 0, 0
    for name in names:
        last = inside.guest_run(name, "tail -n 1 /run/check.log")
        numbers = re.search(r"pass (\d+) pages .* bytes (\d+)", last)
        passes += int(numbers[1])
        wrong += int(numbers[2])
    return passes, wrong


def fuzz():
    """Return the operations of a VMM that does them at random, without a fault."""
    text = inside.output("env", f"OPERATIONS={OPERATIONS}", "SEED=1",
                         "build/selftests/adopt_fuzz")
    return int(re.findall(r"^# (\d+) operations", text, re.M)[-1])


def splats():
    return int(inside.output("bash", "-c", '. lab/lib.sh; '
                             'dmesg | grep -acE "$SPLATS" || true'))


def main():
    inside.load()
    inside.write_knob("large/enabled", 1)
    copy_us, page_us, page_most_us = map(
        float, inside.output("build/bench/copy").split())
    inside.say(f"2 MiB are copied in {copy_us} us, a page after a fault in "
               f"{page_us} us")
    hold_rows = holds()
    inside.write_rows("/out/holds.csv", histogram(hold_rows))
    alone = hold_ms()
    waits = inside.read_stats("adopt")
    usual_us = waits_us("copy", 0.999)
    rows = against_native()
    inside.write_rows("/out/native.csv", rows)
    passes, wrong = cycle()
    busy, busy_us = hold_ms(), waits_us("copy", 0.999)
    frames = end()
    operations = fuzz()
    middle = {kind: inside.medians([row for row in rows if row["kind"] == kind])
              for kind in ("native", "adopted")}
    relative = {key: inside.percent(middle["adopted"][key],
                                    middle["native"][key])
                for key in middle["native"] if key != "run"}
    inside.write_summary("/out/summary.json", {
        "cycles": 2 * CYCLES, "passes_checked": passes,
        "mismatched_bytes": wrong, "splats": splats(), "leaked_frames": frames,
        "fuzz_operations": operations,
        "copy_2mib_us": copy_us, "page_copy_and_fault_us": page_us,
        "page_copy_and_fault_us_99_9": page_most_us,
        "holds": sum(number for key, number in waits.items()
                     if key.startswith("copy_us_")),
        "hold_us_99_9": usual_us, "max_hold_us": waits["copy_max_us"],
        "hold_busy_us_99_9": busy_us,
        "max_hold_ms": alone["adoption"], "max_hold_release_ms": alone["release"],
        "max_hold_busy_ms": busy["adoption"],
        "max_access_ms": longest_ms(hold_rows, "adoption"),
        "max_access_release_ms": longest_ms(hold_rows, "release"),
        "max_access_first_ms": longest_ms(hold_rows, "first_access"),
        "max_access_quiet_ms": longest_ms(hold_rows, "nothing"),
        "saved_vs_native_pct": relative["saved_pages"],
        "saved_native_pct": middle["native"]["saved_pct"],
        "saved_adopted_pct": middle["adopted"]["saved_pct"],
        "read_vs_native_pct": relative["read_mib_s"],
        "write_vs_native_pct": relative["write_mib_s"],
        "access_vs_native_pct": relative["access_ns"]})


main()
