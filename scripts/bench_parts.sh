#!/usr/bin/env bash
# Measures the parts of one frame on this machine (Google Benchmark) and prints one Markdown table. Arguments go to
# Google Benchmark, such as --benchmark_filter=Encode. BENCH_MODEL=DIR measures another encoder than the demo's.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p build/release
cmake --preset release -DEMOTION_BUILD_BENCH=ON >build/release/configure.log
cmake --build --preset release --target bench_parts >build/release/bench_build.log
build/release/bin/bench_parts --benchmark_format=json --benchmark_repetitions=5 \
  --benchmark_enable_random_interleaving=true "$@" 2>/dev/null | python3 bench/parts_table.py
