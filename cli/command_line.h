// CLI11 as our verbs use it: exit code 2 for wrong usage, one-line errors.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "cli/verbs.h"

namespace emotion::cli {

// Parses `arguments` into what `app` is bound to, then runs `body` and returns its exit code.
// --help prints and returns 0.
int ParseAndRun(CLI::App& app, Arguments arguments, const std::function<int()>& body);

// "emotion: <message>" on stderr; returns kExitFailed.
int Fail(std::string_view message);

}  // namespace emotion::cli
