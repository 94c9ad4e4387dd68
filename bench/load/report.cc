#include "bench/load/report.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace emotion::bench {
namespace {

constexpr double kMiB = 1 << 20;

struct NameRow {
  std::string_view name;
  std::string_view meaning;
};

constexpr std::array kNames = {
    NameRow{"offered", "frames a second that sessions decided to send"},
    NameRow{"goodput", "predictions a second that came within the deadline"},
    NameRow{"in_time_share", "goodput over offered"},
    NameRow{"late_share", "predictions after the deadline, over offered; so below"},
    NameRow{"exact_share near_share", "answered by the cache, over predictions"},
    NameRow{"cached.share cached.p50_ms cached.p90_ms cached.p99_ms cached.max_ms",
            "of the predictions that the cache answered; encoded.share and so on: of the others"},
    NameRow{"superseded_share", "a newer frame of the session took the place"},
    NameRow{"refused_share", "QUEUE_FULL and RATE_LIMITED"},
    NameRow{"failed_share", "everything else, UNANSWERED and CONNECTION among it"},
    NameRow{"withdrawn_share", "the session cancelled the frame, or left"},
    NameRow{"held_back_share", "not sent to follow the pace, over offered and these"},
    NameRow{"p50_ms p90_ms p99_ms max_ms", "latency of predictions, from when the frame was due"},
    NameRow{"age_p50_ms age_p99_ms", "age of predictions, from when the picture was taken"},
    NameRow{"refuse_p50_ms refuse_p99_ms", "time to a refusal, from when the frame was due"},
    NameRow{"send_lag_p99_ms", "how late the generator sent: its own share of the latency"},
    NameRow{"settle_s", "of a phase: seconds until 99 % of all later frames are in time"},
    NameRow{"starved", "of the run: sessions that never got a prediction"},
    NameRow{"answers_min answers_median answers_max", "of the run: predictions of a session"},
    NameRow{"longest_gap_s", "of the run: the longest that any session went without one"},
    NameRow{"connected cut_off",
            "of the run: sessions at the begin; connections lost against our will"},
    NameRow{"client_cpu server_cpu", "cores in use, of a phase or the run"},
    NameRow{"server_rss_begin_mb server_rss_peak_mb server_rss_end_mb",
            "resident MiB (--server-pid)"},
};

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

double SecondsOf(Offset time) { return std::chrono::duration<double>(time).count(); }

void AddLatency(const std::string& prefix, const LatencyHistogram& latency, Values& values) {
  values[prefix + "p50_ms"] = Milliseconds(latency.Percentile(0.5));
  values[prefix + "p90_ms"] = Milliseconds(latency.Percentile(0.9));
  values[prefix + "p99_ms"] = Milliseconds(latency.Percentile(0.99));
  values[prefix + "max_ms"] = Milliseconds(latency.max());
}

// One of the two ways in which predictions come about.
void AddWay(const std::string& prefix, const LatencyHistogram& way, const Slice& slice,
            Values& values) {
  values[prefix + "share"] = Share(way.count(), slice.latency.count());
  AddLatency(prefix, way, values);
}

void AddSlice(const std::string& prefix, const Slice& slice, double seconds, Values& values) {
  const auto put = [&](const char* name, double value) { values[prefix + name] = value; };
  put("offered", static_cast<double>(slice.offered) / seconds);
  put("goodput", static_cast<double>(slice.in_time) / seconds);
  put("in_time_share", Share(slice.in_time, slice.offered));
  put("late_share", Share(slice.late, slice.offered));
  put("exact_share", Share(slice.exact, slice.in_time + slice.late));
  put("near_share", Share(slice.near, slice.in_time + slice.late));
  put("superseded_share", Share(slice.superseded, slice.offered));
  put("refused_share", Share(slice.refused, slice.offered));
  put("failed_share", Share(slice.failed, slice.offered));
  put("withdrawn_share", Share(slice.withdrawn, slice.offered));
  put("held_back_share", Share(slice.held_back, slice.offered + slice.held_back));
  AddLatency(prefix, slice.latency, values);
  AddWay(prefix + "cached.", slice.cached, slice, values);
  AddWay(prefix + "encoded.", slice.encoded, slice, values);
  put("age_p50_ms", Milliseconds(slice.age.Percentile(0.5)));
  put("age_p99_ms", Milliseconds(slice.age.Percentile(0.99)));
  put("refuse_p50_ms", Milliseconds(slice.refusal.Percentile(0.5)));
  put("refuse_p99_ms", Milliseconds(slice.refusal.Percentile(0.99)));
  put("send_lag_p99_ms", Milliseconds(slice.send_lag.Percentile(0.99)));
}

void AddSpread(const std::string& prefix, const SessionSpread& spread, Values& values) {
  values[prefix + "starved"] = static_cast<double>(spread.starved);
  values[prefix + "answers_min"] = static_cast<double>(spread.least);
  values[prefix + "answers_median"] = static_cast<double>(spread.median);
  values[prefix + "answers_max"] = static_cast<double>(spread.most);
  values[prefix + "longest_gap_s"] = SecondsOf(spread.longest_gap);
}

// Cores in use between the samples nearest to `begin` and `end`.
void AddCpu(const std::string& prefix, const RunFacts& facts, Offset begin, Offset end,
            Values& values) {
  const auto at = [&](Offset time) {
    return std::find_if(facts.samples.begin(), facts.samples.end() - 1,
                        [&](const UsageSample& sample) { return sample.time >= time; });
  };
  if (facts.samples.size() < 2) return;
  const UsageSample& first = *at(begin);
  const UsageSample& last = *at(end);
  const double seconds = SecondsOf(last.time - first.time);
  if (seconds <= 0) return;
  values[prefix + "client_cpu"] = (last.client.cpu - first.client.cpu).count() / seconds;
  if (first.server && last.server) {
    values[prefix + "server_cpu"] = (last.server->cpu - first.server->cpu).count() / seconds;
  }
}

void AddMemory(const RunFacts& facts, Values& values) {
  uint64_t peak = 0;
  for (const UsageSample& sample : facts.samples) {
    if (sample.server) peak = std::max(peak, sample.server->resident_bytes);
  }
  if (peak == 0) return;
  const auto mib = [](uint64_t bytes) { return static_cast<double>(bytes) / kMiB; };
  const auto& first = facts.samples.front().server;
  const auto& last = facts.samples.back().server;
  values["server_rss_peak_mb"] = mib(peak);
  if (first) values["server_rss_begin_mb"] = mib(first->resident_bytes);
  if (last) values["server_rss_end_mb"] = mib(last->resident_bytes);
}

void AddScope(const std::string& prefix, const Tally& tally, size_t phase, double seconds,
              Values& values) {
  AddSlice(prefix, tally.Sum(phase, Class::kAll), seconds, values);
  if (!tally.has_heavy()) return;
  AddSlice(prefix + "heavy.", tally.Sum(phase, Class::kHeavy), seconds, values);
  AddSlice(prefix + "others.", tally.Sum(phase, Class::kOthers), seconds, values);
}

}  // namespace

