#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of lab/layers.py: small trees, compiled, and what it says of them."""
import os
import subprocess
import sys
import tempfile
import unittest

LAYERS_PY = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                         "layers.py")

# Three layers, and nothing wrong: low/a.c, mid/b.c, main.c, from below.
CLEAN = {
    "kmod/LAYERS": """\
# a comment
[layers]
low: below
mid: above low
mid/part: a folder in a folder
main.c: on top
[apart]
guest: another module
[inside]
tests: tests
""",
    "uapi/u.h": "",
    "kmod/low/a.h": "#include <stddef.h>\nint a(void);\n",
    "kmod/low/a.c": """\
#include "../../uapi/u.h"
#include "a.h"
int a(void) { return 0; }
#include "../tests/a-kunit.h"
""",
    "kmod/mid/b.h": "struct b { int a; };\nint b(void);\n",
    "kmod/mid/b.c": """\
#include "low/a.h"
#include "mid/b.h"
int b(void) { return a(); }
""",
    "kmod/mid/part/c.c": "#include \"mid/b.h\"\nint c(void) { return b(); }\n",
    "kmod/guest/d.c": "#include \"uapi/u.h\"\nint d(void) { return 0; }\n",
    "kmod/main.c": """\
#include "mid/b.h"
int main(void) { return b(); }
""",
    "kmod/tests/a-kunit.h": "int a_test(void) { return a(); }\n",
}


class LayersTest(unittest.TestCase):
    """Each test writes a tree, most with one fault, and checks the report."""

    def report(self, changes, skip=()):
        """Build the clean tree with some files changed, but without objects of
        some; return the exit status and the report's lines."""
        with tempfile.TemporaryDirectory() as top:
            tree = {**CLEAN, **changes}
            for path, text in tree.items():
                path = os.path.join(top, path)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="ascii") as file:
                    file.write(text)
            for path in tree:
                if path.endswith(".c") and path not in skip:
                    subprocess.run(["gcc", "-I.", "-Ikmod", "-c", path, "-o",
                                    path[:-1] + "o"], cwd=top, check=True)
            result = subprocess.run([sys.executable, LAYERS_PY, top, top],
                                    text=True, stdout=subprocess.PIPE)
        return result.returncode, result.stdout.splitlines()

    def assert_fails(self, changes, *lines, skip=()):
        """Check the whole report of a tree that has faults."""
        self.assertEqual(self.report(changes, skip), (1, list(lines)))

    def test_clean_tree_passes(self):
        self.assertEqual(self.report({}), (0, ["0 upward, 0 circles"]))

    def test_upward_include_is_reported(self):
        self.assert_fails(
            {"kmod/low/e.h": "#include \"../mid/b.h\"\n"},
            "upward: low/e.h -> mid/b.c",
            "    low/e.h includes mid/b.h",
            "1 upward, 0 circles")

    def test_upward_call_without_include_is_reported(self):
        self.assert_fails(
            {"kmod/low/e.c": "int b(void);\nint e(void) { return b(); }\n"},
            "upward: low/e.c -> mid/b.c",
            "    uses b",
            "1 upward, 0 circles")

    def test_upward_use_of_data_is_reported(self):
        self.assert_fails(
            {"kmod/mid/b.c": CLEAN["kmod/mid/b.c"] + "int b_count = 1;\n",
             "kmod/low/e.c":
             "extern int b_count;\nint *e(void) { return &b_count; }\n"},
            "upward: low/e.c -> mid/b.c",
            "    uses b_count",
            "1 upward, 0 circles")

    def test_folder_in_a_folder_is_a_layer_of_its_own(self):
        self.assert_fails(
            {"kmod/mid/e.c": "int c(void);\nint e(void) { return c(); }\n"},
            "upward: mid/e.c -> mid/part/c.c",
            "    uses c",
            "1 upward, 0 circles")

    def test_circle_in_a_folder_is_reported(self):
        self.assert_fails(
            {"kmod/low/e.h": "#include \"a.h\"\nint e(void);\n",
             "kmod/low/e.c": "#include \"e.h\"\nint e(void) { return a(); }\n",
             "kmod/low/a.c": "int e(void);\nint a(void) { return e(); }\n"},
            "circle of 2 files: low/a.c low/e.c",
            "  in it: low/a.c -> low/e.c",
            "    uses e",
            "  in it: low/e.c -> low/a.c",
            "    low/e.h includes low/a.h",
            "    uses a",
            "0 upward, 1 circles")

    def test_shortest_circle_is_shown(self):
        self.assert_fails(
            {"kmod/low/e.h": "#include \"f.h\"\n",
             "kmod/low/f.h": "#include \"e.h\"\n#include \"g.h\"\n",
             "kmod/low/g.h": "#include \"e.h\"\n",
             "kmod/low/h.h": "#include \"e.h\"\n"},
            "circle of 3 files: low/e.h low/f.h low/g.h",
            "  in it: low/e.h -> low/f.h",
            "    low/e.h includes low/f.h",
            "  in it: low/f.h -> low/e.h",
            "    low/f.h includes low/e.h",
            "0 upward, 1 circles")

    def test_test_counts_as_part_of_its_includer(self):
        self.assert_fails(
            {"kmod/tests/a-kunit.h":
             "#include \"unit.h\"\nint a_test(void) { return e(); }\n",
             "kmod/tests/unit.h": "#include \"mid/e.h\"\n",
             "kmod/mid/e.h": "int e(void);\n",
             "kmod/mid/e.c": "int e(void) { return 0; }\n"},
            "upward: low/a.c -> mid/e.c",
            "    tests/unit.h includes mid/e.h",
            "    uses e",
            "1 upward, 0 circles")

    def test_module_apart_knows_no_layer_and_is_known_by_none(self):
        self.assert_fails(
            {"kmod/guest/e.h": "#include \"low/a.h\"\n",
             "kmod/mid/e.h": "#include \"guest/e.h\"\n"},
            "upward: guest/e.h -> low/a.c",
            "    guest/e.h includes low/a.h",
            "upward: mid/e.h -> guest/e.h",
            "    mid/e.h includes guest/e.h",
            "2 upward, 0 circles")

    def test_include_from_outside_is_an_error(self):
        self.assert_fails(
            {"kmod/mid/e.h": "#include \"../../lib/x.h\"\n", "lib/x.h": ""},
            'error: mid/e.h includes "../../lib/x.h", in neither kmod/ nor '
            "uapi/",
            "0 upward, 0 circles, 1 errors")

    def test_file_in_no_layer_is_an_error(self):
        self.assert_fails(
            {"kmod/attic/e.h": "", "kmod/e.h": "", "kmod/tests/e.c": ""},
            "error: attic/e.h is in no layer of kmod/LAYERS",
            "error: e.h is in no layer of kmod/LAYERS",
            "error: tests/e.c is in no layer of kmod/LAYERS",
            "0 upward, 0 circles, 3 errors")

    def test_source_that_is_not_built_is_an_error(self):
        self.assert_fails(
            {}, "error: mid/b.c was not built",
            "0 upward, 0 circles, 1 errors", skip=["kmod/mid/b.c"])


if __name__ == "__main__":
    unittest.main()
