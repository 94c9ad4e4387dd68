// A run as numbers with names, which objectives, tables and JSON share.
//
// Names are [PHASE.][CLASS.]NAME: "p99_ms" of the whole run, "surge.goodput" of a phase,
// "others.p99_ms" and "surge.others.p99_ms" where there is a heavy subject.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/process_usage.h"
#include "bench/load/tally.h"

namespace emotion::bench {

// At one moment of the run.
struct UsageSample {
  Offset time{0};
  ProcessUsage client;
  std::optional<ProcessUsage> server;  // where --server-pid names one
};

struct RunFacts {
  std::string label;
  Offset end{0};                     // when the last answer was in, or given up
  std::vector<UsageSample> samples;  // before connecting, then each second, then at the end
  uint64_t connected = 0;            // sessions, at the begin
  uint64_t cut_off = 0;              // connections that the server or the network ended
};

using Values = std::map<std::string, double>;

// "p99_ms: milliseconds from when ...", one line per NAME, for --help.
std::string ValueNames();

Values MakeValues(const Tally& tally, const RunFacts& facts);

// Markdown tables, for people and documents.
std::string MakeText(const Tally& tally, const RunFacts& facts, const Values& values);

// {"label", "values": {name: number}, "reasons": {phase: {reason: n}}, "seconds": [...]}.
std::string MakeJson(const Tally& tally, const RunFacts& facts, const Values& values);

}  // namespace emotion::bench
