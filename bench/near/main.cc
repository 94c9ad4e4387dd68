// emotion-bench-near: how well near duplicates are told, with the encoder and heads of a folder.
#include <cstdio>
#include <fstream>
#include <iterator>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bench/near/report.h"
#include "vision/preprocess/image_decoder.h"

namespace {

using namespace emotion;         // NOLINT: this file is its command
using namespace emotion::bench;  // NOLINT

struct Flags {
  std::string models = EMOTION_SOURCE_DIR "/models/demo";
  std::string precision = "fp32";
  std::string device = "cpu";
  uint64_t seed = 1'000'000;
  size_t sittings = 40;
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--models", flags.models, "folder with encoder/ and classifiers/")
      ->capture_default_str();
  app.add_option("--precision", flags.precision, "fp32, bf16, fp16, int8 or mixed_int8")
      ->capture_default_str();
  app.add_option("--device", flags.device, "cpu, torch-cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--seed", flags.seed, "of the first sitting; the rule was tuned on 1 to 80")
      ->capture_default_str();
  app.add_option("--sittings", flags.sittings,
                 "of calm and of restless heads, each; 330 frames to encode for two")
      ->capture_default_str();
}

// The astronaut's face: 104 pixels and a client's margin of 20 % (tests/data/images/README.md).
absl::StatusOr<Photo> ReadPhoto() {
  std::ifstream in(EMOTION_SOURCE_DIR "/tests/data/images/astronaut.jpg", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto header = vision::InspectImage(bytes, {});
  if (!header.ok()) return header.status();
  auto image = vision::DecodeImage(bytes, *header);
  if (!image.ok()) return image.status();
  return Photo{.image = *std::move(image), .middle_x = 223, .middle_y = 116, .crop_side = 124.8};
}

absl::Status RecordAll(std::vector<Recording>& recordings, size_t count,
                       const std::function<absl::StatusOr<Recording>(size_t)>& record) {
  for (size_t i = 0; i < count; ++i) {
    auto recording = record(i);
    if (!recording.ok()) return recording.status();
    recordings.push_back(*std::move(recording));
  }
  return absl::OkStatus();
}

absl::Status Evaluate(const Flags& flags, const SittingOptions& frames, size_t sittings,
                      std::string_view name, const Photo& photo, Teller& teller) {
  std::vector<NearRule> rules = RulesToCompare();
  const size_t first_oracle = rules.size();
  for (NearRule& oracle : Oracles()) rules.push_back(std::move(oracle));
  Occasion occasion{.name = std::string(name), .drawn = {}, .calm = sittings, .photo = {}};
  for (const Temper temper : {Temper::kCalm, Temper::kRestless}) {
    SittingOptions options = frames;
    options.temper = temper;
    // Other people sit restlessly than calmly.
    const uint64_t first = flags.seed + (temper == Temper::kCalm ? 0 : sittings);
    absl::Status status = RecordAll(occasion.drawn, sittings, [&](size_t i) {
      return RecordSitting(DrawSitting(first + i, options), rules, teller);
    });
    if (!status.ok()) return status;
    status = RecordAll(occasion.photo, (sittings + 3) / 4, [&](size_t i) {
      return RecordPhoto(photo, first + i, options, rules, teller);
    });
    if (!status.ok()) return status;
  }
  fmt::print("{}", ReportOn(occasion, rules, first_oracle));
  return absl::OkStatus();
}

absl::Status Run(const Flags& flags) {
  const auto precision = vision::ParsePrecision(flags.precision);
  if (!precision) return absl::InvalidArgumentError("--precision: see --help");
  const auto photo = ReadPhoto();
  if (!photo.ok()) return photo.status();
  auto teller =
      Teller::Create({.models = flags.models, .precision = *precision, .device = flags.device});
  if (!teller.ok()) return teller.status();
  fmt::print("Told by {}. Sittings from seed {} on.\n\n", (*teller)->Description(), flags.seed);
  const absl::Status slow = Evaluate(flags, {.period_s = 2, .frames = 90}, flags.sittings,
                                     "One frame per 2 s", *photo, **teller);
  if (!slow.ok()) return slow;
  return Evaluate(flags, {.period_s = 0.5, .frames = 240}, (flags.sittings + 1) / 2,
                  "One frame per 0.5 s", *photo, **teller);
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Near duplicates: what is saved, what is missed, what is told wrong.",
               "emotion-bench-near");
  AddFlags(app, flags);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Run(flags);
  if (status.ok()) return 0;
  fmt::print(stderr, "emotion-bench-near: {}\n", std::string(status.message()));
  return 1;
}
