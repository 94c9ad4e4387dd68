// emotion bench encoder --model DIR: how fast the encoder is, and how fast it could be here.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/bench/bench_encoder.h"
#include "cli/command_line.h"
#include "cli/npy.h"

namespace emotion::cli {
namespace {

struct Times {
  double fastest = 0;  // seconds
  double median = 0;
};

absl::StatusOr<Times> TimeRuns(EncoderBench& bench, int runs) {
  std::vector<double> seconds;
  for (int run = 0; run < runs; ++run) {
    const auto time = bench.EncodeSeconds();
    if (!time.ok()) return time.status();
    seconds.push_back(*time);
  }
  std::sort(seconds.begin(), seconds.end());
  return Times{.fastest = seconds.front(), .median = seconds[seconds.size() / 2]};
}

// A busy neighbour lowers what is measured, never raises it: of two measurements the higher counts.
MachinePeaks Higher(const MachinePeaks& a, const MachinePeaks& b) {
  return {.matmul_gflops = std::max(a.matmul_gflops, b.matmul_gflops),
          .register_gflops = std::max(a.register_gflops, b.register_gflops)};
}

nlohmann::ordered_json Report(const BenchOptions& options, const EncoderBench& bench,
                              const Times& times, const MachinePeaks& peaks) {
  const double gflops = bench.operations() / times.fastest / 1e9;
  return {{"precision", vision::PrecisionName(options.precision)},
          {"batch", options.batch},
          {"threads", bench.threads()},
          {"ms_per_face", times.fastest * 1e3 / options.batch},
          {"median_ms_per_face", times.median * 1e3 / options.batch},
          {"gflops", gflops},
          {"peak_gflops", peaks.matmul_gflops},
          {"share_of_peak", peaks.matmul_gflops > 0 ? gflops / peaks.matmul_gflops : 0},
          {"register_peak_gflops", peaks.register_gflops},
          {"load_seconds", bench.load_seconds()},
          {"resident_mib", bench.resident_mib()},
          {"most_resident_mib", bench.most_resident_mib()},
          {"device", bench.device()}};
}

void PrintText(const nlohmann::ordered_json& report, int runs) {
  const auto number = [&](const char* name) { return report[name].get<double>(); };
  fmt::print("{} in {}, batch {}\n", report["device"].get<std::string>(),
             report["precision"].get<std::string>(), report["batch"].get<int>());
  fmt::print("  loaded in         {:.2f} s; resident {:.0f} MiB, at most {:.0f} MiB\n",
             number("load_seconds"), number("resident_mib"), number("most_resident_mib"));
  fmt::print("  a face            {:.2f} ms (fastest of {}; median {:.2f} ms)\n",
             number("ms_per_face"), runs, number("median_ms_per_face"));
  fmt::print("  arithmetic        {:.1f} GFLOP/s\n", number("gflops"));
  if (number("peak_gflops") > 0) {
    fmt::print("  matmul peak       {:.1f} GFLOP/s, share {:.2f}\n", number("peak_gflops"),
               number("share_of_peak"));
  }
  fmt::print("  register peak     {:.1f} GFLOP/s (fp32)\n", number("register_peak_gflops"));
}

// One encode for each line of the input, its seconds for each line of the output: for alternating
// with other programs. Ends with the input.
int Step(EncoderBench& bench) {
  fmt::print("ready\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    const auto seconds = bench.EncodeSeconds();
    if (!seconds.ok()) return Fail(std::string(seconds.status().message()));
    fmt::print("{}\n", *seconds);
    std::fflush(stdout);
  }
  return kExitDone;
}

absl::Status WriteVectors(EncoderBench& bench, const std::string& file) {
  const auto vectors = bench.Vectors();
  return vectors.ok() ? WriteNpy(file, *vectors) : vectors.status();
}

struct Wanted {
  BenchOptions bench;
  std::string precision = "fp32";
  int runs = 7;
  std::string vectors;
  bool json = false;
  bool step = false;
};

int Bench(Wanted wanted) {
  const auto precision = vision::ParsePrecision(wanted.precision);
  if (!precision) {
    fmt::print(stderr,
               "emotion: --precision must be fp32, bf16, fp16, int8 or mixed_int8; was {}\n",
               wanted.precision);
    return kExitUsage;
  }
  wanted.bench.precision = *precision;
  auto bench = EncoderBench::Load(wanted.bench);
  if (!bench.ok()) return Fail(std::string(bench.status().message()));
  if (!wanted.vectors.empty()) {
    const absl::Status written = WriteVectors(*bench, wanted.vectors);
    if (!written.ok()) return Fail(std::string(written.message()));
  }
  if (wanted.step) return Step(*bench);
  const MachinePeaks before = bench->MeasurePeaks();
  const auto times = TimeRuns(*bench, wanted.runs);
  if (!times.ok()) return Fail(std::string(times.status().message()));
  const auto report = Report(wanted.bench, *bench, *times, Higher(before, bench->MeasurePeaks()));
  if (wanted.json) {
    fmt::print("{}\n", report.dump());
  } else {
    PrintText(report, wanted.runs);
  }
  return kExitDone;
}

int Main(Arguments words) {
  Wanted wanted;
  BenchOptions& options = wanted.bench;
  CLI::App app("Measures parts of the system against what this machine can do.", "emotion bench");
  app.require_subcommand(1);
  CLI::App& encoder = *app.add_subcommand(
      "encoder", "one encode of faces, beside the machine's matmul peak in the same run");
  encoder.add_option("--model", options.model, "folder of the encoder (a Hugging Face directory)")
      ->required();
  encoder.add_option("--precision", wanted.precision, "fp32, bf16, fp16, int8 or mixed_int8")
      ->capture_default_str();
  encoder.add_option("--device", options.device, "cpu, torch-cpu, cuda or cuda:N")
      ->capture_default_str();
  encoder.add_option("--batch", options.batch, "faces of 112x112 in one encode")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  encoder.add_option("--threads", options.threads, "0: the cores this process may use")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  encoder.add_option("--runs", wanted.runs, "the fastest of them counts")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  encoder.add_flag("--json", wanted.json, "one JSON line instead of text");
  encoder.add_flag("--step", wanted.step,
                   "no report: one encode and its seconds for each line of the input");
  encoder.add_option("--vectors", wanted.vectors,
                     "first writes the faces' vectors there, float32 [batch, dim] (.npy)");
  return ParseAndRun(app, words, [&] { return Bench(wanted); });
}

}  // namespace
}  // namespace emotion::cli

int main(int argc, char** argv) {
  return emotion::cli::Main(std::vector<std::string>(argv + 1, argv + argc));
}
