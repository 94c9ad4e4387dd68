#include "cli/command_line.h"

#include <cstdio>

#include <fmt/format.h>

namespace emotion::cli {

int ParseAndRun(CLI::App& app, Arguments arguments, const std::function<int()>& body) {
  // CLI11 takes the words last first.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return kExitDone;
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "{}: {} (see {} --help)\n", app.get_name(), error.what(), app.get_name());
    return kExitUsage;
  }
  return body();
}

int Fail(std::string_view message) {
  fmt::print(stderr, "emotion: {}\n", message);
  return kExitFailed;
}

}  // namespace emotion::cli
