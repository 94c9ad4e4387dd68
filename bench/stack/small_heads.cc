#include "bench/stack/small_heads.h"

#include <cstdlib>
#include <system_error>

#include <fmt/format.h>

#include "common/affect/affect.h"
#include "heads/head_checkpoint.h"

namespace emotion::bench {
namespace {

heads::LinearLayer Layer(int dim, int seed) {
  heads::LinearLayer layer{.inputs = dim, .outputs = kLevelCount};
  for (int i = 0; i < dim * static_cast<int>(kLevelCount); ++i) {
    layer.weight.push_back(static_cast<float>((i * 7 + seed * 3) % 11) / 11.0F - 0.5F);
  }
  layer.bias.assign(kLevelCount, 0.0F);
  return layer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SmallHeads>> SmallHeads::Create(int dim) {
  std::string name = (std::filesystem::temp_directory_path() / "emotion-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) return absl::UnavailableError("cannot make " + name);
  std::unique_ptr<SmallHeads> folder(new SmallHeads(name));
  std::error_code failed;
  std::filesystem::create_directory(folder->root_ / "classifiers", failed);
  for (const State state : kStates) {
    heads::HeadCheckpoint checkpoint;
    checkpoint.network.layers = {{"0", Layer(dim, static_cast<int>(state))}};
    checkpoint.val_f1 = 0.5;
    const auto file =
        folder->root_ / "classifiers" / fmt::format("mlp_{}_best.pth", StateName(state));
    if (absl::Status saved = heads::SaveHeadCheckpoint(file, checkpoint); !saved.ok()) return saved;
  }
  return folder;
}

SmallHeads::~SmallHeads() {
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

}  // namespace emotion::bench
