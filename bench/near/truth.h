// What the real encoder and the real heads tell of frames: the truth that a cached answer is held
// against.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/near/score.h"
#include "heads/head_bank.h"
#include "vision/encoder/vision_encoder.h"
#include "vision/preprocess/image_preparer.h"

namespace emotion::bench {

struct ToldFrame {
  vision::RgbImage image;  // as the embedding service sees it: decoded and resized
  Telling telling;
  std::vector<float> embedding;
};

// One at a time.
class Teller {
 public:
  struct Options {
    std::filesystem::path models;  // encoder/ and classifiers/
    vision::Precision precision = vision::Precision::kFp32;
    std::string device = "cpu";
  };

  // Errors of the encoder's and the heads' loaders; FAILED_PRECONDITION where they do not fit.
  static absl::StatusOr<std::unique_ptr<Teller>> Create(const Options& options);

  // JPEG files to what they show and what is told of them. Errors of ImagePreparer and encoder.
  absl::StatusOr<std::vector<ToldFrame>> Tell(std::span<const std::string> jpegs);

  // "demo-..., fp32, cpu: oneDNN".
  std::string Description() const;

 private:
  Teller(std::unique_ptr<vision::VisionEncoder> encoder, std::unique_ptr<heads::HeadBank> heads,
         const vision::PreprocessorConfig& config);

  Telling TellingOf(std::span<const float> embedding) const;

  std::unique_ptr<vision::VisionEncoder> encoder_;
  std::unique_ptr<heads::HeadBank> heads_;
  vision::ImagePreparer preparer_;
  vision::PrepareOptions prepare_;
};

}  // namespace emotion::bench
