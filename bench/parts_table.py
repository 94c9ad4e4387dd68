#!/usr/bin/env python3
"""Google Benchmark's JSON on stdin, a Markdown table on stdout: the fastest and the median of all repetitions."""

import collections
import json
import statistics
import sys

NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def text(nanoseconds):
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def main():
    runs = collections.defaultdict(list)
    measured = json.load(sys.stdin)["benchmarks"]  # in the order in which chance took them
    measured.sort(key=lambda run: (run["family_index"], run["per_family_instance_index"]))
    for run in measured:
        if run.get("error_occurred"):
            sys.exit(f"{run['name']}: {run['error_message']}")
        if run["run_type"] == "iteration":
            name = run["run_name"].removesuffix("/real_time")
            runs[name].append(run["real_time"] * NANOSECONDS[run["time_unit"]])
    print("| part | fastest | median |")
    print("|---|--:|--:|")
    for name, times in runs.items():
        print(f"| {name} | {text(min(times))} | {text(statistics.median(times))} |")


if __name__ == "__main__":
    main()
