#!/usr/bin/env bash
# Builds the LibTorch module against another LibTorch than the system's, for CUDA above all, and tests it on the CPU.
#
#   scripts/build_torch_module.sh LIBTORCH     such as .oracles/lib/python3.11/site-packages/torch
#
# The module is build/libtorch/lib/emotion-api/libemotion_torch.so. To serve with it, put it in place of the one beside
# the programs: build/release/lib/emotion-api, or PREFIX/lib/emotion-api.
set -euo pipefail
cd "$(dirname "$0")/.."

libtorch=$(realpath "${1:?usage: build_torch_module.sh LIBTORCH}")
if ! [ -f "$libtorch/lib/libtorch_cpu.so" ]; then
  echo "$libtorch holds no lib/libtorch_cpu.so: name the folder of a LibTorch, or site-packages/torch" >&2
  exit 2
fi
version=$(sed -n 's/^#define TORCH_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' \
  "$libtorch/include/torch/csrc/api/include/torch/version.h" | paste -sd.)
cmake --preset release -B build/libtorch -DEMOTION_LIBTORCH_DIR="$libtorch"
cmake --build build/libtorch --target emotion_torch_module unit_torch_encoder parity_encoder
ctest --test-dir build/libtorch -R '^(unit_torch_encoder|parity_encoder)$' --output-on-failure
cuda="without CUDA"
if grep -q ^EMOTION_CUDA_RUNTIME build/libtorch/CMakeCache.txt; then cuda="with CUDA's streams, pinned memory and graphs"; fi
echo "Built build/libtorch/lib/emotion-api/libemotion_torch.so against LibTorch $version, $cuda; tested on the CPU."
