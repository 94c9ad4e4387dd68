#!/usr/bin/env bash
# Measures this machine and writes what was found into the marked sections of docs/benchmarks.md; text outside the
# markers stays. bench/sections.txt says which sections there are, and what each needs.
#
#   scripts/bench.sh [NAME...]     default: all whose needs are met
#
# Ends with 1 when a section could not be measured; the others are written nevertheless.
set -euo pipefail
cd "$(dirname "$0")/.."

document=docs/benchmarks.md
measured=$(mktemp)
trap 'rm -f "$measured"' EXIT
status=0

# Why a section cannot be measured here; nothing when it can.
unmet() {
  case $1 in
    -) ;;
    oracles) [ -x "${ORACLES:-.oracles}/bin/python" ] || echo "run make oracles, or name an environment in ORACLES" ;;
    models) [ -d "${BENCH_MODELS:-/nowhere}/encoder" ] || echo "name a folder of models in BENCH_MODELS" ;;
    *) echo "bench/sections.txt asks for '$1', which nobody knows" ;;
  esac
}

# measure NAME NEED COMMAND
measure() {
  local why
  why=$(unmet "$2")
  if [ -n "$why" ]; then
    echo "== $1: left out: $why" >&2
    [ ${#wanted[@]} -eq 0 ] || status=1
    return
  fi
  echo "== $1: $3" >&2
  if $3 >"$measured" && python3 scripts/write_section.py "$document" "$1" "$3" <"$measured"; then
    cat "$measured"
  else
    cat "$measured" >&2
    echo "== $1: not written" >&2
    status=1
  fi
}

wanted=("$@")
names=()
while IFS='|' read -r name need command; do
  read -r name <<<"$name"
  read -r need <<<"$need"
  read -r command <<<"$command"
  if [ -z "$name" ] || [ "${name:0:1}" = "#" ]; then continue; fi
  names+=("$name")
  if [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $name "* ]]; then
    measure "$name" "$need" "$command" </dev/null
  fi
done <bench/sections.txt

for name in "${wanted[@]}"; do
  [[ " ${names[*]} " == *" $name "* ]] || { echo "there is no section $name in bench/sections.txt" >&2; exit 2; }
done
exit $status
