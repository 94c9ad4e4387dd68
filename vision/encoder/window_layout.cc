#include "vision/encoder/window_layout.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "fmt/format.h"
#include "vision/encoder/model_error.h"

namespace emotion::vision {
namespace {

constexpr int64_t kMaxPatches = INT32_MAX;

absl::StatusOr<int64_t> CheckGrid(const VisionConfig& config, const Grid& grid) {
  const int merge = config.spatial_merge_size;
  const bool whole =
      grid.t > 0 && grid.h > 0 && grid.w > 0 && grid.h % merge == 0 && grid.w % merge == 0;
  // 2^31 per frame before the product with t, so that it stays inside int64.
  const int64_t frame = static_cast<int64_t>(grid.h) * grid.w;
  if (!whole || frame > kMaxPatches || frame * grid.t > kMaxPatches) {
    return ModelError(fmt::format(
        "a grid of {} x {} x {} patches does not fit: rows and columns must be multiples of {}, "
        "and a batch has at most {} patches",
        grid.t, grid.h, grid.w, merge, kMaxPatches));
  }
  return frame * grid.t;
}

// Appends the windows of one frame whose first merge group is `first`.
void AddFrame(const VisionConfig& config, int64_t rows, int64_t columns, int64_t first,
              WindowLayout& layout) {
  const int64_t side = config.window_groups();
  for (int64_t top = 0; top < rows; top += side) {
    for (int64_t left = 0; left < columns; left += side) {
      const int64_t bottom = std::min(top + side, rows);
      const int64_t right = std::min(left + side, columns);
      const auto begin = static_cast<int64_t>(layout.group_order.size()) * config.merge_unit();
      for (int64_t row = top; row < bottom; ++row) {
        for (int64_t column = left; column < right; ++column) {
          layout.group_order.push_back(first + row * columns + column);
        }
      }
      layout.windows.push_back({begin, (bottom - top) * (right - left) * config.merge_unit()});
    }
  }
}

}  // namespace

absl::StatusOr<WindowLayout> MakeWindowLayout(const VisionConfig& config,
                                              std::span<const Grid> grids) {
  WindowLayout layout;
  for (const Grid& grid : grids) {
    const auto patches = CheckGrid(config, grid);
    if (!patches.ok()) return patches.status();
    if ((layout.patches += *patches) > kMaxPatches) {
      return ModelError(fmt::format("a batch of over {} patches", kMaxPatches));
    }
    layout.tokens_per_image.push_back(*patches / config.merge_unit());
  }
  layout.group_order.reserve(layout.patches / config.merge_unit());
  for (const Grid& grid : grids) {
    const int64_t rows = grid.h / config.spatial_merge_size;
    const int64_t columns = grid.w / config.spatial_merge_size;
    for (int frame = 0; frame < grid.t; ++frame) {
      const auto first = static_cast<int64_t>(layout.group_order.size());
      AddFrame(config, rows, columns, first, layout);
      layout.frames.push_back({first * config.merge_unit(), rows * columns * config.merge_unit()});
    }
  }
  layout.group_place.resize(layout.group_order.size());
  for (size_t place = 0; place < layout.group_order.size(); ++place) {
    layout.group_place[layout.group_order[place]] = static_cast<int64_t>(place);
  }
  return layout;
}

std::vector<float> RotaryAngles(const VisionConfig& config, std::span<const Grid> grids) {
  // Single precision throughout, as in the reference: at column 900 a double would differ.
  const int dim = config.head_dim() / 2;
  std::vector<float> frequencies;
  for (int i = 0; i < dim; i += 2) {
    frequencies.push_back(1.0F /
                          std::pow(10000.0F, static_cast<float>(i) / static_cast<float>(dim)));
  }
  std::vector<float> angles;
  const int merge = config.spatial_merge_size;
  const auto add = [&](int position) {
    for (const float f : frequencies) angles.push_back(static_cast<float>(position) * f);
  };
  for (const Grid& grid : grids) {
    for (int frame = 0; frame < grid.t; ++frame) {
      for (int64_t group = 0; group < int64_t{grid.h} * grid.w / config.merge_unit(); ++group) {
        const int top = static_cast<int>(group / (grid.w / merge)) * merge;
        const int left = static_cast<int>(group % (grid.w / merge)) * merge;
        for (int inside = 0; inside < config.merge_unit(); ++inside) {
          add(top + inside / merge);
          add(left + inside % merge);
        }
      }
    }
  }
  return angles;
}

}  // namespace emotion::vision
