#!/usr/bin/env python3
"""write_section.py DOCUMENT NAME COMMAND < SECTION: replaces what stands between the markers of a section.

The markers are lines of their own, <!-- begin:NAME --> and <!-- end:NAME -->, each once. Above the section stands
when, where, of which commit and by which command it was measured.
"""

import datetime
import os
import pathlib
import re
import subprocess
import sys


def cpu_model():
    try:
        found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else "unknown CPU"


def commit():
    def git(*arguments):
        return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")


def origin(command):
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return (f"*{datetime.date.today()}, {cpu_model()}, {cores} cores, load {load:.1f}, commit {commit()}: "
            f"`{command}`*")


def replace(document, name, content):
    """The document with the section's content; ValueError where its markers are not there, once each, in order."""
    begin, end = f"<!-- begin:{name} -->", f"<!-- end:{name} -->"
    lines = document.split("\n")
    if lines.count(begin) != 1 or lines.count(end) != 1 or lines.index(begin) > lines.index(end):
        raise ValueError(f"needs the lines {begin} and {end}, once each, in that order")
    return "\n".join(lines[:lines.index(begin) + 1] + content.strip("\n").split("\n") + lines[lines.index(end):])


def main():
    path, name, command = sys.argv[1:]
    section = sys.stdin.read()
    if not section.strip():
        sys.exit(f"{name}: nothing was measured")
    document = pathlib.Path(path)
    try:
        document.write_text(replace(document.read_text(), name, f"{origin(command)}\n\n{section}"))
    except ValueError as error:
        sys.exit(f"{path}: {error}")


if __name__ == "__main__":
    main()
