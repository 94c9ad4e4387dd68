// Any number of different pictures out of one JPEG, at the price of copying it.
//
// A picture is made without encoding: a few of the quantisers of the luma table are changed, so
// that pixels differ, and a comment segment carries its number, so that bytes differ too, whatever
// the pixels do. All pictures have equal size, and decode at equal cost.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace emotion::bench {

class FrameImages {
 public:
  // INVALID_ARGUMENT unless `jpeg` begins as a JPEG with an 8-bit table of quantisers.
  static absl::StatusOr<FrameImages> FromJpeg(std::string jpeg);

  // `picture` names what is seen; `nuance` changes other bytes and next to nothing of the pixels,
  // as two frames of someone who sits still. Equal numbers give equal bytes.
  std::string Make(uint64_t picture, uint32_t nuance) const;

 private:
  FrameImages(std::string jpeg, size_t table) : jpeg_(std::move(jpeg)), table_(table) {}

  std::string jpeg_;  // without its first two bytes
  size_t table_;      // where the 64 quantisers begin in it
};

}  // namespace emotion::bench
