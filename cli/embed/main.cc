// emotion embed --model DIR --output FILE.npy IMAGE...: the encoder on the command line.
//
// Images at their native size (the checkpoint's own smart_resize), EXIF ignored, as the reference
// implementation does.
#include <cmath>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/npy.h"
#include "cli/read_file.h"
#include "common/progress/progress_bar.h"
#include "vision/encoder/factory/create_encoder.h"
#include "vision/encoder/model_directory.h"
#include "vision/preprocess/image_preparer.h"
#include "vision/preprocess/preprocessor_config.h"

namespace emotion::cli {
namespace {

struct EmbedArguments {
  std::string model;
  std::string precision = "fp32";
  std::string device = "cpu";
  std::string output;
  std::vector<std::string> images;
};

constexpr size_t kMaxFileBytes = size_t{1} << 30;

vision::ImagePreparer MakePreparer(const vision::PreprocessorConfig& config) {
  vision::DecodeLimits limits;
  limits.max_bytes = kMaxFileBytes;
  limits.max_side = 65535;  // the owner of the machine chose these files
  limits.max_aspect = 200;  // smart_resize's own limit
  return vision::ImagePreparer({.config = config, .limits = limits});
}

absl::StatusOr<std::vector<float>> EmbedFile(const std::string& file,
                                             const vision::ImagePreparer& preparer,
                                             vision::VisionEncoder& encoder) {
  const auto bytes = ReadFile(file, kMaxFileBytes);
  if (!bytes.ok()) return bytes.status();
  vision::PrepareOptions options;
  options.resize = vision::ResizeMode::kNative;
  options.max_patches = 0;
  options.orientation = vision::OrientationMode::kIgnoreExif;
  const auto prepared = preparer.Prepare(std::string_view(*bytes), options);
  if (!prepared.ok()) return prepared.status();
  const vision::Patches* image = &prepared->patches;
  auto vectors = encoder.Encode(std::span(&image, 1));
  if (!vectors.ok()) return vectors.status();
  return std::move(vectors->front());
}

int Embed(const EmbedArguments& arguments) {
  const auto precision = vision::ParsePrecision(arguments.precision);
  if (!precision) {
    fmt::print(stderr,
               "emotion: --precision must be fp32, bf16, fp16, int8 or mixed_int8; was {}\n",
               arguments.precision);
    return kExitUsage;
  }
  const auto config = vision::ReadPreprocessorConfig(arguments.model);
  if (!config.ok()) return Fail(std::string(config.status().message()));
  ProgressBar loading("loading");
  auto encoder = vision::CreateEncoder(
      {.directory = arguments.model,
       .precision = *precision,
       .device = arguments.device,
       .progress = [&](double share) { loading.Show(std::llround(share * 1000), 1000); }});
  loading.End();
  if (!encoder.ok()) return Fail(std::string(encoder.status().message()));
  const vision::ImagePreparer preparer = MakePreparer(*config);
  std::vector<std::vector<float>> rows;
  ProgressBar bar("encoding");
  for (const std::string& file : arguments.images) {
    auto row = EmbedFile(file, preparer, **encoder);
    if (!row.ok()) {
      bar.End();
      return Fail(fmt::format("{}: {}", file, std::string(row.status().message())));
    }
    rows.push_back(*std::move(row));
    bar.Show(static_cast<int64_t>(rows.size()), static_cast<int64_t>(arguments.images.size()));
  }
  bar.End();
  if (const absl::Status written = WriteNpy(arguments.output, rows); !written.ok()) {
    return Fail(std::string(written.message()));
  }
  fmt::print("{}: [{}, {}] float32\n", arguments.output, rows.size(), rows.front().size());
  return kExitDone;
}

int Main(Arguments words) {
  EmbedArguments arguments;
  CLI::App app("Encodes images into a .npy array of vectors, float32 [images, dim].",
               "emotion embed");
  app.add_option("--model", arguments.model, "folder of the encoder (a Hugging Face directory)")
      ->required();
  app.add_option("--precision", arguments.precision, "fp32, bf16, fp16, int8 or mixed_int8")
      ->capture_default_str();
  app.add_option("--device", arguments.device, "cpu, torch-cpu, cuda or cuda:N")
      ->capture_default_str();
  app.add_option("--output", arguments.output, "the array's file")->required();
  app.add_option("images", arguments.images, "JPEG, PNG or WebP files")->required();
  return ParseAndRun(app, words, [&] { return Embed(arguments); });
}

}  // namespace
}  // namespace emotion::cli

int main(int argc, char** argv) {
  return emotion::cli::Main(std::vector<std::string>(argv + 1, argv + argc));
}
