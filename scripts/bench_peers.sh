#!/usr/bin/env bash
# The encoder beside transformers, PyTorch compiled, OpenVINO and ONNX Runtime: same random 7B weights, same threads,
# alternating in one run. Arguments go to bench/peers/compare_encoder.py, such as
#
#   scripts/bench_peers.sh --precision int8 --peers onnxruntime,openvino --batch 1,4 --rounds 5
#
# What the peers exported and quantised stays in build/peers; --make-only makes it and measures nothing. In int8 that
# takes minutes and memory (12 GB for OpenVINO, 17 GB for ONNX Runtime), measuring takes 3 GB. ORACLES names another
# environment than .oracles; BENCH_MODEL another checkpoint.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/oracles.sh >&2
oracles=${ORACLES:-.oracles}
"$oracles/bin/pip" install --quiet --requirement bench/peers/requirements.txt >&2
. bench/encoder_model.sh
exec "$oracles/bin/python" bench/peers/compare_encoder.py "$bin/emotion-bench" "$model" --keep build/peers "$@"
