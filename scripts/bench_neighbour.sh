#!/usr/bin/env bash
# What one busy process on the same cores leaves of the encoder's throughput (bench/neighbour.py, whose flags are taken).
# BENCH_MODEL names a checkpoint; without it one of 7B's size with random weights is made (2.7 GB on disk).
set -euo pipefail
cd "$(dirname "$0")/.."

. bench/encoder_model.sh
exec python3 bench/neighbour.py "$bin/emotion-bench" "$model" "$@"
