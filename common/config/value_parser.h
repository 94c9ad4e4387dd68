// Texts of settings turned into values: pure functions, each error naming value and limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/config/setting_table.h"

namespace emotion {

std::optional<bool> ParseBoolean(std::string_view text);
std::optional<int64_t> ParseInteger(std::string_view text);
std::optional<double> ParseNumber(std::string_view text);  // finite
std::optional<int64_t> ParseBytes(std::string_view text);  // "4194304", "4MiB", "4M"
// Entries trimmed, empty ones left out; nullopt for a bracketed form that is not ["a", "b"].
std::optional<std::vector<std::string>> ParseList(std::string_view text);

// Whether `text` is a value of `row`. The message begins with `source`, such as
// "--batch-size must be 1 to 256 or auto; was '0'".
absl::Status CheckValue(const SettingRow& row, std::string_view source, std::string_view text);

}  // namespace emotion
