// `emotion`: one command for people and scripts. Finds the verb and runs it; verbs that link
// servers or an encoder are programs of their own (emotion-<verb>, beside this one), which it
// becomes.
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/verbs.h"
#include "common/install/shared_files.h"

namespace emotion::cli {
namespace {

struct Verb {
  std::string_view name;
  std::string_view help;
  int (*run)(Arguments);  // nullptr: the program emotion-<name>
};

constexpr std::array kVerbs = {
    Verb{"serve", "run the whole system in one process and print its address", nullptr},
    Verb{"predict", "score images: one JSON line per image", RunPredict},
    Verb{"embed", "encode images into a .npy array of vectors", nullptr},
    Verb{"model", "look into a model folder, or make one of random weights", RunModel},
    Verb{"bench", "measure the encoder against what this machine can do", nullptr},
    Verb{"health", "ask a running system how it is", RunHealth},
    Verb{"config", "show the settings in force and where each comes from", RunConfig},
};

void PrintUsage(std::FILE* out) {
  fmt::print(out, "usage: emotion VERB [--help] ...\n\n");
  for (const Verb& verb : kVerbs) fmt::print(out, "  {:<8} {}\n", verb.name, verb.help);
  fmt::print(out, "\nStart with `emotion serve`, then `emotion predict face.jpg`.\n");
}

int Become(std::string_view verb, char** arguments) {
  const std::string program =
      (ThisProgram().parent_path() / fmt::format("emotion-{}", verb)).string();
  execv(program.c_str(), arguments);
  fmt::print(stderr, "emotion: cannot run {}: {}\n", program, std::strerror(errno));
  return kExitFailed;
}

int Main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") {
    PrintUsage(stdout);
    return kExitDone;
  }
  if (name == "--version") {
    fmt::print("emotion {}\n", EMOTION_VERSION);
    return kExitDone;
  }
  for (const Verb& verb : kVerbs) {
    if (verb.name != name) continue;
    if (verb.run == nullptr) return Become(name, argv + 1);
    return verb.run(std::vector<std::string>(argv + 2, argv + argc));
  }
  if (!name.empty()) fmt::print(stderr, "emotion: no verb '{}'\n\n", name);
  PrintUsage(stderr);
  return kExitUsage;
}

}  // namespace
}  // namespace emotion::cli

int main(int argc, char** argv) { return emotion::cli::Main(argc, argv); }
