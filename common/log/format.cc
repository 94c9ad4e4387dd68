#include "common/log/format.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "common/text/utf8.h"
#include "fmt/format.h"

namespace emotion {
namespace {

struct UtcTime {
  std::tm calendar;
  int64_t milliseconds;
};

UtcTime ToUtc(std::chrono::system_clock::time_point time) {
  const auto since_epoch =
      std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  UtcTime utc{};
  const auto seconds = static_cast<std::time_t>(since_epoch / 1000);
  gmtime_r(&seconds, &utc.calendar);
  utc.milliseconds = since_epoch % 1000;
  return utc;
}

std::string_view LevelLabel(LogLevel level, bool capitals) {
  switch (level) {
    case LogLevel::kDebug:
      return capitals ? "DEBUG" : "debug";
    case LogLevel::kInfo:
      return capitals ? "INFO" : "info";
    case LogLevel::kWarning:
      return capitals ? "WARNING" : "warning";
    case LogLevel::kError:
      return capitals ? "ERROR" : "error";
  }
  return "";
}

void AppendJsonString(std::string_view text, std::string& out) {
  out.push_back('"');
  for (const char c : CleanUtf8(text)) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

bool NeedsQuotes(std::string_view text) {
  return text.empty() || std::any_of(text.begin(), text.end(), [](unsigned char c) {
           return c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F;
         });
}

// Messages stay as they are but for control characters, which could forge a line.
std::string OneLine(std::string_view text) {
  std::string line = CleanUtf8(text);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < ' '; }, ' ');
  return line;
}

struct ValueWriter {
  std::string& out;
  bool json;

  void operator()(const std::string& text) const {
    if (json || NeedsQuotes(text)) {
      AppendJsonString(text, out);
    } else {
      out += CleanUtf8(text);
    }
  }
  void operator()(int64_t number) const { out += std::to_string(number); }
  void operator()(double number) const {
    out += std::isfinite(number) ? fmt::format("{:.6g}", number) : "null";
  }
  void operator()(bool flag) const { out += flag ? "true" : "false"; }
};

}  // namespace

std::string FormatText(const LogEvent& event) {
  const UtcTime utc = ToUtc(event.time);
  std::string line = fmt::format("{:02}:{:02}:{:02}.{:03} {}: {}", utc.calendar.tm_hour,
                                 utc.calendar.tm_min, utc.calendar.tm_sec, utc.milliseconds,
                                 LevelLabel(event.level, true), OneLine(event.message));
  for (const LogField& field : event.fields) {
    line += fmt::format(" {}=", field.key);
    std::visit(ValueWriter{line, false}, field.value);
  }
  if (event.suppressed > 0) line += fmt::format(" suppressed={}", event.suppressed);
  return line;
}

std::string FormatJson(const LogEvent& event) {
  const UtcTime utc = ToUtc(event.time);
  std::string line =
      fmt::format("{{\"time\":\"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z\",\"level\":\"{}\"",
                  utc.calendar.tm_year + 1900, utc.calendar.tm_mon + 1, utc.calendar.tm_mday,
                  utc.calendar.tm_hour, utc.calendar.tm_min, utc.calendar.tm_sec, utc.milliseconds,
                  LevelLabel(event.level, false));
  line += ",\"msg\":";
  AppendJsonString(event.message, line);
  if (!event.service.empty()) {
    line += ",\"service\":";
    AppendJsonString(event.service, line);
  }
  for (const LogField& field : event.fields) {
    line.push_back(',');
    AppendJsonString(field.key, line);
    line.push_back(':');
    std::visit(ValueWriter{line, true}, field.value);
  }
  if (event.suppressed > 0) line += fmt::format(",\"suppressed\":{}", event.suppressed);
  line.push_back('}');
  return line;
}

}  // namespace emotion
