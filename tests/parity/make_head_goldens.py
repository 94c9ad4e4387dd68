"""Writes tests/data/parity/heads: checkpoints of PyTorch with the answers PyTorch gives.

    $ORACLES/bin/python tests/parity/make_head_goldens.py

goldens.json lists the cases: file, the head's own settings (heads.json members, where a case needs
them), val_f1, inputs and the logits of the model in evaluation mode. refused/ has files that must
not be read. Everything is seeded: a second run changes only what PyTorch itself writes anew.
"""

import collections
import json
import os
import pathlib
import pickle
import platform
import zipfile

import numpy as np
import torch
from torch import nn

DIM = 12
HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "data" / "parity" / "heads"
CASES = []


def settle(model, seed):
    """Weights and statistics that are not the ones of initialisation."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        values = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * 0.6
        if name.endswith("running_var"):
            values = values.abs() + 0.1
        tensor.copy_(values.to(tensor.dtype))
    return model.eval()


def case(name, model, saved, val_f1=None, heads_json=None, **save_options):
    torch.save(saved, OUT / f"{name}.pth", **save_options)
    generator = torch.Generator().manual_seed(len(CASES) + 1)
    inputs = torch.randn(3, DIM, generator=generator).half().float()
    exact = model.double()
    logits = exact(inputs.double()).detach()
    CASES.append({
        "file": f"{name}.pth",
        "val_f1": val_f1,
        "heads_json": heads_json or {},
        "inputs": inputs.tolist(),
        "logits": logits.tolist(),
        "probabilities": torch.softmax(logits, 1).tolist(),
    })


def plain(*hidden, activation=nn.ReLU, dropout=False, norm=None, bias=True):
    layers, width = [], DIM
    for size in hidden:
        layers.append(nn.Linear(width, size, bias=bias))
        if norm:
            layers.append(norm(size))
        layers.append(activation())
        if dropout:
            layers.append(nn.Dropout(0.3))
        width = size
    return nn.Sequential(*layers, nn.Linear(width, 4))


class Named(nn.Module):
    """Layers registered by kind, not in the order in which they are used."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.out = nn.Linear(DIM, 8), nn.Linear(8, 6), nn.Linear(6, 4)
        self.bn1, self.bn2 = nn.BatchNorm1d(8), nn.BatchNorm1d(6)

    def forward(self, x):
        x = torch.relu(self.bn1(self.fc1(x)))
        return self.out(torch.relu(self.bn2(self.fc2(x))))


