#!/usr/bin/env bash
# The encoder beside transformers, PyTorch compiled, OpenVINO and ONNX Runtime: same random 7B weights, same threads,
# alternating in one run. Arguments go to bench/peers/compare_encoder.py (--batch, --rounds, --precision, --peer).
# ORACLES names another environment than .oracles; BENCH_MODEL another checkpoint.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/oracles.sh >&2
oracles=${ORACLES:-.oracles}
"$oracles/bin/pip" install --quiet --requirement bench/peers/requirements.txt
bin=build/release/bin
model=${BENCH_MODEL:-build/random-7b}
[ -f "$model/config.json" ] || "$bin/emotion" model random "$model" --size 7b
exec "$oracles/bin/python" bench/peers/compare_encoder.py "$bin/emotion-bench" "$model" "$@"
