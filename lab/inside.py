# SPDX-License-Identifier: GPL-2.0
"""What programs inside the lab host share: the module, its files, guests."""
import csv
import glob
import json
import os
import re
import statistics
import subprocess
import time

MOUNT = "/dev/fisc"
SYSFS = "/sys/kernel/fisc"
DEBUGFS = "/sys/kernel/debug/fisc"
PAGES_PER_MIB = 256
# States in which memory is not short.
CALM = ("high", "clear")

# Where the module was loaded from.
modules_dir = "build/stock"


def say(text=""):
    print(text, flush=True)


def run(*command):
    subprocess.run(command, check=True)


def output(*command):
    return subprocess.run(command, check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def read_file(path):
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def write_file(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


def read_stats(name):
    """One subsystem's statistics: `name: value` lines, those that are numbers."""
    pairs = (line.split(": ") for line in
             read_file(f"{DEBUGFS}/{name}").splitlines())
    return {key: int(value) for key, value in pairs if value.isdigit()}


def read_vm(name, value):
    return int(read_file(f"{SYSFS}/vms/{name}/{value}"))


def write_knob(path, value):
    write_file(f"{SYSFS}/{path}", value)


def mib(pages):
    return pages / PAGES_PER_MIB


def percent(part, whole):
    return 100 * part / whole if whole else 0


def wait_until(what, condition, limit_s):
    """Poll; a wait that takes too long is an error."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {limit_s} s")
        time.sleep(0.1)


def load(modules="build/stock"):
    """Load the module from a directory, and mount its file system."""
    global modules_dir
    modules_dir = modules
    run("insmod", f"{modules}/fisc.ko")
    os.makedirs(MOUNT, exist_ok=True)
    run("mount", "-t", "fisc", "none", MOUNT)


def unload():
    """Undo load(); no memory is left."""
    run("umount", MOUNT)
    run("rmmod", "fisc")


def balloon_device(name):
    """A balloon of fisc's for a guest: QEMU's option for it."""
    if not os.path.exists("/sys/module/fisc_vdpa"):
        run("modprobe", "vhost_vdpa")
        run("insmod", f"{modules_dir}/fisc_vdpa.ko")
    run("vdpa", "dev", "add", "name", name, "mgmtdev", "fisc")
    node, = glob.glob(f"/sys/bus/vdpa/devices/{name}/vhost-vdpa-*")
    return ("-device vhost-vdpa-device-pci,"
            f"vhostdev=/dev/{os.path.basename(node)}")


def scan(pages_per_sec=200000, cpu_percent=100, break_pages=1):
    """Set the scanner going; by default as fast as it can, to save all."""
    write_knob("share/pages_per_sec", pages_per_sec)
    write_knob("share/cpu_percent", cpu_percent)
    write_knob("large/break_pages", break_pages)
    write_knob("share/run", 1)


def remove_memory():
    """Unlink all files of guest memory; frames that are left.  The directories of
    adopted guests go with their VMMs."""
    for name in os.listdir(MOUNT):
        if not os.path.isdir(f"{MOUNT}/{name}"):
            os.unlink(f"{MOUNT}/{name}")
    deadline = time.monotonic() + 30
    while read_stats("core")["regions"] and time.monotonic() < deadline:
        time.sleep(0.1)
    return read_stats("core")["frames"]


def adoption(name):
    """How far a VM's is; nothing, if there is no such VM."""
    try:
        return read_file(f"{SYSFS}/vms/{name}/adoption")
    except FileNotFoundError:
        return ""


def adopt(names, limit_s=300):
    """Adopt guests that run, and wait until all that can be moved is."""
    for name in names:
        pid = read_file(f"/run/fisc-guests/{name}/pid")
        write_file(f"{SYSFS}/adopt", f"{pid} {name}")
    for name in names:
        wait_until(f"{name} is adopted", lambda n=name: re.match(
            r"adopted (?!.*busy)", adoption(n)), limit_s)


def guest_run(name, script, timeout_s=300):
    return output("lab/guest", "exec", "--timeout", str(timeout_s), name, "--",
                  script)


def qmp(name, command):
    output("lab/guest", "qmp", name, json.dumps({"execute": command}))


def process(name):
    """PID of a kernel thread."""
    return output("pgrep", "-x", name).split()[0]


def cpu_seconds(pid):
    """CPU time of a thread, as precise as the scheduler has it."""
    return int(read_file(f"/proc/{pid}/schedstat").split()[0]) / 1e9


def write_rows(path, rows):
    with open(path, "w", newline="", encoding="ascii") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        for row in rows:
            writer.writerow({key: round(value, 3)
                             if isinstance(value, float) else value
                             for key, value in row.items()})


def write_summary(path, summary):
    summary = {key: round(value, 4) if isinstance(value, float) else value
               for key, value in summary.items()}
    with open(path, "w", encoding="ascii") as file:
        json.dump(summary, file, indent=2)
        file.write("\n")
    say(json.dumps(summary, indent=2))


def medians(rows):
    """Of each column of numbers."""
    return {key: statistics.median(row[key] for row in rows)
            for key, value in rows[0].items() if not isinstance(value, str)}