std::string ValueNames() {
  std::string out;
  for (const NameRow& row : kNames) out += fmt::format("  {}\n      {}\n", row.name, row.meaning);
  return out;
}

Values MakeValues(const Tally& tally, const RunFacts& facts) {
  Values values;
  const PhasePlan& plan = tally.plan();
  const size_t phases = plan.phases().size();
  for (size_t i = 0; i < phases; ++i) {
    const std::string prefix = plan.phases()[i].name + ".";
    AddScope(prefix, tally, i, SecondsOf(plan.phases()[i].length), values);
    AddCpu(prefix, facts, plan.Begin(i), plan.Begin(i + 1), values);
    values[prefix + "settle_s"] = tally.SecondsToSettle(i);
  }
  AddScope("", tally, phases, SecondsOf(plan.total()), values);
  AddCpu("", facts, Offset(0), plan.total(), values);
  AddMemory(facts, values);
  AddSpread("", tally.Spread(Class::kAll, facts.end), values);
  if (tally.has_heavy()) {
    AddSpread("heavy.", tally.Spread(Class::kHeavy, facts.end), values);
    AddSpread("others.", tally.Spread(Class::kOthers, facts.end), values);
  }
  values["connected"] = static_cast<double>(facts.connected);
  values["cut_off"] = static_cast<double>(facts.cut_off);
  return values;
}

}  // namespace emotion::bench
