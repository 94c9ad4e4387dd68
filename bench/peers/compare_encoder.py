#!/usr/bin/env python3
"""The encoder beside its peers: same weights, same faces, same threads, alternating in one run.

    emotion model random /tmp/7b --size 7b
    compare_encoder.py EMOTION_BENCH /tmp/7b [--precision fp32|bf16|int8] [--batch 1 4 8] [--rounds 7] [--peer NAME ...]

Needs the oracles' environment and requirements.txt beside this file. Prints a Markdown table: the fastest of the
rounds of each, and the peer's time over ours. Every peer is first held to transformers' eager embedding; in int8, eager
and compiled stay in fp32, OpenVINO is left out (it needs another package to quantise), and our own fp32 is a peer.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import torch
from safetensors import safe_open
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

PATCHES = 64  # of a face of 112x112: one attention window, which is also the whole frame
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32}  # of what is not quantised


class Ours:
    """`emotion bench encoder --step`: one encode for each line."""

    def __init__(self, program, model, precision, batch, threads):
        self.process = subprocess.Popen(
            [program, "encoder", "--model", model, "--precision", precision, "--batch", str(batch), "--threads",
             str(threads), "--step"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def seconds(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def load_weights(model):
    weights = {}
    for file in sorted(Path(model).glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():
                weights[name.removeprefix("model.").removeprefix("visual.")] = tensors.get_tensor(name)
    return weights


def load_transformers(model, dtype):
    import json
    config = json.loads((Path(model) / "config.json").read_text())
    config = config.get("vision_config", config)
    tower = Qwen2_5_VisionTransformerPretrainedModel._from_config(
        Qwen2_5_VLVisionConfig(**config), attn_implementation="eager", torch_dtype=dtype)
    tower.load_state_dict(load_weights(model))
    return tower.eval()


def pooled(tokens, batch):
    return tokens.float().reshape(batch, -1, tokens.shape[-1]).mean(dim=1)


class StaticTower(torch.nn.Module):
    """The tower for faces of 8x8 patches, without anything that depends on data: what exporters take best."""

    def __init__(self, tower, batch):
        super().__init__()
        self.tower, self.batch = tower, batch
        grid = torch.tensor([[1, 8, 8]] * batch)
        with torch.no_grad():
            angles = tower.rot_pos_emb(grid).repeat(1, 2)
        self.register_buffer("cos", angles.cos()[:, None, :])
        self.register_buffer("sin", angles.sin()[:, None, :])

    def rotate(self, x):
        wide = x.float()
        first, second = wide.chunk(2, dim=-1)
        return (wide * self.cos + torch.cat((-second, first), dim=-1) * self.sin).to(x.dtype)

    def attend(self, block, x):
        heads = block.attn.num_heads
        q, k, v = block.attn.qkv(x).reshape(x.shape[0], 3, heads, -1).unbind(1)
        split = lambda y: y.reshape(self.batch, PATCHES, heads, -1).transpose(1, 2)
        out = torch.nn.functional.scaled_dot_product_attention(split(self.rotate(q)), split(self.rotate(k)), split(v))
        return block.attn.proj(out.transpose(1, 2).reshape(x.shape[0], -1))

    def forward(self, rows):
        tower = self.tower
        x = torch.nn.functional.linear(rows, tower.patch_embed.proj.weight.flatten(1))
        for block in tower.blocks:
            x = x + self.attend(block, block.norm1(x))
            x = x + block.mlp(block.norm2(x))
        return tower.merger(x)


class Eager:
    name = "transformers, eager"

    def __init__(self, tower, batch, threads, precision):
        self.tower = tower
        self.grid = torch.tensor([[1, 8, 8]] * batch)

    def run(self, rows):
        with torch.no_grad():
            output = self.tower(rows.to(self.tower.dtype), grid_thw=self.grid)
        return output if isinstance(output, torch.Tensor) else output.last_hidden_state


class Compiled:
    name = "PyTorch, compiled"

    def __init__(self, tower, batch, threads, precision):
        self.dtype = tower.dtype
        self.tower = torch.compile(StaticTower(tower, batch), mode="max-autotune-no-cudagraphs", dynamic=False)

    def run(self, rows):
        with torch.no_grad():
            return self.tower(rows.to(self.dtype))


class OpenVino:
    name = "OpenVINO"

    def __init__(self, tower, batch, threads, precision):
        import openvino
        rows = torch.zeros(batch * PATCHES, 1176)
        model = openvino.convert_model(StaticTower(tower, batch), example_input=rows, input=[rows.shape])
        precision = "f32" if tower.dtype == torch.float32 else "bf16"
        self.compiled = openvino.Core().compile_model(
            model, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision,
                           "PERFORMANCE_HINT": "LATENCY"})

    def run(self, rows):
        return torch.from_numpy(self.compiled(rows.numpy())[0])


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, tower, batch, threads, precision):
        import onnxruntime
        self.folder = tempfile.TemporaryDirectory()
        path = str(Path(self.folder.name) / "tower.onnx")
        torch.onnx.export(StaticTower(tower, batch), (torch.zeros(batch * PATCHES, 1176),), path, dynamo=False,
                          input_names=["rows"], output_names=["tokens"], opset_version=17)
        if precision == "int8":
            path = self.quantise(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @staticmethod
    def quantise(path):
        """Weights for each channel, activations as they come; 7 bits of weights, or sums saturate without VNNI."""
        from onnxruntime.quantization import QuantType, quantize_dynamic
        quantised = path + ".int8"
        quantize_dynamic(path, quantised, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
                         use_external_data_format=True)
        return quantised

    def run(self, rows):
        return torch.from_numpy(self.session.run(None, {"rows": rows.numpy()})[0])


class OursInFp32:
    name = "ours in fp32"

    def __init__(self, program, model, batch, threads):
        self.ours = Ours(program, model, "fp32", batch, threads)

    def seconds(self):
        return self.ours.seconds()

    def close(self):
        self.ours.close()


PEERS = {"eager": Eager, "compiled": Compiled, "openvino": OpenVino, "onnxruntime": OnnxRuntime}


def timed(function, *arguments):
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


def check(peer, rows, reference, batch, precision):
    found = pooled(peer.run(rows), batch)
    cosine = torch.nn.functional.cosine_similarity(found, reference).min().item()
    least = 0.99 if precision == "int8" else 0.999
    assert cosine > least, f"{peer.name} computes something else: cosine {cosine}"
    return f"{cosine:.6f}"


def make_peer(name, tower, batch, arguments):
    if name == "ours-fp32":
        return OursInFp32(arguments.program, arguments.model, batch, arguments.threads)
    return PEERS[name](tower, batch, arguments.threads, arguments.precision)


def choose_peers(arguments):
    if arguments.peer:
        return arguments.peer
    return ["ours-fp32", "onnxruntime"] if arguments.precision == "int8" else list(PEERS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--precision", default="fp32", choices=DTYPES)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peer", nargs="+", choices=[*PEERS, "ours-fp32"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    print(f"| {arguments.precision}, {arguments.threads} threads | batch | peer, ms a face | ours, ms a face | ratio | cosine |")
    print("|---|---|---|---|---|---|", flush=True)
    tower = load_transformers(arguments.model, DTYPES[arguments.precision])
    for batch in arguments.batch:
        rows = torch.from_numpy(numpy.random.default_rng(1).standard_normal((batch * PATCHES, 1176), numpy.float32))
        reference = pooled(Eager(tower, batch, arguments.threads, arguments.precision).run(rows), batch)
        ours = Ours(arguments.program, arguments.model, arguments.precision, batch, arguments.threads)
        for name in choose_peers(arguments):
            peer = make_peer(name, tower, batch, arguments)
            step = peer.seconds if name == "ours-fp32" else lambda: timed(peer.run, rows)
            cosine = "-" if name == "ours-fp32" else check(peer, rows, reference, batch, arguments.precision)
            theirs = []
            mine = []
            for _ in range(arguments.rounds):
                theirs.append(step())
                mine.append(ours.seconds())
            fastest = min(theirs) * 1e3 / batch
            own = min(mine) * 1e3 / batch
            print(f"| {peer.name} | {batch} | {fastest:.1f} | {own:.1f} | {fastest / own:.2f} | {cosine} |", flush=True)
            if name == "ours-fp32":
                peer.close()
            del peer
        ours.close()


if __name__ == "__main__":
    sys.exit(main())
