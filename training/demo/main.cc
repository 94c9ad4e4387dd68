// emotion-train-demo: makes the demo model anew. See training/demo/train_demo.h.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "training/demo/train_demo.h"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto request = emotion::training::ParseTrainDemoArguments(arguments);
  if (!request.ok()) {
    std::fprintf(stderr, "emotion-train-demo: %s\n%s",
                 std::string(request.status().message()).c_str(),
                 emotion::training::kTrainDemoUsage);
    return 2;
  }
  if (request->help) {
    std::fputs(emotion::training::kTrainDemoUsage, stdout);
    return 0;
  }
  try {
    const absl::Status status = emotion::training::TrainDemo(*request);
    if (status.ok()) return 0;
    std::fprintf(stderr, "emotion-train-demo: %s\n", std::string(status.message()).c_str());
  } catch (const std::exception& error) {  // LibTorch's, such as out of memory
    std::fprintf(stderr, "emotion-train-demo: %s\n", error.what());
  }
  return 1;
}
