// Files of KEY=VALUE lines, read as systemd's EnvironmentFile and Docker's env_file are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace emotion {

struct EnvLine {
  std::string name;
  std::string value;
  int line;  // from 1
};

// Empty lines and those that start with # or ; are skipped, `export ` before a name is ignored.
// Values may stand in single quotes (taken as they are) or double quotes (\" \\ \n \t \$ are read);
// unquoted ones are trimmed and end where " #" starts a comment. A name is [A-Za-z_][A-Za-z0-9_]*.
// Errors name the line.
absl::StatusOr<std::vector<EnvLine>> ParseEnvFile(std::string_view text);

}  // namespace emotion
