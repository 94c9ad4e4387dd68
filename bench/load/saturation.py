#!/usr/bin/env python3
"""What the way through gateway and services costs a saturated encoder, and what its hits then cost.

  saturation.py BIN MODELS_DIR [--rounds N] [--seconds S] [--batch N]

Takes turns, in one run: the bare encoder (emotion bench encoder --step), the whole system at one and a half times what
that encodes (posts, no two frames alike), the same with 50 exact hits a second beside it. Prints one Markdown table.
The rate of the whole system is that of the encodes between the first and the last that ended in the window, as
/metrics counts them. Needs nothing but the standard library.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from stepper import Stepper  # noqa: E402

WARM = 12  # seconds: longer than the queue is at its fullest, so that what is to be hit is stored
IMAGE = "tests/data/images/astronaut_face.jpg"


class BareEncoder(Stepper):
    def __init__(self, binary, model, batch, precision):
        super().__init__(f"{binary}/emotion-bench", "encoder", "--step", "--model", model, "--batch", batch, "--precision",
                         precision)
        self.batch = batch
        self.seconds()  # warm

    def rate(self, seconds):
        """Faces a second."""
        times = []
        while sum(times) < seconds:
            times.append(self.seconds())
        return self.batch * len(times) / sum(times)


class System:
    def __init__(self, binary, models, batch, precision):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.process = subprocess.Popen(
            [f"{binary}/emotion", "serve", f"--models-dir={models}", "--api-port=0", "--embedding-listen=127.0.0.1:0",
             "--classifier-listen=127.0.0.1:0", f"--batch-size={batch}", f"--precision={precision}",
             "--cache-similarity-threshold=1"],  # a session's frames resemble each other
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.address = None
        for line in self.process.stdout:
            found = [word for word in line.split() if word.startswith("http://")]
            if found:
                self.address = found[0].rstrip("/,").replace("http://", "").replace("localhost", "127.0.0.1")
                break
        if self.address is None:
            sys.exit(f"the system did not start; see {self.log.name}")

    def encoded(self):
        """Frames that were encoded so far, and encodes."""
        text = urllib.request.urlopen(f"http://{self.address}/metrics", timeout=10).read().decode()
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("emotion_batch_frames_"))
        return float(values["emotion_batch_frames_sum"]), float(values["emotion_batch_frames_count"])

    def rate(self, seconds):
        """Faces a second, and faces of an encode, over the encodes that ended within the window."""
        changes = []
        end = time.monotonic() + seconds
        last = self.encoded()
        while time.monotonic() < end:
            time.sleep(0.2)  # more often, and asking would cost what is measured
            now = self.encoded()
            if now != last:
                changes.append((time.monotonic(), *now))
                last = now
        (t0, f0, n0), (t1, f1, n1) = changes[0], changes[-1]
        return (f1 - f0) / (t1 - t0), (f1 - f0) / (n1 - n0)

    def load(self, seconds, *arguments):
        out = tempfile.NamedTemporaryFile(suffix=".json")
        process = subprocess.Popen(
            [f"{BIN}/emotion-bench-load", "--target", self.address, "--image", IMAGE, "--json", out.name,
             "--phase", f"name=first,seconds={WARM}", "--phase", f"name=then,seconds={seconds}", "--linger-ms", "6000",
             *arguments], stdout=subprocess.DEVNULL)
        return process, out

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def surge(system, faces_per_second, seconds, hits):
    sessions = 12
    loads = [system.load(seconds, "--sessions", str(sessions), "--fps", str(1.5 * faces_per_second / sessions),
                         "--deadline-ms", "10000")]
    if hits:  # one session that sends the same frame again and again, at the same times in every round
        loads.append(system.load(seconds, "--sessions", "5", "--fps", "10", "--repeat-share", "1", "--deadline-ms",
                                 "10000", "--seed", "7"))
    time.sleep(WARM)
    rate, frames = system.rate(seconds)
    asking = 0
    for process, _ in loads:
        _, _, usage = os.wait4(process.pid, 0)
        asking = usage.ru_utime + usage.ru_stime  # of the last: who asks for hits
    latency = json.load(open(loads[1][1].name))["values"] if hits else None
    return rate, frames, latency, asking / (WARM + seconds) / len(os.sched_getaffinity(0))


def main():
    global BIN
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries")
    parser.add_argument("models")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    BIN = options.binaries
    bare = BareEncoder(BIN, os.path.join(options.models, "encoder"), options.batch, options.precision)
    system = System(BIN, options.models, options.batch, options.precision)
    try:
        rows = []
        for _ in range(options.rounds):
            alone = bare.rate(options.seconds / 2)
            saturated, frames, _, _ = surge(system, alone, options.seconds, hits=False)
            after = bare.rate(options.seconds / 2)
            with_hits, _, latency, asking = surge(system, alone, options.seconds, hits=True)
            rows.append({"bare": (alone + after) / 2, "whole": saturated, "frames": frames, "with hits": with_hits,
                         "asking": asking, "p50": latency["then.p50_ms"], "p99": latency["then.p99_ms"],
                         "hits": latency["then.goodput"]})
            print(json.dumps(rows[-1]), file=sys.stderr)
    finally:
        system.stop()
        bare.process.kill()
    middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    print("| bare encoder, faces/s | `/v1/predict` uncached | over bare | faces of an encode | with hits beside it | "
          "over without | share of the cores of the program that asks for hits | hits/s | hit p50 ms | hit p99 ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    print(f"| {middle['bare']:.2f} | {middle['whole']:.2f} | "
          f"{statistics.median(row['whole'] / row['bare'] for row in rows):.3f} | {middle['frames']:.1f} | "
          f"{middle['with hits']:.2f} | {statistics.median(row['with hits'] / row['whole'] for row in rows):.3f} | "
          f"{middle['asking']:.3f} | {middle['hits']:.0f} | {middle['p50']:.1f} | {middle['p99']:.1f} |")


if __name__ == "__main__":
    main()
