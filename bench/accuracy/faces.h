// The faces that encoders are compared on: drawn ones that no demo was trained on, and photos.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "vision/preprocess/image.h"

namespace emotion::bench {

struct FaceOptions {
  std::string model;  // whose preprocessing is used
  int drawn = 64;
  uint64_t seed = 1000;             // of the test split, see training/demo/face_batch.h
  std::vector<std::string> photos;  // files, brought to 112x112 as the service does
};

// Patches of 112x112 pixels each, the photos last. Errors: of files, of images, and
// INVALID_ARGUMENT for a model whose patches do not fit 112 pixels.
absl::StatusOr<std::vector<vision::Patches>> MakeFaces(const FaceOptions& options);

}  // namespace emotion::bench
