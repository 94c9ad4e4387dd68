// Products in bytes: the kernels against plain loops, sums against exact integers, towers against
// fp32.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <catch2/catch.hpp>

#include "tests/unit/vision/tiny_model.h"
#include "vision/encoder/onednn/kernels.h"
#include "vision/encoder/onednn/packed_linear.h"
#include "vision/encoder/onednn/products.h"
#include "vision/encoder/onednn/quantised_weights.h"
#include "vision/encoder/onednn/turn.h"

namespace emotion::vision {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> Random(size_t count, unsigned seed, float spread = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

float FromBf16(uint16_t stored) {
  const uint32_t bits = uint32_t{stored} << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Hadamard's matrix by its definition: the sign is the parity of the bits that both indices have.
std::vector<double> PlainTurn(const std::vector<float>& x, size_t block) {
  std::vector<double> turned(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t base = i / block * block;
    for (size_t k = 0; k < block; ++k) {
      const bool odd = __builtin_popcountll((i % block) & k) % 2 == 1;
      turned[i] += (odd ? -1.0 : 1.0) * x[base + k] / std::sqrt(static_cast<double>(block));
    }
  }
  return turned;
}

struct Bytes {
  std::vector<uint8_t> bytes;
  std::vector<float> scales;
};

Bytes Quantised(const Kernels& kernels, const void* x, Element element, size_t rows, size_t width,
                size_t block) {
  Bytes out{std::vector<uint8_t>(rows * width), std::vector<float>(rows)};
  std::vector<float> scratch(width, kNan);
  kernels.quantise({.x = x,
                    .rows = static_cast<int64_t>(rows),
                    .width = static_cast<int64_t>(width),
                    .block = static_cast<int64_t>(block),
                    .element = element,
                    .scratch = scratch.data(),
                    .out = out.bytes.data(),
                    .scales = out.scales.data()});
  return out;
}

// Every byte stands for its value to within half a step, and one of them is at the end of the
// range.
void CheckRow(const uint8_t* bytes, float scale, const std::vector<double>& expected) {
  int farthest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(std::abs((bytes[i] - 128) * double{scale} - expected[i]) <= 0.501 * scale);
    farthest = std::max(farthest, std::abs(bytes[i] - 128));
  }
  CHECK(farthest == 127);
}

double PlainEpilogue(Epilogue epilogue, double z, double other, double y) {
  switch (epilogue) {
    case Epilogue::kSilu:
      return z / (1 + std::exp(-z));
    case Epilogue::kGelu:
      return z * 0.5 * (1 + std::erf(z / std::sqrt(2.0)));
    case Epilogue::kMultiply:
      return z * other;
    case Epilogue::kAdd:
      return z + y;
    case Epilogue::kNone:
      break;
  }
  return z;
}

constexpr Epilogue kEpilogues[] = {Epilogue::kNone, Epilogue::kSilu, Epilogue::kGelu,
                                   Epilogue::kMultiply, Epilogue::kAdd};

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
      const Bytes half = Quantised(*kernels, stored.data(), Element::kBf16, 3, width, block);
      for (size_t row = 0; row < 3; ++row) {
        std::vector<float> values(x.begin() + static_cast<long>(row * width),
                                  x.begin() + static_cast<long>((row + 1) * width));
        CheckRow(&found.bytes[row * width], found.scales[row], PlainTurn(values, block));
        for (size_t i = 0; i < width; ++i) values[i] = FromBf16(stored[row * width + i]);
        CheckRow(&half.bytes[row * width], half.scales[row], PlainTurn(values, block));
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
      CHECK(found.bytes == std::vector<uint8_t>(width, 128));
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
                        .rows = static_cast<int64_t>(rows),
                        .width = static_cast<int64_t>(width),
                        .row_scales = row_scales.data(),
                        .column_scales = column_scales.data(),
                        .offsets = offsets.data(),
                        .bias = bias.data(),
                        .epilogue = epilogue,
                        .other = other.data()};
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

TEST_CASE("weights become bytes to half a step, and no pair of them can saturate 16 bits") {
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
    for (const ByteProducts products : {ByteProducts::kExact, ByteProducts::kSaturatingPairs}) {
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
          if (products == ByteProducts::kExact || i % 2 == 1 || i + 1 == width) continue;
          const int a = bytes[i];
          const int b = bytes[i + 1];
          CHECK(std::max(a, 0) + std::max(b, 0) <= 128);
          CHECK(std::min(a, 0) + std::min(b, 0) >= -128);
        }
        CHECK(found.offsets[row] == 128 * sum);
        CHECK(std::isnan(scale) == (row == 4));
        if (row == 3) CHECK(scale == 0);
        if (row == 3 || row == 4) continue;
        CHECK(largest <= 127);
        CHECK(largest >= (products == ByteProducts::kExact ? 127 : 63));
      }
    }
  }
}

