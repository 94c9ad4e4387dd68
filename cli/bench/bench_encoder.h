// Times one encoder beside the peak of its machine, in one process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::cli {

struct BenchOptions {
  std::string model;
  vision::Precision precision = vision::Precision::kFp32;
  std::string device = "cpu";
  int batch = 1;    // faces of 8 x 8 patches
  int threads = 0;  // 0: the cores this process may use
};

struct MachinePeaks {
  double matmul_gflops = 0;    // oneDNN's, at the precision asked for; 0 where it has none
  double register_gflops = 0;  // fp32 multiply-adds on registers
};

// One owner at a time.
class EncoderBench {
 public:
  // Loads the model and encodes once. Errors: those of CreateEncoder.
  static absl::StatusOr<EncoderBench> Load(const BenchOptions& options);

  // The time of one encode of the batch.
  absl::StatusOr<double> EncodeSeconds();

  // The vectors of the faces, which are the same for every model and precision.
  absl::StatusOr<std::vector<std::vector<float>>> Vectors();

  // Takes a second or two.
  MachinePeaks MeasurePeaks() const;

  const std::string& device() const { return encoder_->info().device; }
  int threads() const { return threads_; }
  double operations() const { return operations_; }  // of one encode; see CountOperations
  double load_seconds() const { return load_seconds_; }
  double resident_mib() const { return resident_mib_; }  // of the process with the model loaded
  double most_resident_mib() const { return most_resident_mib_; }  // while it was loaded

 private:
  EncoderBench() = default;

  BenchOptions options_;
  std::unique_ptr<vision::VisionEncoder> encoder_;
  std::vector<vision::Patches> faces_;
  int threads_ = 0;
  double operations_ = 0;
  double load_seconds_ = 0;
  double resident_mib_ = 0;
  double most_resident_mib_ = 0;
};

}  // namespace emotion::cli
