// Products in bf16 against exact arithmetic, and towers of them against fp32: with the CPU's
// instructions where it has them, and emulated.
#include <cmath>
#include <vector>

#include <catch2/catch.hpp>

#include "common/sync/team.h"
#include "tests/unit/vision/plain_int8.h"
#include "tests/unit/vision/tiny_model.h"
#include "vision/encoder/onednn/kernels.h"
#include "vision/encoder/onednn/packed_linear.h"
#include "vision/encoder/onednn/products.h"

namespace emotion::vision {

TEST_CASE("products of bf16, of the CPU and emulated, are exact and rounded once at the end") {
  const bool emulate = GENERATE(true, false);
  if (!emulate && !HasBf16Products()) return;
  const int64_t in = 100;
  const int64_t outputs = 150;
  const int64_t rows = 5;
  const Kernels& kernels = *UsableKernels().front();
  const auto weight = Random(static_cast<size_t>(in * outputs), 23, 0.1F);
  const auto bias = Random(static_cast<size_t>(outputs), 24);
  const auto rounded = [&](const std::vector<float>& values) {
    std::vector<uint16_t> stored(values.size());
    kernels.to_bf16(values.data(), values.size(), stored.data());
    return stored;
  };
  const auto w = rounded(weight);
  const auto x = rounded(Random(static_cast<size_t>(rows * in), 25));
  const auto other = rounded(Random(static_cast<size_t>(rows * outputs), 26));
  for (const Epilogue epilogue : kEpilogues) {
    for (const Element result : {Element::kF32, Element::kBf16}) {
      // An fp32 result that is multiplied does not occur: `other` is of the result's element.
      if (epilogue == Epilogue::kMultiply && result == Element::kF32) continue;
      const auto linear = PackedLinear::Pack({.in = in,
                                              .out = outputs,
                                              .element = Element::kBf16,
                                              .result = result,
                                              .epilogue = epilogue,
                                              .pieces = 3,
                                              .emulate_bf16 = emulate},
                                             weight.data(), bias.data());
      REQUIRE(linear.ok());
      std::vector<float> wide_y(static_cast<size_t>(rows * outputs), 0.5F);
      std::vector<uint16_t> half_y(wide_y.size(), 0x3f00);  // 0.5
      void* const y = result == Element::kF32 ? static_cast<void*>(wide_y.data()) : half_y.data();
      Products products;
      Team team(1);
      REQUIRE(products.Run(*linear, rows, team, {x.data()}, y, other.data()).ok());
      for (size_t i = 0; i < wide_y.size(); ++i) {
        const size_t row = i / static_cast<size_t>(outputs);
        const size_t o = i % static_cast<size_t>(outputs);
        double z = bias[o];
        for (size_t k = 0; k < static_cast<size_t>(in); ++k) {
          z += double{FromBf16(x[row * static_cast<size_t>(in) + k])} *
               FromBf16(w[o * static_cast<size_t>(in) + k]);
        }
        const double expected = PlainEpilogue(epilogue, z, FromBf16(other[i]), 0.5);
        INFO("emulated " << emulate << ", epilogue " << static_cast<int>(epilogue) << ", value "
                         << i);
        if (result == Element::kF32) {
          CHECK(wide_y[i] == Approx(expected).margin(1e-5));
        } else {
          CHECK(FromBf16(half_y[i]) == Approx(expected).epsilon(1.0 / 255).margin(1e-5));
        }
      }
    }
  }
}

TEST_CASE("a tower in bf16 is near fp32's, of the CPU where it has bf16, else emulated") {
  const TinyModel model;
  const Patches face = model.Image({1, 8, 8}, "face");
  const Patches wide = model.Image({1, 10, 22}, "wide");
  const Patches* const images[] = {&face, &wide};
  const auto fp32 = model.Encoder()->Encode(images);
  const auto bf16 = model.Encoder(1, Precision::kBf16, /*emulate_bf16=*/true)->Encode(images);
  REQUIRE(bf16.ok());
  for (size_t i = 0; i < 2; ++i) {
    const double cosine = CosineOf(bf16->at(i), fp32->at(i));
    CHECK(cosine > 0.9999);
    CHECK(cosine < 0.99999999);  // it was computed in bf16
  }
}

}  // namespace emotion::vision
