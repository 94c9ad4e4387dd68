#!/usr/bin/env python3
"""Writes tests/data/parity/encoder: what transformers computes, for encoder_parity_test.cc.

Reference: Qwen2_5_VisionTransformerPretrainedModel, eager attention, float32, on the CPU. Weights and
inputs are either in small checkpoints saved here by save_pretrained, or made on both sides by the
recipe of vision/encoder/random_weights.h. Run with the interpreter of an environment that holds
requirements.txt (ORACLES, by default .oracles in the checkout):

    tests/parity/make_encoder_goldens.py [--skip-7b]

The tower of 7B takes 6 GB of memory and about a minute.
"""
import argparse
import json
import os
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORACLES = pathlib.Path(os.environ.get("ORACLES", ROOT / ".oracles"))
if pathlib.Path(sys.prefix).resolve() != ORACLES.resolve():
    python = ORACLES / "bin" / "python"
    if not python.exists():
        sys.exit(f"{python} is not there: make an environment with tests/parity/requirements.txt "
                 "and name it in ORACLES")
    os.execv(python, [str(python), *sys.argv])

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import (  # noqa: E402
    Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessor)
from transformers.modeling_utils import no_init_weights  # noqa: E402
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import (  # noqa: E402
    Qwen2_5_VLVisionConfig)
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (  # noqa: E402
    Qwen2_5_VisionTransformerPretrainedModel as Tower)

OUTPUT = ROOT / "tests/data/parity/encoder"
GOLDEN = 0x9E3779B97F4A7C15

# Windows of 4 x 4 merge groups, as in the released models, at a size that fits a repository.
SMALL = dict(depth=5, hidden_size=16, intermediate_size=28, num_heads=2, patch_size=2,
             window_size=16, out_hidden_size=12, fullatt_block_indexes=[1, 4])
# The released patch and window; a head of 12 and an odd MLP.
PATCH14 = dict(depth=3, hidden_size=24, intermediate_size=41, num_heads=2, out_hidden_size=20,
               fullatt_block_indexes=[2])
# Nothing at its usual value: one channel, three frames a patch, groups of 9, windows of 2 groups.
ODD = dict(depth=3, hidden_size=16, intermediate_size=20, num_heads=4, in_channels=1, patch_size=4,
           temporal_patch_size=3, spatial_merge_size=3, window_size=30, out_hidden_size=8,
           fullatt_block_indexes=[0])
RELEASED = dict(depth=32, hidden_size=1280, intermediate_size=3420, num_heads=16)

BATCH = [(1, 8, 8), (1, 10, 6), (1, 2, 2), (2, 6, 12), (1, 8, 8)]


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


def uniform(name, count):
    """count float32 in [-1, 1): 24 bits of splitmix64."""
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint64) + np.uint64(fnv1a(name))
        x += np.uint64(GOLDEN)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)


def recipe(name, shape):
    values = uniform(name, int(np.prod(shape)))
    if name.endswith(".bias"):
        values *= np.float32(0.02)
    elif len(shape) == 1:
        values = np.float32(1) + np.float32(0.1) * values
    else:
        values *= np.float32(np.sqrt(3.0 / np.prod(shape[1:], dtype=np.float64)))
    return torch.from_numpy(values.reshape(shape))


def fill(module):
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(recipe(name, tuple(parameter.shape)))


def make_tower(sizes):
    with no_init_weights():  # they come from us
        tower = Tower._from_config(Qwen2_5_VLVisionConfig(**sizes), attn_implementation="eager")
    return tower.float().eval()


