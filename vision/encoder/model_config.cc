#include "vision/encoder/model_config.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "vision/encoder/bounded_json.h"
#include "vision/encoder/model_error.h"

namespace emotion::vision {
namespace {

using nlohmann::json;

// One size: where it is kept, what the file calls it, and the largest value that is believed. The
// limits are far above any released model and keep every product of two sizes inside int64.
struct SizeKey {
  const char* key;
  int VisionConfig::*member;
  int max;
};

constexpr SizeKey kSizeKeys[] = {
    {"depth", &VisionConfig::depth, 1024},
    {"hidden_size", &VisionConfig::hidden_size, 1 << 16},
    {"intermediate_size", &VisionConfig::intermediate_size, 1 << 18},
    {"num_heads", &VisionConfig::num_heads, 1024},
    {"in_channels", &VisionConfig::in_channels, 16},
    {"patch_size", &VisionConfig::patch_size, 256},
    {"temporal_patch_size", &VisionConfig::temporal_patch_size, 16},
    {"spatial_merge_size", &VisionConfig::spatial_merge_size, 16},
    {"window_size", &VisionConfig::window_size, 1 << 16},
    {"out_hidden_size", &VisionConfig::out_hidden_size, 1 << 16},
};

absl::Status ReadSize(const json& object, const char* key, int max, std::string_view source,
                      int& value) {
  const auto found = object.find(key);
  if (found == object.end()) return absl::OkStatus();
  const auto bad = [&] {
    return ModelError(
        fmt::format("{}: {} must be an integer of 1 to {}; is {}", source, key, max,
                    found->dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 64)));
  };
  if (!found->is_number_integer()) return bad();
  // Larger unsigned numbers would turn negative when read as int64: also refused.
  const auto number = found->get<int64_t>();
  if (number < 1 || number > max) return bad();
  value = static_cast<int>(number);
  return absl::OkStatus();
}

absl::Status ReadFullAttentionBlocks(const json& object, std::string_view source,
                                     VisionConfig& config) {
  const auto found = object.find("fullatt_block_indexes");
  if (found == object.end()) return absl::OkStatus();
  if (!found->is_array() || found->size() > 1024) {
    return ModelError(fmt::format(
        "{}: fullatt_block_indexes must be a list of at most 1024 block indexes", source));
  }
  config.fullatt_block_indexes.clear();
  for (const json& item : *found) {
    // Indexes past the last block name no block; the reference ignores them, and so do we.
    if (!item.is_number_integer() || item.get<int64_t>() < 0 || item.get<int64_t>() > (1 << 20)) {
      return ModelError(
          fmt::format("{}: fullatt_block_indexes must hold integers of 0 to {}", source, 1 << 20));
    }
    config.fullatt_block_indexes.push_back(item.get<int>());
  }
  return absl::OkStatus();
}

absl::Status CheckKind(const json& object, std::string_view source) {
  const auto type = object.find("model_type");
  if (type != object.end() && type->is_string()) {
    const auto& name = type->get_ref<const std::string&>();
    if (!name.starts_with("qwen2_5_vl")) {
      return ModelError(fmt::format("{}: model_type is '{}'; a qwen2_5_vl model is expected",
                                    source, name.substr(0, 64)));
    }
  }
  const auto act = object.find("hidden_act");
  if (act != object.end() && *act != "silu" && *act != "swish") {
    return ModelError(fmt::format("{}: hidden_act must be \"silu\"", source));
  }
  return absl::OkStatus();
}

absl::Status ReadVisionConfig(const json& object, std::string_view source, VisionConfig& config) {
  // The hub's own files say in_chans; where both are given the reference follows in_channels.
  if (auto status = ReadSize(object, "in_chans", 16, source, config.in_channels); !status.ok()) {
    return status;
  }
  for (const SizeKey& size : kSizeKeys) {
    auto status = ReadSize(object, size.key, size.max, source, config.*size.member);
    if (!status.ok()) return status;
  }
  if (auto status = ReadFullAttentionBlocks(object, source, config); !status.ok()) return status;
  if (auto status = CheckKind(object, source); !status.ok()) return status;
  return CheckVisionConfig(config, source);
}

std::string TextMember(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>().substr(0, 256)
                                                     : std::string();
}

std::string_view ReleasedName(const VisionConfig& config) {
  if (config.hidden_size != 1280 || config.depth != 32) return {};
  switch (config.out_hidden_size) {
    case 2048:
      return "qwen2.5-vl-3b";
    case 3584:
      return "qwen2.5-vl-7b";
    case 5120:
      return "qwen2.5-vl-32b";
    case 8192:
      return "qwen2.5-vl-72b";
    default:
      return {};
  }
}

// "_name_or_path" may be somebody's local path: only its last part is shown.
std::string ModelName(const json& root, const VisionConfig& config, bool demo) {
  const auto released = ReleasedName(config);
  if (!released.empty() && !demo) return std::string(released);
  std::string path = TextMember(root, "_name_or_path");
  while (path.ends_with('/')) path.pop_back();
  std::string name = path.substr(path.find_last_of("/\\") + 1);
  std::erase_if(name, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  return name.empty() ? fmt::format("qwen2.5-vl-{}", config.out_hidden_size) : name;
}

}  // namespace

bool VisionConfig::full_attention(int block) const {
  return std::ranges::find(fullatt_block_indexes, block) != fullatt_block_indexes.end();
}

absl::Status CheckVisionConfig(const VisionConfig& config, std::string_view source) {
  for (const SizeKey& size : kSizeKeys) {
    const int value = config.*size.member;
    if (value < 1 || value > size.max) {
      return ModelError(fmt::format("{}: {} must be an integer of 1 to {}; is {}", source, size.key,
                                    size.max, value));
    }
  }
  // Two coordinates share a head, and each rotates pairs: hence the 4.
  if (config.hidden_size % config.num_heads != 0 || config.head_dim() % 4 != 0) {
    return ModelError(
        fmt::format("{}: hidden_size must be a multiple of 4 x num_heads; is {} with {} heads",
                    source, config.hidden_size, config.num_heads));
  }
  if (config.window_groups() < 1) {
    return ModelError(fmt::format("{}: window_size must be at least {} (one merge group); is {}",
                                  source, config.patch_size * config.spatial_merge_size,
                                  config.window_size));
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view text, std::string_view source) {
  auto root = ParseBoundedJson(text, source, {.max_bytes = 1 << 20, .max_depth = 16});
  if (!root.ok()) return root.status();
  const auto nested = root->find("vision_config");
  const bool bare = nested == root->end();
  if (!bare && !nested->is_object()) {
    return ModelError(fmt::format("{}: vision_config must be an object", source));
  }
  if (auto status = CheckKind(bare ? *root : *nested, source); !status.ok()) return status;

  ModelConfig config;
  auto status = ReadVisionConfig(bare ? *root : *nested, source, config.vision);
  if (!status.ok()) return status;
  config.demo = root->value("demo", json()) == true;
  config.licence = TextMember(*root, "licence");
  if (config.licence.empty()) config.licence = TextMember(*root, "license");
  config.name = ModelName(*root, config.vision, config.demo);
  return config;
}

absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& directory) {
  const std::string path = directory + "/config.json";
  auto text = ReadSmallFile(path, 1 << 20);
  if (!text.ok()) return text.status();
  return ParseModelConfig(*text, path);
}

std::string FormatModelConfig(const ModelConfig& config) {
  json vision = {{"model_type", "qwen2_5_vl"},
                 {"hidden_act", "silu"},
                 {"fullatt_block_indexes", config.vision.fullatt_block_indexes}};
  for (const SizeKey& size : kSizeKeys) vision[size.key] = config.vision.*size.member;
  json root = {{"architectures", {"Qwen2_5_VLForConditionalGeneration"}},
               {"model_type", "qwen2_5_vl"},
               {"_name_or_path", config.name},
               {"vision_config", vision}};
  if (config.demo) root["demo"] = true;
  if (!config.licence.empty()) root["license"] = config.licence;
  return root.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string CanonicalText(const VisionConfig& config) {
  std::string text;
  for (const SizeKey& size : kSizeKeys) {
    text += fmt::format("{}={}\n", size.key, config.*size.member);
  }
  return text + fmt::format("hidden_act=silu\nfullatt_block_indexes={}\n",
                            fmt::join(config.fullatt_block_indexes, ","));
}

}  // namespace emotion::vision
