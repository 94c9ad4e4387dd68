# What the scripts of the encoder share; sourced from the root of the sources. Gives $bin and $model: the checkpoint that
# BENCH_MODEL names, or one of 7B's size with random weights, made here when it is not there yet (2.7 GB on disk).

bin=build/release/bin
cmake --build --preset release --target emotion emotion-bench >build/release/bench_build.log
model=${BENCH_MODEL:-build/random-7b}
[ -f "$model/config.json" ] || "$bin/emotion" model random "$model" --size 7b >&2
