#!/usr/bin/env python3
"""encoder_table.py EMOTION_BENCH MODEL [--device DEVICE] [PRECISION...]: a Markdown table of precisions and batches.

A precision that nobody named and this device does not compute is left out. On a GPU the batches go to 64, and the
memory is what nvidia-smi shows at most.
"""

import argparse
import json
import subprocess
import sys
import threading

PRECISIONS = ("fp32", "bf16", "fp16", "int8", "mixed_int8")


class GpuMemory:
    """The most memory in use, in MiB, on any GPU while the block runs; None where nvidia-smi does not tell."""

    def __enter__(self):
        self.most = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        while not self.stop.wait(0.2):
            try:
                used = [int(line) for line in subprocess.run(query, capture_output=True, text=True).stdout.split()]
            except (OSError, ValueError):
                return
            self.most = max([*used, self.most or 0])

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def measure(program, model, device, precision, batch):
    command = [program, "encoder", "--model", model, "--device", device, "--precision", precision, "--batch", str(batch),
               "--json"]
    with GpuMemory() as memory:
        run = subprocess.run(command, capture_output=True, text=True)
    return (json.loads(run.stdout), memory.most, "") if run.returncode == 0 else (None, None, run.stderr.strip())


def row(report, beside):
    return (f"| {report['precision']} | {report['batch']} | {report['ms_per_face']:.3g} | "
            f"{report['median_ms_per_face']:.3g} | {report['gflops']:.0f} | {beside} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("precision", nargs="*")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    gpu = arguments.device.startswith("cuda")
    last = None
    lines = []
    for precision in arguments.precision or PRECISIONS:
        for batch in (1, 2, 4, 8, 16, 32, 64) if gpu else (1, 4, 8):
            report, memory, why = measure(arguments.program, arguments.model, arguments.device, precision, batch)
            if report is None:
                print(f"{precision}, batch {batch}: {why}", file=sys.stderr)
                if arguments.precision:
                    return 1
                break
            last = report
            share = f"{report['peak_gflops']:.0f} | {report['share_of_peak']:.2f}" if report["peak_gflops"] else "- | -"
            lines.append(row(report, memory or "-" if gpu else share))
    if last is None:
        return 1
    print(f"{last['device']}. Loaded in {last['load_seconds']:.1f} s.\n")
    beside = "GPU memory, MiB" if gpu else "matmul peak of that run | share"
    print(f"| precision | batch | ms a face, fastest | median | GFLOP/s | {beside} |")
    print("|---|--:|--:|--:|--:|--:|" + ("" if gpu else "--:|"))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