TEST_CASE("every instruction set rounds weights alike") {
  const auto w = Random(1283, 12);
  for (const Kernels* kernels : UsableKernels()) {
    for (const bool pairs : {false, true}) {
      const Kernels& portable = *UsableKernels().back();
      CHECK(kernels->weight_range(w.data(), 1283, pairs) ==
            portable.weight_range(w.data(), 1283, pairs));
    }
    double range = 0;
    for (size_t i = 0; i + 1 < w.size(); i += 2) {
      range = std::max(range, double{std::max(w[i], 0.0F)} + std::max(w[i + 1], 0.0F));
      range = std::max(range, -(double{std::min(w[i], 0.0F)} + std::min(w[i + 1], 0.0F)));
    }
    range = std::max(range, std::abs(double{w.back()}));
    CHECK(kernels->weight_range(w.data(), 1283, true) == Approx(range).epsilon(1e-6));
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
      weight[i] = 3;  // every pair sums to the bound
      if (outputs < 8) continue;
      weight[width + i] = -3;
      weight[2 * width + i] = i % 2 == 0 ? 3 : 0.01F;  // one of a pair takes all of it
      weight[3 * width + i] = i % 4 < 2 ? 3 : -3;      // pairs against pairs
      weight[4 * width + i] = i % 3 == 0 ? -3 : 0;
    }
    const auto bias = Random(static_cast<size_t>(outputs), 14);
    const auto linear = PackedLinear::Pack({.in = in, .out = outputs, .element = Element::kInt8},
                                           weight.data(), bias.data());
    REQUIRE(linear.ok());
    const auto bytes = QuantiseWeights(weight.data(), outputs, in, 1, ByteProductsHere());
    Products products;
    for (const int64_t rows : {1, 5, 64}) {
      std::mt19937 generator(15);
      std::vector<uint8_t> x(static_cast<size_t>(rows) * width);
      for (uint8_t& value : x) value = static_cast<uint8_t>(1 + generator() % 255);
      std::fill_n(x.begin(), width, uint8_t{255});
      if (rows > 1) std::fill_n(x.begin() + in, width, uint8_t{1});
      const auto scales = Random(static_cast<size_t>(rows), 16, 0.01F);
      for (const int threads : {1, 2}) {
        std::vector<float> y(static_cast<size_t>(rows * outputs), kNan);
        REQUIRE(products.Run(*linear, rows, threads, {x.data(), scales.data()}, y.data()).ok());
        size_t wrong = 0;
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t row = i / static_cast<size_t>(outputs);
          const size_t o = i % static_cast<size_t>(outputs);
          int64_t sum = 0;
          for (size_t k = 0; k < width; ++k) {
            sum += int64_t{x[row * width + k] - 128} * bytes.bytes.as<int8_t>()[o * width + k];
          }
          const double step = double{scales[row]} * bytes.scales[o];
          const double expected = static_cast<double>(sum) * step + bias[o];
          // oneDNN's convolution passes its sums through fp32, which holds integers up to 2^24;
          // a pair that saturates would be off by hundreds.
          const double total = std::abs(static_cast<double>(sum) + bytes.offsets[o]);
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
    const Bytes bytes = Quantised(*UsableKernels().front(), x.data(), Element::kF32, kRows,
                                  static_cast<size_t>(in), static_cast<size_t>(block));
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
      REQUIRE(products
                  .Run(*linear, kRows, 1, {bytes.bytes.data(), bytes.scales.data()}, y.data(),
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

TEST_CASE("bf16 by emulation: exact products of bf16 values, rounded once at the end") {
  const int64_t in = 100;
  const int64_t outputs = 30;
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
                                              .emulate_bf16 = true},
                                             weight.data(), bias.data());
      REQUIRE(linear.ok());
      std::vector<float> wide_y(static_cast<size_t>(rows * outputs), 0.5F);
      std::vector<uint16_t> half_y(wide_y.size(), 0x3f00);  // 0.5
      void* const y = result == Element::kF32 ? static_cast<void*>(wide_y.data()) : half_y.data();
      Products products;
      REQUIRE(products.Run(*linear, rows, 1, {x.data()}, y, other.data()).ok());
      for (size_t i = 0; i < wide_y.size(); ++i) {
        const size_t row = i / static_cast<size_t>(outputs);
        const size_t o = i % static_cast<size_t>(outputs);
        double z = bias[o];
        for (size_t k = 0; k < static_cast<size_t>(in); ++k) {
          z += double{FromBf16(x[row * static_cast<size_t>(in) + k])} *
               FromBf16(w[o * static_cast<size_t>(in) + k]);
        }
        const double expected = PlainEpilogue(epilogue, z, FromBf16(other[i]), 0.5);
        INFO("epilogue " << static_cast<int>(epilogue) << ", value " << i);
        if (result == Element::kF32) {
          CHECK(wide_y[i] == Approx(expected).margin(1e-5));
        } else {
          CHECK(FromBf16(half_y[i]) == Approx(expected).epsilon(1.0 / 255).margin(1e-5));
        }
      }
    }
  }
}

}  // namespace emotion::vision
