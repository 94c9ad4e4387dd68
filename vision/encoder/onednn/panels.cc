#include "vision/encoder/onednn/panels.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "vision/encoder/onednn/linear_desc.h"
#include "vision/encoder/onednn/product_part.h"

namespace emotion::vision {
namespace {

// A tile is what one thread computes before it looks for more: so many rows stay in its second
// level cache while panels go by.
constexpr int64_t kTileRows = 64;
constexpr int64_t kTilePanels = 4;
// Multiply-adds of a tile, about: enough that handing it out costs nothing, few enough that the
// last one of a product is not waited for.
constexpr int64_t kTileWork = 64 * 1280 * 64;

// How a product is cut into tiles: panels first, so that one who takes several in turn meets the
// same weights.
struct Tiling {
  int64_t panels = 0;     // in all
  int64_t tile = 0;       // of these
  int64_t row_tiles = 0;  // of kTileRows
  int64_t tiles = 0;
};

Tiling TilingOf(const LinearSpec& spec, int64_t rows, int threads) {
  Tiling tiling;
  tiling.panels = (spec.out + kPanelOutputs - 1) / kPanelOutputs;
  tiling.row_tiles = (rows + kTileRows - 1) / kTileRows;
  const int64_t worth = kTileWork / (std::min(rows, kTileRows) * spec.in * kPanelOutputs);
  const int64_t fair = tiling.panels * tiling.row_tiles / (4 * int64_t{threads});
  tiling.tile = std::clamp<int64_t>(std::min(worth, fair), 1, kTilePanels);
  tiling.tiles = (tiling.panels + tiling.tile - 1) / tiling.tile * tiling.row_tiles;
  return tiling;
}

// One product while its tiles are computed.
class PanelProduct {
 public:
  PanelProduct(const PackedLinear::Packed& packed, int64_t rows, int threads, const ProductInput& x,
               void* y, const void* other)
      : packed_(packed),
        spec_(packed.kernel),
        bytes_(spec_.element == Element::kInt8),
        rows_(rows),
        threads_(threads),
        tiling_(TilingOf(spec_, rows, threads)),
        panel_bytes_(PanelInputs(spec_.element, spec_.in) * kPanelOutputs *
                     static_cast<int64_t>(BytesOf(spec_.element))),
        x_(x),
        y_(y),
        other_(other) {}

  int64_t tiles() const { return tiling_.tiles; }

  void Compute(int64_t tile) const {
    alignas(64) std::byte sums[kTileRows * kTilePanels * kPanelOutputs * sizeof(float)];
    const int64_t panel = tile / tiling_.row_tiles * tiling_.tile;
    const int64_t row = tile % tiling_.row_tiles * kTileRows;
    const int64_t count = std::min(tiling_.tile, tiling_.panels - panel);
    const PanelTask task{.x = ValueAt(x_.values, spec_.element, row * spec_.in),
                         .rows = std::min(kTileRows, rows_ - row),
                         .in = spec_.in,
                         .panels = Panel(panel),
                         .count = count,
                         .next = Panel(panel + tiling_.tile * threads_),
                         .sums = sums};
    bytes_ ? kernels_.multiply_bytes(task) : kernels_.multiply_floats(task);
    const int64_t column = panel * kPanelOutputs;
    const int64_t width = count * kPanelOutputs;
    FinishPart(packed_,
               {.row = row,
                .rows = task.rows,
                .column = column,
                .width = std::min(width, spec_.out - column)},
               sums, width, x_, y_, other_);
  }

 private:
  // Null behind the last.
  const void* Panel(int64_t panel) const {
    if (panel >= tiling_.panels) return nullptr;
    return packed_.weights.as<std::byte>() + panel * panel_bytes_;
  }

  const PackedLinear::Packed& packed_;
  const LinearSpec& spec_;
  const bool bytes_;
  const int64_t rows_;
  const int threads_;
  const Tiling tiling_;
  const int64_t panel_bytes_;
  const ProductInput& x_;
  void* const y_;
  const void* const other_;
  const Kernels& kernels_ = *UsableKernels().front();
};

// index(o, k) is where a panel holds the weight of its output o for input k.
template <class T, class Index>
AlignedBuffer Pack(const T* weight, int64_t out, int64_t in, int64_t padded, const Index& index) {
  const int64_t panels = (out + kPanelOutputs - 1) / kPanelOutputs;
  const auto bytes = static_cast<size_t>(panels * kPanelOutputs * padded) * sizeof(T);
  AlignedBuffer packed(bytes);
  std::memset(packed.as(), 0, bytes);
  for (int64_t o = 0; o < out; ++o) {
    T* panel = packed.as<T>() + o / kPanelOutputs * kPanelOutputs * padded;
    for (int64_t k = 0; k < in; ++k) panel[index(o % kPanelOutputs, k)] = weight[o * in + k];
  }
  return packed;
}

}  // namespace

AlignedBuffer PackPanels(const float* weight, int64_t out, int64_t in) {
  return Pack(weight, out, in, in, [](int64_t o, int64_t k) { return k * kPanelOutputs + o; });
}

AlignedBuffer PackPanels(const int8_t* weight, int64_t out, int64_t in) {
  return Pack(weight, out, in, PanelInputs(Element::kInt8, in),
              [](int64_t o, int64_t k) { return k / 4 * 4 * kPanelOutputs + o * 4 + k % 4; });
}

void MultiplyPanels(const PackedLinear::Packed& packed, int64_t rows, Team& team,
                    const ProductInput& x, void* y, const void* other) {
  const PanelProduct product(packed, rows, team.size(), x, y, other);
  team.ForEach(product.tiles(), [&](int64_t tile, int) { product.Compute(tile); });
}

}  // namespace emotion::vision
