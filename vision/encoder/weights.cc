#include "vision/encoder/weights.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>

#include "fmt/format.h"
#include "vision/encoder/bounded_json.h"
#include "vision/encoder/model_error.h"

namespace emotion::vision {
namespace {

constexpr size_t kMaxIndexBytes = 8 << 20;
constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";
constexpr std::array<std::string_view, 2> kPrefixes = {"visual.", "model.visual."};
constexpr std::array<std::string_view, 3> kBareParts = {"patch_embed.", "blocks.", "merger."};

using Places = std::map<std::string, std::string>;

// A shard's name is text from a file that may want us to open something else.
bool IsPlainFileName(std::string_view name) {
  return name.size() <= 255 && name.ends_with(".safetensors") && !name.starts_with('.') &&
         std::ranges::none_of(
             name, [](unsigned char c) { return c == '/' || c == '\\' || c < 0x20 || c == 0x7f; });
}

absl::StatusOr<Places> ReadIndex(const std::string& directory) {
  const std::string path = fmt::format("{}/{}", directory, kIndexFile);
  auto text = ReadSmallFile(path, kMaxIndexBytes);
  if (!text.ok()) return text.status();
  auto root = ParseBoundedJson(*text, path, {.max_bytes = kMaxIndexBytes, .max_depth = 8});
  if (!root.ok()) return root.status();
  const auto map = root->find("weight_map");
  if (map == root->end() || !map->is_object()) {
    return ModelError(fmt::format("{}: weight_map must be an object of tensor names", path));
  }
  Places places;
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string() || !IsPlainFileName(file.get_ref<const std::string&>())) {
      return ModelError(fmt::format(
          "{}: weight_map: tensor '{}' must be in a plain '.safetensors' file of this directory",
          path, name));
    }
    places[name] = directory + "/" + file.get<std::string>();
  }
  return places;
}

absl::StatusOr<std::string> FindPrefix(const Places& places, const std::string& directory) {
  std::vector<std::string> found;
  for (const std::string_view prefix : kPrefixes) {
    const auto first = places.lower_bound(std::string(prefix));
    if (first != places.end() && first->first.starts_with(prefix)) found.emplace_back(prefix);
  }
  if (found.empty() && std::ranges::any_of(places, [](const auto& place) {
        return std::ranges::any_of(
            kBareParts, [&](std::string_view part) { return place.first.starts_with(part); });
      })) {
    found.emplace_back();
  }
  if (found.size() == 1) return found[0];
  return ModelError(fmt::format("{}: {}", directory,
                                found.empty() ? "holds no vision tower (no tensor 'visual.*', "
                                                "'model.visual.*' or 'patch_embed.*')"
                                              : "holds two vision towers, 'visual.*' and "
                                                "'model.visual.*'"));
}

absl::Status CheckTensor(const TensorSpec& expected, const TensorView& found,
                         const std::string& name, const std::string& file) {
  if (found.shape != expected.shape) {
    return ModelError(fmt::format("{}: tensor '{}': has shape {}; config.json makes it {}", file,
                                  name, ShapeText(found.shape), ShapeText(expected.shape)));
  }
  if (found.dtype != DType::kF32 && found.dtype != DType::kF16 && found.dtype != DType::kBF16) {
    return ModelError(fmt::format("{}: tensor '{}': is stored as {}; F32, F16 or BF16 is expected",
                                  file, name, DTypeName(found.dtype)));
  }
  return absl::OkStatus();
}

void AddBlock(const VisionConfig& c, int block, std::vector<TensorSpec>& tensors) {
  const std::string at = fmt::format("blocks.{}.", block);
  const int64_t hidden = c.hidden_size;
  const int64_t wide = c.intermediate_size;
  const auto add = [&](const char* name, Shape shape) {
    tensors.push_back({at + name, DType::kF32, std::move(shape)});
  };
  add("norm1.weight", {hidden});
  add("norm2.weight", {hidden});
  add("attn.qkv.weight", {3 * hidden, hidden});
  add("attn.qkv.bias", {3 * hidden});
  add("attn.proj.weight", {hidden, hidden});
  add("attn.proj.bias", {hidden});
  add("mlp.gate_proj.weight", {wide, hidden});
  add("mlp.gate_proj.bias", {wide});
  add("mlp.up_proj.weight", {wide, hidden});
  add("mlp.up_proj.bias", {wide});
  add("mlp.down_proj.weight", {hidden, wide});
  add("mlp.down_proj.bias", {hidden});
}

}  // namespace

