// The table of all settings of all binaries: what configuration, help and documentation are made
// of.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace emotion {

// Which services read a setting; also what a process is.
enum Roles : unsigned {
  kGatewayRole = 1,
  kClassifierRole = 2,
  kEmbeddingRole = 4,
  kAllRoles = 7,
};

enum class SettingType {
  kText,
  kChoice,         // one of `choices`
  kInteger,        // in [min, max]
  kIntegerOrAuto,  // as kInteger, or "auto", which reads as 0
  kNumber,         // in [min, max], finite
  kBoolean,        // true/false, 1/0, yes/no, on/off, in any case
  kBytes,          // an integer, or one with KiB, MiB, GiB (also K, M, G); [min, max] in bytes
  kList,           // a,b or the form ["a", "b"]
};

struct SettingRow {
  std::string_view name;  // "BATCH_SIZE"; the flag is --batch-size
  SettingType type;
  std::string_view fallback;  // the default; empty: unset
  std::string_view help;      // one sentence
  unsigned roles = kAllRoles;
  double min = 0;
  double max = 0;
  std::string_view choices = {};  // "auto|text|json"
  bool secret = false;            // masked in logs; also read from the file that <NAME>_FILE names
  bool flag_only = false;         // of one command: neither environment nor file set it
};

std::span<const SettingRow> SettingTable();

// The row with this name in capitals; nullptr when there is none.
const SettingRow* FindSetting(std::string_view name);

// The default of `row` in a process of these roles: METRICS_LISTEN depends on them.
std::string_view DefaultOf(const SettingRow& row, unsigned roles);

}  // namespace emotion
