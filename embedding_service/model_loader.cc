#include "embedding_service/model_loader.h"

#include <string>
#include <utility>

#include "vision/encoder/factory/create_encoder.h"

namespace emotion::embedding {
namespace {

// auto is the CPU: a GPU is asked for by name.
std::string ResolveDevice(const std::string& device) { return device == "auto" ? "cpu" : device; }

}  // namespace

CpuFeatures CpuFeatures::OfThisMachine() { return {.bf16 = vision::CpuComputesBf16()}; }

vision::Precision ChoosePrecision(const EmbeddingOptions& options, std::string_view device,
                                  const CpuFeatures& cpu) {
  if (options.precision) return *options.precision;
  const bool half_is_sound = device.starts_with("cuda") || cpu.bf16;
  return options.use_fp16 && half_is_sound ? vision::Precision::kBf16 : vision::Precision::kFp32;
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
  wanted.precision = ChoosePrecision(options, wanted.device, CpuFeatures::OfThisMachine());
  auto encoder = vision::CreateEncoder(wanted);
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
    auto another = vision::CreateEncoder(wanted);
    if (!another.ok()) return another.status();
    model.on_more_devices.push_back(*std::move(another));
  }
  return model;
}

}  // namespace emotion::embedding
