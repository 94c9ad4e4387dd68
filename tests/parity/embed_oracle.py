#!/usr/bin/env python3
"""`emotion embed` on a checkpoint that transformers saved equals transformers' own pooled output.

Random weights, several image sizes, single-file and sharded saves of the whole-model and the
bare-tower layout. Usage: embed_oracle.py EMOTION_BINARY
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessor
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

IMAGES = Path(__file__).resolve().parent.parent / "data/images"
CONFIG = dict(depth=4, hidden_size=128, num_heads=4, intermediate_size=340, out_hidden_size=96, patch_size=14,
              temporal_patch_size=2, spatial_merge_size=2, window_size=112, fullatt_block_indexes=[1, 3],
              in_channels=3, hidden_act="silu")
TOLERANCE = 1e-4


def pooled(model, processor, path):
    inputs = processor(images=[Image.open(path).convert("RGB")], return_tensors="pt")
    with torch.no_grad():
        output = model(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"])
    tokens = output if isinstance(output, torch.Tensor) else output.last_hidden_state
    return tokens.float().mean(dim=0).numpy()


def check(emotion, model, processor, images, folder, **save):
    model.save_pretrained(folder, **save)
    processor.save_pretrained(folder)
    output = folder / "out.npy"
    subprocess.run([emotion, "embed", "--model", folder, "--output", output, *images], check=True)
    ours = numpy.load(output)
    for row, path in zip(ours, images):
        reference = pooled(model, processor, path)
        bound = TOLERANCE * numpy.maximum(numpy.abs(reference), numpy.sqrt(numpy.mean(reference**2)))
        worst = numpy.max(numpy.abs(row - reference) / bound)
        assert worst <= 1, f"{path}: {worst} times the tolerance"
        print(f"{path.name}: worst difference is {worst:.3f} of the tolerance ({save or 'one file'})")


def main():
    torch.manual_seed(7)
    model = Qwen2_5_VisionTransformerPretrainedModel._from_config(
        Qwen2_5_VLVisionConfig(**CONFIG), attn_implementation="eager", torch_dtype=torch.float32).eval()
    processor = Qwen2VLImageProcessor()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        images = [IMAGES / "astronaut_face.jpg", IMAGES / "astronaut.jpg"]
        for number, size in enumerate([(200, 133), (57, 300)]):
            path = scratch / f"{number}.png"
            Image.open(IMAGES / "astronaut.jpg").resize(size).save(path)
            images.append(path)
        check(sys.argv[1], model, processor, images, scratch / "single")
        check(sys.argv[1], model, processor, images, scratch / "sharded", max_shard_size="1MB")
    print("emotion embed equals transformers")


if __name__ == "__main__":
    main()
