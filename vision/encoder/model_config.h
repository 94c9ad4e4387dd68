// What a checkpoint's config.json says about its vision tower.
//
// Reads the config.json of a Hugging Face directory: a whole Qwen2.5-VL model (the tower under
// "vision_config") or a bare vision tower (the same keys at the top). A key that is absent has the
// default of transformers' Qwen2_5_VLVisionConfig, because saves leave out what equals it; so the
// defaults below are those, not the sizes of any released model.
//
// The file is not trusted: its size, its nesting and every number are bounded, and repeated keys
// are refused. Errors are INVALID_ARGUMENT (NOT_FOUND when there is no file) and name file and key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace emotion::vision {

struct VisionConfig {
  int depth = 32;                // blocks
  int hidden_size = 3584;        // values of a patch inside the tower (1280 in released models)
  int intermediate_size = 3420;  // width of a block's MLP
  int num_heads = 16;
  int in_channels = 3;
  int patch_size = 14;                                       // pixels a side
  int temporal_patch_size = 2;                               // frames in a patch
  int spatial_merge_size = 2;                                // patches a side of one output token
  int window_size = 112;                                     // pixels a side of an attention window
  int out_hidden_size = 3584;                                // values of an output token
  std::vector<int> fullatt_block_indexes = {7, 15, 23, 31};  // blocks that see the whole frame

  int head_dim() const { return hidden_size / num_heads; }
  // Values of one row of Patches.
  int patch_values() const { return in_channels * temporal_patch_size * patch_size * patch_size; }
  // Patches of one output token ("merge group").
  int merge_unit() const { return spatial_merge_size * spatial_merge_size; }
  // Merge groups a side of one attention window; at least 1.
  int window_groups() const { return window_size / spatial_merge_size / patch_size; }
  bool full_attention(int block) const;

  friend bool operator==(const VisionConfig&, const VisionConfig&) = default;
};

struct ModelConfig {
  VisionConfig vision;
  std::string name;     // "qwen2.5-vl-7b"; for other sizes the last part of "_name_or_path"
  bool demo = false;    // "demo": true
  std::string licence;  // "licence" or "license"; empty when the file does not say
};

// Reads DIRECTORY/config.json.
absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& directory);

// The same from text; `source` is what error messages call it.
absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view json, std::string_view source);

// OK when a tower of these sizes can be computed; else names the key. ParseModelConfig checks it.
absl::Status CheckVisionConfig(const VisionConfig& config, std::string_view source);

// A config.json that ParseModelConfig reads back, and that transformers' AutoConfig accepts.
std::string FormatModelConfig(const ModelConfig& config);

// Every size as "key=value" lines in a fixed order: what the fingerprint covers.
std::string CanonicalText(const VisionConfig& config);

}  // namespace emotion::vision
