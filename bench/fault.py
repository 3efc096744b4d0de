#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What page faults cost, inside the lab host: fisc compared with memfd and KSM,
in turn. RUNS (5) and PAGES (8192) come from the environment."""
import csv
import os
import subprocess

import inside

TOUCH = "build/bench/touch"
SHMEM_HUGE = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
KSM = "/sys/kernel/mm/ksm"
PATH = f"{inside.MOUNT}/touch"
LIMIT_S = 300


def share_all(pages, vm=os.path.basename(PATH)):
    """Wait until that many pages of a VM, which have equals, are shared."""
    inside.scan()
    inside.wait_until("sharing", lambda: inside.read_vm(
        vm, "sharing_pages") >= pages, LIMIT_S)
    inside.write_knob("share/run", 0)


def merge_all(pages):
    """Wait until KSM has merged that many pages of anonymous memory."""
    # Reset the counts of processes that have ended.
    inside.write_file(f"{KSM}/run", 2)
    inside.write_file(f"{KSM}/pages_to_scan", 5000)
    inside.write_file(f"{KSM}/run", 1)
    inside.wait_until("merging", lambda: sum(
        int(inside.read_file(f"{KSM}/{name}"))
        for name in ("pages_shared", "pages_sharing")) >= pages, LIMIT_S)
    inside.write_file(f"{KSM}/run", 0)


class Faults:
    """Measurements in nanoseconds per page, and their histograms."""

    def __init__(self, pages):
        self.pages = pages
        self.histograms = {}

    def touch(self, backing, names, *steps, wait=None):
        """Run the steps; return the times of the timed ones by their names."""
        with subprocess.Popen([TOUCH, backing, str(self.pages), *steps],
                              text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as child:
            if wait:
                child.stdout.readline()
                wait(self.pages)
            lines, _ = child.communicate("\n")
        if child.returncode:
            raise RuntimeError(f"touch {backing}: status {child.returncode}")
        times = {}
        for name, line in zip(names, lines.splitlines()):
            _, mean, *histogram = line.split()
            times[name] = float(mean)
            sums = self.histograms.setdefault(name, [0] * len(histogram))
            self.histograms[name] = [a + int(b)
                                     for a, b in zip(sums, histogram)]
        return times

    def fisc(self, *args, **kwargs):
        """Do the same on a new file of fisc, and unlink it afterwards."""
        times = self.touch(PATH, *args, **kwargs)
        inside.remove_memory()
        return times

    def once(self):
        """Measure everything once, each next to what it is compared with."""
        row = {}
        for size, shmem, large in (("4k", "never", 0), ("2m", "always", 1)):
            inside.write_file(SHMEM_HUGE, shmem)
            inside.write_knob("large/enabled", large)
            row |= self.touch("memfd", [f"memfd_{size}_write",
                                        f"memfd_{size}_refault"],
                              "write", "forget", "read")
            row |= self.fisc([f"fisc_{size}_write", f"fisc_{size}_refault"],
                             "write", "forget", "read")
            row |= self.touch("memfd", [f"memfd_{size}_read"], "read")
            row |= self.fisc([f"fisc_{size}_read"], "read")
        inside.write_file(SHMEM_HUGE, "never")
        # Small frames, so that everything is shared at once.
        inside.write_knob("large/enabled", 0)
        row |= self.touch("anon", ["ksm_cow"], "fill", "wait", "write",
                          wait=merge_all)
        row |= self.fisc(["fisc_shared_refault", "fisc_cow_mapped"],
                         "fill", "wait", "read", "write", wait=share_all)
        row |= self.fisc(["fisc_cow_unmapped"], "fill", "wait", "write",
                         wait=share_all)
        inside.write_knob("large/enabled", 1)
        return row

    def save(self, path):
        """Save the histograms: how many pages took less than below_ns."""
        with open(path, "w", newline="", encoding="ascii") as file:
            writer = csv.writer(file)
            writer.writerow(["below_ns", *self.histograms])
            for i, row in enumerate(zip(*self.histograms.values())):
                if any(row):
                    writer.writerow([1 << i, *row])


def ratios(median):
    """Return the ratios of medians of rows of measure()."""
    def memfd(what):
        return median[f"fisc_{what}"] / median[f"memfd_{what}"]

    return {
        "first_write_ratio_to_memfd_4k": memfd("4k_write"),
        "first_write_ratio_to_memfd_2m": memfd("2m_write"),
        "first_read_ratio_to_memfd_4k": memfd("4k_read"),
        "first_read_ratio_to_memfd_2m": memfd("2m_read"),
        "refault_ratio_to_memfd_4k": memfd("4k_refault"),
        "refault_ratio_to_memfd_2m": memfd("2m_refault"),
        "cow_mapped_ratio_to_ksm":
            median["fisc_cow_mapped"] / median["ksm_cow"],
        "cow_unmapped_ratio_to_ksm":
            median["fisc_cow_unmapped"] / median["ksm_cow"],
        "guest_cow_ratio_to_ksm":
            median["fisc_guest_cow"] / median["ksm_guest_cow"],
        "guest_first_write_ratio_to_memfd":
            median["fisc_guest_write"] / median["memfd_guest_write"],
    }


class GuestProgram:
    """A program in a guest of its own that is told when to go on. "before" is a
    command that the guest runs first."""

    def __init__(self, name, place, program, mem="192M", before="true"):
        self.name = f"{name}1"
        inside.run("lab/guest", "start", "1", "--prefix", name, "--mem", mem,
                   "--timeout", str(LIMIT_S), *place)
        inside.guest_run(self.name,
                         f"({before}; mkfifo /run/go; /fisc/{program} <>/run/go "
                         ">/run/said) </dev/null >/run/log 2>&1 &")
        # Wait inside the guest: each command costs the host CPU time.
        inside.wait_until(program, lambda: inside.guest_run(
            self.name, "for i in $(seq 10); do [ ! -s /run/said ] || break; "
            "sleep 0.5; done; cat /run/said 2>/dev/null || true"), LIMIT_S)

    def ask(self, line, answers=1):
        """Send a line, wait for the answers; return the fields of each."""
        said = inside.guest_run(
            self.name,
            f"n=$(wc -l </run/said); echo {line} >/run/go; "
            f"while [ $(wc -l </run/said) -lt $((n + {answers})) ]; "
            f"do sleep 0.2; done; tail -n {answers} /run/said")
        return [text.split() for text in said.splitlines()]

    def kill(self):
        inside.run("lab/guest", "kill", "-9", self.name)
        inside.remove_memory()


def guest_cow(pages):
    """Time a guest's writes to shared pages that it has read, in ns."""
    row = {}
    for name, place, share in (
            ("ksm", ["--anon"], merge_all),
            ("fisc", ["--backend", inside.MOUNT],
             lambda nr: share_all(nr, "fisc1"))):
        guest = GuestProgram(name, place,
                             f"touch anon {pages} fill wait read write")
        share(pages)
        _, write = guest.ask("go", 2)
        row[f"{name}_guest_cow"] = float(write[1])
        guest.kill()
    return row


def guest_first_write(pages):
    """Time a guest's writes to pages it has never touched, in ns."""
    row = {}
    for name, place in (("memfd", ["--memfd"]),
                        ("fisc", ["--backend", inside.MOUNT])):
        guest = GuestProgram(name, place, f"touch anon {pages} wait write")
        row[f"{name}_guest_write"] = float(guest.ask("go")[0][1])
        guest.kill()
    return row


def measure(faults):
    """Measure everything once, guests included."""
    return faults.once() | guest_cow(faults.pages) | \
        guest_first_write(faults.pages)


def main():
    runs = int(os.environ.get("RUNS", 5))
    inside.load()
    faults = Faults(int(os.environ.get("PAGES", 8192)))
    rows = []
    for _ in range(runs):
        rows.append(measure(faults))
        inside.say("  ".join(f"{key} {value:.0f}"
                             for key, value in rows[-1].items()))
    inside.write_rows("/out/runs.csv", rows)
    faults.save("/out/histograms.csv")
    median = inside.medians(rows)
    inside.write_summary("/out/summary.json", ratios(median) | {
        f"{key}_ns_median": value for key, value in median.items()})


if __name__ == "__main__":
    main()
