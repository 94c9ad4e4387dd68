// A folder with four heads for vectors of any length, written by the product's own writer: numbers
// without a meaning, there so that the classifier does all of its work. Gone with the object.
#pragma once

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"

namespace emotion::bench {

class SmallHeads {
 public:
  static absl::StatusOr<std::unique_ptr<SmallHeads>> Create(int dim);
  ~SmallHeads();
  SmallHeads(const SmallHeads&) = delete;
  SmallHeads& operator=(const SmallHeads&) = delete;

  const std::filesystem::path& root() const { return root_; }  // laid out as MODELS_DIR

 private:
  explicit SmallHeads(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path root_;
};

}  // namespace emotion::bench
