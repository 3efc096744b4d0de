#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Figure 4 of the paper, inside the lab host: 1 to VMS (10) identical guests of
MEM (128M) under load, and how much memory they share.

SECONDS_WORK (60): how long they work after the last guest has been started."""
import os
import time

import inside

VMS = int(os.environ.get("VMS", 10))
MEM = os.environ.get("MEM", "128M")
SECONDS_WORK = int(os.environ.get("SECONDS_WORK", 60))
DOMAIN = "figure4"
LIMIT_S = 300

# Reads programs, sorts, compresses, computes: in the same order in all guests,
# each on its own data; every two minutes, as ten guests have one emulated CPU.
WORKLOAD = """
mkdir -p /run/work; cd /run/work
while :; do
	find /usr /bin -type f 2>/dev/null | sort >files
	head -n 300 files | xargs cat 2>/dev/null | sha256sum >sum
	python3 -c '
import collections, random
words = [random.randrange(20000) for _ in range(200000)]
print(collections.Counter(words).most_common(5), len(sorted(words)))' >counted
	perl -e 'my %h; $h{int(rand(50000))} .= "x" for 1..100000;
		print scalar(keys %h), "\\n"' >hashed
	busybox gzip -c files sum counted hashed >packed.gz
	sleep 120
done
"""


def start(number):
    name = f"vm{number}"
    inside.run("lab/guest", "start", "1", "--first", str(number), "--mem", MEM,
               "--backend", inside.MOUNT, "--timeout", str(LIMIT_S))
    inside.output("lab/guest", "bg", name, "--", WORKLOAD)


def wait_for_passes(passes):
    """Wait for a number of complete passes that begin after this call."""
    seen = inside.read_stats("share")["full_scans"]
    inside.wait_until("passes", lambda: inside.read_stats("share")["full_scans"]
                      > seen + passes, LIMIT_S)


def measure(number):
    """Count as the paper does: shared pages, and how many need no frame."""
    wait_for_passes(5)
    core, share = inside.read_stats("core"), inside.read_stats("share")
    row = {
        "vms": number,
        "total_mib": inside.mib(core["present"]),
        "shared_mib": inside.mib(core["sharing"] + core["zero"]),
        "reclaimed_mib": inside.mib(share["saved"]),
        "zero_mib": inside.mib(core["zero"]),
    }
    for what in ("shared", "reclaimed"):
        row[f"{what}_pct"] = inside.percent(row[f"{what}_mib"],
                                            row["total_mib"])
    inside.say("  ".join(f"{key} {value:.1f}" for key, value in row.items()))
    return row


def main():
    inside.load()
    inside.write_knob("share/domain", DOMAIN)
    inside.scan(cpu_percent=50)
    rows = []
    for number in range(1, VMS + 1):
        start(number)
        # Work for some time, in addition to what the next guest takes to boot.
        time.sleep(SECONDS_WORK if number == VMS else SECONDS_WORK / 4)
        rows.append(measure(number))
    inside.run("lab/guest", "kill", "-9", "--all")
    frames = inside.remove_memory()
    inside.write_rows("/out/shared.csv", rows)
    inside.write_summary("/out/summary.json", {
        "vms": VMS,
        "shared_pct_10": rows[-1]["shared_pct"],
        "reclaimed_pct_10": rows[-1]["reclaimed_pct"],
        "shared_pct_1": rows[0]["shared_pct"],
        "reclaimed_pct_1": rows[0]["reclaimed_pct"],
        "zero_of_reclaimed_pct_1": inside.percent(rows[0]["zero_mib"],
                                                  rows[0]["reclaimed_mib"]),
        "total_mib_10": rows[-1]["total_mib"],
        "frames_after_exit": frames,
    })


main()
