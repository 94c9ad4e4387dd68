// emotion-bench-accuracy: what the faster number formats of the CPU's encoder cost in precision.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bench/accuracy/comparison.h"
#include "bench/accuracy/faces.h"
#include "bench/accuracy/logits.h"
#include "vision/encoder/onednn/onednn_encoder.h"

namespace emotion::bench {
namespace {

constexpr size_t kEncodedTogether = 8;

struct Options {
  FaceOptions faces;
  std::string heads;
  double margin = 0.25;
};

absl::StatusOr<Vectors> Encode(const std::string& model, vision::Precision precision,
                               const std::vector<vision::Patches>& faces) {
  auto encoder =
      vision::CreateOneDnnEncoder({.directory = model,
                                   .precision = precision,
                                   .emulate_bf16 = precision == vision::Precision::kBf16});
  if (!encoder.ok()) return encoder.status();
  Vectors vectors;
  for (size_t first = 0; first < faces.size(); first += kEncodedTogether) {
    std::vector<const vision::Patches*> images;
    for (size_t i = first; i < std::min(first + kEncodedTogether, faces.size()); ++i) {
      images.push_back(&faces[i]);
    }
    auto encoded = (*encoder)->Encode(images);
    if (!encoded.ok()) return encoded.status();
    for (auto& vector : *encoded) vectors.push_back(std::move(vector));
  }
  return vectors;
}

void PrintLevels(const Vectors& embeddings, const Heads& heads) {
  fmt::print("\nLevels 0 to 3 in fp32:");
  const LevelCounts counts = CountLevels(embeddings, heads);
  for (size_t state = 0; state < kStateCount; ++state) {
    fmt::print("{} {} {}", state > 0 ? "," : "", StateName(kStates[state]),
               fmt::join(counts[state], "/"));
  }
  fmt::print("\n");
}

void PrintRow(vision::Precision precision, const Comparison& c) {
  const bool emulated = precision == vision::Precision::kBf16 && !vision::OneDnnComputesBf16();
  fmt::print("| {}{} | {:.6f} / {:.6f} | {:.5f} / {:.5f} | {:.4f} | {} of {} | {} of {} |\n",
             vision::PrecisionName(precision), emulated ? ", emulated" : "", c.least_cosine,
             c.mean_cosine, c.least_centred, c.mean_centred, c.largest_logit_error / c.logit_spread,
             c.clear_flips, c.clear, c.flips, c.decisions);
  std::fflush(stdout);
}

absl::Status Run(const Options& options) {
  const auto faces = MakeFaces(options.faces);
  if (!faces.ok()) return faces.status();
  const auto reference = Encode(options.faces.model, vision::Precision::kFp32, *faces);
  if (!reference.ok()) return reference.status();
  Heads heads = RandomHeads(*reference, /*seed=*/1);
  if (!options.heads.empty()) {
    auto loaded = LoadHeads(options.heads);
    if (!loaded.ok()) return loaded.status();
    heads = *std::move(loaded);
  }
  fmt::print(
      "{}: {} faces, {} heads. Cosines to fp32, least / mean; logit errors in standard\n"
      "deviations of the fp32 logits; a level is clear where it leads by {} of them.\n\n",
      options.faces.model, faces->size(), options.heads.empty() ? "random" : "its", options.margin);
  fmt::print(
      "| precision | pooled | centred | largest logit error | clear levels flipped | all |\n");
  fmt::print("|---|---|---|--:|--:|--:|\n");
  for (const auto precision :
       {vision::Precision::kBf16, vision::Precision::kInt8, vision::Precision::kMixedInt8}) {
    const auto vectors = Encode(options.faces.model, precision, *faces);
    if (!vectors.ok()) return vectors.status();
    PrintRow(precision, Compare(*reference, *vectors, heads, options.margin));
  }
  PrintLevels(*reference, heads);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Encodes faces in fp32, bf16 (emulated where the CPU has none), int8 and mixed_int8 and "
      "prints how far they are apart, as a Markdown table.",
      "emotion-bench-accuracy");
  app.add_option("--model", options.faces.model, "folder of the encoder")->required();
  app.add_option("--heads", options.heads,
                 "folder of mlp_<State>_best.pth; without it heads are random");
  app.add_option("--faces", options.faces.drawn, "drawn faces")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  app.add_option("--seed", options.faces.seed, "of the drawn faces")->capture_default_str();
  app.add_option("--photo", options.faces.photos, "an image file, once or more");
  app.add_option("--margin", options.margin, "of a clear level, in deviations of the logits")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "emotion-bench-accuracy: {}\n", std::string(status.message()));
  return 1;
}

}  // namespace
}  // namespace emotion::bench

int main(int argc, char** argv) { return emotion::bench::Main(argc, argv); }
