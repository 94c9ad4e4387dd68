// The vision encoder as the rest of the project sees it: patches in, one vector per image out.
//
// No LibTorch (or oneDNN) type appears here. Implementations live in the folders beside this file
// and are made by their own factories; everything above them (the embedding service, `emotion
// embed`) knows only this interface, and tests put a fake behind it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "vision/preprocess/image.h"

namespace emotion::vision {

// What the matmuls are computed in. Order and names are stable (settings, cache keys).
enum class Precision { kFp32, kBf16, kFp16, kInt8, kMixedInt8 };

// "fp32", "bf16", "fp16", "int8", "mixed_int8".
std::string_view PrecisionName(Precision precision);

// The inverse; nullopt for any other name ("auto" is the caller's to resolve).
std::optional<Precision> ParsePrecision(std::string_view name);

// SHA-256 that identifies a model; see vision/encoder/fingerprint.h.
using Fingerprint = std::array<uint8_t, 32>;

struct EncoderInfo {
  std::string name;         // such as "qwen2.5-vl-7b"
  Fingerprint fingerprint;  // weights, vision config, preprocessing fields, pooling
  int dim = 0;              // values of an embedding
  int patch_values = 0;     // values of one row of Patches, such as 1176
  int merge_size = 2;       // patches a side of one output token
  Precision precision = Precision::kFp32;
  std::string device;  // for people, such as "cpu: LibTorch 1.13.0"
  bool demo = false;   // a demonstration model, not a measurement of anyone
  std::string licence;
};

class VisionEncoder {
 public:
  virtual ~VisionEncoder() = default;

  virtual const EncoderInfo& info() const = 0;

  // Encodes a batch; images may differ in size. Returns one embedding per image, in order: the mean
  // over the image's output tokens, computed in fp32, `info().dim` values. Values may be non-finite
  // where the precision overflowed; the caller checks.
  //
  // Blocks for the length of the computation. Not safe to call from two threads at once.
  // Errors: INVALID_ARGUMENT when a grid or a row count does not fit the model (a bug of the
  // caller), RESOURCE_EXHAUSTED out of device memory, INTERNAL otherwise.
  virtual absl::StatusOr<std::vector<std::vector<float>>> Encode(
      std::span<const Patches* const> images) = 0;
};

}  // namespace emotion::vision
