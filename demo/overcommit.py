# SPDX-License-Identifier: GPL-2.0
"""The demo's second act: the guests use more memory than there is."""
import time

from inside import (CALM, SYSFS, guest_run, mib, read_file, read_stats, read_vm, run,
                    say, write_file, write_knob)

# Each guest fills so much of its free memory; this part of that total exists.
FILL_PERCENT = 25
THERE = 0.5
SWAP_MIB = 1024
# Watch until memory has not been short for a few looks, for so long at most.
WATCH_S = 40
LOOK_S = 4
CALM_LOOKS = 3
BAR = 40
CHECK = "md5sum </dev/shm/fill"
# Fills files in /dev/shm, which is memory that the guest's tools do not need.
# The content can be neither shared nor compressed.
FILL = ("set -- $(grep ^MemAvailable: /proc/meminfo) && "
        "head -c $(($2 * 1024 * {percent} / 100)) /dev/urandom >/dev/shm/fill && " + CHECK)


def swap_on():
    """Swap to compressed memory of the host."""
    run("modprobe", "zram")
    write_file("/sys/block/zram0/disksize", f"{SWAP_MIB}M")
    run("mkswap", "-q", "/dev/zram0")
    run("swapon", "/dev/zram0")


def swap_off():
    run("swapoff", "/dev/zram0")


def state():
    return read_file(f"{SYSFS}/reclaim/state")


def bar(name):
    """Draw a VM's memory: private, shared, zero, swapped, never touched."""
    size = read_vm(name, "size_bytes") / 4096
    parts = (("#", read_vm(name, "private_pages")),
             ("=", read_vm(name, "sharing_pages")),
             ("0", read_vm(name, "zero_pages")),
             ("~", read_vm(name, "swapped") / 4096))
    text, drawn = "", 0
    for mark, pages in parts:
        drawn += pages
        text += mark * (round(BAR * drawn / size) - len(text))
    return text.ljust(BAR, ".")


def fill(name):
    """Fill part of the guest's free memory; return the checksum."""
    return guest_run(name, FILL.format(percent=FILL_PERCENT))


def look(names, began, least):
    """Print the state of everything; return the least free memory so far."""
    stats = read_stats("reclaim")
    free = stats["pool_free"]
    say(f"{time.monotonic() - began:6.0f} s  state {state():5}  free {mib(free):6.1f} of "
        f"{mib(stats['pool_total']):.0f} MiB  swapped {mib(stats['swapped']):6.1f} MiB  "
        f"out {stats['swap_out']}  in {stats['swap_in']}")
    for name in names:
        say(f"          {name:6} |{bar(name)}| target "
            f"{read_vm(name, 'target') >> 20:4} MiB  {read_file(f'{SYSFS}/vms/{name}/reclaim')}")
    return min(least, free)


def overcommit(names):
    """Have the guests use more than there is; return a summary."""
    swap_on()
    before = read_stats("core")["frames"]
    say("each guest fills memory of its own; its checksum is kept")
    sums = {name: fill(name) for name in names}
    grown = read_stats("core")["frames"] - before
    pool = int(before + grown * THERE)
    promised = sum(read_vm(name, "size_bytes") for name in names) // 4096
    say(f"{mib(promised):.0f} MiB are promised, and from now on there are {mib(pool):.0f}; "
        "# own, = shared, 0 zero, ~ swapped, . never used")
    write_knob("tax/capacity", pool * 4096)
    began, least, calm = time.monotonic(), pool, 0
    while calm < CALM_LOOKS and time.monotonic() < began + WATCH_S:
        least = look(names, began, least)
        time.sleep(LOOK_S)
        # The first look may be too early to see that memory is short.
        short = least == pool or state() not in CALM
        calm = 0 if short else calm + 1
    say("and every guest reads all of it again")
    lost = [name for name in names if guest_run(name, CHECK) != sums[name]]
    least = look(names, began, least)
    stats = read_stats("reclaim")
    say(f"{len(names) - len(lost)} of {len(names)} guests found what they had left; "
        f"{mib(stats['swap_out']):.0f} MiB went out, {mib(stats['swap_in']):.0f} came back")
    write_knob("tax/capacity", 0)
    return {
        "promised_mib": round(mib(promised)),
        "pool_mib": round(mib(pool)),
        "swapped_out_mib": round(mib(stats["swap_out"]), 1),
        "swapped_in_mib": round(mib(stats["swap_in"]), 1),
        "least_free_mib": round(mib(least), 1),
        "guests_that_lost_memory": len(lost),
    }