class Wrapped(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def layouts():
    model = settle(plain(8, 6), 1)
    case("ordered_with_metadata", model, {"model_state_dict": model.state_dict(), "val_f1": 0.4321},
         val_f1=0.4321)
    model = settle(plain(8), 2)
    case("bare_state_dict", model, model.state_dict())
    model = settle(plain(), 3)
    case("one_linear_in_a_dict_with_one_entry", model,
         {"model_state_dict": {k: v for k, v in model.state_dict().items()}})
    model = settle(plain(8), 4)
    case("val_f1_numpy", model,
         {"model_state_dict": model.state_dict(), "val_f1": np.float64(0.515625)}, val_f1=0.515625)
    model = settle(plain(8), 5)
    case("val_f1_numpy_float32", model,
         {"model_state_dict": model.state_dict(), "val_f1": np.float32(0.375)}, val_f1=0.375)
    model = settle(plain(8), 6)
    case("val_f1_tensor", model,
         {"val_f1": torch.tensor(0.625, dtype=torch.float64), "model_state_dict": model.state_dict()},
         val_f1=0.625)
    model = settle(plain(8), 7)
    case("parameters", model, {"model_state_dict": collections.OrderedDict(model.named_parameters())})
    model = settle(plain(8), 8)
    case("bare_with_val_f1_beside", model, {**model.state_dict(), "val_f1": 0.25}, val_f1=0.25)
    model = settle(Wrapped(plain(8, 6, dropout=True)), 9)
    case("nested_names_and_dropout", model, {"model_state_dict": model.state_dict()})
    model = settle(plain(8, bias=False), 10)
    case("without_bias", model, {"model_state_dict": model.state_dict()})


def norms():
    model = settle(plain(8, 6, norm=nn.BatchNorm1d, dropout=True), 20)
    case("batch_norm", model, {"model_state_dict": model.state_dict(), "val_f1": 0.5}, val_f1=0.5)
    model = settle(plain(8, 6, norm=nn.LayerNorm), 21)
    case("layer_norm", model, {"model_state_dict": model.state_dict()})
    model = settle(nn.Sequential(nn.LayerNorm(DIM), *plain(8)), 22)
    case("leading_layer_norm", model, {"model_state_dict": model.state_dict()})
    model = settle(nn.Sequential(nn.BatchNorm1d(DIM), *plain(8, norm=nn.BatchNorm1d)), 23)
    case("leading_batch_norm", model, {"model_state_dict": model.state_dict()})
    model = settle(plain(8, norm=lambda size: nn.BatchNorm1d(size, affine=False)), 24)
    case("batch_norm_without_affine", model, {"model_state_dict": model.state_dict()})
    model = settle(nn.Sequential(nn.Linear(DIM, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 6),
                                 nn.ReLU(), nn.LayerNorm(6), nn.Linear(6, 4)), 25)
    case("norm_after_activation", model, {"model_state_dict": model.state_dict()},
         heads_json={"norm": "after_activation"})
    model = settle(Named(), 26)
    case("registered_by_kind", model, {"model_state_dict": model.state_dict()},
         heads_json={"layers": ["fc1", "bn1", "fc2", "bn2", "out"]})
    model = settle(plain(8, norm=lambda size: nn.BatchNorm1d(size, eps=0.25)), 27)
    case("other_epsilon", model, {"model_state_dict": model.state_dict()},
         heads_json={"batch_norm_eps": 0.25})


def activations():
    kinds = {"relu": nn.ReLU, "gelu": nn.GELU, "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
             "silu": nn.SiLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "LeakyReLU": nn.LeakyReLU,
             "elu": nn.ELU, "identity": nn.Identity}
    for seed, (name, kind) in enumerate(kinds.items()):
        model = settle(plain(8, activation=kind), 30 + seed)
        case(f"activation_{name}", model,
             {"model_state_dict": model.state_dict(), "activation": name})
    model = settle(plain(8, activation=nn.GELU), 45)
    case("activation_by_heads_json", model, {"model_state_dict": model.state_dict()},
         heads_json={"activation": "gelu"})


def numbers():
    for seed, dtype in enumerate([torch.float64, torch.float16, torch.bfloat16]):
        model = settle(plain(8, norm=nn.BatchNorm1d).to(dtype), 50 + seed)
        state = {k: v.clone() for k, v in model.state_dict().items()}
        case(str(dtype).removeprefix("torch."), model, {"model_state_dict": state})
    model = settle(plain(8), 55)
    state = model.state_dict()
    store = torch.full((300,), float("nan"))
    store[17:17 + 96] = state["0.weight"].T.flatten()
    state["0.weight"] = store[17:17 + 96].view(DIM, 8).T  # offset and transposed
    state["0.bias"] = state["0.bias"].repeat_interleave(2)[::2]  # every second element
    case("views", model, {"model_state_dict": state})
    model = settle(plain(8), 56)
    state = model.state_dict()
    shared = state["0.weight"]
    with torch.no_grad():
        state["0.bias"].copy_(shared[:, 3])
    case("shared_storage", model, {"model_state_dict": {**state, "0.bias": shared[:, 3]}})
    model = settle(plain(8), 57)
    with torch.no_grad():
        model.state_dict()["0.bias"].fill_(0.5)
    case("expanded", model,
         {"model_state_dict": {**model.state_dict(), "0.bias": torch.tensor(0.5).expand(8)}})


def surroundings():
    model = settle(plain(8), 60)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, DIM)).sum().backward()
    optimizer.step()
    case("everything_beside_it", model, {
        "epoch": 12, "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(), "val_f1": np.float64(0.75),
        "history": {"loss": [1.0, 0.5, None], "f1": [np.float64(0.1), np.float64(0.2)]},
        "classes": {0, 1, 2, 3}, "confusion": np.eye(4, dtype=np.int64),
        "shape": torch.Size([1, 2]), "device": torch.device("cpu"), "dtype": torch.float32,
        "big": 1 << 80, "negative": -5, "text": "Größe", "raw": b"\xff\x00", "pair": (1, 2)},
        val_f1=0.75)
    model = settle(plain(8), 61)
    case("protocol_4", model, {"model_state_dict": model.state_dict(), "val_f1": 0.125,
                               "set": {1, 2}, "raw": b"\x01", "long text": "x" * 300},
         val_f1=0.125, pickle_protocol=4)
    model = settle(plain(8), 62)
    case("our_entries", model, {
        "model_state_dict": model.state_dict(), "val_f1": 0.5, "input_dim": DIM, "hidden_dims": [8],
        "num_classes": 4, "activation": "relu", "input_size": [140, 112], "demo": True,
        "calibration": {"method": "vector_scaling", "temperature": 1.5,
                        "bias": [0.1, -0.2, 0.3, 0.0], "prior": "uniform"},
        "encoder_fingerprint": "ab" * 32, "pooling": "mean", "preprocessing_version": "1",
        "crop": {"detector": "yunet", "margin": 0.25, "size": 112, "jpeg_quality": None},
        "level_names": ["very low", "low", "high", "very high"],
        "metrics": {"accuracy": 0.5}, "licence": "CC0-1.0"}, val_f1=0.5)


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


