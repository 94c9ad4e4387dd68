// The weights of a vision tower, found in a Hugging Face directory and checked against its config.
//
// Takes model.safetensors, or the shards that model.safetensors.index.json names. Only the tower is
// looked at: tensors under "visual." (the original layout), "model.visual." (newer saves), or, in a
// bare tower, all of them. Names below are without the prefix, such as "blocks.0.attn.qkv.weight".
//
// Exactly the tensors of the config must be there, each with its shape and stored as F32, F16 or
// BF16; a missing, unknown, repeated or misshapen one is an error that names tensor, file, what was
// found and what was expected. Names of shards come from a file, so they are plain file names
// inside the directory or an error.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/safetensors.h"

namespace emotion::vision {

// Every tensor of a tower with its shape, sorted by name. `dtype` is left at its default.
std::vector<TensorSpec> TowerTensors(const VisionConfig& config);

class Checkpoint {
 public:
  // Maps the files (see safetensors.h); reads headers only.
  static absl::StatusOr<Checkpoint> Open(const std::string& directory, const VisionConfig& config);

  // The tower's tensors by name without prefix. Views live as long as this object.
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }

  // The tensor must be one of TowerTensors(config).
  const TensorView& tensor(const std::string& name) const { return tensors_.at(name); }

  // Gives the memory of a tensor that was copied elsewhere back to the kernel.
  void Release(const std::string& name) const;

  // "visual.", "model.visual." or "".
  const std::string& prefix() const { return prefix_; }

  // The files that hold the tower, as paths, sorted.
  std::vector<std::string> files() const;

 private:
  // Where each tensor of the directory is said to be: full name -> path.
  using Places = std::map<std::string, std::string>;

  Checkpoint() = default;

  absl::StatusOr<Places> FindTensors(const std::string& directory);
  absl::Status OpenFile(const std::string& path);
  absl::Status Collect(const Places& places, const VisionConfig& config);
  absl::Status Take(const std::string& full, const std::string& path, const TensorSpec& expected);
  absl::Status CheckStrays(const Places& places) const;

  std::string source_;  // the file that says which tensors there are
  std::string prefix_;
  std::map<std::string, std::unique_ptr<SafetensorsFile>> files_;  // by path
  std::map<std::string, const SafetensorsFile*> home_;             // by name without prefix
  std::map<std::string, TensorView> tensors_;                      // by name without prefix
};

}  // namespace emotion::vision
