#include "embedding_service/selftest.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/log/log.h"

namespace emotion::embedding {
namespace {

constexpr std::chrono::seconds kLongEncode{1};
constexpr double kLeastCosine = 0.999;
constexpr double kLeastCosineInt8 = 0.99;

using Vectors = std::vector<std::vector<float>>;

absl::Status Failed(const std::string& why) {
  return absl::FailedPreconditionError("self-test of the encoder: " + why);
}

bool IsFinite(const std::vector<float>& vector) {
  return std::all_of(vector.begin(), vector.end(), [](float v) { return std::isfinite(v); });
}

// A picture with every grey and some edges.
vision::RgbImage Picture(vision::ImageSize size) {
  vision::RgbImage image{.size = size, .pixels = {}};
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      image.pixels.push_back(static_cast<uint8_t>(x * 255 / size.width));
      image.pixels.push_back(static_cast<uint8_t>(y * 255 / size.height));
      image.pixels.push_back((x / 16 + y / 16) % 2 == 0 ? 40 : 210);
    }
  }
  return image;
}

std::vector<size_t> Buckets(size_t max_batch) {
  std::vector<size_t> buckets;
  for (size_t bucket = 1; bucket < max_batch; bucket *= 2) buckets.push_back(bucket);
  buckets.push_back(max_batch);
  return buckets;
}

// How long the encode took; an error where a vector is missing or not finite.
absl::StatusOr<std::chrono::nanoseconds> EncodeSoundly(
    vision::VisionEncoder& encoder, const std::vector<const vision::Patches*>& images) {
  const auto began = std::chrono::steady_clock::now();
  absl::StatusOr<Vectors> vectors = encoder.Encode(images);
  if (!vectors.ok()) return vectors.status();
  const auto duration = std::chrono::steady_clock::now() - began;
  const bool sound =
      vectors->size() == images.size() && std::all_of(vectors->begin(), vectors->end(), IsFinite);
  if (sound) return duration;
  return Failed(fmt::format("a batch of {} gave values that are not finite", images.size()));
}

absl::Status EncodeBuckets(vision::VisionEncoder& encoder, const vision::Patches& patches,
                           size_t max_batch, SelfTestReport* report) {
  for (const size_t bucket : Buckets(max_batch)) {
    const std::vector<const vision::Patches*> images(bucket, &patches);
    auto duration = EncodeSoundly(encoder, images);
    if (duration.ok() && *duration < kLongEncode) duration = EncodeSoundly(encoder, images);
    if (duration.status().code() == absl::StatusCode::kResourceExhausted && bucket > 1) {
      LogWarning("the largest batches do not fit into the device's memory: they will be halved",
                 {{"frames", static_cast<int64_t>(bucket)},
                  {"device", encoder.info().device},
                  {"error", std::string(duration.status().message())}});
      return absl::OkStatus();
    }
    if (!duration.ok()) return duration.status();
    report->measured.push_back({static_cast<int64_t>(bucket) * patches.grid.patches(), *duration});
  }
  return absl::OkStatus();
}

struct Reference {
  std::string image;  // bytes
  vision::ImageSize size;
  std::vector<float> vector;
};

std::optional<std::string> ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

absl::StatusOr<Reference> ReadReference(const std::filesystem::path& directory,
                                        const std::string& text) {
  const absl::Status malformed = absl::InvalidArgumentError(
      "selftest.json must be {\"image\": file, \"width\", \"height\", \"embedding\": [numbers]}");
  try {
    const auto json = nlohmann::json::parse(text);
    const std::filesystem::path name = json.at("image").get<std::string>();
    if (name != name.filename()) return malformed;
    std::optional<std::string> image = ReadFile(directory / name);
    if (!image) return Failed("the picture named by selftest.json is not there");
    return Reference{*std::move(image),
                     {json.at("width").get<int>(), json.at("height").get<int>()},
                     json.at("embedding").get<std::vector<float>>()};
  } catch (const nlohmann::json::exception&) {
    return malformed;
  }
}

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

absl::StatusOr<double> CompareWith(const Reference& reference, vision::VisionEncoder& encoder,
                                   const vision::ImagePreparer& preparer) {
  const auto prepared = preparer.Prepare(
      reference.image, vision::PrepareOptions{.heads_input = reference.size,
                                              .max_patches = 0,
                                              .orientation = vision::OrientationMode::kIgnoreExif});
  if (!prepared.ok()) return prepared.status();
  const vision::Patches* const image = &prepared->patches;
  absl::StatusOr<Vectors> vectors = encoder.Encode({&image, 1});
  if (!vectors.ok()) return vectors.status();
  if (vectors->front().size() != reference.vector.size()) {
    return Failed(fmt::format("selftest.json holds {} values; the encoder gives {}",
                              reference.vector.size(), vectors->front().size()));
  }
  return Cosine(vectors->front(), reference.vector);
}

double LeastCosine(vision::Precision precision) {
  const bool int8 =
      precision == vision::Precision::kInt8 || precision == vision::Precision::kMixedInt8;
  return int8 ? kLeastCosineInt8 : kLeastCosine;
}

}  // namespace

absl::StatusOr<SelfTestReport> RunSelfTest(vision::VisionEncoder& encoder,
                                           const vision::ImagePreparer& preparer,
                                           vision::ImageSize heads_input, size_t max_batch,
                                           const std::filesystem::path& directory) {
  SelfTestReport report;
  const auto prepared = preparer.Prepare(
      Picture(heads_input), vision::PrepareOptions{.heads_input = heads_input, .max_patches = 0});
  if (!prepared.ok()) return prepared.status();
  if (absl::Status encoded = EncodeBuckets(encoder, prepared->patches, max_batch, &report);
      !encoded.ok()) {
    return encoded;
  }
  const std::optional<std::string> text = ReadFile(directory / "selftest.json");
  if (!text) return report;
  const auto reference = ReadReference(directory, *text);
  if (!reference.ok()) return reference.status();
  const auto cosine = CompareWith(*reference, encoder, preparer);
  if (!cosine.ok()) return cosine.status();
  const double least = LeastCosine(encoder.info().precision);
  if (!(*cosine >= least)) {  // also for NaN
    return Failed(
        fmt::format("the cosine to selftest.json's vector is {:.6f}; it must be {} "
                    "at least in {}",
                    *cosine, least, vision::PrecisionName(encoder.info().precision)));
  }
  report.cosine = *cosine;
  return report;
}

}  // namespace emotion::embedding
