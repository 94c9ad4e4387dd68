#include "common/log/log.h"

#include <atomic>
#include <cstdlib>
#include <unordered_map>

#include <sys/stat.h>
#include <unistd.h>

#include "common/log/format.h"
#include "common/sync/mutex.h"
#include "common/text/utf8.h"
#include "fmt/format.h"

namespace emotion {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kMaxLineBytes = 16 * 1024;
// More distinct messages than the program has: only there so that a mistake cannot grow memory.
constexpr size_t kMaxRepeatedMessages = 512;

// journald names its socket as "device:inode" in JOURNAL_STREAM (systemd.exec(5)).
bool StderrIsJournal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  return stream != nullptr && fstat(STDERR_FILENO, &status) == 0 &&
         fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

bool WantsJson(LogFormat format) {
  if (format != LogFormat::kAuto) return format == LogFormat::kJson;
  return isatty(STDERR_FILENO) == 0 && !StderrIsJournal();
}

class Logger {
 public:
  void Configure(const LogOptions& options) {
    MutexLock lock(mutex_);
    json_ = WantsJson(options.format);
    service_ = options.service;
    level_.store(options.level, std::memory_order_relaxed);
  }

  bool Writes(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }

  void SetSink(std::function<void(std::string_view)> sink) {
    MutexLock lock(mutex_);
    sink_ = std::move(sink);
    repeats_.clear();
  }

  void Write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
    if (!Writes(level)) return;
    MutexLock lock(mutex_);
    int64_t suppressed = 0;
    if (level >= LogLevel::kWarning && !Admit(message, suppressed)) return;
    const LogEvent event{
        std::chrono::system_clock::now(), level, service_, message, fields, suppressed};
    std::string line = json_ ? FormatJson(event) : FormatText(event);
    if (line.size() > kMaxLineBytes) line = CleanUtf8(line, kMaxLineBytes);
    if (sink_) return sink_(line);
    line.push_back('\n');
    // Nothing can be done about a log that cannot be written.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  }

 private:
  struct Repeats {
    SteadyClock::time_point period_start;
    int written = 0;
    int64_t suppressed = 0;
  };

  bool Admit(std::string_view message, int64_t& suppressed) REQUIRES_LOCK(mutex_) {
    if (repeats_.size() >= kMaxRepeatedMessages) repeats_.clear();
    Repeats& repeats = repeats_[std::string(message)];
    const auto now = SteadyClock::now();
    if (now - repeats.period_start >= kRepeatPeriod) {
      suppressed = repeats.suppressed;
      repeats = {now, 0, 0};
    }
    if (repeats.written >= kRepeatsPerPeriod) {
      ++repeats.suppressed;
      return false;
    }
    ++repeats.written;
    return true;
  }

  std::atomic<LogLevel> level_{LogLevel::kInfo};
  Mutex mutex_;
  bool json_ GUARDED_BY(mutex_) = false;
  std::string service_ GUARDED_BY(mutex_);
  std::function<void(std::string_view)> sink_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, Repeats> repeats_ GUARDED_BY(mutex_);
};

// Never destroyed: threads may log while the process ends.
Logger& TheLogger() {
  static Logger* const logger = new Logger;
  return *logger;
}

}  // namespace

std::optional<LogLevel> ParseLogLevel(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  return std::nullopt;
}

std::optional<LogFormat> ParseLogFormat(std::string_view name) {
  if (name == "auto") return LogFormat::kAuto;
  if (name == "text") return LogFormat::kText;
  if (name == "json") return LogFormat::kJson;
  return std::nullopt;
}

void InitLogging(const LogOptions& options) { TheLogger().Configure(options); }

void LogDebug(std::string_view message, std::initializer_list<LogField> fields) {
  TheLogger().Write(LogLevel::kDebug, message, fields);
}
void LogInfo(std::string_view message, std::initializer_list<LogField> fields) {
  TheLogger().Write(LogLevel::kInfo, message, fields);
}
void LogWarning(std::string_view message, std::initializer_list<LogField> fields) {
  TheLogger().Write(LogLevel::kWarning, message, fields);
}
void LogError(std::string_view message, std::initializer_list<LogField> fields) {
  TheLogger().Write(LogLevel::kError, message, fields);
}

bool DebugLogging() { return TheLogger().Writes(LogLevel::kDebug); }

void SetLogSinkForTesting(std::function<void(std::string_view)> sink) {
  TheLogger().SetSink(std::move(sink));
}

}  // namespace emotion
