// Rows to bytes and sums to values: the kernels against plain loops.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/vision/plain_int8.h"
#include "vision/encoder/onednn/kernels.h"

namespace emotion::vision {
namespace {

// Every byte stands for its value to within half a step, and one of them is at the end of the
// range.
void CheckRow(const uint8_t* bytes, float scale, const std::vector<double>& expected,
              ByteRange range = {}) {
  int farthest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(std::abs((bytes[i] - range.zero) * double{scale} - expected[i]) <= 0.501 * scale);
    farthest = std::max(farthest, std::abs(bytes[i] - range.zero));
  }
  CHECK(farthest == range.most);
}

}  // namespace

TEST_CASE("rows become bytes to half a step, turned or not, with every instruction set") {
  for (const Kernels* kernels : UsableKernels()) {
    for (const auto& [width, block] : std::vector<std::pair<size_t, size_t>>{{1, 1},
                                                                             {7, 1},
                                                                             {160, 1},
                                                                             {6, 2},
                                                                             {12, 4},
                                                                             {40, 8},
                                                                             {48, 16},
                                                                             {256, 128},
                                                                             {3456, 128}}) {
      INFO(kernels->name << ", " << width << " values in blocks of " << block);
      const auto x = Random(3 * width, 1, 2);
      const Bytes found = Quantised(*kernels, x.data(), Element::kF32, 3, width, block);
      std::vector<uint16_t> stored(x.size());
      kernels->to_bf16(x.data(), x.size(), stored.data());
      constexpr ByteRange kNarrow = {.zero = 100, .most = 100};
      const Bytes half =
          Quantised(*kernels, stored.data(), Element::kBf16, 3, width, block, kNarrow);
      for (size_t row = 0; row < 3; ++row) {
        std::vector<float> values(x.begin() + static_cast<long>(row * width),
                                  x.begin() + static_cast<long>((row + 1) * width));
        CheckRow(&found.bytes[row * width], found.scales[row], PlainTurn(values, block));
        for (size_t i = 0; i < width; ++i) values[i] = FromBf16(stored[row * width + i]);
        CheckRow(&half.bytes[row * width], half.scales[row], PlainTurn(values, block), kNarrow);
      }
    }
  }
}

TEST_CASE("a norm to bytes is the norm, rounded, with one scale for each group of rows") {
  for (const Kernels* kernels : UsableKernels()) {
    for (const auto& [width, group] :
         std::vector<std::pair<size_t, size_t>>{{1, 1}, {15, 1}, {48, 4}, {160, 2}, {1280, 4}}) {
      INFO(kernels->name << ", width " << width << ", groups of " << group);
      const auto x = Random(8 * width, 2, 3);
      Bytes found{std::vector<uint8_t>(x.size()), std::vector<float>(8 / group)};
      kernels->norm_quantise({.x = x.data(),
                              .rows = 8,
                              .width = static_cast<int64_t>(width),
                              .group = static_cast<int64_t>(group),
                              .out = found.bytes.data(),
                              .scales = found.scales.data()});
      std::vector<double> expected;
      for (size_t row = 0; row < 8; ++row) {
        double squares = 0;
        for (size_t i = 0; i < width; ++i) squares += std::pow(double{x[row * width + i]}, 2);
        for (size_t i = 0; i < width; ++i) {
          expected.push_back(x[row * width + i] /
                             std::sqrt(squares / static_cast<double>(width) + 1e-6));
        }
      }
      for (size_t at = 0; at < expected.size(); at += width * group) {
        CheckRow(&found.bytes[at], found.scales[at / width / group],
                 {expected.begin() + static_cast<long>(at),
                  expected.begin() + static_cast<long>(at + width * group)});
      }
    }
  }
}

