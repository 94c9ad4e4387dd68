// emotion bench encoder --model DIR: how fast the encoder is, and how fast it could be here.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/bench/bench_encoder.h"
#include "cli/command_line.h"

namespace emotion::cli {
namespace {

void PrintText(const BenchOptions& options, const BenchResult& result) {
  fmt::print("{} in {}, batch {}\n", result.device, vision::PrecisionName(options.precision),
             options.batch);
  fmt::print("  loaded in         {:.2f} s; resident {:.0f} MiB, at most {:.0f} MiB\n",
             result.load_seconds, result.resident_mib, result.most_resident_mib);
  fmt::print("  a face            {:.2f} ms (fastest of {}; median {:.2f} ms)\n",
             result.ms_per_face, options.runs, result.median_ms_per_face);
  fmt::print("  arithmetic        {:.1f} GFLOP/s\n", result.gflops);
  if (result.peak_gflops > 0) {
    fmt::print("  matmul peak       {:.1f} GFLOP/s, share {:.2f}\n", result.peak_gflops,
               result.gflops / result.peak_gflops);
  }
  fmt::print("  register peak     {:.1f} GFLOP/s (fp32)\n", result.register_peak_gflops);
}

void PrintJson(const BenchOptions& options, const BenchResult& result) {
  const nlohmann::ordered_json line = {
      {"precision", vision::PrecisionName(options.precision)},
      {"batch", options.batch},
      {"threads", result.threads},
      {"ms_per_face", result.ms_per_face},
      {"median_ms_per_face", result.median_ms_per_face},
      {"gflops", result.gflops},
      {"peak_gflops", result.peak_gflops},
      {"share_of_peak", result.peak_gflops > 0 ? result.gflops / result.peak_gflops : 0},
      {"register_peak_gflops", result.register_peak_gflops},
      {"load_seconds", result.load_seconds},
      {"resident_mib", result.resident_mib},
      {"most_resident_mib", result.most_resident_mib},
      {"device", result.device}};
  fmt::print("{}\n", line.dump());
}

int Bench(BenchOptions options, const std::string& precision, bool json) {
  const auto parsed = vision::ParsePrecision(precision);
  if (!parsed) {
    fmt::print(stderr, "emotion: --precision must be fp32, bf16 or fp16; was {}\n", precision);
    return kExitUsage;
  }
  options.precision = *parsed;
  const auto result = BenchEncoder(options);
  if (!result.ok()) return Fail(std::string(result.status().message()));
  json ? PrintJson(options, *result) : PrintText(options, *result);
  return kExitDone;
}

int Main(Arguments words) {
  BenchOptions options;
  std::string precision = "fp32";
  bool json = false;
  CLI::App app("Measures parts of the system against what this machine can do.", "emotion bench");
  app.require_subcommand(1);
  CLI::App& encoder = *app.add_subcommand(
      "encoder", "one encode of faces, beside the machine's matmul peak in the same run");
  encoder.add_option("--model", options.model, "folder of the encoder (a Hugging Face directory)")
      ->required();
  encoder.add_option("--precision", precision, "fp32, bf16 or fp16")->capture_default_str();
  encoder.add_option("--device", options.device, "cpu, torch-cpu, cuda or cuda:N")
      ->capture_default_str();
  encoder.add_option("--batch", options.batch, "faces of 112x112 in one encode")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  encoder.add_option("--threads", options.threads, "0: the cores this process may use")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  encoder.add_option("--runs", options.runs, "the fastest of them counts")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  encoder.add_flag("--json", json, "one JSON line instead of text");
  return ParseAndRun(app, words, [&] { return Bench(options, precision, json); });
}

}  // namespace
}  // namespace emotion::cli

int main(int argc, char** argv) {
  return emotion::cli::Main(std::vector<std::string>(argv + 1, argv + argc));
}
