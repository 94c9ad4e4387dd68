#!/usr/bin/env bash
# How well near duplicates are told: hit rates, flipped labels and missed events of the rule in use, of rivals, and of
# holding the last answer, as Markdown. Arguments go to emotion-bench-near: --models DIR and --device for other weights
# than the demo's, --sittings N for fewer frames (the default is 19,000 encodes), --seed N for other sittings.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p build/release
cmake --preset release -DEMOTION_BUILD_BENCH=ON >build/release/configure.log
cmake --build --preset release --target emotion-bench-near >build/release/bench_near.log ||
  { tail -30 build/release/bench_near.log >&2; exit 1; }
exec build/release/bin/emotion-bench-near "$@"
