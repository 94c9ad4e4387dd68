// How the encoder's checkpoint wants its images: preprocessor_config.json of a Hugging Face
// directory. Part of the model's identity, since other preprocessing gives other embeddings.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "vision/preprocess/smart_resize.h"

namespace emotion::vision {

// The defaults are those of transformers' Qwen2VLImageProcessor.
struct PreprocessorConfig {
  int patch_size = 14;          // pixels
  int temporal_patch_size = 2;  // frames; a still image is repeated
  int merge_size = 2;           // patches a side of one output token
  int64_t min_pixels = 56 * 56;
  int64_t max_pixels = 28 * 28 * 1280;
  double rescale_factor = 1.0 / 255;
  std::array<double, 3> mean = {0.48145466, 0.4578275, 0.40821073};  // R G B, after rescaling
  std::array<double, 3> std = {0.26862954, 0.26130258, 0.27577711};

  // Pixels a side of one output token.
  int factor() const { return patch_size * merge_size; }
  // Values of one row of Patches.
  int patch_values() const { return 3 * temporal_patch_size * patch_size * patch_size; }
  SmartResizeRule resize_rule() const { return {factor(), min_pixels, max_pixels}; }

  friend bool operator==(const PreprocessorConfig&, const PreprocessorConfig&) = default;
};

// Reads preprocessor_config.json, else `image_processor` of processor_config.json, in `directory`;
// the defaults where neither is there. Keys that are absent keep their defaults; min_pixels and
// max_pixels win over size.shortest_edge and size.longest_edge. INVALID_ARGUMENT, naming file and
// key, for what is malformed, out of bounds, or would need another pipeline than ours (do_resize,
// do_rescale or do_normalize false; a resample other than bicubic).
absl::StatusOr<PreprocessorConfig> ReadPreprocessorConfig(const std::filesystem::path& directory);

// The same for the text of one file; `source` names it in messages.
absl::StatusOr<PreprocessorConfig> ParsePreprocessorConfig(const std::string& json,
                                                           const std::string& source);

// One "key=value" line per field, sorted, numbers in their shortest exact form: equal configs give
// equal text whatever file they came from. Goes into the model's fingerprint.
std::string CanonicalText(const PreprocessorConfig& config);

}  // namespace emotion::vision
