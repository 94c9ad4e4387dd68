#!/usr/bin/env bash
# The tests of `make test`, over the release build: C++ first, then the page in a real browser.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/test_page.sh
ctest --preset release -LE slow
