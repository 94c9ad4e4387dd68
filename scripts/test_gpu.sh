#!/usr/bin/env bash
# On a machine with a GPU: builds the LibTorch module for it, holds its embeddings to transformers' (fp32 and half
# precision, step by step and replayed), and prints a Markdown table of batches with time and memory.
#
#   scripts/test_gpu.sh LIBTORCH [DEVICE]     such as .oracles/lib/python3.11/site-packages/torch cuda:0
#
# BENCH_MODEL names a checkpoint; without it one of 7B's size with random weights is made (2.7 GB on disk).
set -euo pipefail
cd "$(dirname "$0")/.."

device=${2:-cuda}
scripts/build_torch_module.sh "${1:?usage: test_gpu.sh LIBTORCH [DEVICE]}" >&2
cmake --build build/libtorch --target emotion emotion-bench >&2
bin=build/libtorch/bin
EMOTION_TEST_DEVICE=$device "$bin/parity_encoder" "[device]" >&2

model=${BENCH_MODEL:-build/random-7b}
[ -f "$model/config.json" ] || "$bin/emotion" model random "$model" --size 7b >&2
exec python3 bench/encoder_table.py "$bin/emotion-bench" "$model" --device "$device"
