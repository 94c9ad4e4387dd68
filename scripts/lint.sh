#!/usr/bin/env bash
# Formatting, protocol, layers, static analysis, page sources. Slow only in clang-tidy; name files
# to check just those:  scripts/lint.sh [FILE.cc...]
set -euo pipefail
cd "$(dirname "$0")/.."

buf=scripts/lint/node_modules/.bin/buf

echo "clang-format"
git ls-files '*.h' '*.cc' | xargs clang-format --dry-run --Werror

echo "buf: lint, and no breaking change against the last release (or main)"
$buf lint proto
base=$(git describe --tags --abbrev=0 2>/dev/null || echo main)
if git cat-file -e "$base:proto/buf.yaml" 2>/dev/null; then
  $buf breaking proto --against ".git#ref=$(git rev-parse "$base"),subdir=proto"
fi

echo "include layers"
python3 tests/unit/includes_test.py

echo "page: eslint and tsc"
npm run --silent --prefix tests/web lint

# clang cannot compile LibTorch 1.13's headers in C++20: their users are left out here.
echo "clang-tidy, thread safety"
scripts/build.sh lint emotion_proto
if [ $# -gt 0 ]; then files=("$@"); else
  mapfile -t files < <(git ls-files '*.cc' | grep -vE '^(vision/encoder/torch|training|tests|bench)/')
fi
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 \
  clang-tidy -p build/lint --quiet --extra-arg=-Wthread-safety --extra-arg=-Wno-unknown-warning-option
