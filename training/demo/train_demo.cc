#include "training/demo/train_demo.h"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string_view>

#include "training/demo/demo_check.h"
#include "training/demo/demo_files.h"
#include "training/demo/demo_network.h"

namespace emotion::training {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kProgressFaces = 256;  // of the validation split, judged on the way
constexpr int kJudgeEvery = 250;        // steps
constexpr size_t kValidationFaces = 2000;
constexpr size_t kTestFaces = 2000;

template <class Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

absl::Status BadValue(const std::string& flag, const std::string& value) {
  return absl::InvalidArgumentError(flag + ": '" + value + "' is not a number in its range");
}

absl::Status Apply(const std::string& flag, const std::string& value, TrainDemoRequest& request) {
  if (flag == "--output") {
    request.output = value;
    return absl::OkStatus();
  }
  const auto number = ParseNumber<uint64_t>(value);
  if (!number || (flag != "--seed" && *number > 10'000'000)) return BadValue(flag, value);
  if (flag == "--seed") {
    request.training.seed = *number;
  } else if (flag == "--minutes") {
    request.training.time_limit = std::chrono::minutes(*number);
  } else if (flag == "--steps") {
    if (*number == 0) return BadValue(flag, value);
    request.training.steps = static_cast<int>(*number);
  } else {
    return absl::InvalidArgumentError("unknown argument " + flag);
  }
  return absl::OkStatus();
}

class ProgressPrinter {
 public:
  ProgressPrinter(const DemoNetwork& network, uint64_t seed)
      : network_(network), seed_(seed), start_(Clock::now()) {}

  void operator()(const TrainProgress& progress) {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    const double left = progress.done > 0 ? seconds / progress.done - seconds : 0;
    std::printf("step %5d  loss %.4f  %3.0f %% done, about %.0f s left%s\n", progress.step,
                progress.loss, 100 * std::min(progress.done, 1.0), std::max(left, 0.0),
                progress.hurried ? " (slow machine: shortened to end in time)" : "");
    if (progress.step % kJudgeEvery == 0) Judge();
    std::fflush(stdout);
  }

 private:
  void Judge() const {
    std::printf("      macro-F1 on faces not trained on:");
    const auto fits = FitHeads(network_, seed_, kProgressFaces);
    for (size_t state = 0; state < kStateCount; ++state) {
      const std::string_view name = StateName(kStates[state]);
      std::printf(" %.*s %.3f", static_cast<int>(name.size()), name.data(), fits[state].val_f1);
    }
    std::printf("\n");
  }

  const DemoNetwork& network_;
  uint64_t seed_;
  Clock::time_point start_;
};

void PrintEvaluation(const DemoEvaluation& evaluation) {
  std::printf("%zu faces of the test split, read back from the files:\n", evaluation.faces);
  for (size_t state = 0; state < kStateCount; ++state) {
    const LevelScore& score = evaluation.states[state];
    const std::string_view name = StateName(kStates[state]);
    std::printf(
        "  %-12.*s macro-F1 %.3f  accuracy %.3f  (always the commonest level: %.3f, %.3f)\n",
        static_cast<int>(name.size()), name.data(), score.f1_macro, score.accuracy,
        score.majority_f1_macro, score.majority_accuracy);
  }
}

}  // namespace

absl::StatusOr<TrainDemoRequest> ParseTrainDemoArguments(std::span<const std::string> arguments) {
  TrainDemoRequest request;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--help") {
      request.help = true;
      continue;
    }
    std::string flag = arguments[i];
    std::string value;
    if (const size_t equals = flag.find('='); equals != std::string::npos) {
      value = flag.substr(equals + 1);
      flag.resize(equals);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return absl::InvalidArgumentError("unknown argument or no value: " + flag);
    }
    if (absl::Status applied = Apply(flag, value, request); !applied.ok()) return applied;
  }
  return request;
}

absl::Status TrainDemo(const TrainDemoRequest& request) {
  const vision::Patchifier patchifier{vision::PreprocessorConfig{}};
  DemoNetwork network = MakeDemoNetwork(DemoConfig(), request.training.seed);
  ProgressPrinter printer(network, request.training.seed);
  Train(network, request.training, patchifier, printer);

  RoundTowerToBf16(network);
  if (absl::Status s = WriteEncoder(network, request.output); !s.ok()) return s;
  const auto fits = FitHeads(network, request.training.seed, kValidationFaces);
  if (absl::Status s = WriteHeads(network, fits, request.output); !s.ok()) return s;
  if (absl::Status s = WriteSelfTest(request.training.seed, request.output); !s.ok()) return s;
  const auto evaluation = EvaluateDemo(request.output, request.training.seed, kTestFaces);
  if (!evaluation.ok()) return evaluation.status();
  PrintEvaluation(*evaluation);
  return WriteEvaluation(*evaluation, request.training, request.output);
}

}  // namespace emotion::training
