"""PyTorch reads what SaveHeadCheckpoint writes: weights_only, mapped too, with equal answers.

    HEADS_WRITE_DIR=$DIR build/release/bin/unit_heads "what is saved is loaded*"
    $ORACLES/bin/python tests/parity/check_written_head.py $DIR
"""

import json
import pathlib
import sys

import torch
from torch import nn


def main(folder):
    path = folder / "written.pth"
    saved = torch.load(path, weights_only=True)
    mapped = torch.load(path, weights_only=True, mmap=True)
    state = saved["model_state_dict"]
    assert all(torch.equal(value, mapped["model_state_dict"][key]) for key, value in state.items())

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.LayerNorm(7), nn.Linear(7, 5), nn.BatchNorm1d(5), nn.GELU(),
                                     nn.Dropout(), nn.Linear(5, 4, bias=False))

    head = Head().eval()
    head.load_state_dict(state)

    expected = json.loads((folder / "written.json").read_text())
    with torch.no_grad():
        logits = head.double().net(torch.tensor([expected["input"]], dtype=torch.float64))[0]
    difference = (logits - torch.tensor(expected["logits"], dtype=torch.float64)).abs().max().item()
    assert difference < 2e-6, difference

    assert saved["val_f1"] == 0.4375 and saved["input_dim"] == 7 and saved["hidden_dims"] == [5]
    assert saved["num_classes"] == 4 and saved["activation"] == "gelu"
    assert saved["input_size"] == [140, 112] and saved["demo"] is True
    assert saved["calibration"] == {"method": "vector_scaling", "prior": "train",
                                    "temperature": 1.25, "bias": [0.5, -0.5, 0.0, 1.0]}
    assert saved["encoder_fingerprint"] == "dead" + "00" * 30 and saved["pooling"] == "mean"
    assert saved["crop"]["jpeg_quality"] is None and saved["crop"]["margin"] == 0.25
    assert saved["metrics"]["clip"]["support"] == [1, 2, 3, 4]
    assert saved["level_names"] == ["very low", "low", "high", "very high"]
    print(f"torch {torch.__version__} reads it; largest difference {difference:.1e}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
