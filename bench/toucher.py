# SPDX-License-Identifier: GPL-2.0
"""A guest that uses a known part of its memory, for figure 6."""
import os
import time

import fault
import inside

PERIOD_MS = int(os.environ.get("PERIOD_MS", 5000))
MEM = os.environ.get("MEM", "512M")
# How many times per period the values are read.
LOOKS = 4


class Toucher(fault.GuestProgram):
    """A guest that has filled a number of MiB, and continuously touches as
    many of them as it is told to: see bench/toucher.c."""

    def __init__(self, name, mib):
        super().__init__(name, ["--backend", inside.MOUNT], f"toucher {mib}",
                         MEM)

    def touch(self, mib):
        inside.guest_run(self.name, f"echo {mib} >/run/go")

    def longest_pause_ms(self):
        """Return the longest time between two ticks, which are 20 ms apart."""
        said = inside.guest_run(self.name, "tail -n +2 /run/said")
        return max(int(line.split()[3]) for line in said.splitlines())


def looks(periods):
    """Yield the numbers from 1 to the last look, each when it is due."""
    begin = time.monotonic()
    for number in range(1, periods * LOOKS + 1):
        time.sleep(max(0, begin + number * PERIOD_MS / 1000 / LOOKS -
                       time.monotonic()))
        yield number
