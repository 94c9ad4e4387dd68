#include "embedding_service/cache/near_duplicate.h"

#include <catch2/catch.hpp>

#include "tests/unit/embedding_service/cache/near_faces.h"

namespace emotion::embedding {
namespace {

constexpr float kOperatingPoint = 0.95F;

TEST_CASE("equal descriptors have similarity 1, whatever they show") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const FaceDescriptor face = Seen(NeutralFace(seed));
    CHECK(Similarity(face, face) == 1.0F);
  }
  CHECK(Similarity(FaceDescriptor(), FaceDescriptor()) == 1.0F);
}

TEST_CASE("similarity is symmetric and lies in 0..1, also of two strangers") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const FaceDescriptor a = Seen(NeutralFace(seed));
    const FaceDescriptor b = Seen(NeutralFace(seed + 100));
    const float similarity = Similarity(a, b);
    CHECK(similarity == Approx(Similarity(b, a)).margin(1e-5));
    CHECK(similarity >= 0);
    CHECK(similarity < kOperatingPoint);
  }
}

TEST_CASE("a picture without pixels, or with fewer than its size, has no contrast") {
  CHECK(Describe(vision::RgbImage()) == FaceDescriptor());
  CHECK(Describe({{10, 10}, {1, 2, 3}}) == FaceDescriptor());
  CHECK(Describe({{-4, 10}, {1, 2, 3}}) == FaceDescriptor());
}

TEST_CASE("closed eyes are another face") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    training::FaceParameters face = NeutralFace(seed);
    const FaceDescriptor open = Seen(face, 1);
    face.expression.eye_openness = 0;
    CAPTURE(seed);
    CHECK(Similarity(open, Seen(face, 2)) < kOperatingPoint);
  }
}

TEST_CASE("noise and JPEG alone leave a face near") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const training::FaceParameters face = NeutralFace(seed);
    CAPTURE(seed);
    CHECK(Similarity(Seen(face, 1, 85), Seen(face, 2, 78)) >= kOperatingPoint);
  }
}

}  // namespace
}  // namespace emotion::embedding
