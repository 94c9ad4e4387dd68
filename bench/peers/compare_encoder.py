#!/usr/bin/env python3
"""The encoder beside its peers: same weights, same faces, same threads, alternating in one run.

    emotion model random /tmp/7b --size 7b
    compare_encoder.py EMOTION_BENCH /tmp/7b [--precision fp32 int8] [--peers openvino,onnxruntime] [--batch 1,4,8]
                       [--rounds 7] [--keep FOLDER]

Needs the oracles' environment and requirements.txt beside this file. Prints one Markdown table: the fastest of the
rounds of each, the peer's time over ours, and how near both are to transformers in fp32 (the smallest cosine of the
faces). Faces and weights are drawn from formulas; a peer whose ranges are found beforehand (OpenVINO in int8) sees
other faces of the same formula.

Every program runs in a process of its own, and no more than two at once. What is exported and quantised lies in the
folder of --keep, from which a later run takes it; in int8 making it takes minutes and a multiple of the weights.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import peers as peer_programs  # noqa: E402
from stepper import Stepper  # noqa: E402

LEAST_COSINE = {"fp32": 0.999, "bf16": 0.999, "int8": 0.99}  # below it, something else is computed
SETTLE_SECONDS = 0.1  # threads of a pool may spin for a while after their work; nobody is timed beside them


def numbers(text):
    return [int(word) for word in text.split(",")]


def names(text):
    return text.split(",")


class Encoder(Stepper):
    """With the vectors of the faces."""

    def __init__(self, *command):
        with tempfile.TemporaryDirectory() as scratch:
            file = f"{scratch}/vectors.npy"
            super().__init__(*command, "--vectors", file)
            self.vectors = numpy.load(file)

    def seconds(self):
        time.sleep(SETTLE_SECONDS)
        return super().seconds()


def cosine(vectors, reference):
    lengths = numpy.linalg.norm(vectors, axis=1) * numpy.linalg.norm(reference, axis=1)
    return float(((vectors * reference).sum(axis=1) / lengths).min())


class Comparison:
    def __init__(self, arguments, folder):
        self.program, self.model, self.threads = arguments.program, arguments.model, arguments.threads
        self.rounds, self.folder = arguments.rounds, folder

    def version(self):
        """Of the weights and of the packages: what was made from others is made again."""
        state = [(HERE / "requirements.txt").read_text()]
        for file in sorted(Path(self.model).iterdir()):
            state.append(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}")
        return hashlib.sha256("\n".join(state).encode()).hexdigest()[:12]

    def make(self, name, precision):
        folder = self.folder / f"{name}-{precision}-{self.version()}"
        if peer_programs.PEERS[name].make and not (folder / "made").exists():
            print(f"Making {folder}", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, HERE / "peers.py", "make", name, precision, self.model, folder],
                           stdout=sys.stderr, check=True)
        return folder

    def ours(self, precision, batch):
        return Encoder(self.program, "encoder", "--model", self.model, "--precision", precision, "--batch", batch,
                       "--threads", self.threads, "--step")

    def peer(self, name, precision, batch):
        if name == "ours":  # in fp32, beside what int8 gains
            return self.ours("fp32", batch)
        return Encoder(sys.executable, HERE / "peers.py", "step", name, precision, self.model,
                       self.make(name, precision), "--batch", batch, "--threads", self.threads)

    def reference(self, batch):
        file = self.folder / f"reference-{batch}-{self.version()}.npy"
        if not file.exists():
            with self.peer("eager", "fp32", batch) as eager:
                self.folder.mkdir(parents=True, exist_ok=True)
                numpy.save(file, eager.vectors)
        return numpy.load(file)

    def row(self, name, precision, batch):
        reference = self.reference(batch)
        with self.peer(name, precision, batch) as peer, self.ours(precision, batch) as ours:
            near = [cosine(program.vectors, reference) for program in (peer, ours)]
            if min(near) < LEAST_COSINE[precision]:
                raise SystemExit(f"{name} or ours computes something else in {precision}: cosines {near}")
            rounds = [(peer.seconds(), ours.seconds()) for _ in range(self.rounds)]
        theirs, mine = (min(column) * 1e3 / batch for column in zip(*rounds))
        title = "ours in fp32" if name == "ours" else peer_programs.PEERS[name].title
        return (f"| {precision} | {title} | {batch} | {theirs:.1f} | {mine:.1f} | {theirs / mine:.2f} | "
                f"{near[0]:.6f} | {near[1]:.6f} |")


def peers_of(precision, wanted):
    known = [name for name, peer in peer_programs.PEERS.items() if precision in peer.precisions]
    if precision == "int8":
        known.insert(0, "ours")
    return [name for name in wanted or known if name in known]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--precision", nargs="+", default=["fp32"], choices=LEAST_COSINE)
    parser.add_argument("--peers", type=names, default=[], help="of ours,eager,compiled,openvino,onnxruntime")
    parser.add_argument("--batch", type=numbers, default=[1, 4, 8])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--keep", type=Path, help="where exported and quantised towers stay")
    parser.add_argument("--make-only", action="store_true", help="exports and quantises, and measures nothing")
    arguments = parser.parse_args()
    for name in arguments.peers:
        if name != "ours" and name not in peer_programs.PEERS:
            parser.error(f"--peers knows ours, {', '.join(peer_programs.PEERS)}; was '{name}'")
    return arguments


def compare(arguments, folder):
    comparison = Comparison(arguments, folder)
    wanted = [(name, precision) for precision in arguments.precision if peer_programs.computes(precision)
              for name in peers_of(precision, arguments.peers)]
    if arguments.make_only:
        for name, precision in wanted:
            if name != "ours":
                comparison.make(name, precision)
        for batch in arguments.batch:
            comparison.reference(batch)
        return
    print(f"| {arguments.threads} threads | peer | batch | peer, ms a face | ours, ms a face | ratio | "
          "peer's cosine | our cosine |")
    print("|---|---|--:|--:|--:|--:|--:|--:|", flush=True)
    for name, precision in wanted:
        for batch in arguments.batch:
            print(comparison.row(name, precision, batch), flush=True)
    for precision in arguments.precision:
        if not peer_programs.computes(precision):
            print(f"\n{precision} was left out: this CPU has no instructions for it.")


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory() as scratch:
        compare(arguments, arguments.keep or Path(scratch))


if __name__ == "__main__":
    sys.exit(main())
