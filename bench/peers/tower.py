"""The encoder's tower in PyTorch: from a checkpoint, as transformers computes it and as exporters take it best."""

import json
import math
from pathlib import Path

import numpy
import torch
from safetensors import safe_open
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

PATCHES = 64  # of a face of 112x112: one attention window, which is also the whole frame
PATCH_VALUES = 1176


def faces(batch, first=0):
    """The faces of `emotion bench encoder`, as rows of patches: what it encodes when `first` is 0."""
    values = numpy.arange(PATCHES * PATCH_VALUES) % 10007 * numpy.float32(0.37)
    rows = [numpy.sin(values.astype(numpy.float32) + numpy.float32(first + i)) for i in range(batch)]
    return torch.from_numpy(numpy.concatenate(rows).reshape(-1, PATCH_VALUES))


def pooled(tokens, batch):
    """A vector for each face: what the peers are compared by."""
    return tokens.float().reshape(batch, -1, tokens.shape[-1]).mean(dim=1)


def read_weights(model):
    weights = {}
    for file in sorted(Path(model).glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():
                weights[name.removeprefix("model.").removeprefix("visual.")] = tensors.get_tensor(name)
    return weights


def load_tower(model, dtype):
    config = json.loads((Path(model) / "config.json").read_text())
    config = config.get("vision_config", config)
    tower = Qwen2_5_VisionTransformerPretrainedModel._from_config(
        Qwen2_5_VLVisionConfig(**config), attn_implementation="eager", torch_dtype=dtype)
    tower.load_state_dict(read_weights(model))
    return tower.eval()


def run_eager(tower, rows, batch):
    """As transformers users run it."""
    with torch.no_grad():
        output = tower(rows.to(tower.dtype), grid_thw=torch.tensor([[1, 8, 8]] * batch))
    return output if isinstance(output, torch.Tensor) else output.last_hidden_state


class FaceTower(torch.nn.Module):
    """The tower for any number of faces of 8x8 patches; nothing in it depends on data but the size of the batch."""

    def __init__(self, tower):
        super().__init__()
        self.tower = tower
        with torch.no_grad():
            angles = tower.rot_pos_emb(torch.tensor([[1, 8, 8]])).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def rotate(self, x):
        wide = x.float()
        first, second = wide.chunk(2, dim=-1)
        return (wide * self.cos + torch.cat((-second, first), dim=-1) * self.sin).to(x.dtype)

    def attend(self, block, x):
        heads = block.attn.num_heads
        size = block.attn.qkv.out_features // 3 // heads
        q, k, v = block.attn.qkv(x).reshape(-1, PATCHES, 3, heads, size).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(self.rotate(q) @ self.rotate(k).transpose(-1, -2) / math.sqrt(size), dim=-1)
        return block.attn.proj((weights @ v).transpose(1, 2).reshape(-1, heads * size))

    def forward(self, rows):
        tower = self.tower
        x = torch.nn.functional.linear(rows, tower.patch_embed.proj.weight.flatten(1))
        for block in tower.blocks:
            x = x + self.attend(block, block.norm1(x))
            x = x + block.mlp(block.norm2(x))
        return tower.merger(x)
