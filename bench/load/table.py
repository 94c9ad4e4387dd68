#!/usr/bin/env python3
"""Puts runs of emotion-bench-load (--json) side by side, as one Markdown table.

  table.py --rows 'ours: a.json surge' 'a queue: b.json surge' --columns goodput p99_ms

A row is TITLE: FILE [PHASE[.CLASS]]; without a phase it is the whole run. `cached` and `encoded` are classes, too.
A column is a name of emotion-bench-load --help; what a run does not have stays empty.
Runs that were not made have no row.
"""

import argparse
import json
import os
import sys

TITLES = {
    "offered": "offered/s", "goodput": "goodput/s", "late_share": "late",
    "share": "of the answers", "exact_share": "exact hits", "near_share": "near hits",
    "superseded_share": "superseded", "refused_share": "refused", "failed_share": "failed",
    "withdrawn_share": "withdrawn", "held_back_share": "held back", "p50_ms": "p50 ms", "p90_ms": "p90 ms", "p99_ms": "p99 ms",
    "max_ms": "max ms", "age_p50_ms": "age p50 ms", "age_p99_ms": "age p99 ms",
    "refuse_p99_ms": "refusal p99 ms", "settle_s": "normal after s", "starved": "starved sessions",
    "answers_min": "answers of a session: min", "answers_median": "median", "answers_max": "max",
    "longest_gap_s": "longest gap s", "connected": "connected", "cut_off": "lost",
    "server_cpu": "server cores", "client_cpu": "client cores", "send_lag_p99_ms": "sent late p99 ms",
    "server_rss_peak_mb": "server MiB, peak", "server_rss_end_mb": "server MiB, after",
}


def formatted(name, value):
    if value is None:
        return ""
    if name.endswith("share"):
        return f"{100 * value:.1f} %"
    if name.startswith(("answers", "starved", "connected", "cut_off", "server_rss")):
        return f"{value:.0f}"
    return f"{value:.2f}" if name.endswith("_cpu") else f"{value:.1f}"


def value_of(values, scope, name):
    for key in ([f"{scope}.{name}"] if scope else []) + [name]:
        if key in values:
            return values[key]
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", nargs="+", required=True)
    parser.add_argument("--columns", nargs="+", required=True)
    arguments = parser.parse_args()
    print("| | " + " | ".join(TITLES.get(name, name) for name in arguments.columns) + " |")
    print("|---|" + "--:|" * len(arguments.columns))
    for row in arguments.rows:
        title, _, rest = row.rpartition(": ")
        path, _, scope = rest.partition(" ")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            values = json.load(file)["values"]
        cells = (formatted(name, value_of(values, scope, name)) for name in arguments.columns)
        print(f"| {title} | " + " | ".join(cells) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
