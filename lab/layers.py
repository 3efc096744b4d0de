#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Check that kmod/ keeps the order stated in kmod/LAYERS.

    lab/layers.py TREE [OBJECTS]

TREE is a checkout. OBJECTS is a directory with the objects built from it, such
as build/stock; without it only includes are checked.

Files are grouped into units: X.c and X.h of one folder are one unit, as is a
header alone. A unit depends on another if it includes a file of it or uses a
symbol defined there. A dependency on a higher layer is reported, as are units
that depend on each other in a circle. The last line of output has the totals;
the exit status is 0 if there was nothing to report."""
import argparse
import collections
import configparser
import os
import re
import subprocess
import sys
import textwrap

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)
# What nm says of a symbol that is used but not defined.
UNDEFINED = "Uwv"


class Layers:
    """The contents of kmod/LAYERS."""

    def __init__(self, path):
        parser = configparser.ConfigParser(delimiters=":", interpolation=None)
        parser.optionxform = str
        with open(path, encoding="ascii") as file:
            parser.read_file(file)
        self.level = {name: level for level, name
                      in enumerate(parser["layers"])}
        self.apart = set(parser["apart"])
        self.inside = set(parser["inside"])

    def layer_of(self, path):
        """Return the name of a file's layer, or None if it is in none."""
        folder, name = os.path.split(path)
        stem = unit_of(name)
        for layer in [folder] if folder else [stem + ".c", stem + ".h"]:
            if layer in self.level or layer in self.apart:
                return layer
        return None

    def is_inside(self, path):
        """Tell if a header counts as part of what includes it."""
        return path.endswith(".h") and os.path.dirname(path) in self.inside

    def is_upward(self, layer, other):
        """Tell if a file of one layer must not depend on one of another."""
        if layer == other:
            return False
        if layer in self.apart or other in self.apart:
            return True
        return self.level[layer] < self.level[other]


class Tree:
    """The files of kmod/, by their paths in it, and their dependencies."""

    def __init__(self, top):
        self.top = top
        self.kmod = os.path.join(top, "kmod")
        self.layers = Layers(os.path.join(self.kmod, "LAYERS"))
        self.errors = []
        self.files = sorted(
            os.path.relpath(os.path.join(folder, name), self.kmod)
            for folder, _, names in os.walk(self.kmod) for name in names
            if name.endswith((".c", ".h")) and not name.endswith(".mod.c"))
        self.layer = {}
        for path in self.files:
            if self.layers.is_inside(path):
                continue
            layer = self.layers.layer_of(path)
            self.layer[unit_of(path)] = layer
            if not layer:
                self.errors.append(f"{path} is in no layer of kmod/LAYERS")
        self.included = {path: self.read_includes(path) for path in self.files}
        # From one unit to another: the reasons.
        self.arrows = collections.defaultdict(list)

    def read_includes(self, path):
        """Return the files of kmod/ that a file names in its includes."""
        with open(os.path.join(self.kmod, path), encoding="utf-8") as file:
            names = INCLUDE.findall(file.read())
        found = []
        for name in names:
            target = self.find_include(path, name)
            if target in self.files:
                found.append(target)
            elif not target or not target.startswith("../uapi/"):
                self.errors.append(f'{path} includes "{name}", in neither '
                                   "kmod/ nor uapi/")
        return found

    def find_include(self, path, name):
        """Return the path of an included file, or None: it may be relative to
        the file that includes it, to kmod/ or to the top of the tree."""
        folder = os.path.join(self.kmod, os.path.dirname(path))
        for start in folder, self.kmod, self.top:
            target = os.path.join(start, name)
            if os.path.isfile(target):
                return os.path.relpath(target, self.kmod)
        return None

    def includes(self, path):
        """Return pairs of files: one, or a header inside it, and what that
        includes."""
        pairs = []
        for target in self.included[path]:
            if self.layers.is_inside(target):
                pairs += self.includes(target)
            else:
                pairs.append((path, target))
        return pairs

    def add(self, unit, other, reason):
        """Add a dependency, with its reason."""
        if unit != other:
            self.arrows[unit, other].append(reason)

    def add_includes(self):
        """Add the dependencies that includes are."""
        for path in self.files:
            if self.layers.is_inside(path):
                continue
            for includer, target in self.includes(path):
                self.add(unit_of(path), unit_of(target),
                         f"{includer} includes {target}")

    def add_symbols(self, objects):
        """Add the dependencies that uses of symbols are."""
        built = []
        for path in self.files:
            if not path.endswith(".c"):
                continue
            name = unit_of(path) + ".o"
            if os.path.isfile(os.path.join(objects, "kmod", name)):
                built.append(name)
            elif os.path.dirname(path) not in self.layers.inside:
                self.errors.append(f"{path} was not built")
        used, defined = read_symbols(os.path.join(objects, "kmod"), built)
        names = collections.defaultdict(list)
        for name in sorted(used.keys() & defined.keys()):
            for user in used[name]:
                for definer in defined[name]:
                    names[user, definer].append(name)
        for (user, definer), symbols in names.items():
            self.add(user, definer, "uses " + ", ".join(symbols))

    def upward(self):
        """Return the pairs of units of which one depends on a higher one."""
        return [(unit, other) for unit, other in sorted(self.arrows)
                if self.layer[unit] and self.layer[other] and
                self.layers.is_upward(self.layer[unit], self.layer[other])]

    def name(self, unit):
        """Return the file that stands for a unit: X.c if there is one."""
        return unit + (".c" if unit + ".c" in self.files else ".h")


