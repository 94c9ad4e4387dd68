#!/usr/bin/env python3
"""Holds every #include line to the layers of cmake/layers.cmake and each heavy library to its folder."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Lower layers first; a room may include itself and lower layers, never a sibling.
LAYERS = [
    {"proto"},
    {"common"},
    {"vision", "heads"},
    {"embedding_service", "classifier_service", "gateway"},
    {"training"},
    {"cli"},
    {"bench"},
    {"tests"},
]

# A library's headers stay inside the folders that wrap it.
WRAPPED = {
    r"(torch|ATen|c10|caffe2)/": ("vision/encoder/torch/", "training/", "tests/"),
    r"(oneapi/)?dnnl": ("vision/encoder/onednn/",),
    r"boost/(beast|asio)": ("gateway/", "common/observe/admin_server", "tests/", "bench/"),
    r"hiredis/": ("common/redis/",),
    r"prometheus/": ("common/observe/",),
    r"opencv2/": ("training/", "vision/faces/", "tests/", "bench/near/"),
    r"zip\.h": ("heads/", "training/", "tests/"),
    r"curl/": ("cli/", "tests/"),
    r"(jpeglib|png|webp/)": ("vision/preprocess/", "training/", "tests/", "bench/"),
    r"(grpcpp|grpc)/": (
        "common/rpc/", "common/observe/", "embedding_service/", "classifier_service/", "gateway/",
        "cli/", "tests/", "bench/"),
}

# No RPC where pixels and numbers are computed.
RPC_FREE = {"vision", "heads"}
RPC = re.compile(r"(grpcpp|grpc)/|\.pb\.h|common/rpc/")

INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]')


def layer_of(room):
    return next((i for i, rooms in enumerate(LAYERS) if room in rooms), None)


def complaints_about(path, included):
    room = path.split("/")[0]
    target = included.split("/")[0]
    if layer_of(target) is not None and "/" in included and target != room:
        if layer_of(target) >= layer_of(room):
            yield f"{room} may not include {target}"
    if room in RPC_FREE and RPC.search(included):
        yield f"{room} uses no RPC"
    for pattern, folders in WRAPPED.items():
        if re.match(pattern, included) and not path.startswith(folders):
            yield f"headers matching {pattern} stay inside {', '.join(folders)}"
    if included.startswith("nlohmann/json.hpp") and path.endswith(".h"):
        yield "nlohmann/json.hpp (6 s to compile) stays out of headers"


def main():
    files = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.h", "*.cc"],
                           cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    checked, wrong = 0, []
    for path in files:
        if layer_of(path.split("/")[0]) is None:
            wrong.append(f"{path}: this folder is in no layer")
            continue
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            checked += 1
            wrong += [f"{path}:{number}: {text}" for text in complaints_about(path, match.group(1))]
    # The rules themselves must bite.
    assert list(complaints_about("gateway/a.cc", "classifier_service/predictor.h"))
    assert list(complaints_about("vision/a.cc", "common/rpc/status.h"))
    assert list(complaints_about("heads/a.cc", "ATen/ATen.h"))
    assert not list(complaints_about("gateway/a.cc", "common/rpc/status.h"))
    print("\n".join(wrong) or f"{checked} include lines of {len(files)} files keep to the layers")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
