// emotion config show: the settings in force and where each comes from.
#include <algorithm>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/verbs.h"
#include "common/config/settings.h"

namespace emotion::cli {
namespace {

int Show(Arguments arguments) {
  const auto settings = Settings::Parse(arguments, ProcessEnvironment(), kAllRoles);
  if (!settings.ok()) {
    fmt::print(stderr, "emotion: {}\n", std::string(settings.status().message()));
    return kExitUsage;
  }
  if (!settings->positionals().empty()) {
    fmt::print(stderr, "emotion: '{}' is no flag\n", settings->positionals().front());
    return kExitUsage;
  }
  if (settings->help()) {
    fmt::print("{}", HelpText(kAllRoles));
    return kExitDone;
  }
  for (const EffectiveSetting& setting : settings->Effective()) {
    fmt::print("{}={}  # {}\n", setting.name, setting.value, setting.source);
  }
  return kExitDone;
}

}  // namespace

int RunConfig(Arguments arguments) {
  if (!arguments.empty() && arguments[0] == "show") return Show(arguments.subspan(1));
  const bool help = !arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h");
  fmt::print(help ? stdout : stderr,
             "usage: emotion config show [FLAG...]\n\nPrints NAME=value of every setting with its "
             "source: a flag, the environment, --config FILE, or the default.\n");
  return help ? kExitDone : kExitUsage;
}

}  // namespace emotion::cli
