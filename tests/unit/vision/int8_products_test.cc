// Weights as bytes, and products of bytes, against exact arithmetic.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/vision/plain_int8.h"
#include "tests/unit/vision/tiny_model.h"
#include "vision/encoder/onednn/kernels.h"
#include "vision/encoder/onednn/packed_linear.h"
#include "vision/encoder/onednn/products.h"
#include "vision/encoder/onednn/quantised_weights.h"

namespace emotion::vision {
namespace {

// Which of eight weights meet in 16 bits.
constexpr size_t kQuads[2][4] = {{0, 1, 4, 5}, {2, 3, 6, 7}};

// Whatever values up to 200 they are multiplied with.
void CheckQuads(const int8_t* bytes, size_t width) {
  for (size_t base = 0; base < width; base += 8) {
    for (const auto& quad : kQuads) {
      int positive = 0;
      int negative = 0;
      for (const size_t i : quad) {
        if (base + i >= width) continue;
        positive += std::max(int{bytes[base + i]}, 0);
        negative += std::min(int{bytes[base + i]}, 0);
      }
      CHECK(positive * 200 <= 32767);
      CHECK(negative * 200 >= -32768);
    }
  }
}

}  // namespace

TEST_CASE("weights become bytes to half a step, and no quad of them can saturate 16 bits") {
  const size_t rows = 6;
  for (const size_t width : {1UL, 2UL, 31UL, 100UL, 1280UL}) {
    auto weight = Random(rows * width, 11);
    for (size_t i = 0; i < width; ++i) {
      weight[i] = 1;                            // all at the end
      weight[width + i] = i % 2 == 0 ? 1 : -1;  // opposite neighbours
      weight[2 * width + i] = i == 0 ? -50 : weight[2 * width + i];
      weight[3 * width + i] = 0;
      weight[4 * width + i] = i + 1 == width ? kNan : 1;
    }
    for (const ByteProducts products : {ByteProducts::kExact, ByteProducts::kQuads}) {
      const auto found =
          QuantiseWeights(weight.data(), rows, static_cast<int64_t>(width), 1, products);
      for (size_t row = 0; row < rows; ++row) {
        INFO("width " << width << ", row " << row);
        const auto* bytes = found.bytes.as<int8_t>() + row * width;
        const float scale = found.scales[row];
        int sum = 0;
        int largest = 0;
        for (size_t i = 0; i < width; ++i) {
          sum += bytes[i];
          largest = std::max(largest, std::abs(int{bytes[i]}));
          if (row != 4) {
            CHECK(std::abs(bytes[i] * double{scale} - weight[row * width + i]) <= 0.501 * scale);
          }
        }
        if (products == ByteProducts::kQuads) CheckQuads(bytes, width);
        CHECK(found.offsets[row] == RangeOf(products).zero * sum);
        CHECK(std::isnan(scale) == (row == 4));
        if (row == 3) CHECK(scale == 0);
        if (row == 3 || row == 4) continue;
        CHECK(largest <= 127);
        CHECK(largest >= (products == ByteProducts::kExact ? 127 : 40));  // 161 / 4
      }
    }
  }
}

TEST_CASE("every instruction set rounds weights alike") {
  const auto w = Random(1283, 12);
  for (const Kernels* kernels : UsableKernels()) {
    double largest = 0;
    double by_quads = 0;
    for (size_t base = 0; base < w.size(); base += 8) {
      for (const auto& quad : kQuads) {
        double positive = 0;
        double negative = 0;
        for (const size_t i : quad) {
          if (base + i >= w.size()) continue;
          positive += std::max(double{w[base + i]}, 0.0);
          negative -= std::min(double{w[base + i]}, 0.0);
          largest = std::max(largest, std::abs(double{w[base + i]}));
        }
        by_quads = std::max({by_quads, positive, negative});
      }
    }
    CHECK(kernels->largest_weight(w.data(), 1283) == Approx(largest).epsilon(1e-6));
    CHECK(kernels->largest_quad(w.data(), 1283) == Approx(by_quads).epsilon(1e-6));
    auto turned = w;
    kernels->turn_blocks(turned.data(), 1280, 128);
    const auto plain = PlainTurn({w.begin(), w.begin() + 1280}, 128);
    for (size_t i = 0; i < plain.size(); ++i) {
      CHECK(turned[i] / std::sqrt(128.0) == Approx(plain[i]).margin(1e-5));
    }
  }
}

TEST_CASE("a product of bytes is exact integer arithmetic up to the bound of saturation") {
  for (const auto& [in, outputs] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 8}, {37, 50}, {96, 48}, {1280, 3840}, {3456, 1280}, {5120, 64}}) {
    const auto width = static_cast<size_t>(in);
    auto weight = Random(static_cast<size_t>(outputs) * width, 13);
    for (size_t i = 0; i < width; ++i) {
      weight[i] = 3;  // every quad sums to the bound
      if (outputs < 8) continue;
      weight[width + i] = -3;
      weight[2 * width + i] = i % 4 == 0 ? 3 : 0.01F;  // two of a quad take all of it
      weight[3 * width + i] = i % 4 < 2 ? 3 : -3;      // quads against quads
      weight[4 * width + i] = i % 3 == 0 ? -3 : 0;
    }
    const auto bias = Random(static_cast<size_t>(outputs), 14);
    const LinearSpec spec{.in = in, .out = outputs, .element = Element::kInt8};
    LinearSpec in_pieces = spec;
    in_pieces.pieces = 3;
    const auto whole = PackedLinear::Pack(spec, weight.data(), bias.data());
    const auto pieces = PackedLinear::Pack(in_pieces, weight.data(), bias.data());
    REQUIRE(whole.ok());
    REQUIRE(pieces.ok());
    const auto bytes = QuantiseWeights(weight.data(), outputs, in, 1, ByteProductsHere());
    const ByteRange range = RangeOf(ByteProductsHere());
    const auto least = static_cast<uint8_t>(range.zero - range.most);
    const auto most = static_cast<uint8_t>(range.zero + range.most);
    Products products;
    for (const int64_t rows : {1, 5, 64, 131}) {
      std::mt19937 generator(15);
      std::vector<uint8_t> x(static_cast<size_t>(rows) * width + kByteStep, uint8_t{255});
      for (size_t i = 0; i + kByteStep < x.size(); ++i) {
        x[i] = static_cast<uint8_t>(least + generator() % (most - least + 1U));
      }
      std::fill_n(x.begin(), width, most);
      if (rows > 1) std::fill_n(x.begin() + in, width, least);
      const auto scales = Random(static_cast<size_t>(rows), 16, 0.01F);
      for (const int threads : {1, 2}) {
        std::vector<float> y(static_cast<size_t>(rows * outputs), kNan);
        Team team(threads);
        const PackedLinear& linear = threads == 1 ? *whole : *pieces;
        REQUIRE(products.Run(linear, rows, team, {x.data(), scales.data()}, y.data()).ok());
        size_t wrong = 0;
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t row = i / static_cast<size_t>(outputs);
          const size_t o = i % static_cast<size_t>(outputs);
          int64_t sum = 0;
          for (size_t k = 0; k < width; ++k) {
            sum +=
                int64_t{x[row * width + k] - range.zero} * bytes.bytes.as<int8_t>()[o * width + k];
          }
          const double step = double{scales[row]} * bytes.scales[o];
          const double expected = static_cast<double>(sum) * step + bias[o];
          // Sums become floats, which hold integers up to 2^24; a quad that saturates would be off
          // by hundreds.
          const double total = std::abs(static_cast<double>(sum));
          const double allowed = (total > 0x1p24 ? total * 0x1p-24 : 0) * std::abs(step) +
                                 3e-7 * (std::abs(expected) + std::abs(bias[o]));
          wrong += std::abs(y[i] - expected) <= allowed ? 0 : 1;
        }
        INFO(in << " -> " << outputs << ", " << rows << " rows, " << threads << " threads");
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("quantised rows times quantised weights are near the product, with every epilogue") {
  for (const auto& [in, outputs, block] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {96, 40, 1}, {96, 40, 32}, {512, 96, 128}}) {
    auto weight = Random(static_cast<size_t>(in * outputs), 17, 0.1F);
    for (size_t i = 0; i < weight.size(); i += 251) weight[i] *= 8;
    const auto bias = Random(static_cast<size_t>(outputs), 18);
    constexpr int64_t kRows = 9;
    auto x = Random(static_cast<size_t>(kRows * in), 19);
    for (size_t i = 0; i < x.size(); i += 101) x[i] *= 8;
    const auto other = Random(static_cast<size_t>(kRows * outputs), 20);
    const Bytes bytes =
        Quantised(*UsableKernels().front(), x.data(), Element::kF32, kRows, static_cast<size_t>(in),
                  static_cast<size_t>(block), RangeOf(ByteProductsHere()));
    for (const Epilogue epilogue : kEpilogues) {
      const auto linear = PackedLinear::Pack({.in = in,
                                              .out = outputs,
                                              .element = Element::kInt8,
                                              .epilogue = epilogue,
                                              .block = block},
                                             weight.data(), bias.data());
      REQUIRE(linear.ok());
      std::vector<float> y = other;
      Products products;
      Team team(1);
      REQUIRE(products
                  .Run(*linear, kRows, team, {bytes.bytes.data(), bytes.scales.data()}, y.data(),
                       other.data())
                  .ok());
      std::vector<float> expected;
      for (int64_t i = 0; i < kRows * outputs; ++i) {
        double z = bias[static_cast<size_t>(i % outputs)];
        for (int64_t k = 0; k < in; ++k) {
          z += double{x[static_cast<size_t>(i / outputs * in + k)]} *
               weight[static_cast<size_t>(i % outputs * in + k)];
        }
        const double given = other[static_cast<size_t>(i)];
        expected.push_back(static_cast<float>(PlainEpilogue(epilogue, z, given, given)));
      }
      INFO(in << " in blocks of " << block << ", epilogue " << static_cast<int>(epilogue));
      CHECK(CosineOf(y, expected) > 0.999);
    }
  }
}

}  // namespace emotion::vision
