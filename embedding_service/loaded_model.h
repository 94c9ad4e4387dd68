// A model in memory, ready to encode: what a loader gives to the server.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "embedding_service/batching/batch_runner.h"
#include "vision/encoder/vision_encoder.h"
#include "vision/preprocess/preprocessor_config.h"

namespace emotion::embedding {

struct LoadedModel {
  std::unique_ptr<vision::VisionEncoder> encoder;
  vision::PreprocessorConfig preprocessor;
  EncoderFactory make_fp32;         // empty where the encoder is fp32 itself
  std::filesystem::path directory;  // where selftest.json may be
  // The same model on further devices; all serve one queue.
  BatchRunner::Encoders on_more_devices = {};
};

// Takes seconds; runs on the server's loading thread.
using ModelLoader = std::function<absl::StatusOr<LoadedModel>()>;

}  // namespace emotion::embedding
