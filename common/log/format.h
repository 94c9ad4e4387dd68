// How one log line looks: pure functions of what happened. Used by log.cc.
#pragma once

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>

#include "common/log/log.h"

namespace emotion {

struct LogEvent {
  std::chrono::system_clock::time_point time;
  LogLevel level;
  std::string_view service;
  std::string_view message;
  std::initializer_list<LogField> fields;
  int64_t suppressed = 0;  // lines like this one left out before it
};

// `10:14:03.127 INFO: message key=value`, time in UTC; values with spaces, quotes or control
// characters are quoted, so that a value never looks like another field or line.
std::string FormatText(const LogEvent& event);

// One JSON object; text that is not UTF-8 has its bad bytes replaced, numbers that are not finite
// become null.
std::string FormatJson(const LogEvent& event);

}  // namespace emotion
