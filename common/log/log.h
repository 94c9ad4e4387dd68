// Structured logs of a process: one line per event on stderr, as text for people or JSON for
// collectors.
//
//   LogInfo("request", {{"route", "/v1/predict"}, {"status", 200}, {"duration_ms", 12.3}});
//
//   10:14:03.127 INFO: request route=/v1/predict status=200 duration_ms=12.3
//   {"time":"2025-03-01T10:14:03.127Z","level":"info","msg":"request","service":"gateway",...}
//
// Messages are constant texts; what varies goes into fields. Never log image data, tokens or
// session ids. A warning or error whose message repeats is written at most `kRepeatsPerPeriod`
// times in `kRepeatPeriod`; the next line that gets through says how many were left out
// ("suppressed").
//
// All functions are safe from any thread at any time. A line is written with one write(2); lines
// longer than 16 KiB are cut.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace emotion {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// kAuto: text when stderr is a terminal or journald's socket, else JSON.
enum class LogFormat { kAuto, kText, kJson };

// "debug", "info", "warning", "error" and "auto", "text", "json"; nullopt for any other text.
std::optional<LogLevel> ParseLogLevel(std::string_view name);
std::optional<LogFormat> ParseLogFormat(std::string_view name);

struct LogField {
  template <std::integral T>
  LogField(std::string_view name, T number) : key(name) {
    if constexpr (std::same_as<T, bool>) {
      value = number;
    } else {
      value = static_cast<int64_t>(number);
    }
  }
  LogField(std::string_view name, double number) : key(name), value(number) {}
  LogField(std::string_view name, std::string text) : key(name), value(std::move(text)) {}
  LogField(std::string_view name, std::string_view text) : key(name), value(std::string(text)) {}
  LogField(std::string_view name, const char* text) : key(name), value(std::string(text)) {}

  std::string_view key;  // borrowed: keys are constants
  std::variant<std::string, int64_t, double, bool> value;
};

struct LogOptions {
  LogFormat format = LogFormat::kAuto;
  LogLevel level = LogLevel::kInfo;
  std::string service;  // stands in every JSON line; empty: left out
};

inline constexpr int kRepeatsPerPeriod = 5;
inline constexpr std::chrono::seconds kRepeatPeriod{10};

// Called once from main. Before it lines go to stderr as text, from level info.
void InitLogging(const LogOptions& options);

void LogDebug(std::string_view message, std::initializer_list<LogField> fields = {});
void LogInfo(std::string_view message, std::initializer_list<LogField> fields = {});
void LogWarning(std::string_view message, std::initializer_list<LogField> fields = {});
void LogError(std::string_view message, std::initializer_list<LogField> fields = {});

// Whether LogDebug writes anything: for fields that cost something to make.
bool DebugLogging();

// Sends lines (without the newline) to `sink` instead of stderr, until called with nullptr. For
// tests.
void SetLogSinkForTesting(std::function<void(std::string_view line)> sink);

}  // namespace emotion
