#include "cli/bench/bench_encoder.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "common/sync/usable_cores.h"
#include "vision/encoder/factory/create_encoder.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/onednn/peak.h"
#include "vision/encoder/work.h"

namespace emotion::cli {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr vision::Grid kFace{1, 8, 8};

// A line of /proc/self/status, such as "VmRSS:   1024 kB"; 0 where there is none.
double StatusMib(std::string_view name) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    double kilobytes = 0;
    if (word == name && file >> kilobytes) return kilobytes / 1024;
  }
  return 0;
}

vision::Patches MakeFace(int patch_values, int number) {
  vision::Patches face{kFace, std::vector<float>(static_cast<size_t>(kFace.patches()) *
                                                 static_cast<size_t>(patch_values))};
  for (size_t i = 0; i < face.rows.size(); ++i) {
    face.rows[i] = std::sin(static_cast<float>(i % 10007) * 0.37F + static_cast<float>(number));
  }
  return face;
}

vision::Element ElementOf(vision::Precision precision) {
  switch (precision) {
    case vision::Precision::kBf16:
      return vision::Element::kBf16;
    case vision::Precision::kInt8:
    case vision::Precision::kMixedInt8:
      return vision::Element::kInt8;
    case vision::Precision::kFp32:
    case vision::Precision::kFp16:
      break;
  }
  return vision::Element::kF32;
}

double MatmulPeak(vision::Precision precision, int threads) {
  const auto peak = vision::MatmulPeakGflops(ElementOf(precision), threads);
  return peak.ok() ? *peak : 0;
}

}  // namespace

absl::StatusOr<EncoderBench> EncoderBench::Load(const BenchOptions& options) {
  EncoderBench bench;
  bench.options_ = options;
  bench.threads_ = options.threads > 0 ? options.threads : UsableCores();
  const auto config = vision::ReadModelConfig(options.model);
  if (!config.ok()) return config.status();
  const std::vector<vision::Grid> grids(static_cast<size_t>(options.batch), kFace);
  const auto operations = vision::CountOperations(config->vision, grids);
  if (!operations.ok()) return operations.status();
  bench.operations_ = *operations;

  const auto loading = steady_clock::now();
  auto encoder = vision::CreateEncoder({.directory = options.model,
                                        .precision = options.precision,
                                        .device = options.device,
                                        .threads = options.threads});
  if (!encoder.ok()) return encoder.status();
  bench.load_seconds_ = duration<double>(steady_clock::now() - loading).count();
  bench.resident_mib_ = StatusMib("VmRSS:");
  bench.most_resident_mib_ = StatusMib("VmHWM:");
  bench.encoder_ = *std::move(encoder);
  for (int i = 0; i < options.batch; ++i) {
    bench.faces_.push_back(MakeFace(bench.encoder_->info().patch_values, i));
  }
  if (const auto first = bench.EncodeSeconds(); !first.ok()) return first.status();
  return bench;
}

absl::StatusOr<std::vector<std::vector<float>>> EncoderBench::Vectors() {
  std::vector<const vision::Patches*> images;
  for (const vision::Patches& face : faces_) images.push_back(&face);
  return encoder_->Encode(images);
}

absl::StatusOr<double> EncoderBench::EncodeSeconds() {
  const auto begin = steady_clock::now();
  const auto vectors = Vectors();
  const double seconds = duration<double>(steady_clock::now() - begin).count();
  if (!vectors.ok()) return vectors.status();
  return seconds;
}

MachinePeaks EncoderBench::MeasurePeaks() const {
  return {.matmul_gflops = MatmulPeak(options_.precision, threads_),
          .register_gflops = vision::RegisterPeakGflops(threads_)};
}

}  // namespace emotion::cli
