#!/usr/bin/env bash
# Runs every fuzz target from its stored inputs, under the address sanitizer (clang's libFuzzer).
# What a fuzzer finds goes into tests/fuzz/corpus/<target>, so that it is never found twice.
#   scripts/fuzz.sh [SECONDS_PER_TARGET]
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
targets=(cache_value image live pth redis request)
scripts/build.sh fuzz "${targets[@]/#/fuzz_}"
for target in "${targets[@]}"; do
  echo "== fuzz_$target for $seconds s"
  mkdir -p "build/fuzz/corpus/$target"
  build/fuzz/bin/"fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target" 2>&1 | tail -8
done