def refused():
    folder = OUT / "refused"
    folder.mkdir(exist_ok=True)
    torch.save({"model_state_dict": {}, "x": Evil()}, folder / "calls_system.pth")
    torch.save(plain(8), folder / "whole_module.pth")
    torch.jit.script(plain(8)).save(str(folder / "torchscript.pth"))
    torch.save(plain(8).state_dict(), folder / "old_format.pth",
               _use_new_zipfile_serialization=False)
    torch.save({"model_state_dict": nn.Linear(DIM, 3).state_dict()}, folder / "three_classes.pth")
    broken = plain(8)
    with torch.no_grad():
        broken[0].weight[3, 4] = float("nan")
    torch.save({"model_state_dict": broken.state_dict()}, folder / "nan_weight.pth")
    torch.save({"model_state_dict": nn.Sequential(nn.Linear(DIM, 8), nn.Linear(9, 4)).state_dict()},
               folder / "widths_that_do_not_fit.pth")
    torch.save({"model_state_dict": nn.Sequential(nn.Linear(DIM, 8), nn.PReLU(8), nn.Linear(8, 4))
                .state_dict()}, folder / "prelu.pth")
    torch.save({"model_state_dict": nn.Sequential(nn.Conv1d(1, 4, 3), nn.Linear(4, 4)).state_dict()},
               folder / "convolution.pth")
    torch.save({"model_state_dict": Named().state_dict()}, folder / "registered_by_kind.pth")
    torch.save({"model_state_dict": nn.Sequential(
        nn.Linear(DIM, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 4)).state_dict()},
        folder / "norm_after_a_gap.pth")
    state = nn.Linear(DIM, 4).state_dict()
    state["weight"] = torch.tensor(1.0).expand(1 << 40, 1 << 20)
    torch.save({"model_state_dict": state}, folder / "huge_expanded.pth")
    torch.save([1, 2], folder / "a_list.pth")
    torch.save({"weights": 1}, folder / "no_state_dict.pth")
    torch.save({"model_state_dict": nn.Linear(DIM, 4).state_dict(), "activation": "mish"},
               folder / "unknown_activation.pth")
    torch.save({"model_state_dict": nn.Linear(DIM, 4).state_dict(), "input_dim": 13},
               folder / "input_dim_that_lies.pth")
    with zipfile.ZipFile(folder / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("bomb/data.pkl", pickle.dumps({}, 2) + b"\0" * (20 << 20))


def main():
    torch.manual_seed(0)
    OUT.mkdir(parents=True, exist_ok=True)
    layouts()
    norms()
    activations()
    numbers()
    surroundings()
    refused()
    (OUT / "goldens.json").write_text(json.dumps(CASES, indent=None).replace("}, {", "},\n{") + "\n")
    (OUT / "versions.txt").write_text(
        f"python {platform.python_version()}\ntorch {torch.__version__}\nnumpy {np.__version__}\n")


if __name__ == "__main__":
    main()
