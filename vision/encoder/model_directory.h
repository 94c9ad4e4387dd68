// A Hugging Face directory of an encoder, opened: config, preprocessing and weights that fit
// together.
//
// What every implementation of VisionEncoder starts from, and what `emotion model info` shows.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "vision/encoder/fingerprint.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/vision_encoder.h"
#include "vision/encoder/weights.h"
#include "vision/preprocess/preprocessor_config.h"

namespace emotion::vision {

struct ModelDirectory {
  std::string path;
  ModelConfig config;
  PreprocessorConfig preprocessing;
  Checkpoint checkpoint;
};

// Reads headers only: quick at any size. INVALID_ARGUMENT or NOT_FOUND, naming the file; also where
// preprocessing and tower disagree about patches.
absl::StatusOr<ModelDirectory> OpenModelDirectory(const std::string& path);

// See fingerprint.h; reads every weight once.
Fingerprint ComputeFingerprint(const ModelDirectory& model, int threads = 0);

Fingerprint ComputeFingerprint(const ModelDirectory& model, const TensorDigests& digests);

// The EncoderInfo that follows from the files; fingerprint, precision and device are the
// implementation's to fill.
EncoderInfo DescribeModel(const ModelDirectory& model);

struct FileSummary {
  std::string path;
  int64_t bytes = 0;  // of the file: other parts of a whole model included
};

struct ModelSummary {
  ModelConfig config;
  PreprocessorConfig preprocessing;
  std::string prefix;              // of the tower's tensors: "visual.", "model.visual." or ""
  std::vector<FileSummary> files;  // those that hold the tower
  std::map<std::string, int64_t> dtypes;  // "BF16" -> tensors stored so
  int64_t parameters = 0;
  int64_t bytes = 0;  // of the tower's tensors
  Fingerprint fingerprint = {};
};

// All of it; reads every weight once for the fingerprint.
absl::StatusOr<ModelSummary> SummarizeModel(const std::string& path);

}  // namespace emotion::vision