def unit_of(path):
    """Return the name of a file's unit: its path without .c, .h or .o."""
    return os.path.splitext(path)[0]


def read_symbols(folder, objects):
    """Return which units use each symbol, and which define it."""
    used = collections.defaultdict(set)
    defined = collections.defaultdict(set)
    # Without a name, nm would read a.out.
    output = objects and subprocess.run(
        ["nm", "--extern-only", "--print-file-name", *objects], cwd=folder,
        check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
    for line in output:
        path, _, rest = line.partition(":")
        kind, name = rest.split()[-2:]
        if kind in UNDEFINED:
            used[name].add(unit_of(path))
        else:
            defined[name].add(unit_of(path))
    return used, defined


def shortest_way(graph, start, end):
    """Return the units on a shortest way of one step or more, or None."""
    ways = collections.deque([[start]])
    seen = set()
    while ways:
        way = ways.popleft()
        for unit in graph[way[-1]]:
            if unit == end:
                return way + [unit]
            if unit not in seen:
                seen.add(unit)
                ways.append(way + [unit])
    return None


def find_circles(arrows):
    """Return the sets of units that depend on each other (the strongly
    connected components), and for each a shortest circle in it."""
    graph = collections.defaultdict(list)
    for unit, other in sorted(arrows):
        graph[unit].append(other)
    circles = []
    left = sorted(graph)
    while left:
        unit = left[0]
        members = {other for other in left if other == unit or
                   (shortest_way(graph, unit, other) and
                    shortest_way(graph, other, unit))}
        left = [other for other in left if other not in members]
        if len(members) > 1:
            ways = (shortest_way(graph, member, member)
                    for member in sorted(members))
            circles.append((sorted(members), min(ways, key=len)))
    return circles


def say(text, indent=0):
    """Print a line, wrapped if it is long."""
    print(textwrap.fill(text, 80, initial_indent=" " * indent,
                        subsequent_indent=" " * (indent + 4),
                        break_long_words=False, break_on_hyphens=False))


def say_arrow(tree, prefix, unit, other):
    """Print a dependency and its reasons."""
    say(f"{prefix}{tree.name(unit)} -> {tree.name(other)}")
    for reason in tree.arrows[unit, other]:
        say(reason, 4)


def report(tree):
    """Print what is wrong; return the exit status."""
    upward, circles = tree.upward(), find_circles(tree.arrows)
    for unit, other in upward:
        say_arrow(tree, "upward: ", unit, other)
    for members, circle in circles:
        say(f"circle of {len(members)} files: "
            f"{' '.join(tree.name(unit) for unit in members)}")
        for unit, other in zip(circle, circle[1:]):
            say_arrow(tree, "  in it: ", unit, other)
    for error in tree.errors:
        say(f"error: {error}")
    totals = f"{len(upward)} upward, {len(circles)} circles"
    if tree.errors:
        totals += f", {len(tree.errors)} errors"
    print(totals)
    return 1 if upward or circles or tree.errors else 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree")
    parser.add_argument("objects", nargs="?")
    args = parser.parse_args()

    tree = Tree(args.tree)
    tree.add_includes()
    if args.objects:
        tree.add_symbols(args.objects)
    return report(tree)


if __name__ == "__main__":
    sys.exit(main())
