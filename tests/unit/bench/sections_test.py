#!/usr/bin/env python3
"""What `make bench` writes into docs/benchmarks.md, and that every section has its place there."""

import importlib.util
import pathlib
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]

spec = importlib.util.spec_from_file_location("write_section", ROOT / "scripts" / "write_section.py")
write_section = importlib.util.module_from_spec(spec)
spec.loader.exec_module(write_section)

DOCUMENT = "# Title\n\ntext\n<!-- begin:a -->\nold\n\nlines\n<!-- end:a -->\nbetween\n<!-- begin:b -->\n<!-- end:b -->\nend\n"


def sections():
    for line in (ROOT / "bench/sections.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            yield [field.strip() for field in line.split("|")]


class Sections(unittest.TestCase):
    def test_only_what_stands_between_the_markers_changes(self):
        written = write_section.replace(DOCUMENT, "a", "new\n")
        self.assertEqual(written, DOCUMENT.replace("old\n\nlines", "new"))
        self.assertEqual(write_section.replace(written, "a", "new"), written)
        self.assertIn("<!-- begin:b -->\nx\n<!-- end:b -->", write_section.replace(DOCUMENT, "b", "x"))

    def test_a_section_without_its_markers_is_an_error(self):
        for document in ("", DOCUMENT.replace("<!-- end:a -->", ""), DOCUMENT + DOCUMENT,
                         "<!-- end:a -->\n<!-- begin:a -->"):
            with self.assertRaisesRegex(ValueError, "begin:a"):
                write_section.replace(document, "a", "new")

    def test_every_section_has_a_place_in_the_document_and_a_script(self):
        document = (ROOT / "docs/benchmarks.md").read_text()
        names = [name for name, _, _ in sections()]
        self.assertGreater(len(names), 3)
        self.assertEqual(len(names), len(set(names)))
        for name, _, command in sections():
            write_section.replace(document, name, "x")
            self.assertTrue((ROOT / command.split()[0]).exists(), command)

    def test_the_origin_names_command_and_commit(self):
        self.assertRegex(write_section.origin("scripts/x.sh"), r"^\*\d{4}-\d\d-\d\d, .* cores, .*commit \w+.*: `scripts/x.sh`\*$")


if __name__ == "__main__":
    unittest.main()
