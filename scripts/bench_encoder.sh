#!/usr/bin/env bash
# The encoder beside the peak of its machine (emotion bench encoder): one Markdown table of precisions and batches.
#
#   scripts/bench_encoder.sh [PRECISION...]     default: all that this machine computes
#
# BENCH_MODEL names a checkpoint; without it one of 7B's size with random weights is made (2.7 GB on disk).
set -euo pipefail
cd "$(dirname "$0")/.."

. bench/encoder_model.sh
exec python3 bench/encoder_table.py "$bin/emotion-bench" "$model" "$@"
