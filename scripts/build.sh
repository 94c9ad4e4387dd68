#!/usr/bin/env bash
# Configures and builds a preset (CMakePresets.json): release, dev, asan or tsan.
#   scripts/build.sh PRESET [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:?preset}
shift
if [ ! -f "build/$preset/build.ninja" ]; then
  echo "Configuring build/$preset"
  mkdir -p "build/$preset"
  cmake --preset "$preset" >"build/$preset/configure.log" 2>&1 || {
    tail -30 "build/$preset/configure.log" >&2
    exit 1
  }
fi
cmake --build --preset "$preset" ${*:+--target "$@"}
