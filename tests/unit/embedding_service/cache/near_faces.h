// Faces for the tests of near duplicates, as a client's frames come: drawn or photographed, through
// a JPEG.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

#include "embedding_service/cache/near_duplicate.h"
#include "training/demo/camera.h"
#include "training/demo/face_drawer.h"
#include "training/demo/face_sampler.h"
#include "vision/preprocess/image_decoder.h"
#include "vision/preprocess/image_header.h"

namespace emotion::embedding {

inline vision::RgbImage Decoded(const std::string& bytes) {
  return vision::DecodeImage(bytes, vision::InspectImage(bytes, {}).value()).value();
}

inline vision::RgbImage ThroughJpeg(const vision::RgbImage& image, int quality) {
  return Decoded(training::EncodeJpeg(image, quality));
}

inline vision::RgbImage PhotoFile(const std::string& name) {
  std::ifstream in(std::string(EMOTION_TEST_DATA) + "/images/" + name, std::ios::binary);
  return Decoded({std::istreambuf_iterator<char>(in), {}});
}

// A face at rest that looks at the camera: its lids, brows and mouth are the test's to move.
inline training::FaceParameters NeutralFace(uint64_t seed) {
  training::FaceParameters face = training::SampleFace(seed).parameters;
  face.expression = training::Expression();
  face.scene.noise = 2;
  face.scene.blur = 0.4;
  face.scene.exposure = 0.95;
  return face;
}

inline FaceDescriptor Seen(training::FaceParameters face, unsigned noise_seed = 1,
                           int quality = 85) {
  face.scene.noise_seed = noise_seed;
  return Describe(ThroughJpeg(training::DrawFace(face), quality));
}

}  // namespace emotion::embedding
