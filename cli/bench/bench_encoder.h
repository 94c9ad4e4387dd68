// Measures one encoder beside the peak of its machine, in one run.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::cli {

struct BenchOptions {
  std::string model;
  vision::Precision precision = vision::Precision::kFp32;
  std::string device = "cpu";
  int batch = 1;    // faces of 8 x 8 patches
  int threads = 0;  // 0: the cores this process may use
  int runs = 7;     // the fastest counts
};

struct BenchResult {
  std::string device;
  int threads = 0;
  double load_seconds = 0;       // weights and fingerprint
  double resident_mib = 0;       // of the process once the model is loaded
  double most_resident_mib = 0;  // while it was loaded
  double ms_per_face = 0;        // of the fastest run
  double median_ms_per_face = 0;
  double gflops = 0;
  double peak_gflops = 0;           // oneDNN's matmul at this precision; 0 where it has none
  double register_peak_gflops = 0;  // fp32 multiply-adds on registers
};

// Loads the model, then times; the peaks are measured before and after, the higher counts. Errors:
// those of CreateEncoder.
absl::StatusOr<BenchResult> BenchEncoder(const BenchOptions& options);

}  // namespace emotion::cli
