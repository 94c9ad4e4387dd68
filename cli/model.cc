// emotion model info DIR | random DIR: look into an encoder's folder, or make one of random
// weights.
#include <map>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/verbs.h"
#include "common/progress/progress_bar.h"
#include "vision/encoder/fingerprint.h"
#include "vision/encoder/model_directory.h"
#include "vision/encoder/random_checkpoint.h"

namespace emotion::cli {
namespace {

std::string Mebibytes(int64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string Joined(const std::map<std::string, int64_t>& dtypes) {
  std::string text;
  for (const auto& [dtype, tensors] : dtypes) {
    text += fmt::format("{}{} x {}", text.empty() ? "" : ", ", tensors, dtype);
  }
  return text;
}

int Info(const std::string& directory) {
  const auto summary = vision::SummarizeModel(directory);
  if (!summary.ok()) return Fail(std::string(summary.status().message()));
  const vision::VisionConfig& vision = summary->config.vision;
  fmt::print("name            {}{}\n", summary->config.name,
             summary->config.demo ? "  (DEMO: measures nobody)" : "");
  fmt::print("licence         {}\n",
             summary->config.licence.empty() ? "not stated" : summary->config.licence);
  fmt::print("embedding       {} values\n", vision.out_hidden_size);
  fmt::print("tower           {} blocks, hidden {}, {} heads of {}, MLP {}\n", vision.depth,
             vision.hidden_size, vision.num_heads, vision.head_dim(), vision.intermediate_size);
  fmt::print("patches         {} px, {} merged a side, windows of {} px, full attention in {}\n",
             vision.patch_size, vision.spatial_merge_size, vision.window_size,
             fmt::join(vision.fullatt_block_indexes, ", "));
  fmt::print("images          {} to {} pixels\n", summary->preprocessing.min_pixels,
             summary->preprocessing.max_pixels);
  fmt::print("parameters      {:.2f} million, {}\n", static_cast<double>(summary->parameters) / 1e6,
             Mebibytes(summary->bytes));
  fmt::print("tensors         {}, prefix \"{}\"\n", Joined(summary->dtypes), summary->prefix);
  for (const vision::FileSummary& file : summary->files) {
    fmt::print("file            {}  {}\n", file.path, Mebibytes(file.bytes));
  }
  fmt::print("fingerprint     {}\n", vision::FingerprintText(summary->fingerprint));
  return kExitDone;
}

int Random(const std::string& directory, const std::string& size, uint64_t seed, bool outliers) {
  const auto parsed = vision::ParseModelSize(size);
  if (!parsed) {
    fmt::print(stderr, "emotion: --size must be tiny, 3b, 7b, 32b or 72b; was {}\n", size);
    return kExitUsage;
  }
  ProgressBar bar("writing " + directory);
  vision::RandomCheckpointOptions options;
  options.directory = directory;
  options.config = vision::SizeConfig(*parsed);
  options.name = "random-" + size;
  options.seed = seed;
  options.outliers = outliers;
  options.progress = [&](int64_t done, int64_t total) { bar.Show(done, total); };
  const absl::Status written = vision::WriteRandomCheckpoint(options);
  bar.End();
  if (!written.ok()) return Fail(std::string(written.message()));
  fmt::print(
      "{}: random weights in the sizes of {}, for benchmarks; what it computes means "
      "nothing\n",
      directory, size);
  return kExitDone;
}

}  // namespace

int RunModel(Arguments arguments) {
  std::string directory;
  std::string size = "7b";
  uint64_t seed = 1;
  bool outliers = false;
  CLI::App app("Looks into the folder of an encoder, or makes one of random weights.",
               "emotion model");
  app.require_subcommand(1);
  CLI::App& info = *app.add_subcommand("info", "sizes, files and fingerprint of an encoder");
  info.add_option("directory", directory, "a Hugging Face directory: config.json, safetensors")
      ->required();
  CLI::App& random = *app.add_subcommand("random", "write a checkpoint of random weights");
  random.add_option("directory", directory, "an empty or new folder")->required();
  random.add_option("--size", size, "tiny, 3b, 7b, 32b or 72b")->capture_default_str();
  random.add_option("--seed", seed, "equal seeds give equal files")->capture_default_str();
  random.add_flag("--outliers", outliers,
                  "with large single weights and channels, as trained towers have them");
  return ParseAndRun(app, arguments, [&] {
    return info.parsed() ? Info(directory) : Random(directory, size, seed, outliers);
  });
}

}  // namespace emotion::cli
