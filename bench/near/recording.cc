#include "bench/near/recording.h"

#include <opencv2/core/mat.hpp>
#include <opencv2/imgproc.hpp>

#include "bench/near/drift.h"
#include "training/demo/camera.h"
#include "training/demo/face_drawer.h"
#include "training/demo/level_rule.h"

namespace emotion::bench {
namespace {

constexpr size_t kFramesPerRepeat = 8;
constexpr unsigned kOtherNoise = 1'000'003;

std::string Photograph(training::FaceParameters face, unsigned other_noise) {
  face.scene.noise_seed += other_noise;
  return training::EncodeJpeg(training::DrawFace(face), face.scene.jpeg_quality);
}

// Shift, size and tilt of `drift` about the middle of the crop; the border is what lies beyond it.
vision::RgbImage Cut(const Photo& photo, const Drift& drift) {
  const int side = training::kFaceSide;
  const cv::Mat whole(photo.image.size.height, photo.image.size.width, CV_8UC3,
                      const_cast<uint8_t*>(photo.image.pixels.data()));
  vision::RgbImage crop{{side, side}, std::vector<uint8_t>(static_cast<size_t>(side * side) * 3)};
  cv::Mat pixels(side, side, CV_8UC3, crop.pixels.data());
  const double scale = drift.scale * side / photo.crop_side;
  cv::Mat turn = cv::getRotationMatrix2D(
      cv::Point2f(static_cast<float>(photo.middle_x), static_cast<float>(photo.middle_y)),
      -drift.tilt, scale);
  turn.at<double>(0, 2) += side / 2.0 - photo.middle_x + drift.shift_x;
  turn.at<double>(1, 2) += side / 2.0 - photo.middle_y + drift.shift_y;
  cv::warpAffine(whole, pixels, turn, pixels.size(), cv::INTER_CUBIC, cv::BORDER_REPLICATE);
  return crop;
}

std::string PhotographPhoto(const Photo& photo, const Drift& drift, unsigned noise_seed) {
  vision::RgbImage crop = Cut(photo, drift);
  training::Scene scene;
  scene.exposure = 0.9 * drift.exposure;  // leaves the brightest parts some room
  scene.light_slope = std::abs(drift.slope);
  scene.warmth = drift.warmth;
  scene.noise = 1;
  scene.noise_seed = noise_seed;
  cv::Mat pixels(crop.size.height, crop.size.width, CV_8UC3, crop.pixels.data());
  training::ApplyCamera(pixels, scene);
  constexpr int kQuality = 85;
  return training::EncodeJpeg(crop, kQuality);
}

// Tells `jpegs`, and `repeats`, which show every kFramesPerRepeat-th of them once more.
absl::StatusOr<Recording> Record(const std::vector<std::string>& jpegs,
                                 const std::vector<std::string>& repeats,
                                 std::span<const NearRule> rules, Teller& teller) {
  auto frames = teller.Tell(jpegs);
  if (!frames.ok()) return frames.status();
  const auto repeated = teller.Tell(repeats);
  if (!repeated.ok()) return repeated.status();
  Recording recording;
  recording.described.resize(rules.size());
  for (size_t i = 0; i < frames->size(); ++i) {
    const ToldFrame& frame = (*frames)[i];
    recording.told.tellings.push_back(frame.telling);
    if (i % kFramesPerRepeat == 0) recording.once.push_back(frame.telling);
    for (size_t rule = 0; rule < rules.size(); ++rule) {
      recording.described[rule].push_back(rules[rule].describe(
          {.image = frame.image, .embedding = frame.embedding, .telling = frame.telling}));
    }
  }
  for (const ToldFrame& frame : *repeated) recording.again.push_back(frame.telling);
  return recording;
}

}  // namespace

absl::StatusOr<Recording> RecordSitting(const Sitting& sitting, std::span<const NearRule> rules,
                                        Teller& teller) {
  std::vector<std::string> jpegs, repeats;
  for (const training::FaceParameters& face : sitting.faces) {
    if (jpegs.size() % kFramesPerRepeat == 0) repeats.push_back(Photograph(face, kOtherNoise));
    jpegs.push_back(Photograph(face, 0));
  }
  auto recording = Record(jpegs, repeats, rules, teller);
  if (!recording.ok()) return recording;
  recording->period_s = sitting.period_s;
  recording->told.events = sitting.events;
  for (const training::FaceParameters& face : sitting.faces) {
    recording->told.truth.push_back(training::LevelsOf(training::ScoresOf(face.expression)));
  }
  return recording;
}

absl::StatusOr<Recording> RecordPhoto(const Photo& photo, uint64_t seed,
                                      const SittingOptions& options,
                                      std::span<const NearRule> rules, Teller& teller) {
  DriftWalk walk(seed, options.temper);
  std::vector<std::string> jpegs, repeats;
  for (unsigned frame = 0; frame < options.frames; ++frame) {
    const Drift drift = walk.Step(options.period_s);
    if (frame % kFramesPerRepeat == 0) {
      repeats.push_back(PhotographPhoto(photo, drift, frame + kOtherNoise));
    }
    jpegs.push_back(PhotographPhoto(photo, drift, frame + 1));
  }
  auto recording = Record(jpegs, repeats, rules, teller);
  if (recording.ok()) recording->period_s = options.period_s;
  return recording;
}

}  // namespace emotion::bench
