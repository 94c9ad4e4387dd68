#include "common/config/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>

#include <unistd.h>

#include "common/config/env_file.h"
#include "common/config/near_miss.h"
#include "common/config/value_parser.h"
#include "common/error/error.h"
#include "common/text/utf8.h"
#include "fmt/format.h"

namespace emotion {
namespace {

constexpr std::string_view kPrefix = "EMOTION_";
constexpr std::string_view kFileSuffix = "_FILE";
constexpr size_t kMaxFileBytes = 1 << 20;

absl::StatusOr<std::string> ReadSmallFile(std::string_view source, const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream.is_open() || stream.bad()) {
    return FieldError(source, fmt::format("cannot read the file '{}'", CleanUtf8(path, 200)));
  }
  if (text.size() > kMaxFileBytes) {
    return FieldError(source, fmt::format("the file '{}' is larger than {} bytes",
                                          CleanUtf8(path, 200), kMaxFileBytes));
  }
  return text;
}

std::string FlagOf(std::string_view name) {
  std::string flag = "--";
  for (const char c : name) {
    flag.push_back(c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  return flag;
}

std::string NameOfFlag(std::string_view flag) {
  std::string name;
  for (const char c : flag) {
    name.push_back(c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  }
  return name;
}

// Kubernetes describes every Service of the namespace to every pod: a Service called "emotion-web"
// gives EMOTION_WEB_SERVICE_HOST, EMOTION_WEB_PORT=tcp://..., EMOTION_WEB_PORT_80_TCP_ADDR.
bool IsServiceLink(std::string_view name, std::string_view value) {
  return name.find("_SERVICE_HOST") != std::string_view::npos ||
         name.find("_SERVICE_PORT") != std::string_view::npos ||
         name.find("_TCP") != std::string_view::npos ||
         (name.ends_with("_PORT") && value.find("://") != std::string_view::npos);
}

}  // namespace

// Fills a Settings source by source, from the weakest to the strongest.
class SettingsParser {
 public:
  SettingsParser(unsigned roles, std::span<const SettingRow> extra) : extra_(extra) {
    settings_.roles_ = roles;
    for (const SettingRow& row : SettingTable()) {
      settings_.values_[std::string(row.name)] = {std::string(DefaultOf(row, roles)), "default"};
      if (row.secret) settings_.values_[std::string(row.name) + "_FILE"] = {"", "default"};
    }
    for (const SettingRow& row : extra) {
      settings_.values_[std::string(row.name)] = {std::string(row.fallback), "default"};
    }
  }

  absl::StatusOr<Settings> Parse(std::span<const std::string> args,
                                 std::span<const std::string> environment) {
    if (absl::Status status = ReadFlags(args); !status.ok()) return status;
    if (absl::Status status = ReadConfigFile(environment); !status.ok()) return status;
    if (absl::Status status = ReadEnvironment(environment, false); !status.ok()) return status;
    if (absl::Status status = ReadEnvironment(environment, true); !status.ok()) return status;
    for (const auto& [name, value] : flags_) settings_.values_[name] = value;
    if (absl::Status status = CheckSecrets(); !status.ok()) return status;
    return std::move(settings_);
  }

 private:
  // The row of `name`, or of the secret whose _FILE it is.
  const SettingRow* RowOf(std::string_view name) const {
    for (const SettingRow& row : extra_) {
      if (row.name == name) return &row;
    }
    if (const SettingRow* row = FindSetting(name)) return row;
    if (!name.ends_with(kFileSuffix)) return nullptr;
    const SettingRow* row = FindSetting(name.substr(0, name.size() - kFileSuffix.size()));
    return row != nullptr && row->secret ? row : nullptr;
  }

  bool IsMine(const SettingRow& row) const { return (row.roles & settings_.roles_) != 0; }

  static absl::Status Check(const SettingRow& row, std::string_view name, std::string_view source,
                            std::string_view value) {
    if (name != row.name) return absl::OkStatus();  // the path of a secret's file
    return CheckValue(row, source, value);
  }

  absl::Status Unknown(std::string_view source, std::string_view name) const {
    std::vector<std::string_view> known;
    for (const auto& entry : settings_.values_) known.push_back(entry.first);
    const std::string_view nearest = NearMiss(name, known);
    if (nearest.empty()) return FieldError(source, "is no setting; --help lists them");
    const bool is_flag = source.starts_with("--");
    const std::string better = is_flag                       ? FlagOf(nearest)
                               : source.starts_with(kPrefix) ? fmt::format("{}{}", kPrefix, nearest)
                                                             : std::string(nearest);
    return FieldError(source, fmt::format("is no setting; did you mean {}?", better));
  }

  absl::Status ReadFlags(std::span<const std::string> args) {
    for (size_t i = 0; i < args.size(); ++i) {
      const std::string_view arg = args[i];
      if (arg == "--") {
        settings_.positionals_.insert(settings_.positionals_.end(), args.begin() + i + 1,
                                      args.end());
        break;
      }
      if (arg == "--help" || arg == "-h") {
        settings_.help_ = true;
      } else if (arg == "--version") {
        settings_.version_ = true;
      } else if (arg.starts_with("--")) {
        if (absl::Status status = ReadFlag(args, i); !status.ok()) return status;
      } else if (arg.size() > 1 && arg.starts_with('-')) {
        return FieldError(CleanUtf8(arg, 80), "is no flag; flags start with --");
      } else {
        settings_.positionals_.emplace_back(arg);
      }
    }
    return absl::OkStatus();
  }

  struct FlagTarget {
    const SettingRow* row;
    std::string name;
    bool negated = false;  // --no-use-redis
  };

  FlagTarget TargetOf(std::string_view flag) const {
    std::string name = NameOfFlag(flag);
    if (name == "CONFIG") return {&ConfigRow(), name};
    if (const SettingRow* row = RowOf(name)) return {row, name};
    if (!name.starts_with("NO_")) return {nullptr, name};
    const SettingRow* row = RowOf(name.substr(3));
    if (row == nullptr || row->type != SettingType::kBoolean) return {nullptr, name};
    return {row, name.substr(3), true};
  }

  // Reads args[i], and args[i + 1] where that is its value.
  absl::Status ReadFlag(std::span<const std::string> args, size_t& i) {
    const std::string_view arg = args[i];
    const size_t equals = arg.find('=');
    const bool has_value = equals != std::string_view::npos;
    const std::string source = CleanUtf8(arg.substr(0, equals), 80);
    const FlagTarget target = TargetOf(arg.substr(0, equals).substr(2));
    if (target.row == nullptr) return Unknown(source, target.name);
    if (!IsMine(*target.row)) return FieldError(source, "is a setting of another service");
    std::string value;
    if (target.row->type == SettingType::kBoolean && !has_value) {
      value = target.negated ? "false" : "true";
    } else if (target.negated) {
      return FieldError(source, "takes no value");
    } else if (has_value) {
      value = arg.substr(equals + 1);
    } else if (i + 1 < args.size()) {
      value = args[++i];
    } else {
      return FieldError(source, "needs a value");
    }
    if (absl::Status s = Check(*target.row, target.name, source, value); !s.ok()) return s;
    flags_[target.name] = {value, source};
    return absl::OkStatus();
  }

  static const SettingRow& ConfigRow() {
    static constexpr SettingRow row = {.name = "CONFIG",
                                       .type = SettingType::kText,
                                       .fallback = "",
                                       .help = "File of KEY=VALUE lines.",
                                       .flag_only = true};
    return row;
  }

  absl::Status ReadConfigFile(std::span<const std::string> environment) {
    Settings::Value config;
    for (const std::string& variable : environment) {
      constexpr std::string_view kVariable = "EMOTION_CONFIG=";
      if (variable.starts_with(kVariable)) {
        config = {variable.substr(kVariable.size()), "EMOTION_CONFIG"};
      }
    }
    if (const auto flag = flags_.find("CONFIG"); flag != flags_.end()) {
      config = flag->second;
      flags_.erase(flag);
    }
    if (config.text.empty()) return absl::OkStatus();
    const absl::StatusOr<std::string> text = ReadSmallFile(config.source, config.text);
    if (!text.ok()) return text.status();
    const absl::StatusOr<std::vector<EnvLine>> lines = ParseEnvFile(*text);
    if (!lines.ok()) {
      return FieldError(config.text, FromAbsl(lines.status().message()));
    }
    // EMOTION_X wins over X here too, whatever their order.
    for (const bool prefixed : {false, true}) {
      for (const EnvLine& line : *lines) {
        if (line.name.starts_with(kPrefix) != prefixed) continue;
        const std::string source = fmt::format("{}:{}", config.text, line.line);
        if (absl::Status s = ReadVariable(line.name, line.value, source, true); !s.ok()) return s;
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadEnvironment(std::span<const std::string> environment, bool prefixed) {
    for (const std::string& variable : environment) {
      const size_t equals = variable.find('=');
      const std::string name = variable.substr(0, equals);
      if (equals == std::string::npos || name.starts_with(kPrefix) != prefixed) continue;
      if (absl::Status status = ReadVariable(name, variable.substr(equals + 1), name, false);
          !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  // `full_name` may have the prefix. A strange name without it is somebody else's: in a file it is
  // refused only when it looks like a slip of the pen, in the environment never.
  absl::Status ReadVariable(std::string_view full_name, const std::string& value,
                            const std::string& source, bool in_file) {
    const bool prefixed = full_name.starts_with(kPrefix);
    const std::string_view name = prefixed ? full_name.substr(kPrefix.size()) : full_name;
    if (full_name == "EMOTION_CONFIG") {
      return absl::OkStatus();
    }
    const SettingRow* row = RowOf(name);
    if (row == nullptr || row->flag_only) {
      if (prefixed && IsServiceLink(full_name, value)) return absl::OkStatus();
      const std::string where =
          in_file ? fmt::format("{}: {}", source, full_name) : std::string(full_name);
      const absl::Status unknown = Unknown(CleanUtf8(where, 200), name);
      const bool slip = FromAbsl(unknown.message()).find("did you mean") != std::string_view::npos;
      return prefixed || (in_file && slip) ? unknown : absl::OkStatus();
    }
    if (value.empty()) return absl::OkStatus();
    const std::string where =
        in_file ? fmt::format("{}: {}", source, full_name) : std::string(full_name);
    if (absl::Status status = Check(*row, name, where, value); !status.ok()) return status;
    settings_.values_[std::string(name)] = {value, source};
    return absl::OkStatus();
  }

  // A secret's file must be readable and hold a fitting secret now, not at its first use.
  absl::Status CheckSecrets() const {
    for (const SettingRow& row : SettingTable()) {
      if (!row.secret || !IsMine(row)) continue;
      const std::string file_name = std::string(row.name) + "_FILE";
      const Settings::Value& file = settings_.values_.at(file_name);
      if (file.text.empty()) continue;
      if (!settings_.values_.at(std::string(row.name)).text.empty()) {
        return FieldError(row.name, fmt::format("and {} are both set; set one", file_name));
      }
      const absl::StatusOr<std::string> secret = settings_.Secret(row.name);
      if (!secret.ok()) return secret.status();
      if (absl::Status status = CheckValue(row, file_name, *secret); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  static std::string_view FromAbsl(absl::string_view text) { return {text.data(), text.size()}; }

  std::span<const SettingRow> extra_;
  Settings settings_;
  std::map<std::string, Settings::Value, std::less<>> flags_;
};

absl::StatusOr<Settings> Settings::Parse(std::span<const std::string> args,
                                         std::span<const std::string> environment, unsigned roles,
                                         std::span<const SettingRow> extra) {
  return SettingsParser(roles, extra).Parse(args, environment);
}

const Settings::Value& Settings::Get(std::string_view name) const {
  const auto value = values_.find(name);
  if (value == values_.end()) std::abort();  // a mistake in our code, not in the configuration
  return value->second;
}

std::string_view Settings::String(std::string_view name) const { return Get(name).text; }

int64_t Settings::Int(std::string_view name) const {
  const std::string& text = Get(name).text;
  return text == "auto" ? 0 : ParseBytes(text).value_or(0);
}

bool Settings::Bool(std::string_view name) const {
  return ParseBoolean(Get(name).text).value_or(false);
}

double Settings::Double(std::string_view name) const {
  return ParseNumber(Get(name).text).value_or(0);
}

std::chrono::milliseconds Settings::Milliseconds(std::string_view name) const {
  const int64_t number = Int(name);
  return std::chrono::milliseconds(name.ends_with("_MS") ? number : number * 1000);
}

std::vector<std::string> Settings::List(std::string_view name) const {
  return ParseList(Get(name).text).value_or(std::vector<std::string>{});
}

absl::StatusOr<std::string> Settings::Secret(std::string_view name) const {
  const std::string file_name = std::string(name) + "_FILE";
  const std::string& path = Get(file_name).text;
  if (path.empty()) return Get(name).text;
  absl::StatusOr<std::string> secret = ReadSmallFile(file_name, path);
  if (!secret.ok()) return secret;
  while (!secret->empty() && (secret->back() == '\n' || secret->back() == '\r')) secret->pop_back();
  if (secret->empty()) return FieldError(file_name, fmt::format("the file '{}' is empty", path));
  return secret;
}

bool Settings::IsSet(std::string_view name) const { return Get(name).source != "default"; }

std::vector<EffectiveSetting> Settings::Effective() const {
  std::vector<EffectiveSetting> effective;
  for (const SettingRow& row : SettingTable()) {
    if ((row.roles & roles_) == 0) continue;
    Value value = Get(row.name);
    if (row.secret) {
      const Value& file = Get(std::string(row.name) + "_FILE");
      const bool set = !value.text.empty() || !file.text.empty();
      if (!file.text.empty()) value.source = file.source;
      value.text = set ? "****" : "";
    }
    effective.push_back({std::string(row.name), value.text, value.source});
  }
  return effective;
}

std::vector<std::string> ProcessEnvironment() {
  std::vector<std::string> environment;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  return environment;
}

}  // namespace emotion
