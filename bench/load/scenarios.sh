# What the scripts of scenarios share; sourced from the root of the sources.
#
#   read_flags "the scenarios of a plain run" "$@"     [--quick] [--out DIR] [SCENARIO...], or --help
#   build_for_bench TARGET...                          into build/release, its log into $out
#   run_scenarios                                      each by its function scenario_NAME
#
# read_flags gives $quick (empty, or yes), $out (a folder that is there) and $scenarios; --help prints the head of the
# script that sources this.

read_flags() {
  read -ra scenarios <<<"$1"
  shift
  quick=
  out=
  local named=()
  while [ $# -gt 0 ]; do
    case $1 in
      --quick) quick=yes ;;
      --out) out=${2:?--out DIR}; shift ;;
      -h | --help) sed -n '2,/^set/p' "$0" | sed 's/^# \{0,1\}//;/^set/d'; exit 0 ;;
      *) named+=("$1") ;;
    esac
    shift
  done
  [ ${#named[@]} -eq 0 ] || scenarios=("${named[@]}")
  [ -n "$out" ] || out=$(mktemp -d)
  mkdir -p "$out"
}

# full QUICK FULL: the first with --quick.
full() { if [ -n "$quick" ]; then echo "$1"; else echo "$2"; fi; }

table() { python3 bench/load/table.py "$@"; echo; }

build_for_bench() {
  if [ ! -d build/release ] || [ "$(grep -c '^EMOTION_BUILD_BENCH:BOOL=ON' build/release/CMakeCache.txt)" = 0 ]; then
    mkdir -p build/release
    cmake --preset release -DEMOTION_BUILD_BENCH=ON >build/release/configure.log
  fi
  cmake --build --preset release --target "$@" >"$out/build.log" || { tail -30 "$out/build.log" >&2; exit 1; }
}

run_scenarios() {
  local scenario
  for scenario in "${scenarios[@]}"; do
    declare -F "scenario_$scenario" >/dev/null || { echo "there is no scenario $scenario; see --help" >&2; exit 2; }
  done
  for scenario in "${scenarios[@]}"; do "scenario_$scenario"; done
}
