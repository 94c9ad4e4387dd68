#include "heads/head_bank.h"

#include <string_view>
#include <utility>

#include "fmt/format.h"
#include "heads/calibration.h"
#include "heads/head_checkpoint.h"
#include "heads/head_digest.h"
#include "heads/heads_json.h"
#include "heads/mlp_head.h"

namespace emotion::heads {
namespace {

using Checkpoints = std::array<HeadCheckpoint, kStateCount>;

std::string FileName(State state) { return fmt::format("mlp_{}_best.pth", StateName(state)); }

absl::StatusOr<Checkpoints> LoadCheckpoints(const std::filesystem::path& directory) {
  const auto overrides = LoadHeadsJson(directory);
  if (!overrides.ok()) return overrides.status();
  Checkpoints checkpoints;
  for (State state : kStates) {
    const auto index = static_cast<size_t>(state);
    auto checkpoint = LoadHeadCheckpoint(directory / FileName(state), (*overrides)[index]);
    if (!checkpoint.ok()) return checkpoint.status();
    checkpoints[index] = *std::move(checkpoint);
  }
  return checkpoints;
}

std::string FingerprintText(const std::optional<Fingerprint>& fingerprint) {
  return fingerprint ? FormatFingerprint(*fingerprint) : "none";
}

// One embedding goes to all four heads, so they must come from one encoder and one image size.
absl::Status CheckAgreement(const Checkpoints& checkpoints) {
  const HeadCheckpoint& first = checkpoints.front();
  for (State state : kStates) {
    const HeadCheckpoint& head = checkpoints[static_cast<size_t>(state)];
    const auto disagree = [&](std::string_view what, const std::string& found,
                              const std::string& expected) {
      return absl::InvalidArgumentError(fmt::format("{}: {} is {}; {} has {}", FileName(state),
                                                    what, found, FileName(kStates.front()),
                                                    expected));
    };
    if (head.network.input_dim() != first.network.input_dim()) {
      return disagree("input_dim", std::to_string(head.network.input_dim()),
                      std::to_string(first.network.input_dim()));
    }
    if (head.input_size != first.input_size) {
      return disagree("input_size",
                      fmt::format("{}x{}", head.input_size.width, head.input_size.height),
                      fmt::format("{}x{}", first.input_size.width, first.input_size.height));
    }
    if (head.encoder_fingerprint != first.encoder_fingerprint) {
      return disagree("encoder_fingerprint", FingerprintText(head.encoder_fingerprint),
                      FingerprintText(first.encoder_fingerprint));
    }
  }
  return absl::OkStatus();
}

HeadInfo InfoOf(State state, const HeadCheckpoint& head) {
  return {.state = state,
          .file = FileName(state),
          .val_f1 = head.val_f1,
          .input_dim = static_cast<int>(head.network.input_dim()),
          .input_width = head.input_size.width,
          .input_height = head.input_size.height,
          .encoder_fingerprint = head.encoder_fingerprint,
          .calibration_method = head.calibration.method,
          .temperature = head.calibration.temperature,
          .calibration_bias = head.calibration.bias,
          .calibration_prior = head.calibration.prior,
          .crop = head.crop,
          .demo = head.demo,
          .licence = head.licence};
}

HeadPrediction Predict(const MlpHead& head, const Calibration& calibration,
                       std::span<const float> embedding) {
  const LevelArray logits = CalibratedLogits(head.Forward(embedding), calibration);
  const LevelArray probabilities = Softmax(logits);
  HeadPrediction prediction;
  prediction.level = MostProbableLevel(logits);
  for (size_t level = 0; level < kLevelCount; ++level) {
    prediction.probabilities[level] = static_cast<float>(probabilities[level]);
  }
  prediction.confidence = prediction.probabilities[static_cast<size_t>(prediction.level)];
  prediction.expected_level = static_cast<float>(ExpectedLevel(probabilities));
  return prediction;
}

}  // namespace

struct HeadBank::Impl {
  std::vector<MlpHead> heads;  // in the order of kStates, as the next two
  std::array<Calibration, kStateCount> calibrations;
  std::array<HeadInfo, kStateCount> infos;
  Fingerprint digest;
};

absl::StatusOr<std::unique_ptr<HeadBank>> HeadBank::Load(const std::filesystem::path& directory) {
  auto checkpoints = LoadCheckpoints(directory);
  if (!checkpoints.ok()) return checkpoints.status();
  if (absl::Status status = CheckAgreement(*checkpoints); !status.ok()) return status;
  auto impl = std::make_unique<Impl>();
  impl->digest = DigestHeads(*checkpoints);
  for (State state : kStates) {
    const auto index = static_cast<size_t>(state);
    const HeadCheckpoint& checkpoint = (*checkpoints)[index];
    auto head = MlpHead::Create(checkpoint.network);
    if (!head.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("{}: {}", FileName(state), std::string(head.status().message())));
    }
    impl->heads.push_back(*std::move(head));
    impl->calibrations[index] = checkpoint.calibration;
    impl->infos[index] = InfoOf(state, checkpoint);
  }
  return std::unique_ptr<HeadBank>(new HeadBank(std::move(impl)));
}

HeadBank::HeadBank(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HeadBank::~HeadBank() = default;

int HeadBank::input_dim() const { return impl_->infos.front().input_dim; }

size_t HeadBank::multiply_adds() const {
  size_t sum = 0;
  for (const MlpHead& head : impl_->heads) sum += head.multiply_adds();
  return sum;
}

const Fingerprint& HeadBank::digest() const { return impl_->digest; }
const std::array<HeadInfo, kStateCount>& HeadBank::infos() const { return impl_->infos; }

bool HeadBank::demo() const {
  for (const HeadInfo& info : impl_->infos) {
    if (info.demo) return true;
  }
  return false;
}

HeadPredictions HeadBank::Classify(std::span<const float> embedding) const {
  HeadPredictions predictions;
  for (size_t i = 0; i < kStateCount; ++i) {
    predictions[i] = Predict(impl_->heads[i], impl_->calibrations[i], embedding);
  }
  return predictions;
}

}  // namespace emotion::heads
