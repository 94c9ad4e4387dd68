// A folder with four small heads, written by the product's own writer: one Linear from `dim` values
// to the four levels, whose weights make the answer depend on every value. Test data, not a model.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <catch2/catch.hpp>

#include "common/affect/affect.h"
#include "fmt/format.h"
#include "heads/head_checkpoint.h"

namespace emotion::testing {

class SmallHeads {
 public:
  explicit SmallHeads(int dim, std::optional<heads::Fingerprint> fingerprint = std::nullopt) {
    std::string name = (std::filesystem::temp_directory_path() / "emotion-heads-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    root_ = name;
    std::filesystem::create_directories(classifiers());
    for (State state : kStates) {
      heads::HeadCheckpoint checkpoint;
      checkpoint.network.layers = {{"0", Layer(dim, static_cast<int>(state))}};
      checkpoint.val_f1 = 0.5;
      checkpoint.encoder_fingerprint = fingerprint;
      const auto file = classifiers() / fmt::format("mlp_{}_best.pth", StateName(state));
      const absl::Status saved = heads::SaveHeadCheckpoint(file, checkpoint);
      INFO(saved.ToString());
      REQUIRE(saved.ok());
    }
  }
  ~SmallHeads() { std::filesystem::remove_all(root_); }
  SmallHeads(const SmallHeads&) = delete;
  SmallHeads& operator=(const SmallHeads&) = delete;

  // Laid out as MODELS_DIR.
  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path classifiers() const { return root_ / "classifiers"; }

 private:
  static heads::LinearLayer Layer(int dim, int seed) {
    heads::LinearLayer layer{.inputs = dim, .outputs = kLevelCount, .weight = {}, .bias = {}};
    for (int i = 0; i < dim * static_cast<int>(kLevelCount); ++i) {
      layer.weight.push_back(static_cast<float>((i * 7 + seed * 3) % 11) / 11.0F - 0.5F);
    }
    layer.bias.assign(kLevelCount, 0.0F);
    return layer;
  }

  std::filesystem::path root_;
};

}  // namespace emotion::testing
