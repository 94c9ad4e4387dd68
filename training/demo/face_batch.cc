#include "training/demo/face_batch.h"

#include <algorithm>
#include <string>

#include "training/demo/camera.h"
#include "training/demo/face_drawer.h"
#include "vision/preprocess/image_decoder.h"
#include "vision/preprocess/image_header.h"

namespace emotion::training {

Cues CuesOf(const SampledFace& face) {
  const Expression& e = face.parameters.expression;
  const std::array<double, kCueCount> cues = {
      e.eye_openness, e.gaze_x,       e.gaze_y,       e.brow_height,    e.brow_asymmetry,
      e.brow_furrow,  e.mouth_curve,  e.lip_press,    e.head_tilt / 22, e.head_yaw,
      face.scores[0], face.scores[1], face.scores[2], face.scores[3]};
  Cues result;
  std::transform(cues.begin(), cues.end(), result.begin(),
                 [](double cue) { return static_cast<float>(cue); });
  return result;
}

uint64_t FaceSeed(uint64_t run_seed, Split split, uint64_t index) {
  uint64_t state = run_seed;
  state = SplitMix64(state) ^ static_cast<uint64_t>(split);
  state = SplitMix64(state) ^ index;
  return SplitMix64(state);
}

vision::RgbImage PhotographFace(const FaceParameters& face) {
  vision::RgbImage image = DrawFace(face);
  if (face.scene.jpeg_quality == 0) return image;
  const std::string jpeg = EncodeJpeg(image, face.scene.jpeg_quality);
  const auto header = vision::InspectImage(jpeg, {});
  if (!header.ok()) return image;
  auto decoded = vision::DecodeImage(jpeg, *header);
  return decoded.ok() ? *std::move(decoded) : image;
}

FaceBatch DrawBatch(std::span<const uint64_t> face_seeds, const vision::Patchifier& patchifier) {
  FaceBatch batch;
  batch.faces = face_seeds.size();
  for (const uint64_t seed : face_seeds) {
    const SampledFace face = SampleFace(seed);
    const auto patches = patchifier.Still(PhotographFace(face.parameters));
    batch.rows.insert(batch.rows.end(), patches.value().rows.begin(), patches.value().rows.end());
    batch.levels.push_back(face.levels);
    batch.cues.push_back(CuesOf(face));
  }
  return batch;
}

FaceBatch DrawSplit(uint64_t run_seed, Split split, uint64_t first, size_t count,
                    const vision::Patchifier& patchifier) {
  std::vector<uint64_t> seeds(count);
  for (size_t i = 0; i < count; ++i) seeds[i] = FaceSeed(run_seed, split, first + i);
  return DrawBatch(seeds, patchifier);
}

}  // namespace emotion::training
