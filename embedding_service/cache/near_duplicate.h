// When are two frames of one face so alike that the answer to one is the answer to the other?
//
// What matters in a face is small and local: lids, brows, mouth, gaze. What does not is global: the
// head drifting by a pixel or two, light, sensor noise, what JPEG loses. So a frame is described by
// a small map of its contrasts, two maps are aligned, and what alignment and light do not explain
// is judged where it is largest, not on average. How it was chosen, and what it costs and saves:
// docs/decisions/0011-near-duplicates.md.
//
// Pure; safe from any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "vision/preprocess/image.h"

namespace emotion::embedding {

// The version of descriptor and scale: similarities of two rules cannot be compared.
inline constexpr std::string_view kNearRule = "near-1";

// An encoded frame answers for others for so long, counted from its own encode.
inline constexpr std::chrono::milliseconds kNearLifetime{20'000};

// Encoded frames that are remembered of one face.
inline constexpr size_t kNearCandidates = 2;

// An encode that a frame within this time after it is unlike showed what passes, such as a blink.
// It is forgotten: eyes that close later are not a blink.
inline constexpr std::chrono::milliseconds kNearFleeting{1'500};

// Whether a frame accepted at `unlike_us`, unlike one of `encoded_us`, shows that one to be
// fleeting; an older frame never does. Unix microseconds, not negative.
bool IsFleeting(int64_t encoded_us, int64_t unlike_us);

// A face as a map of contrasts: each cell against the light around it. 784 bytes; a blurred face
// can be made out in them, so they never leave the process.
class FaceDescriptor {
 public:
  static constexpr int kSide = 28;  // cells

  FaceDescriptor() = default;  // of a picture without contrast
  explicit FaceDescriptor(const std::array<int8_t, kSide * kSide>& contrasts)
      : contrasts_(contrasts) {}

  // [kSide, kSide] row-major; 48 is a cell twice as bright as what is around it.
  const std::array<int8_t, kSide * kSide>& contrasts() const { return contrasts_; }

  friend bool operator==(const FaceDescriptor&, const FaceDescriptor&) = default;

 private:
  std::array<int8_t, kSide * kSide> contrasts_{};
};

// `face` is the picture as the encoder sees it, at any size: of pictures with unlike sides the
// descriptors compare, though that says little. About 30 us for 112 x 112 pixels.
FaceDescriptor Describe(const vision::RgbImage& face);

// 0 to 1; 1 for equal descriptors; symmetric. 0.95 is the operating point that was chosen by
// measurement; what is above it may be answered from the cache. About 4 us.
float Similarity(const FaceDescriptor& a, const FaceDescriptor& b);

// Descriptors as they may be stored outside the process: turned by a random rotation that differs
// per lane (a keyed random projection that keeps distances), then enciphered and signed. Nothing of
// a face can be seen in them, no two lanes can be compared, and to a reader without the secret a
// sealed descriptor is noise, also beside others of its lane.
class DescriptorSeal {
 public:
  static constexpr size_t kSealedBytes = 2928;

  // `cache_secret` of any length; whoever shares descriptors must have the same.
  explicit DescriptorSeal(std::string_view cache_secret);

  // kSealedBytes, the same for the same arguments. `lane` is what may be compared, of any length.
  // About 30 us.
  std::string Seal(const FaceDescriptor& descriptor, std::string_view lane) const;

  // That of the two descriptors, up to 0.002 for rounding; -1 for what this seal did not make, and
  // for descriptors of two lanes. Any bytes are taken. About 12 us.
  float Similarity(std::string_view sealed_a, std::string_view sealed_b) const;

 private:
  std::array<uint8_t, 32> rotation_key_;
  std::array<uint8_t, 32> cipher_key_;
  std::array<uint8_t, 32> sign_key_;
};

}  // namespace emotion::embedding
