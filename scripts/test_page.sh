#!/usr/bin/env bash
# Tests of the page: its modules alone, then all of it in Chromium with a fake camera, against a
# system that is started here on a free port. Leaves a picture of the page in build/page.png.
#
#   scripts/test_page.sh [PLAYWRIGHT ARGUMENT...]     for example: -g 'four faces'
#   PAGE_URL=http://localhost:8000 scripts/test_page.sh     tests a system that runs already
set -euo pipefail
cd "$(dirname "$0")/.."

log=build/test_page.log
server=""

stop_server() {
  [ -n "$server" ] || return 0
  kill -INT "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
}

# Browsers lend their camera to https and to the local machine only: the address becomes 127.0.0.1.
printed_address() {
  sed -nE 's#.* is ready: open (https?://)[^/ ]+:([0-9]+).*#\1127.0.0.1:\2#p' "$log" | head -n 1
}

start_server() {
  mkdir -p build
  build/release/bin/emotion serve --api-port 0 \
    --embedding-listen 127.0.0.1:0 --classifier-listen 127.0.0.1:0 >"$log" 2>&1 &
  server=$!
  trap stop_server EXIT
  for _ in $(seq 300); do
    PAGE_URL=$(printed_address || true)
    if [ -n "$PAGE_URL" ] && curl -fsS -o /dev/null "$PAGE_URL/health/ready" 2>/dev/null; then
      export PAGE_URL
      return
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.2
  done
  echo "emotion serve did not become ready:" >&2
  tail -n 20 "$log" >&2
  exit 1
}

node web/vendor.mjs
npm run --silent --prefix tests/web unit
[ -n "${PAGE_URL:-}" ] || start_server
npm run --silent --prefix tests/web page -- "$@"
