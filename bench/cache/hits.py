#!/usr/bin/env python3
"""Hits per second beside what the same hops carry when nothing is looked up, in turns, as a table.

  hits.py --image FILE --rounds N --seconds S 'TITLE: HITS_HOST:PORT ECHO_HOST:PORT'...

Ends with 1 where the median of the ratios is below --at-least, and with 2 where wrk failed.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys

SCRIPT = os.path.join(os.path.dirname(__file__), "hits.lua")


def rate(host, arguments):
    out = subprocess.run(["wrk", "-t1", f"-c{arguments.connections}", f"-d{arguments.seconds}", "-s", SCRIPT,
                          f"http://{host}/v1/predict"], capture_output=True, text=True, check=False,
                         env={**os.environ, "IMAGE": arguments.image}).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if not found or "Non-2xx" in out:
        print(out, file=sys.stderr)
        sys.exit(2)
    return float(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--image", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--at-least", type=float, default=0)
    parser.add_argument("systems", nargs="+")
    arguments = parser.parse_args()
    missed = False
    print("| | hits/s | echo/s | hits over echo, median | of each round |")
    print("|---|--:|--:|--:|---|")
    for system in arguments.systems:
        title, _, hosts = system.rpartition(": ")
        ours, echo = hosts.split()
        rounds = [(rate(ours, arguments), rate(echo, arguments)) for _ in range(arguments.rounds)]
        ratios = [a / b for a, b in rounds]
        median = statistics.median(ratios)
        missed |= median < arguments.at_least
        print(f"| {title} | {statistics.median(a for a, _ in rounds):.0f} | "
              f"{statistics.median(b for _, b in rounds):.0f} | {median:.2f} | "
              + " ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
