#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/load/report.h"

namespace emotion::bench {
namespace {

constexpr std::string_view kFrameHead =
    "| frames | offered/s | goodput/s | late | superseded | refused | failed | p50 ms | p90 ms | "
    "p99 ms | max ms | age p50 | age p99 | refusal p99 | server cores | client cores |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
constexpr std::string_view kSessionHead =
    "\n| sessions | starved | answers min | median | max | longest gap s |\n"
    "|---|--:|--:|--:|--:|--:|\n";

double Get(const Values& values, const std::string& name) {
  const auto found = values.find(name);
  return found == values.end() ? 0 : found->second;
}

std::string FrameRow(const std::string& title, const std::string& prefix, const Values& values) {
  const auto get = [&](const char* name) { return Get(values, prefix + name); };
  const auto percent = [&](const char* name) { return fmt::format("{:.1f} %", 100 * get(name)); };
  std::string row = fmt::format("| {} | {:.1f} | {:.1f} |", title, get("offered"), get("goodput"));
  for (const char* name : {"late_share", "superseded_share", "refused_share", "failed_share"}) {
    row += fmt::format(" {} |", percent(name));
  }
  for (const char* name :
       {"p50_ms", "p90_ms", "p99_ms", "max_ms", "age_p50_ms", "age_p99_ms", "refuse_p99_ms"}) {
    row += fmt::format(" {:.1f} |", get(name));
  }
  return row + fmt::format(" {:.2f} | {:.2f} |\n", get("server_cpu"), get("client_cpu"));
}

std::string SessionRow(const std::string& title, const std::string& prefix, const Values& values) {
  const auto get = [&](const char* name) { return Get(values, prefix + name); };
  return fmt::format("| {} | {} | {} | {} | {} | {:.2f} |\n", title, get("starved"),
                     get("answers_min"), get("answers_median"), get("answers_max"),
                     get("longest_gap_s"));
}

// The rows of one phase (or of the run): all frames, then by class.
std::string FrameRows(const std::string& title, const std::string& prefix, bool by_class,
                      const Values& values) {
  std::string rows = FrameRow(title, prefix, values);
  if (!by_class) return rows;
  return rows + FrameRow(title + ", heavy", prefix + "heavy.", values) +
         FrameRow(title + ", others", prefix + "others.", values);
}

std::string Reasons(const Tally& tally) {
  std::string out;
  for (const auto& [reason, count] : tally.Sum(tally.plan().phases().size(), Class::kAll).reasons) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, reason);
  }
  return out.empty() ? "none" : out;
}

nlohmann::json SecondsJson(const Tally& tally) {
  auto seconds = nlohmann::json::array();
  for (const Second& second : tally.seconds()) {
    seconds.push_back({{"offered", second.offered},
                       {"in_time", second.in_time},
                       {"refused", second.refused},
                       {"superseded", second.superseded},
                       {"p50_ms", Milliseconds(second.latency.Percentile(0.5))},
                       {"p99_ms", Milliseconds(second.latency.Percentile(0.99))}});
  }
  return seconds;
}

nlohmann::json ReasonsJson(const Tally& tally) {
  nlohmann::json reasons;
  const auto& phases = tally.plan().phases();
  for (size_t i = 0; i < phases.size(); ++i) {
    reasons[phases[i].name] = tally.Sum(i, Class::kAll).reasons;
  }
  return reasons;
}

}  // namespace

std::string MakeText(const Tally& tally, const RunFacts& facts, const Values& values) {
  std::string out;
  if (!facts.label.empty()) out += fmt::format("{}\n\n", facts.label);
  out += kFrameHead;
  const bool by_class = tally.has_heavy();
  for (const Phase& phase : tally.plan().phases()) {
    out += FrameRows(phase.name, phase.name + ".", by_class, values);
  }
  if (tally.plan().phases().size() > 1) out += FrameRows("whole run", "", by_class, values);
  out += kSessionHead;
  out += SessionRow(fmt::format("{} connected", facts.connected), "", values);
  if (by_class)
    out += SessionRow("heavy", "heavy.", values) + SessionRow("others", "others.", values);
  out += fmt::format("\nNot predicted, by reason: {}. Connections lost: {}. ", Reasons(tally),
                     facts.cut_off);
  out += fmt::format("The generator sent 99 % of the frames within {:.1f} ms of their time.\n",
                     Get(values, "send_lag_p99_ms"));
  if (values.contains("server_rss_peak_mb")) {
    out += fmt::format(
        "Resident memory of the server: {:.0f} MiB before, {:.0f} at most, {:.0f} after.\n",
        Get(values, "server_rss_begin_mb"), Get(values, "server_rss_peak_mb"),
        Get(values, "server_rss_end_mb"));
  }
  return out;
}

std::string MakeJson(const Tally& tally, const RunFacts& facts, const Values& values) {
  const nlohmann::json json = {{"label", facts.label},
                               {"values", values},
                               {"reasons", ReasonsJson(tally)},
                               {"seconds", SecondsJson(tally)}};
  return json.dump(1) + "\n";
}

}  // namespace emotion::bench
