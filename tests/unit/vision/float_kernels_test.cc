// The kernels for floats, and packed products of them, against plain loops.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <catch2/catch.hpp>

#include "common/sync/team.h"
#include "tests/unit/vision/plain_numbers.h"
#include "vision/encoder/onednn/kernels.h"
#include "vision/encoder/onednn/packed_linear.h"
#include "vision/encoder/onednn/products.h"

namespace emotion::vision {
namespace {

// Nearest, ties to even, by trying both neighbours.
uint16_t NearestBf16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const auto low = static_cast<uint16_t>(bits >> 16);
  const auto high = static_cast<uint16_t>(low + 1);
  const double down = std::abs(double{value} - FromBf16(low));
  const double up = std::abs(double{FromBf16(high)} - value);
  if (down != up) return down < up ? low : high;
  return low % 2 == 0 ? low : high;
}

std::vector<float> ReadBack(const std::vector<uint16_t>& stored) {
  std::vector<float> values;
  for (const uint16_t value : stored) values.push_back(FromBf16(value));
  return values;
}

// softmax(q k^T / sqrt(dim)) v of one head by plain loops in double; x is [rows, 3 dim].
std::vector<float> PlainAttention(const std::vector<float>& x, const std::vector<float>& cos,
                                  const std::vector<float>& sin, size_t rows, size_t dim) {
  const auto turned = [&](size_t row, size_t part, size_t i) {
    const size_t half = dim / 2;
    const size_t at = row * 3 * dim + part * dim;
    const double c = cos[row * half + i % half];
    const double s = sin[row * half + i % half];
    const double other = i < half ? -x[at + half + i] : x[at + i - half];
    return x[at + i] * c + other * s;
  };
  std::vector<float> out(rows * dim);
  for (size_t q = 0; q < rows; ++q) {
    std::vector<double> shares(rows);
    double sum = 0;
    for (size_t k = 0; k < rows; ++k) {
      double score = 0;
      for (size_t i = 0; i < dim; ++i) score += turned(q, 0, i) * turned(k, 1, i);
      shares[k] = std::exp(score / std::sqrt(static_cast<double>(dim)));
      sum += shares[k];
    }
    for (size_t i = 0; i < dim; ++i) {
      double value = 0;
      for (size_t k = 0; k < rows; ++k) value += shares[k] / sum * x[k * 3 * dim + 2 * dim + i];
      out[q * dim + i] = static_cast<float>(value);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("a norm is RMSNorm with every instruction set, at widths of all kinds") {
  for (const Kernels* kernels : UsableKernels()) {
    for (const size_t width : {1UL, 15UL, 16UL, 48UL, 1283UL}) {
      INFO(kernels->name << ", width " << width);
      const size_t rows = 3;
      const auto x = Random(rows * width, 1, 3);
      const auto weight = Random(width, 2);
      std::vector<float> expected;
      for (size_t row = 0; row < rows; ++row) {
        double squares = 0;
        for (size_t i = 0; i < width; ++i)
          squares += double{x[row * width + i]} * x[row * width + i];
        const double scale = 1 / std::sqrt(squares / static_cast<double>(width) + 1e-6);
        for (size_t i = 0; i < width; ++i) {
          expected.push_back(static_cast<float>(weight[i] * x[row * width + i] * scale));
        }
      }
      NormTask task{.x = x.data(),
                    .weight = weight.data(),
                    .rows = static_cast<int64_t>(rows),
                    .width = static_cast<int64_t>(width)};
      std::vector<float> out(x.size());
      task.out = out.data();
      kernels->norm(task);
      CHECK(Largest(out, expected) < 1e-5);
      std::vector<uint16_t> half(x.size());
      task.out = half.data();
      task.element = Element::kBf16;
      kernels->norm(task);
      for (size_t i = 0; i < half.size(); ++i) {
        CHECK(FromBf16(half[i]) == Approx(expected[i]).epsilon(1.0 / 250).margin(1e-6));
      }
    }
  }
}

TEST_CASE("attention is softmax attention with every instruction set, whatever the sizes") {
  for (const Kernels* kernels : UsableKernels()) {
    for (const auto& [rows, dim] : std::vector<std::pair<size_t, size_t>>{
             {1, 2}, {4, 12}, {5, 16}, {16, 24}, {64, 80}, {67, 80}, {130, 6}}) {
      INFO(kernels->name << ", " << rows << " rows of " << dim);
      const auto x = Random(rows * 3 * dim, 3);
      std::vector<float> cos = Random(rows * dim / 2, 4);
      std::vector<float> sin = cos;
      for (float& angle : cos) angle = std::cos(angle);
      for (float& angle : sin) angle = std::sin(angle);
      std::vector<float> scratch(HeadScratch(static_cast<int64_t>(rows), static_cast<int64_t>(dim)),
                                 std::numeric_limits<float>::quiet_NaN());
      std::vector<float> out(rows * dim);
      const HeadTask task{.q = x.data(),
                          .k = x.data() + dim,
                          .v = x.data() + 2 * dim,
                          .stride = static_cast<int64_t>(3 * dim),
                          .cos = cos.data(),
                          .sin = sin.data(),
                          .rows = static_cast<int64_t>(rows),
                          .dim = static_cast<int64_t>(dim),
                          .scratch = scratch.data(),
                          .out = out.data(),
                          .out_stride = static_cast<int64_t>(dim)};
      kernels->attend(task);
      const auto expected = PlainAttention(x, cos, sin, rows, dim);
      CHECK(Largest(out, expected) < 2e-6);

      std::vector<uint16_t> stored(x.size());
      kernels->to_bf16(x.data(), x.size(), stored.data());
      std::vector<uint16_t> half(out.size());
      HeadTask half_task = task;
      half_task.q = stored.data();
      half_task.k = stored.data() + dim;
      half_task.v = stored.data() + 2 * dim;
      half_task.element = Element::kBf16;
      half_task.out = half.data();
      kernels->attend(half_task);
      CHECK(Largest(ReadBack(half), PlainAttention(ReadBack(stored), cos, sin, rows, dim)) < 0.016);
    }
  }
}

TEST_CASE("scores far apart neither overflow nor lose the winner") {
  for (const Kernels* kernels : UsableKernels()) {
    // Two keys; the first scores 10,000 higher.
    const std::vector<float> x = {100, 0, 141.4214F, 0, 1, 2, 100, 0, 0, 0, 3, 4};
    const std::vector<float> cos = {1, 1};
    const std::vector<float> sin = {0, 0};
    std::vector<float> scratch(HeadScratch(2, 2));
    std::vector<float> out(4);
    kernels->attend({.q = x.data(),
                     .k = x.data() + 2,
                     .v = x.data() + 4,
                     .stride = 6,
                     .cos = cos.data(),
                     .sin = sin.data(),
                     .rows = 2,
                     .dim = 2,
                     .scratch = scratch.data(),
                     .out = out.data(),
                     .out_stride = 2});
    CHECK(out == std::vector<float>{1, 2, 1, 2});
  }
}

TEST_CASE("bf16 is rounded to nearest even, and NaN and infinity stay what they are") {
  std::vector<float> values = Random(1000, 5, 1e3);
  values.insert(values.end(), {0.0F, -0.0F, 1.0F, 1.00390625F, 1.01171875F, 3.3895314e38F});
  for (const Kernels* kernels : UsableKernels()) {
    std::vector<uint16_t> stored(values.size());
    kernels->to_bf16(values.data(), values.size(), stored.data());
    for (size_t i = 0; i < values.size(); ++i) {
      INFO(values[i]);
      CHECK(stored[i] == NearestBf16(values[i]));
    }
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (const size_t count : {1UL, 16UL}) {  // one by one, and as a vector
      std::vector<uint16_t> out(count);
      kernels->to_bf16(std::vector<float>(count, -kInfinity).data(), count, out.data());
      CHECK(FromBf16(out[0]) == -kInfinity);
      for (const uint32_t bits : {0x7f800001U, 0x7fffffffU, 0xffffffffU}) {
        float nan = 0;
        std::memcpy(&nan, &bits, sizeof nan);
        kernels->to_bf16(std::vector<float>(count, nan).data(), count, out.data());
        CHECK(std::isnan(FromBf16(out[0])));
      }
    }
  }
}

TEST_CASE("a packed product is the product with its epilogue, for any number of rows") {
  for (const auto& [in, outputs] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {48, 96}, {100, 150}, {1176, 37}}) {
    const auto weight = Random(static_cast<size_t>(in * outputs), 6, 0.1F);
    const auto bias = Random(static_cast<size_t>(outputs), 7);
    for (const Epilogue epilogue :
         {Epilogue::kNone, Epilogue::kSilu, Epilogue::kGelu, Epilogue::kMultiply, Epilogue::kAdd}) {
      for (const bool with_bias : {false, true}) {
        // By what this CPU prefers, and by oneDNN in pieces.
        const LinearSpec spec{.in = in, .out = outputs, .epilogue = epilogue};
        LinearSpec in_pieces = spec;
        in_pieces.pieces = 3;
        in_pieces.only_onednn = true;
        const float* given_bias = with_bias ? bias.data() : nullptr;
        const auto linear = PackedLinear::Pack(spec, weight.data(), given_bias);
        const auto pieces = PackedLinear::Pack(in_pieces, weight.data(), given_bias);
        REQUIRE(linear.ok());
        REQUIRE(pieces.ok());
        Products products;
        Team team(2);
        for (const int64_t rows : {1, 5, 64, 5, 300}) {
          const auto x = Random(static_cast<size_t>(rows * in), 8);
          const auto other = Random(static_cast<size_t>(rows * outputs), 9);
          auto y = Random(static_cast<size_t>(rows * outputs), 10);
          auto y_of_pieces = y;
          auto expected = y;
          for (int64_t row = 0; row < rows; ++row) {
            for (int64_t o = 0; o < outputs; ++o) {
              double z = with_bias ? bias[o] : 0;
              for (int64_t i = 0; i < in; ++i) {
                z += double{x[row * in + i]} * weight[o * in + i];
              }
              float& value = expected[row * outputs + o];
              if (epilogue == Epilogue::kSilu) z = z / (1 + std::exp(-z));
              if (epilogue == Epilogue::kGelu) z = z * 0.5 * (1 + std::erf(z / std::sqrt(2.0)));
              if (epilogue == Epilogue::kMultiply) z *= other[row * outputs + o];
              if (epilogue == Epilogue::kAdd) z += value;
              value = static_cast<float>(z);
            }
          }
          INFO(in << " -> " << outputs << ", " << rows << " rows, epilogue "
                  << static_cast<int>(epilogue));
          REQUIRE(products.Run(*linear, rows, team, {x.data()}, y.data(), other.data()).ok());
          CHECK(Largest(y, expected) < 2e-4);
          REQUIRE(
              products.Run(*pieces, rows, team, {x.data()}, y_of_pieces.data(), other.data()).ok());
          CHECK(Largest(y_of_pieces, expected) < 2e-4);
        }
      }
    }
  }
}

}  // namespace emotion::vision
