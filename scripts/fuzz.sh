#!/usr/bin/env bash
# Runs every fuzz target from its seeds under the address sanitizer (clang's libFuzzer).
#   scripts/fuzz.sh [SECONDS_PER_TARGET]
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
build=build/fuzz
mkdir -p "$build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DEMOTION_FUZZ=ON \
  -DEMOTION_SANITIZER=address -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ >"$build/configure.log"
cmake --build "$build" --target fuzz_targets
for target in "$build"/bin/*_fuzz; do
  name=$(basename "$target")
  echo "== $name for $seconds s"
  mkdir -p "$build/corpus/$name"
  "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    "$build/corpus/$name" "tests/fuzz/seeds/$name" 2>&1 | tail -12
done
