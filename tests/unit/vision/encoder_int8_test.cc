// Turning outliers away, and towers in int8 against fp32.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/vision/plain_int8.h"
#include "tests/unit/vision/tiny_model.h"
#include "vision/encoder/onednn/turn.h"

namespace emotion::vision {
namespace {

// Wide enough for outliers to matter, with an MLP whose width is no multiple of a block.
VisionConfig OutlierConfig() {
  VisionConfig config = SizeConfig(ModelSize::kTiny);
  config.hidden_size = 160;
  config.intermediate_size = 428;
  config.num_heads = 4;
  config.out_hidden_size = 96;
  config.depth = 8;
  return config;
}

}  // namespace

TEST_CASE("turning twice is turning back, and lengths stay, whatever the number of values") {
  for (const size_t n : {1UL, 2UL, 3UL, 6UL, 20UL, 48UL, 80UL, 96UL, 1280UL}) {
    INFO(n);
    const auto x = Random(n, 21);
    auto turned = x;
    Turn(turned);
    if (n > 1) CHECK(turned != x);
    double before = 0;
    double after = 0;
    for (size_t i = 0; i < n; ++i) {
      before += double{x[i]} * x[i];
      after += double{turned[i]} * turned[i];
    }
    CHECK(after == Approx(before).epsilon(1e-5));
    Turn(turned);
    for (size_t i = 0; i < n; ++i) CHECK(turned[i] == Approx(x[i]).margin(1e-5));
  }
}

TEST_CASE("columns are turned as rows are, and one large value is spread over all") {
  const size_t n = 80;
  const size_t columns = 3;
  auto matrix = Random(n * columns, 22);
  std::vector<float> across(matrix.size());
  for (size_t i = 0; i < matrix.size(); ++i) {
    across[i % columns * n + i / columns] = matrix[i];
  }
  TurnColumns(matrix, n);
  TurnRows(across, n);
  for (size_t i = 0; i < matrix.size(); ++i) {
    CHECK(matrix[i] == Approx(across[i % columns * n + i / columns]).margin(1e-5));
  }
  std::vector<float> spike(1280);
  spike[700] = 1;
  Turn(spike);
  for (const float value : spike) CHECK(std::abs(value) < 0.6 / 16 + 1e-6);
}

TEST_CASE("int8 embeddings are near fp32's although weights and channels have outliers") {
  for (const bool outliers : {false, true}) {
    const TinyModel model(OutlierConfig(), outliers);
    const Patches face = model.Image({1, 8, 8}, "face");
    const Patches wide = model.Image({1, 10, 22}, "wide");
    const Patches* const images[] = {&face, &wide};
    const auto fp32 = model.Encoder()->Encode(images);
    const auto int8 = model.Encoder(1, Precision::kInt8);
    const auto mixed = model.Encoder(1, Precision::kMixedInt8);
    const auto mixed_bf16 = model.Encoder(1, Precision::kMixedInt8, /*emulate_bf16=*/true);
    CHECK(int8->info().precision == Precision::kInt8);
    CHECK(mixed->info().precision == Precision::kMixedInt8);
    CHECK(int8->info().fingerprint == model.Encoder()->info().fingerprint);
    for (size_t i = 0; i < 2; ++i) {
      INFO("image " << i << ", outliers " << outliers);
      const double cosine = CosineOf(int8->Encode(images)->at(i), fp32->at(i));
      CHECK(cosine > 0.996);
      CHECK(cosine < 0.9999999);  // it was computed in bytes
      CHECK(CosineOf(mixed->Encode(images)->at(i), fp32->at(i)) > 0.998);
      CHECK(CosineOf(mixed_bf16->Encode(images)->at(i), fp32->at(i)) > 0.998);
    }
  }
}

TEST_CASE("an int8 embedding depends neither on company nor on threads") {
  const TinyModel model(OutlierConfig(), /*outliers=*/true);
  const Patches face = model.Image({1, 8, 8}, "face");
  const Patches wide = model.Image({1, 10, 22}, "wide");
  const Patches* const alone[] = {&face};
  const Patches* const company[] = {&wide, &face, &wide};
  for (const Precision precision : {Precision::kInt8, Precision::kMixedInt8}) {
    const auto one = model.Encoder(1, precision);
    const auto two = model.Encoder(2, precision);
    const auto expected = one->Encode(alone)->at(0);
    CHECK(one->Encode(company)->at(1) == expected);
    CHECK(CosineOf(two->Encode(company)->at(1), expected) > 0.99999);
    CHECK(CosineOf(two->Encode(alone)->at(0), expected) > 0.99999);
  }
}

TEST_CASE("an image with NaN or infinity has an embedding of NaN in int8, not of numbers") {
  const TinyModel model(OutlierConfig());
  const auto encoder = model.Encoder(1, Precision::kInt8);
  for (const float bad : {kNan, kInfinity}) {
    Patches face = model.Image({1, 8, 8}, "face");
    face.rows[1000] = bad;
    const Patches* const images[] = {&face};
    const auto found = encoder->Encode(images);
    REQUIRE(found.ok());
    CHECK(std::all_of(found->at(0).begin(), found->at(0).end(),
                      [](float value) { return std::isnan(value); }));
    const Patches good = model.Image({1, 8, 8}, "face");
    const Patches* const clean[] = {&good};
    const auto after = encoder->Encode(clean);
    CHECK(std::all_of(after->at(0).begin(), after->at(0).end(),
                      [](float value) { return std::isfinite(value); }));
  }
}

}  // namespace emotion::vision
