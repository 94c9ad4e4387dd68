#!/usr/bin/env bash
# Measures the parts of one frame on this machine (Google Benchmark); more arguments go to it, such
# as --benchmark_filter=Encode. BENCH_MODEL=DIR measures another encoder than the demo's.
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release -DEMOTION_BUILD_BENCH=ON >build/release/configure.log
cmake --build --preset release --target bench_parts
build/release/bin/bench_parts "$@"
