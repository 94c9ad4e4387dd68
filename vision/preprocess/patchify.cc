#include "vision/preprocess/patchify.h"

#include <algorithm>
#include <vector>

#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion::vision {
namespace {

constexpr int kChannels = 3;

}  // namespace

Patchifier::Patchifier(const PreprocessorConfig& config) : config_(config) {
  for (int c = 0; c < kChannels; ++c) {
    const auto mean = static_cast<float>(config.mean[c]);
    const auto std = static_cast<float>(config.std[c]);
    for (int pixel = 0; pixel < 256; ++pixel) {
      // The product in double, then float32 from there: the reference's types, in its order.
      const auto rescaled = static_cast<float>(pixel * config.rescale_factor);
      normalised_[c][pixel] = (rescaled - mean) / std;
    }
  }
}

absl::StatusOr<Patches> Patchifier::Still(const RgbImage& image) const {
  const RgbImage* frame = &image;
  return Frames({&frame, 1});
}

absl::StatusOr<Patches> Patchifier::Frames(std::span<const RgbImage* const> frames) const {
  if (frames.empty()) return FieldError("image", "must have at least 1 frame; has 0");
  for (const RgbImage* frame : frames) {
    if (absl::Status status = Check(*frame); !status.ok()) return status;
    if (frame->size != frames[0]->size) {
      return FieldError("image", "all frames of a clip must have one size");
    }
  }
  const auto depth = static_cast<size_t>(config_.temporal_patch_size);
  std::vector<const RgbImage*> padded(frames.begin(), frames.end());
  padded.resize((frames.size() + depth - 1) / depth * depth, frames.back());

  Patches patches;
  patches.grid = {static_cast<int>(padded.size() / depth),
                  frames[0]->size.height / config_.patch_size,
                  frames[0]->size.width / config_.patch_size};
  const auto row_values = static_cast<size_t>(config_.patch_values());
  patches.rows.resize(row_values * patches.grid.patches());
  float* out = patches.rows.data();
  const int merge = config_.merge_size;
  for (size_t t = 0; t < padded.size(); t += depth) {
    const std::span<const RgbImage* const> group(&padded[t], depth);
    for (int group_row = 0; group_row < patches.grid.h; group_row += merge) {
      for (int group_column = 0; group_column < patches.grid.w; group_column += merge) {
        for (int i = 0; i < merge * merge; ++i, out += row_values) {
          WritePatch(group, group_row + i / merge, group_column + i % merge, out);
        }
      }
    }
  }
  return patches;
}

absl::Status Patchifier::Check(const RgbImage& image) const {
  const auto [width, height] = image.size;
  const int factor = config_.factor();
  if (width < factor || height < factor || width % factor != 0 || height % factor != 0) {
    return FieldError("image", fmt::format("sides must be multiples of {} pixels; it is {} x {}",
                                           factor, width, height));
  }
  if (image.pixels.size() != static_cast<size_t>(width) * height * kChannels) {
    return FieldError(
        "image", fmt::format("{} x {} pixels need {} bytes; it has {}", width, height,
                             static_cast<size_t>(width) * height * kChannels, image.pixels.size()));
  }
  return absl::OkStatus();
}

void Patchifier::WritePatch(std::span<const RgbImage* const> frames, int row, int column,
                            float* out) const {
  const int side = config_.patch_size;
  const size_t stride = static_cast<size_t>(frames[0]->size.width) * kChannels;
  const size_t corner =
      static_cast<size_t>(row) * side * stride + static_cast<size_t>(column) * side * kChannels;
  for (int c = 0; c < kChannels; ++c) {
    const auto& table = normalised_[c];
    for (size_t t = 0; t < frames.size(); ++t) {
      if (t > 0 && frames[t] == frames[t - 1]) {
        out = std::copy_n(out - side * side, side * side, out);
        continue;
      }
      const uint8_t* line = frames[t]->pixels.data() + corner + c;
      for (int y = 0; y < side; ++y, line += stride) {
        for (int x = 0; x < side; ++x) *out++ = table[line[x * kChannels]];
      }
    }
  }
}

}  // namespace emotion::vision