TEST_CASE("zeros are zeros, one huge value leaves nothing of the rest, and NaN and infinity stay") {
  for (const Kernels* kernels : UsableKernels()) {
    for (const size_t width : {5UL, 32UL, 35UL}) {
      INFO(kernels->name << ", width " << width);
      std::vector<float> x(width, 0.0F);
      Bytes found = Quantised(*kernels, x.data(), Element::kF32, 1, width, 1);
      for (size_t i = 0; i < width; ++i) CHECK(found.bytes[i] == 128);
      CHECK(found.scales[0] == 0);
      x = Random(width, 3);
      x[width - 1] = -1e30F;
      found = Quantised(*kernels, x.data(), Element::kF32, 1, width, 1);
      CHECK(found.bytes[0] == 128);
      CHECK(found.bytes[width - 1] == 1);
      CHECK(found.scales[0] == Approx(1e30 / 127));
      for (const float bad : {kNan, kInfinity, -kInfinity}) {
        for (const size_t at : {size_t{0}, width / 2, width - 1}) {
          x = Random(width, 4);
          x[at] = bad;
          CHECK(std::isnan(Quantised(*kernels, x.data(), Element::kF32, 1, width, 1).scales[0]));
          std::vector<uint8_t> bytes(width);
          float scale = 0;
          kernels->norm_quantise({.x = x.data(),
                                  .rows = 1,
                                  .width = static_cast<int64_t>(width),
                                  .out = bytes.data(),
                                  .scales = &scale});
          CHECK(std::isnan(scale));
        }
      }
    }
  }
}

TEST_CASE("sums are finished as the formula says, with every epilogue and instruction set") {
  for (const Kernels* kernels : UsableKernels()) {
    for (const size_t width : {1UL, 16UL, 37UL, 96UL}) {
      const size_t rows = 2;
      std::mt19937 generator(5);
      std::vector<int32_t> sums(rows * width);
      std::vector<int32_t> offsets(width);
      for (int32_t& sum : sums) sum = static_cast<int32_t>(generator() % 2'000'000) - 1'000'000;
      for (int32_t& offset : offsets) offset = static_cast<int32_t>(generator() % 20'000) * 128;
      const auto row_scales = Random(rows, 6, 0.01F);
      const auto column_scales = Random(width, 7, 0.0003F);
      const auto bias = Random(width, 8);
      const auto other = Random(rows * width, 9);
      const auto before = Random(rows * width, 10);
      std::vector<uint16_t> half_other(other.size());
      std::vector<uint16_t> half_before(before.size());
      kernels->to_bf16(other.data(), other.size(), half_other.data());
      kernels->to_bf16(before.data(), before.size(), half_before.data());
      for (const Epilogue epilogue : kEpilogues) {
        FinishTask task{.sums = sums.data(),
                        .sums_stride = static_cast<int64_t>(width),
                        .rows = static_cast<int64_t>(rows),
                        .width = static_cast<int64_t>(width),
                        .row_scales = row_scales.data(),
                        .column_scales = column_scales.data(),
                        .offsets = offsets.data(),
                        .bias = bias.data(),
                        .epilogue = epilogue,
                        .other = other.data(),
                        .stride = static_cast<int64_t>(width)};
        auto y = before;
        task.y = y.data();
        kernels->finish(task);
        auto half = half_before;
        task.result = Element::kBf16;
        task.other = half_other.data();
        task.y = half.data();
        kernels->finish(task);
        for (size_t i = 0; i < y.size(); ++i) {
          INFO(kernels->name << ", epilogue " << static_cast<int>(epilogue) << ", value " << i);
          const double z = (sums[i] - offsets[i % width]) * double{row_scales[i / width]} *
                               column_scales[i % width] +
                           bias[i % width];
          const double expected = PlainEpilogue(epilogue, z, other[i], before[i]);
          CHECK(y[i] == Approx(expected).epsilon(1e-5).margin(2e-6));
          const double rounded =
              PlainEpilogue(epilogue, z, FromBf16(half_other[i]), FromBf16(half_before[i]));
          CHECK(FromBf16(half[i]) == Approx(rounded).epsilon(1.0 / 250).margin(1e-5));
        }
      }
    }
  }
}

}  // namespace emotion::vision
