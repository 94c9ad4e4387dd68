#include "vision/encoder/work.h"

#include "vision/encoder/window_layout.h"

namespace emotion::vision {
namespace {

// Scores and their mixture: two products of length x length x hidden.
double AttentionOperations(std::span<const Segment> segments, double hidden) {
  double operations = 0;
  for (const Segment& segment : segments) {
    const auto length = static_cast<double>(segment.length);
    operations += 2 * 2 * length * length * hidden;
  }
  return operations;
}

}  // namespace

absl::StatusOr<double> CountOperations(const VisionConfig& config, std::span<const Grid> grids) {
  const auto layout = MakeWindowLayout(config, grids);
  if (!layout.ok()) return layout.status();
  const double hidden = config.hidden_size;
  const double merged = hidden * config.merge_unit();
  const auto patches = static_cast<double>(layout->patches);
  const double block = 4 * hidden * hidden + 3 * hidden * config.intermediate_size;
  double operations = 2 * patches * (config.patch_values() * hidden + config.depth * block);
  for (int i = 0; i < config.depth; ++i) {
    operations +=
        AttentionOperations(config.full_attention(i) ? layout->frames : layout->windows, hidden);
  }
  const double tokens = patches / config.merge_unit();
  return operations + 2 * tokens * (merged * merged + merged * config.out_hidden_size);
}

}  // namespace emotion::vision
