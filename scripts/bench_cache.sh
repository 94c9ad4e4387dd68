#!/usr/bin/env bash
# What a cache hit costs, as users see it: one Markdown table per scenario. Ends with 1 when an
# objective was missed. Needs wrk and redis-server.
#
#   scripts/bench_cache.sh [--quick] [--out DIR] [SCENARIO...]
#
#   latency  exact and near hits, 50 posts a second, out of the process and when only Redis has them: percentiles of the
#            hits alone; what was encoded among them has a row of its own
#   hits     hits per second beside an echo through the same hops, for one process and for three
#   flush    FLUSHALL while hits keep the encoder at 70 %: paced, refused politely, no collapse
#
# --quick runs each for seconds. DIR gets logs and all numbers. On a machine that does other things as well run it
# under `chrt --rr 1`, as root.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=build/release/bin
image=tests/data/images/astronaut_face.jpg
. bench/load/scenarios.sh
read_flags "latency hits flush" "$@"
missed=0
pids=()
export EMOTION_SESSION_SECRET="of a benchmark, not secret" EMOTION_CACHE_SECRET="of a benchmark, not secret"

# start NAME COMMAND...: in the background; its first line on stdout, once it is there, is $line.
start() {
  local name=$1
  shift
  : >"$out/$name.out"
  "$@" >"$out/$name.out" 2>"$out/$name.log" &
  pids+=($!)
  for _ in $(seq 300); do
    [ ! -s "$out/$name.out" ] || break
    kill -0 "${pids[-1]}" || { tail -3 "$out/$name.log" >&2; exit 1; }
    sleep 0.05
  done
  line=$(head -1 "$out/$name.out")
}
stop_all() {
  [ ${#pids[@]} = 0 ] || { kill -INT "${pids[@]}" || true; wait "${pids[@]}" || true; } 2>/dev/null
  pids=()
}
trap stop_all EXIT

# The address behind a word of $line.
address() { sed -n "s/.*$1 \(http:\/\/\)\{0,1\}\([^ ,)]*\).*/\2/p" <<<"$line" | sed 's/localhost/127.0.0.1/'; }

start_serve() {
  start "$1" "$bin/emotion" serve --api-host=127.0.0.1 --api-port=0 --embedding-listen=127.0.0.1:0 \
    --classifier-listen=127.0.0.1:0 "${@:2}"
  host=$(address open)
}
start_redis() {
  redis=$out/redis.sock
  rm -f "$redis"
  redis-server --port 0 --unixsocket "$redis" --save '' --appendonly no --dir "$out" >"$out/redis.log" &
  pids+=($!)
  until redis-cli -s "$redis" ping >"$out/ping" 2>&1; do sleep 0.05; done
}

# load NAME ARGUMENT...: one run of the generator against $host.
load() {
  local name=$1
  shift
  "$bin/emotion-bench-load" --target "$host" --json "$out/$name.json" "$@" >"$out/$name.md" || {
    sed -n "s/^\(MISSED\|NOT JUDGED\)/\1 in $name/p" "$out/$name.md"
    missed=1
  }
}

# pair NAME P50 P99: exact and near hits against $host.
pair() {
  local phases=(--phase name=warm,seconds=2 --phase "name=hits,seconds=$(full 4 14)")
  local reach=(--objective "hits.cached.p50_ms<=$(full 1000 "$2")"
    --objective "hits.cached.p99_ms<=$(full 1000 "$3")" --objective 'hits.failed_share<=0')
  load "$1_exact" --sessions 50 --repeat-share 1 "${phases[@]}" "${reach[@]}" --objective 'hits.exact_share>=0.999'
  load "$1_near" --sessions 50 --near-share 1 "${phases[@]}" "${reach[@]}" --objective 'hits.near_share>=0.95'
}

scenario_latency() {
  start_serve latency_serve
  pair process 1 5
  stop_all
  start_serve latency_miss --cache-similarity-threshold=1
  load miss --sessions 50 --phase "seconds=$(full 3 10)"
  stop_all
  start_redis
  start_serve latency_redis --cache-bytes=0 --use-redis=true "--redis-host=$redis"
  pair redis 2 8
  stop_all
  start latency_echo "$bin/emotion-bench-echo"
  host=$(address ready:)
  load echo --sessions 50 --phase "seconds=$(full 3 10)"
  stop_all
  echo "### Hits at 50 posts a second (demo model, one process)"
  echo
  table --columns share p50_ms p90_ms p99_ms max_ms --rows \
    "exact, in process: $out/process_exact.json hits.cached" "near, in process: $out/process_near.json hits.cached" \
    "encoded among the near: $out/process_near.json hits.encoded" \
    "exact, only Redis has it: $out/redis_exact.json hits.cached" \
    "near, only Redis has it: $out/redis_near.json hits.cached" \
    "encoded among the near: $out/redis_near.json hits.encoded" \
    "no hit: $out/miss.json encoded" "an echo, the hops alone: $out/echo.json cached"
}

scenario_hits() {
  start_serve hits_one
  local one=$host
  start echo_one "$bin/emotion-bench-echo"
  local echo_one=$(address ready:)
  start hits_embedding "$bin/emotion-embedding" --embedding-listen=127.0.0.1:0 --metrics-listen=127.0.0.1:0
  start hits_classifier "$bin/emotion-classifier" --classifier-listen=127.0.0.1:0 --metrics-listen=127.0.0.1:0 \
    --embedding-targets="$(address grpc)"
  start hits_gateway "$bin/emotion-gateway" --api-host=127.0.0.1 --api-port=0 --classifier-targets="$(address grpc)"
  local three=$(address open)
  start echo_embedding "$bin/emotion-bench-echo" --part embedding
  start echo_classifier "$bin/emotion-bench-echo" --part classifier --embedding-target "$(address ready:)"
  start echo_gateway "$bin/emotion-gateway" --api-host=127.0.0.1 --api-port=0 --classifier-targets="$(address ready:)"
  local echo_three=$(address open)
  echo "### Hits per second (wrk, 16 connections, a face of 5 KB), beside an echo through the same hops"
  echo
  python3 bench/cache/hits.py --image "$image" --rounds "$(full 1 5)" --seconds "$(full 2 4)" \
    --at-least "$(full 0 0.7)" "one process: $one $echo_one" "three processes: $three $echo_three" || missed=1
  echo
  stop_all
}

# 1200 frames a second of which 0.77 repeat: 276 encodes a second where 400 can be done.
scenario_flush() {
  start_redis
  start flush_stack "$bin/emotion-bench-stack" --encode-ms 20 --batch 8 --redis "$redis"
  host=$(address gateway)
  (sleep 8.5; redis-cli -s "$redis" flushall >"$out/flushed") &
  load flush --sessions 600 --fps 2 --arrivals poisson --repeat-share 0.77 --phase name=warm,seconds=3 \
    --phase name=before,seconds=5 \
    --phase name=after,seconds="$(full 4 10)" --objective 'after.failed_share<=0.02' --objective 'after.settle_s<=5'
  stop_all
  echo "### FLUSHALL at 70 % of the encoder (1200 posts a second, deadline 1 s)"
  echo
  table --columns offered goodput exact_share late_share refused_share failed_share p50_ms p99_ms refuse_p99_ms settle_s \
    --rows "before: $out/flush.json before" "from then on: $out/flush.json after"
}

build_for_bench emotion emotion-serve emotion-embedding emotion-classifier emotion-gateway \
  emotion-bench-load emotion-bench-stack emotion-bench-echo
run_scenarios
echo "Machine: $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg). Numbers of each run: $out"
exit $missed