def run(tower, name, grids):
    """Rows by recipe -> residual stream before block 0 and after each block, tokens, pooled."""
    assert tower.config._attn_implementation == "eager"
    assert all(p.dtype == torch.float32 for p in tower.parameters())
    config = tower.config
    width = config.in_channels * config.temporal_patch_size * config.patch_size**2
    patches = sum(t * h * w for t, h, w in grids)
    rows = recipe(f"input.{name}", (patches * width, 1)).reshape(patches, width)
    layers = []
    hooks = [tower.blocks[0].register_forward_pre_hook(lambda _, args: layers.append(args[0]))]
    hooks += [b.register_forward_hook(lambda _, __, out: layers.append(out)) for b in tower.blocks]
    with torch.no_grad():
        tokens = tower(rows, torch.tensor(grids))
    for hook in hooks:
        hook.remove()
    counts = [t * h * w // config.spatial_merge_size**2 for t, h, w in grids]
    pooled = torch.stack([part.float().mean(0) for part in tokens.split(counts)])
    return layers, tokens, pooled


class Writer:
    def __init__(self):
        self.cases = []
        self.values = []
        self.count = 0

    def store(self, tensor):
        flat = tensor.detach().float().numpy().reshape(-1)
        self.values.append(flat)
        self.count += flat.size
        return {"offset": self.count - flat.size, "shape": list(tensor.shape)}

    def case(self, name, tower, grids, checkpoint=None, sizes=None):
        layers, tokens, pooled = run(tower, name, grids)
        self.cases.append({
            "name": name, "grids": grids, "checkpoint": checkpoint, "sizes": sizes,
            "layers": [self.store(x) for x in layers], "tokens": self.store(tokens),
            "pooled": self.store(pooled)})

    def sampled_case(self, name, tower, grids, sizes):
        """As case(), with 64 values and the rms of each layer instead of all of it."""
        layers, tokens, pooled = run(tower, name, grids)
        picks = [(fnv1a(name) + i * 2654435761) % layers[0].numel() for i in range(64)]
        sampled = [{"rms": x.square().mean().sqrt().item(),
                    "values": self.store(x.reshape(-1)[picks])} for x in layers]
        self.cases.append({"name": name, "grids": grids, "sizes": sizes, "picks": picks,
                           "sampled_layers": sampled, "pooled": self.store(pooled)})

    def finish(self):
        np.concatenate(self.values).astype("<f4").tofile(OUTPUT / "goldens.bin")
        (OUTPUT / "goldens.json").write_text(json.dumps({"cases": self.cases}) + "\n")
        (OUTPUT / "versions.txt").write_text(
            f"torch {torch.__version__}\ntransformers {transformers.__version__}\n"
            f"numpy {np.__version__}\nreference eager attention, float32, cpu\n")


def save_checkpoint(name, dtype, bare=False, new_layout=False, **options):
    """A checkpoint as transformers saves it; returns the tower that its stored weights make."""
    directory = OUTPUT / name
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(
        vision_config=SMALL, text_config=dict(
            vocab_size=8, hidden_size=12, intermediate_size=8, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1,
            rope_scaling={"type": "mrope", "mrope_section": [1, 1, 1]})))
    fill(model.model.visual)
    model = model.to(dtype)
    if new_layout:  # names as the module has them, without the mapping back to the hub's
        model._checkpoint_conversion_mapping = {}
    (model.model.visual if bare else model).save_pretrained(directory, **options)
    Qwen2VLImageProcessor(patch_size=SMALL["patch_size"], min_pixels=64,
                          max_pixels=65536).save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    tower = make_tower(SMALL)
    tower.load_state_dict({k: v.float() for k, v in model.model.visual.state_dict().items()})
    return tower


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip-7b", action="store_true", help="leave out the full-size tower")
    arguments = parser.parse_args()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    writer = Writer()

    hub = save_checkpoint("hub_layout", torch.float32)
    writer.case("several windows", hub, [(1, 16, 24)], checkpoint="hub_layout")
    writer.case("ragged windows", hub, [(1, 10, 14)], checkpoint="hub_layout")
    writer.case("images of different sizes", hub, BATCH, checkpoint="hub_layout")
    few = [(1, 8, 8), (1, 4, 10)]
    shards = save_checkpoint("sharded_bf16", torch.bfloat16, max_shard_size="12KB")
    writer.case("shards, bf16", shards, few, checkpoint="sharded_bf16")
    new = save_checkpoint("new_layout_f16", torch.float16, new_layout=True)
    writer.case("new layout, f16", new, few, checkpoint="new_layout_f16")
    bare = save_checkpoint("bare_tower", torch.float32, bare=True)
    writer.case("bare tower", bare, few, checkpoint="bare_tower")

    for name, sizes, grids in [("patches of 14", PATCH14, [(1, 8, 8), (1, 12, 10)]),
                               ("odd sizes", ODD, [(1, 12, 9), (2, 3, 6)])]:
        tower = make_tower(sizes)
        fill(tower)
        writer.case(name, tower, grids, sizes=sizes)

    if not arguments.skip_7b:
        for name, out in [("7b", 3584), ("3b", 2048)]:
            sizes = dict(RELEASED, out_hidden_size=out)
            tower = make_tower(sizes)
            fill(tower)
            writer.sampled_case(name, tower, [(1, 8, 8), (1, 10, 12)], sizes)
            del tower
    writer.finish()


if __name__ == "__main__":
    main()
