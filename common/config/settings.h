// The settings of a process: parsed once at start, then read-only and safe from any thread.
//
// Each is looked for in this order: the flag --batch-size=4 (also `--batch-size 4`, --batch_size;
// booleans also --use-redis and --no-use-redis), the environment EMOTION_BATCH_SIZE, then
// BATCH_SIZE, a line BATCH_SIZE=4 (or EMOTION_BATCH_SIZE=4) of the file that --config names, the
// default. A setting may be given for a role that this process does not have, so that one file and
// one environment serve all processes; as a flag it is refused.
//
// Empty variables and lines count as not set. What is wrong ends the start: Parse returns
// INVALID_ARGUMENT naming the source, the value and the limit, and main exits with 2.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/setting_table.h"

namespace emotion {

struct EffectiveSetting {
  std::string name;
  std::string value;   // "****" for a secret that is set
  std::string source;  // "--batch-size", "EMOTION_BATCH_SIZE", "emotion.env:3", "default"
};

class Settings {
 public:
  // `args` without the program and its verb; `environment` as "NAME=value". `extra` are flags of
  // one command, flag_only; they must outlive the Settings.
  static absl::StatusOr<Settings> Parse(std::span<const std::string> args,
                                        std::span<const std::string> environment, unsigned roles,
                                        std::span<const SettingRow> extra = {});

  // All getters REQUIRE a name of the table (or of `extra`) and a fitting type; a mistake aborts.
  std::string_view String(std::string_view name) const;
  int64_t Int(std::string_view name) const;  // kInteger, kIntegerOrAuto (0: auto), kBytes
  bool Bool(std::string_view name) const;
  double Double(std::string_view name) const;
  // A setting whose name ends with _MS or _S.
  std::chrono::milliseconds Milliseconds(std::string_view name) const;
  std::vector<std::string> List(std::string_view name) const;  // without empty entries

  // The value, or what the file of <NAME>_FILE holds now, without trailing newlines. Empty: not
  // set. Reads the file anew at each call; an error names the file.
  absl::StatusOr<std::string> Secret(std::string_view name) const;

  bool IsSet(std::string_view name) const;  // not the default

  std::span<const std::string> positionals() const { return positionals_; }
  bool help() const { return help_; }
  bool version() const { return version_; }

  // Settings of this process' roles in the order of the table.
  std::vector<EffectiveSetting> Effective() const;

 private:
  friend class SettingsParser;
  struct Value {
    std::string text;
    std::string source;
  };

  const Value& Get(std::string_view name) const;

  unsigned roles_ = kAllRoles;
  std::map<std::string, Value, std::less<>> values_;  // every setting, defaults too
  std::vector<std::string> positionals_;
  bool help_ = false;
  bool version_ = false;
};

// --help for a process of these roles: every setting with its default and meaning.
std::string HelpText(unsigned roles);

// The process' environment as Parse wants it.
std::vector<std::string> ProcessEnvironment();

}  // namespace emotion
