# SPDX-License-Identifier: GPL-2.0
"""A guest whose job depends on its page cache, for figure 7 and the overcommit
benchmark: see bench/reader.c.

Its disk is a file in the host's memory, and so is the host's swap: they have no
latency of their own. A read costs only the work it causes: exits, the VMM, the
host's block layer. Compared with a read from the page cache, that is less than
on a real disk."""
import os
import time

import fault
import inside

MEM = os.environ.get("MEM", "384M")
MIB = 1 << 20
BLOCKS_PER_MIB = 16
SIZE = int(MEM.rstrip("M")) * MIB
# The part that is read: most of what the guest's kernel leaves.
READ_PART = 0.6
READ_MIB = round(SIZE * READ_PART / MIB)


def make_disk(name, seed):
    path = f"/tmp/{name}.img"
    if not os.path.exists(path):
        inside.run("build/bench/in_guest/reader", path, str(seed), str(READ_MIB),
                   "write")
    return path


def swap_on(mib):
    """Swap on a disk in memory."""
    inside.run("modprobe", "brd", "rd_nr=1", f"rd_size={mib << 10}")
    inside.run("mkswap", "-q", "/dev/ram0")
    inside.run("swapon", "/dev/ram0")


class Reader(fault.GuestProgram):
    """A guest that has read its disk once, and reads as much of it as it is
    told to. balloon: QEMU's option for a balloon of fisc, which makes the guest
    load the paired driver."""

    def __init__(self, name, place, balloon=""):
        # Content of its own, so that there is nothing to share.
        seed = sum(name.encode())
        options = (f"-drive file={make_disk(name, seed)},format=raw,if=none,"
                   "id=disk,readonly=on,cache=unsafe "
                   f"-device virtio-blk-pci,drive=disk {balloon}")
        super().__init__(name, [*place, "--disk-modules", "--qemu-extra",
                                options],
                         f"reader /dev/vda {seed} {READ_MIB}", MEM,
                         "for m in /fisc/disk/*.ko " + (
                             "/fisc/fisc_balloon.ko" if balloon else "") +
                         "; do insmod $m; done")
        # What the host's clock shows when the guest's is 0, to within half of
        # the time that comparing them takes.
        before = time.monotonic()
        guest = float(inside.guest_run(self.name, "cut -d' ' -f1 /proc/uptime"))
        after = time.monotonic()
        inside.say(f"{self.name}: clocks compared within {after - before:.2f} s")
        self.offset = (before + after) / 2 - guest

    def read(self):
        """Start reading."""
        inside.guest_run(self.name, f"echo {READ_MIB} >/run/go")

    def seconds(self):
        """Return (host's time, MiB read, longest ms) per second of reading."""
        said = inside.guest_run(self.name, "tail -n +2 /run/said")
        lines = [line.split() for line in said.splitlines()]
        return [(float(at) + self.offset, int(blocks) / BLOCKS_PER_MIB,
                 float(longest)) for at, _, blocks, longest in lines]
