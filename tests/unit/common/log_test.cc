#include "common/log/log.h"

#include <limits>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/log/format.h"
#include "common/text/utf8.h"

namespace emotion {
namespace {

LogEvent Event(std::string_view message, std::initializer_list<LogField> fields) {
  using std::chrono::milliseconds;
  return {std::chrono::system_clock::time_point(milliseconds(1'740'824'043'127)), LogLevel::kInfo,
          "gateway", message, fields};
}

struct CapturedLog {
  CapturedLog() {
    SetLogSinkForTesting([this](std::string_view line) { lines.emplace_back(line); });
  }
  ~CapturedLog() {
    InitLogging({LogFormat::kText, LogLevel::kInfo, ""});
    SetLogSinkForTesting(nullptr);
  }
  std::vector<std::string> lines;
};

}  // namespace

TEST_CASE("a text line has time, level, message and fields") {
  CHECK(FormatText(Event("request", {{"route", "/v1/predict"}, {"status", 200}, {"ok", true}})) ==
        "10:14:03.127 INFO: request route=/v1/predict status=200 ok=true");
}

TEST_CASE("a JSON line is one object with the service's name") {
  CHECK(FormatJson(Event("request", {{"duration_ms", 12.5}, {"status", size_t{200}}})) ==
        R"({"time":"2025-03-01T10:14:03.127Z","level":"info","msg":"request",)"
        R"("service":"gateway","duration_ms":12.5,"status":200})");
}

TEST_CASE("values cannot forge fields or lines") {
  CHECK(FormatText(Event("a\nb", {{"id", "x y=1\n\"z"}})) ==
        R"(10:14:03.127 INFO: a b id="x y=1\u000a\"z")");
  CHECK(FormatText(Event("m", {{"id", ""}})) == "10:14:03.127 INFO: m id=\"\"");
  const std::string json = FormatJson(Event("m", {{"id", "\x01\\\"\xff"}}));
  CHECK(json.find(R"("id":"\u0001\\\")"
                  "\xEF\xBF\xBD\"") != std::string::npos);
}

TEST_CASE("numbers that are not finite are null in JSON") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(FormatJson(Event("m", {{"x", nan}})).find(R"("x":null)") != std::string::npos);
}

TEST_CASE("lines below the level are not written") {
  CapturedLog log;
  InitLogging({LogFormat::kText, LogLevel::kWarning, ""});
  LogInfo("quiet");
  LogDebug("quieter");
  LogError("loud");
  REQUIRE(log.lines.size() == 1);
  CHECK(log.lines[0].find("ERROR: loud") != std::string::npos);
  CHECK_FALSE(DebugLogging());
}

TEST_CASE("a repeating warning is written a few times only, info always") {
  CapturedLog log;
  for (int i = 0; i < 100; ++i) LogWarning("Redis is down");
  CHECK(log.lines.size() == kRepeatsPerPeriod);
  LogWarning("another");
  for (int i = 0; i < 10; ++i) LogInfo("request");
  CHECK(log.lines.size() == kRepeatsPerPeriod + 11);
}

TEST_CASE("a line is cut at 16 KiB") {
  CapturedLog log;
  LogInfo("long", {{"value", std::string(100'000, 'x')}});
  REQUIRE(log.lines.size() == 1);
  CHECK(log.lines[0].size() == 16 * 1024);
}

TEST_CASE("levels and formats parse from their names only") {
  CHECK(ParseLogLevel("warning") == LogLevel::kWarning);
  CHECK_FALSE(ParseLogLevel("WARN"));
  CHECK(ParseLogFormat("json") == LogFormat::kJson);
  CHECK_FALSE(ParseLogFormat(""));
}

TEST_CASE("text becomes valid UTF-8 and is cut between characters") {
  CHECK(CleanUtf8("grün") == "grün");
  CHECK(CleanUtf8("a\xC3") == "a\xEF\xBF\xBD");
  CHECK(CleanUtf8("\xC0\xAF") == "\xEF\xBF\xBD\xEF\xBF\xBD");  // overlong
  CHECK_FALSE(IsUtf8("\xED\xA0\x80"));                         // surrogate
  CHECK_FALSE(IsUtf8("\xF4\x90\x80\x80"));                     // above U+10FFFF
  CHECK(IsUtf8("\xF4\x8F\xBF\xBF"));
  CHECK(CleanUtf8("grün", 3) == "gr");
  CHECK(CleanUtf8("grün", 4) == "grü");
  CHECK(CleanUtf8("", 0).empty());
}

}  // namespace emotion
