#!/usr/bin/env python3
"""encoder_table.py EMOTION_BENCH MODEL [PRECISION...]: one Markdown table of precisions and batches.

A precision that nobody named and this machine does not compute is left out.
"""

import json
import subprocess
import sys

PRECISIONS = ("fp32", "bf16", "int8", "mixed_int8")
BATCHES = (1, 4, 8)


def measure(program, model, precision, batch):
    run = subprocess.run([program, "encoder", "--model", model, "--precision", precision, "--batch", str(batch), "--json"],
                         capture_output=True, text=True)
    return (json.loads(run.stdout), "") if run.returncode == 0 else (None, run.stderr.strip())


def row(report):
    share = f"{report['share_of_peak']:.2f}" if report["peak_gflops"] else "-"
    return (f"| {report['precision']} | {report['batch']} | {report['ms_per_face']:.1f} | "
            f"{report['median_ms_per_face']:.1f} | {report['gflops']:.0f} | {report['peak_gflops']:.0f} | {share} |")


def main():
    program, model, *wanted = sys.argv[1:]
    last = None
    lines = []
    for precision in wanted or PRECISIONS:
        for batch in BATCHES:
            report, why = measure(program, model, precision, batch)
            if report is None:
                print(f"{precision}, batch {batch}: {why}", file=sys.stderr)
                if wanted:
                    return 1
                break
            last = report
            lines.append(row(report))
    if last is None:
        return 1
    print(f"{last['device']}, {last['threads']} threads. Loaded in {last['load_seconds']:.1f} s.\n")
    print("| precision | batch | ms a face, fastest | median | GFLOP/s | matmul peak of that run | share |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
