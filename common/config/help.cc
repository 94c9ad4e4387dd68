#include <algorithm>
#include <string>

#include "common/config/settings.h"
#include "fmt/format.h"

namespace emotion {
namespace {

constexpr size_t kWidth = 92;
constexpr std::string_view kIndent = "      ";

std::string ValueHint(const SettingRow& row) {
  switch (row.type) {
    case SettingType::kText:
      return "TEXT";
    case SettingType::kChoice:
      return std::string(row.choices);
    case SettingType::kInteger:
      return fmt::format("{:.0f}..{:.0f}", row.min, row.max);
    case SettingType::kIntegerOrAuto:
      return fmt::format("auto|{:.0f}..{:.0f}", row.min, row.max);
    case SettingType::kNumber:
      return fmt::format("{}..{}", row.min, row.max);
    case SettingType::kBoolean:
      return "true|false";
    case SettingType::kBytes:
      return "BYTES";
    case SettingType::kList:
      return "A,B,...";
  }
  return "";
}

std::string Flag(std::string_view name) {
  std::string flag = "--";
  for (const char c : name) {
    const bool capital = c >= 'A' && c <= 'Z';
    flag.push_back(c == '_' ? '-' : capital ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return flag;
}

// Words of `text` in indented lines.
std::string Wrapped(std::string_view text) {
  std::string lines(kIndent);
  size_t column = kIndent.size();
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    if (column + word.size() > kWidth) {
      lines.append("\n").append(kIndent);
      column = kIndent.size();
    }
    lines.append(word).append(" ");
    column += word.size() + 1;
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  lines.back() = '\n';
  return lines;
}

}  // namespace

std::string HelpText(unsigned roles) {
  std::string text =
      "Every setting is a flag, an environment variable or a line of a file; the first that is "
      "set\n"
      "counts: --batch-size=4, EMOTION_BATCH_SIZE=4, BATCH_SIZE=4, BATCH_SIZE=4 in the file of\n"
      "--config FILE, the default. Secrets can also stand in the file that <NAME>_FILE names.\n\n";
  for (const SettingRow& row : SettingTable()) {
    if ((row.roles & roles) == 0) continue;
    const std::string_view fallback = DefaultOf(row, roles);
    text += fmt::format("  {}={}   [{}]\n", Flag(row.name), ValueHint(row),
                        fallback.empty() ? "unset" : fallback);
    text += Wrapped(row.help);
  }
  text += "\n  --config=FILE, --help, --version\n";
  return text;
}

}  // namespace emotion
