#!/usr/bin/env python3
"""neighbour.py EMOTION_BENCH MODEL [--batch 1 4] [--precision fp32 int8] [--rounds 5] [--steps 4]

The encoder beside a process that keeps one core busy, in turns with the encoder alone: one Markdown table. The fair
share is what the scheduler owes to so many threads beside one more on these cores; the last column is the throughput
that is left over that share of the quiet one. Needs nothing but the standard library.
"""

import argparse
import os
import statistics
import subprocess
import sys

from stepper import Stepper


def seconds_beside(encoder, steps):
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        encoder.seconds()  # the scheduler has moved everyone to where they stay
        return [encoder.seconds() for _ in range(steps)]
    finally:
        busy.kill()
        busy.wait()


def measure(arguments, precision, batch):
    encoder = Stepper(arguments.program, "encoder", "--step", "--model", arguments.model, "--precision", precision,
                      "--batch", batch)
    encoder.seconds()  # warm
    quiet, beside = [], []
    for _ in range(arguments.rounds):
        quiet += [encoder.seconds() for _ in range(arguments.steps)]
        beside += seconds_beside(encoder, arguments.steps)
    encoder.close()
    return statistics.median(quiet), statistics.median(beside)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    fair = cores / (cores + 1)
    print(f"{cores} threads on {cores} cores; the fair share beside one busy process is {fair:.2f}.\n")
    print("| precision | batch | alone, ms a face | beside it | throughput kept | of the fair share |")
    print("|---|--:|--:|--:|--:|--:|")
    for precision in arguments.precision:
        for batch in arguments.batch:
            quiet, beside = measure(arguments, precision, batch)
            kept = quiet / beside
            print(f"| {precision} | {batch} | {quiet / batch * 1e3:.0f} | {beside / batch * 1e3:.0f} | {kept:.2f} | "
                  f"{kept / fair:.2f} |", flush=True)


if __name__ == "__main__":
    main()
