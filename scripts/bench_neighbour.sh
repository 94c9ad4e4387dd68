#!/usr/bin/env bash
# What one busy process on the same cores leaves of the encoder's throughput (bench/neighbour.py, whose flags are taken).
# BENCH_MODEL names a checkpoint; without it one of 7B's size with random weights is made (2.7 GB on disk).
set -euo pipefail
cd "$(dirname "$0")/.."

bin=build/release/bin
cmake --build --preset release --target emotion emotion-bench >build/release/bench_build.log
model=${BENCH_MODEL:-build/random-7b}
[ -f "$model/config.json" ] || "$bin/emotion" model random "$model" --size 7b >&2
exec python3 bench/neighbour.py "$bin/emotion-bench" "$model" "$@"
