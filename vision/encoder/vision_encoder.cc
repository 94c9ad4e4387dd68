#include "vision/encoder/vision_encoder.h"

namespace emotion::vision {
namespace {

constexpr std::array<std::string_view, 5> kPrecisionNames = {"fp32", "bf16", "fp16", "int8",
                                                             "mixed_int8"};

}  // namespace

std::string_view PrecisionName(Precision precision) {
  return kPrecisionNames[static_cast<size_t>(precision)];
}

std::optional<Precision> ParsePrecision(std::string_view name) {
  for (size_t i = 0; i < kPrecisionNames.size(); ++i) {
    if (kPrecisionNames[i] == name) return static_cast<Precision>(i);
  }
  return std::nullopt;
}

}  // namespace emotion::vision
