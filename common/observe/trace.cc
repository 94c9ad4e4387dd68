#include "common/observe/trace.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "fmt/format.h"

namespace emotion {
namespace {

constexpr size_t kTraceparentSize = 55;  // 2 + 1 + 32 + 1 + 16 + 1 + 2

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(std::string_view text) {
  return IsLowerHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

// Ids must differ, not be secret: a generator per thread, seeded by the system, needs no lock.
uint64_t RandomNonZero() {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  uint64_t value = 0;
  while (value == 0) value = generator();
  return value;
}

std::string RandomId() { return fmt::format("{:016x}", RandomNonZero()); }

}  // namespace

std::optional<TraceContext> ParseTraceparent(std::string_view header) {
  if (header.size() < kTraceparentSize) return std::nullopt;
  const std::string_view version = header.substr(0, 2);
  const std::string_view trace_id = header.substr(3, 32);
  const std::string_view span_id = header.substr(36, 16);
  const std::string_view flags = header.substr(53, 2);
  if (header[2] != '-' || header[35] != '-' || header[52] != '-') return std::nullopt;
  if (!IsLowerHex(version) || version == "ff" || !IsLowerHex(flags)) return std::nullopt;
  if (!IsId(trace_id) || !IsId(span_id)) return std::nullopt;
  if (header.size() > kTraceparentSize && (version == "00" || header[kTraceparentSize] != '-')) {
    return std::nullopt;
  }
  const char low_digit = flags[1];
  const int low = low_digit <= '9' ? low_digit - '0' : low_digit - 'a' + 10;
  return TraceContext{std::string(trace_id), std::string(span_id), (low & 1) != 0};
}

std::string FormatTraceparent(const TraceContext& context) {
  return fmt::format("00-{}-{}-{}", context.trace_id, context.span_id,
                     context.sampled ? "01" : "00");
}

TraceContext NewTrace() { return {RandomId() + RandomId(), RandomId(), false}; }

TraceContext ChildOf(const TraceContext& parent) {
  return {parent.trace_id, RandomId(), parent.sampled};
}

std::string ChildTraceparent(std::string_view incoming) {
  const auto parent = ParseTraceparent(incoming);
  return FormatTraceparent(parent ? ChildOf(*parent) : NewTrace());
}

bool ValidRequestId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

std::string MakeRequestId() { return RandomId(); }

}  // namespace emotion