std::vector<TensorSpec> TowerTensors(const VisionConfig& c) {
  const int64_t hidden = c.hidden_size;
  const int64_t merged = hidden * c.merge_unit();
  const int64_t out = c.out_hidden_size;
  std::vector<TensorSpec> tensors = {
      {"patch_embed.proj.weight",
       DType::kF32,
       {hidden, c.in_channels, c.temporal_patch_size, c.patch_size, c.patch_size}},
      {"merger.ln_q.weight", DType::kF32, {hidden}},
      {"merger.mlp.0.weight", DType::kF32, {merged, merged}},
      {"merger.mlp.0.bias", DType::kF32, {merged}},
      {"merger.mlp.2.weight", DType::kF32, {out, merged}},
      {"merger.mlp.2.bias", DType::kF32, {out}}};
  for (int block = 0; block < c.depth; ++block) AddBlock(c, block, tensors);
  std::ranges::sort(tensors, {}, &TensorSpec::name);
  return tensors;
}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& directory,
                                            const VisionConfig& config) {
  Checkpoint checkpoint;
  auto places = checkpoint.FindTensors(directory);
  if (!places.ok()) return places.status();
  auto prefix = FindPrefix(*places, directory);
  if (!prefix.ok()) return prefix.status();
  checkpoint.prefix_ = *std::move(prefix);
  if (auto status = checkpoint.Collect(*places, config); !status.ok()) return status;
  if (auto status = checkpoint.CheckStrays(*places); !status.ok()) return status;
  return checkpoint;
}

absl::StatusOr<Places> Checkpoint::FindTensors(const std::string& directory) {
  // One file wins over an index, as in the reference.
  const std::string single = fmt::format("{}/{}", directory, kSingleFile);
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    source_ = single;
    if (auto status = OpenFile(single); !status.ok()) return status;
    Places places;
    for (const auto& [name, view] : files_[single]->tensors()) places[name] = single;
    return places;
  }
  source_ = fmt::format("{}/{}", directory, kIndexFile);
  auto places = ReadIndex(directory);
  if (absl::IsNotFound(places.status())) {
    return ModelMissing(
        fmt::format("{}: holds neither {} nor {}", directory, kSingleFile, kIndexFile));
  }
  return places;
}

absl::Status Checkpoint::OpenFile(const std::string& path) {
  if (files_.contains(path)) return absl::OkStatus();
  auto file = SafetensorsFile::Open(path);
  if (!file.ok()) return file.status();
  files_[path] = *std::move(file);
  return absl::OkStatus();
}

absl::Status Checkpoint::Collect(const Places& places, const VisionConfig& config) {
  std::map<std::string, TensorSpec> expected;
  for (TensorSpec& spec : TowerTensors(config)) expected[spec.name] = std::move(spec);
  for (const auto& [full, path] : places) {
    if (!full.starts_with(prefix_)) continue;
    const std::string name = full.substr(prefix_.size());
    const auto spec = expected.find(name);
    if (spec == expected.end()) {
      return ModelError(fmt::format("{}: tensor '{}': a tower of this config has none of that name",
                                    source_, full));
    }
    if (auto status = Take(full, path, spec->second); !status.ok()) return status;
    expected.erase(spec);
  }
  if (expected.empty()) return absl::OkStatus();
  const TensorSpec& first = expected.begin()->second;
  return ModelError(fmt::format(
      "{}: tensor '{}{}' {} is missing{}", source_, prefix_, first.name, ShapeText(first.shape),
      expected.size() == 1 ? "" : fmt::format(", and {} more", expected.size() - 1)));
}

absl::Status Checkpoint::Take(const std::string& full, const std::string& path,
                              const TensorSpec& expected) {
  if (auto status = OpenFile(path); !status.ok()) return status;
  const SafetensorsFile& file = *files_[path];
  const auto view = file.tensors().find(full);
  if (view == file.tensors().end()) {
    return ModelError(
        fmt::format("{}: tensor '{}' is missing; {} says it is here", path, full, kIndexFile));
  }
  if (auto status = CheckTensor(expected, view->second, full, path); !status.ok()) return status;
  home_[expected.name] = &file;
  tensors_[expected.name] = view->second;
  return absl::OkStatus();
}

// A shard that also holds a tensor of the tower which the index puts elsewhere: which one counts?
absl::Status Checkpoint::CheckStrays(const Places& places) const {
  for (const auto& [path, file] : files_) {
    for (const auto& [full, view] : file->tensors()) {
      const auto place = places.find(full);
      const bool told = place != places.end() && place->second == path;
      if (full.starts_with(prefix_) && !told) {
        return ModelError(fmt::format("{}: tensor '{}': {} does not say that it is here", path,
                                      full, kIndexFile));
      }
    }
  }
  return absl::OkStatus();
}

void Checkpoint::Release(const std::string& name) const {
  home_.at(name)->Release(tensors_.at(name));
}

std::vector<std::string> Checkpoint::files() const {
  std::vector<std::string> paths;
  for (const auto& [path, file] : files_) paths.push_back(path);
  return paths;
}

}  // namespace emotion::vision
