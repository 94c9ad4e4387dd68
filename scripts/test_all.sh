#!/usr/bin/env bash
# The slow proofs: everything of `make test`, then slow tests, sanitizers, fuzzing, and the
# independent clients and reference implementations (Python, see scripts/oracles.sh).
#
#   scripts/test_all.sh [STEP...]     steps: test slow load asan tsan fuzz oracles; default: all
set -euo pipefail
cd "$(dirname "$0")/.."

oracles=${ORACLES:-.oracles}
bin=build/release/bin

step_test() {
  scripts/build.sh release
  scripts/test.sh
}

step_slow() {
  ctest --preset release -L slow
}

# The whole system under sessions of webcams, for seconds: what it promises under load still holds.
step_load() {
  scripts/bench_load.sh --quick
  scripts/bench_near.sh --sittings 1
}

# Programs of ours stay in release: the page and the whole-system test run there.
step_asan() {
  scripts/build.sh asan
  ctest --preset asan -LE 'slow|system'
}

# LibTorch's OpenMP barriers are invisible to the thread sanitizer: its users are left out.
step_tsan() {
  scripts/build.sh tsan
  ctest --preset tsan -LE 'slow|system|torch'
}

step_fuzz() {
  scripts/fuzz.sh 60
}

step_oracles() {
  "$oracles/bin/python" tests/parity/embed_oracle.py "$bin/emotion"
  local written
  written=$(mktemp -d)
  HEADS_WRITE_DIR=$written "$bin/unit_heads" "what is saved is loaded*"
  "$oracles/bin/python" tests/parity/check_written_head.py "$written"
  "$oracles/bin/python" tests/interop/run_grpcio_client.py "$bin/emotion"
  "$oracles/bin/python" tests/interop/websockets_client.py "$bin/emotion"
}

steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(test slow load asan tsan fuzz oracles)
for step in "${steps[@]}"; do
  echo "== $step"
  "step_$step"
done
echo "All of ${steps[*]} passed"
