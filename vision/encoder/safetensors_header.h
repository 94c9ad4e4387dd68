// The JSON header of a .safetensors file, read event by event: constant memory beside the result,
// whatever the header holds. Internal to safetensors.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "vision/encoder/safetensors.h"

namespace emotion::vision {

struct HeaderEntry {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  int64_t begin = 0;  // offsets into the data after the header; end is exclusive
  int64_t end = 0;
};

// Entries in the order of the header, names unique, every member present exactly once, offsets not
// negative. "__metadata__" (an object of strings) is checked and dropped.
absl::StatusOr<std::vector<HeaderEntry>> ParseSafetensorsHeader(std::string_view json,
                                                                std::string_view source);

}  // namespace emotion::vision
