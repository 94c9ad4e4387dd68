#!/bin/sh
# Runs a script on the Node that package.json pins (Debian 12's is too old for Playwright and
# ESLint); on a machine that it is not made for, on the system's own.
here=$(dirname "$0")
for pinned in "$here"/node_modules/node-linux-*/bin/node; do
  [ -x "$pinned" ] && exec "$pinned" "$@"
done
exec node "$@"
