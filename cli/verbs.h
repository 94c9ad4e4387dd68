// The verbs of `emotion` that need neither an encoder nor a server of their own; one file each.
//
// Each takes the words after the verb and returns the exit code: 0 done, 1 failed, 2 wrong usage.
// Errors go to stderr, one line, with what to do.
#pragma once

#include <span>
#include <string>

namespace emotion::cli {

using Arguments = std::span<const std::string>;

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

int RunPredict(Arguments arguments);  // predict.cc
int RunModel(Arguments arguments);    // model.cc
int RunHealth(Arguments arguments);   // health.cc
int RunConfig(Arguments arguments);   // config.cc

}  // namespace emotion::cli
