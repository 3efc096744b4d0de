# SPDX-License-Identifier: GPL-2.0
"""A guest that uses a known part of its memory, for figure 6."""
import os
import time

import fault
import inside

PERIOD_MS = int(os.environ.get("PERIOD_MS", 5000))
MEM = os.environ.get("MEM", "512M")
# What is to be seen is looked at so often in a period.
LOOKS = 4


class Toucher(fault.GuestProgram):
    """A guest that has filled so many MiB, and touches as many of them as it
    is told to every second: see bench/toucher.c."""

    def __init__(self, name, mib):
        super().__init__(name, ["--backend", inside.MOUNT], f"toucher {mib}",
                         MEM)

    def touch(self, mib):
        inside.guest_run(self.name, f"echo {mib} >/run/go")

    def longest_pause_ms(self):
        """Between two ticks of 20 ms, ever."""
        said = inside.guest_run(self.name, "tail -n +2 /run/said")
        return max(int(line.split()[3]) for line in said.splitlines())


def looks(periods):
    """Numbers from 1 to the last look, each when it is time for it."""
    begin = time.monotonic()
    for number in range(1, periods * LOOKS + 1):
        time.sleep(max(0, begin + number * PERIOD_MS / 1000 / LOOKS -
                       time.monotonic()))
        yield number
