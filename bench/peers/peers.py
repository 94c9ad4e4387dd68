#!/usr/bin/env python3
"""The peers of the encoder, each in a process of its own so that its memory goes with it.

    peers.py make NAME PRECISION MODEL FOLDER                       exports (and quantises) it into FOLDER, once
    peers.py step NAME PRECISION MODEL FOLDER --batch B --threads T [--vectors FILE]

step talks as `emotion bench encoder --step` does: "ready", then the seconds of one encode for each line of its input.
The vectors are those of the same faces, one row each.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy
import torch

from tower import PATCH_VALUES, PATCHES, FaceTower, faces, load_tower, pooled, run_eager

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32}  # of what is not quantised
CALIBRATION_FACES = 16  # numbered from 1000: none of those that are timed


def cpu_has(*features):
    """Whether this CPU has one of them."""
    lines = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")]
    return bool(lines) and not set(features).isdisjoint(lines[0].split())


def computes(precision):
    """Whether this CPU has instructions for it; without them a peer only emulates bf16."""
    return precision != "bf16" or cpu_has("avx512_bf16", "amx_bf16")


def sums_fit():
    """Without VNNI two products of 8 bits may exceed the 16 that they are added in: weights get 7 bits then."""
    return cpu_has("avx512_vnni", "avx_vnni")


class Eager:
    """In fp32, what every cosine is to."""

    title = "transformers, eager"
    precisions = ("fp32", "bf16")

    make = None  # nothing is exported

    def __init__(self, model, folder, precision, batch, threads):
        self.tower, self.batch = load_tower(model, DTYPES[precision]), batch

    def run(self, rows):
        return run_eager(self.tower, rows, self.batch)


class Compiled:
    title = "PyTorch, compiled"
    precisions = ("fp32", "bf16")

    make = None  # nothing is exported

    def __init__(self, model, folder, precision, batch, threads):
        self.dtype = DTYPES[precision]
        self.tower = torch.compile(FaceTower(load_tower(model, self.dtype)), mode="max-autotune-no-cudagraphs",
                                   dynamic=False)

    def run(self, rows):
        with torch.no_grad():
            return self.tower(rows.to(self.dtype))


class OpenVino:
    title = "OpenVINO"
    precisions = ("fp32", "bf16", "int8")

    @staticmethod
    def make(model, folder, precision):
        OpenVino.export(model, folder / "tower.xml", precision)
        if precision == "int8":
            OpenVino.quantise(folder / "tower.xml", folder / "tower.int8.xml")

    @staticmethod
    def export(model, path, precision):
        import openvino
        tower = FaceTower(load_tower(model, DTYPES[precision]))
        converted = openvino.convert_model(tower, example_input=faces(1), input=[[-1, PATCH_VALUES]])
        openvino.save_model(converted, path, compress_to_fp16=False)

    @staticmethod
    def quantise(path, quantised):
        """Weights for each channel, activations in ranges found beforehand, smoothed as NNCF does for transformers.

        Read from a file, what is not quantised need not be held in memory. It is not kept.
        """
        import nncf
        import openvino
        converted = openvino.Core().read_model(path)
        fix = nncf.OverflowFix.DISABLE if sums_fit() else nncf.OverflowFix.ENABLE
        calibration = nncf.Dataset([faces(1, first=1000 + i).numpy() for i in range(CALIBRATION_FACES)])
        result = nncf.quantize(
            converted, calibration, subset_size=CALIBRATION_FACES, model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED, target_device=nncf.TargetDevice.CPU, fast_bias_correction=True,
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix))
        openvino.save_model(result, quantised, compress_to_fp16=False)
        path.unlink()
        path.with_suffix(".bin").unlink()

    def __init__(self, model, folder, precision, batch, threads):
        import openvino
        core = openvino.Core()
        tower = core.read_model(folder / ("tower.int8.xml" if precision == "int8" else "tower.xml"))
        tower.reshape([batch * PATCHES, PATCH_VALUES])
        self.compiled = core.compile_model(
            tower, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                           "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"})

    def run(self, rows):
        return torch.from_numpy(self.compiled(rows.numpy())[0])


class OnnxRuntime:
    title = "ONNX Runtime"
    precisions = ("fp32", "int8")

    @staticmethod
    def make(model, folder, precision):
        path = folder / "tower.onnx"
        torch.onnx.export(FaceTower(load_tower(model, torch.float32)), (faces(1),), str(path), dynamo=False,
                          input_names=["rows"], output_names=["tokens"], dynamic_axes={"rows": {0: "patches"}},
                          opset_version=17)
        if precision == "int8":
            OnnxRuntime.quantise(path)

    @staticmethod
    def quantise(path):
        """Weights for each channel, activations as they come. What was exported is not kept."""
        from onnxruntime.quantization import QuantType, quantize_dynamic
        exported = list(path.parent.iterdir())
        quantised = path.with_suffix(".int8")
        quantize_dynamic(path, quantised, weight_type=QuantType.QInt8, per_channel=True, reduce_range=not sums_fit(),
                         use_external_data_format=True)
        for file in exported:
            file.unlink()

    def __init__(self, model, folder, precision, batch, threads):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_free_dimension_override_by_name("patches", batch * PATCHES)
        path = folder / ("tower.int8" if precision == "int8" else "tower.onnx")
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, rows):
        return torch.from_numpy(self.session.run(None, {"rows": rows.numpy()})[0])


PEERS = {"eager": Eager, "compiled": Compiled, "openvino": OpenVino, "onnxruntime": OnnxRuntime}


def make(arguments):
    arguments.folder.mkdir(parents=True, exist_ok=True)
    PEERS[arguments.name].make(arguments.model, arguments.folder, arguments.precision)
    (arguments.folder / "made").touch()


def step(arguments):
    torch.set_num_threads(arguments.threads)
    peer = PEERS[arguments.name](arguments.model, arguments.folder, arguments.precision, arguments.batch,
                                 arguments.threads)
    rows = faces(arguments.batch)
    vectors = pooled(peer.run(rows), arguments.batch)
    if arguments.vectors:
        numpy.save(arguments.vectors, vectors.numpy())
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        peer.run(rows)
        print(time.perf_counter() - begin, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["make", "step"])
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("precision", choices=DTYPES)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--vectors", type=Path)
    arguments = parser.parse_args()
    {"make": make, "step": step}[arguments.verb](arguments)


if __name__ == "__main__":
    sys.exit(main())
