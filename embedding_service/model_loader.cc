#include "embedding_service/model_loader.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/progress/loading_progress.h"
#include "vision/encoder/factory/create_encoder.h"

namespace emotion::embedding {
namespace {

// auto is the CPU: a GPU is asked for by name.
std::string ResolveDevice(const std::string& device) { return device == "auto" ? "cpu" : device; }

// One precision for all devices, or their embeddings would differ: the older GPU decides.
absl::StatusOr<vision::Precision> HalfPrecisionOfAll(const std::vector<std::string>& devices) {
  using enum vision::Precision;
  vision::Precision half = kBf16;
  for (const std::string& device : devices) {
    const auto mine = vision::HalfPrecisionOn(ResolveDevice(device));
    if (!mine.ok()) return mine.status();
    if (half != kFp32 && *mine != kBf16) half = *mine;
  }
  return half;
}

// Shows on the way how much is loaded.
absl::StatusOr<std::unique_ptr<vision::VisionEncoder>> CreateAndTell(
    vision::EncoderOptions options) {
  LoadingProgress progress("loading the encoder");
  options.progress = [&](double share) { progress.Show(share); };
  return vision::CreateEncoder(options);
}

}  // namespace

vision::Precision ChoosePrecision(const EmbeddingOptions& options, vision::Precision half) {
  if (options.precision) return *options.precision;
  return options.use_fp16 ? half : vision::Precision::kFp32;
}

absl::StatusOr<LoadedModel> LoadModel(const EmbeddingOptions& options) {
  const std::filesystem::path directory = options.models.encoder();
  if (absl::Status there = RequireModelFile(directory / "config.json", "the encoder");
      !there.ok()) {
    return there;
  }
  auto preprocessor = vision::ReadPreprocessorConfig(directory);
  if (!preprocessor.ok()) return preprocessor.status();

  vision::EncoderOptions wanted{.directory = directory.string(),
                                .precision = vision::Precision::kFp32,
                                .device = ResolveDevice(options.devices.front())};
  const vision::EncoderOptions fp32 = wanted;
  const auto half = HalfPrecisionOfAll(options.devices);
  if (!half.ok()) return half.status();
  wanted.precision = ChoosePrecision(options, *half);
  auto encoder = CreateAndTell(wanted);
  if (!encoder.ok()) return encoder.status();
  if (absl::Status demo = CheckDemo(options.models, (*encoder)->info().demo, "the encoder");
      !demo.ok()) {
    return demo;
  }

  LoadedModel model{.encoder = *std::move(encoder),
                    .preprocessor = *preprocessor,
                    .make_fp32 = {},
                    .directory = directory,
                    .on_more_devices = {}};
  if (wanted.precision != vision::Precision::kFp32) {
    model.make_fp32 = [fp32] { return vision::CreateEncoder(fp32); };
  }
  for (size_t i = 1; i < options.devices.size(); ++i) {
    wanted.device = ResolveDevice(options.devices[i]);
    auto another = CreateAndTell(wanted);
    if (!another.ok()) return another.status();
    model.on_more_devices.push_back(*std::move(another));
  }
  return model;
}

}  // namespace emotion::embedding
