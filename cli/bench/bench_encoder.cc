#include "cli/bench/bench_encoder.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <sched.h>

#include "vision/encoder/factory/create_encoder.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/onednn/peak.h"
#include "vision/encoder/work.h"

namespace emotion::cli {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr vision::Grid kFace{1, 8, 8};

int UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

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

absl::StatusOr<std::vector<double>> TimeEncodes(vision::VisionEncoder& encoder, int batch,
                                                int runs) {
  std::vector<vision::Patches> faces;
  for (int i = 0; i < batch; ++i) faces.push_back(MakeFace(encoder.info().patch_values, i));
  std::vector<const vision::Patches*> images;
  for (const vision::Patches& face : faces) images.push_back(&face);
  std::vector<double> seconds;
  for (int run = -1; run < runs; ++run) {  // the first one prepares and is not counted
    const auto begin = steady_clock::now();
    const auto vectors = encoder.Encode(images);
    if (!vectors.ok()) return vectors.status();
    if (run >= 0) seconds.push_back(duration<double>(steady_clock::now() - begin).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

double MatmulPeak(vision::Precision precision, int threads) {
  const bool bf16 = precision == vision::Precision::kBf16;
  const auto peak =
      vision::MatmulPeakGflops(bf16 ? vision::Element::kBf16 : vision::Element::kF32, threads);
  return peak.ok() ? *peak : 0;
}

}  // namespace

absl::StatusOr<BenchResult> BenchEncoder(const BenchOptions& options) {
  const auto config = vision::ReadModelConfig(options.model);
  if (!config.ok()) return config.status();
  const std::vector<vision::Grid> grids(static_cast<size_t>(options.batch), kFace);
  const auto operations = vision::CountOperations(config->vision, grids);
  if (!operations.ok()) return operations.status();
  const auto loading = steady_clock::now();
  auto encoder = vision::CreateEncoder({.directory = options.model,
                                        .precision = options.precision,
                                        .device = options.device,
                                        .threads = options.threads});
  if (!encoder.ok()) return encoder.status();

  BenchResult result;
  result.load_seconds = duration<double>(steady_clock::now() - loading).count();
  result.resident_mib = StatusMib("VmRSS:");
  result.most_resident_mib = StatusMib("VmHWM:");
  result.device = (*encoder)->info().device;
  result.threads = options.threads > 0 ? options.threads : UsableCores();
  result.peak_gflops = MatmulPeak(options.precision, result.threads);
  const auto seconds = TimeEncodes(**encoder, options.batch, options.runs);
  if (!seconds.ok()) return seconds.status();
  result.peak_gflops = std::max(result.peak_gflops, MatmulPeak(options.precision, result.threads));
  result.register_peak_gflops = vision::RegisterPeakGflops(result.threads);
  result.ms_per_face = seconds->front() * 1e3 / options.batch;
  result.median_ms_per_face = (*seconds)[seconds->size() / 2] * 1e3 / options.batch;
  result.gflops = *operations / seconds->front() / 1e9;
  return result;
}

}  // namespace emotion::cli
