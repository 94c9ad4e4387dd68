#!/usr/bin/env bash
# What the way through gateway and services costs a saturated encoder, and what cached answers then cost: the whole
# system beside the bare encoder, in turns, in one run. Arguments go to bench/load/saturation.py (--rounds, --seconds,
# --batch, --precision). BENCH_MODELS: a MODELS_DIR with an
# encoder of real size.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=build/release/bin
cmake --preset release -DEMOTION_BUILD_BENCH=ON >build/release/configure.log
cmake --build --preset release --target emotion-bench-load emotion-bench-stack >build/release/bench_build.log
exec python3 bench/load/saturation.py "$bin" "${BENCH_MODELS:?a folder with encoder/ and classifiers/}" "$@"
