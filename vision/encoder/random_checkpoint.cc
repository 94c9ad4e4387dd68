#include "vision/encoder/random_checkpoint.h"

#include <algorithm>
#include <array>
#include <bit>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/numeric/half.h"
#include "fmt/format.h"
#include "vision/encoder/model_error.h"
#include "vision/encoder/random_weights.h"
#include "vision/encoder/weights.h"

namespace emotion::vision {
namespace {

constexpr int64_t kPieceValues = 1 << 20;
constexpr std::string_view kPrefix = "visual.";

constexpr std::array<std::pair<std::string_view, ModelSize>, 5> kSizes = {
    {{"tiny", ModelSize::kTiny},
     {"3b", ModelSize::k3b},
     {"7b", ModelSize::k7b},
     {"32b", ModelSize::k32b},
     {"72b", ModelSize::k72b}}};

absl::Status DiskError(const std::string& path) {
  const std::string text = fmt::format("{}: cannot be written", path);
  return absl::InternalError(absl::string_view(text.data(), text.size()));
}

uint16_t ToBFloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);  // ties to even
}

// One shard after another, so that no file passes the bound unless one tensor does.
std::vector<std::vector<TensorSpec>> CutIntoShards(const RandomCheckpointOptions& options) {
  std::vector<std::vector<TensorSpec>> shards;
  int64_t filled = 0;
  for (TensorSpec& spec : TowerTensors(options.config)) {
    spec.dtype = options.dtype;
    const int64_t bytes = *TensorBytes(spec.dtype, spec.shape);
    if (shards.empty() || filled + bytes > options.shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += bytes;
    shards.back().push_back(std::move(spec));
  }
  return shards;
}

class RandomWriter {
 public:
  explicit RandomWriter(const RandomCheckpointOptions& options)
      : options_(options), shards_(CutIntoShards(options)) {
    for (const auto& shard : shards_) {
      for (const TensorSpec& spec : shard) total_ += *TensorBytes(spec.dtype, spec.shape);
    }
  }

  absl::Status WriteAll() {
    nlohmann::json map = nlohmann::json::object();
    for (size_t i = 0; i < shards_.size(); ++i) {
      const std::string file = shards_.size() == 1 ? "model.safetensors"
                                                   : fmt::format("model-{:05}-of-{:05}.safetensors",
                                                                 i + 1, shards_.size());
      if (auto status = WriteShard(file, shards_[i]); !status.ok()) return status;
      for (const TensorSpec& spec : shards_[i]) map[std::string(kPrefix) + spec.name] = file;
    }
    if (shards_.size() == 1) return absl::OkStatus();
    const nlohmann::json index = {{"metadata", {{"total_size", total_}}}, {"weight_map", map}};
    return WriteText("model.safetensors.index.json", index.dump(1) + "\n");
  }

  absl::Status WriteText(const char* file, const std::string& text) const {
    const std::string path = options_.directory + "/" + file;
    std::ofstream out(path, std::ios::binary);
    out << text << std::flush;
    return out ? absl::OkStatus() : DiskError(path);
  }

 private:
  absl::Status WriteShard(const std::string& file, const std::vector<TensorSpec>& specs) {
    std::vector<TensorSpec> full = specs;
    for (TensorSpec& spec : full) spec.name.insert(0, kPrefix);
    auto writer = SafetensorsWriter::Create(options_.directory + "/" + file, full);
    if (!writer.ok()) return writer.status();
    for (const TensorSpec& spec : specs) {
      if (auto status = WriteTensor(**writer, spec); !status.ok()) return status;
    }
    return (*writer)->Finish();
  }

  absl::Status WriteTensor(SafetensorsWriter& writer, const TensorSpec& spec) {
    const int64_t count = *TensorBytes(spec.dtype, spec.shape) / DTypeBytes(spec.dtype);
    std::vector<float> values;
    for (int64_t first = 0; first < count; first += kPieceValues) {
      values.resize(std::min(kPieceValues, count - first));
      const auto fill = options_.outliers ? FillOutlierWeights : FillRandomWeights;
      fill(spec.name, spec.shape, options_.seed, first, values);
      const auto bytes = Convert(values);
      if (auto status = writer.Append(bytes); !status.ok()) return status;
      done_ += static_cast<int64_t>(bytes.size());
      if (options_.progress) options_.progress(done_, total_);
    }
    return absl::OkStatus();
  }

  // Into the stored dtype; valid until the next call.
  std::span<const std::byte> Convert(std::span<const float> values) {
    if (options_.dtype == DType::kF32) return std::as_bytes(values);
    narrow_.resize(values.size());
    std::ranges::transform(values, narrow_.begin(),
                           options_.dtype == DType::kF16 ? FloatToHalf : ToBFloat16);
    return std::as_bytes(std::span(narrow_));
  }

  const RandomCheckpointOptions& options_;
  std::vector<std::vector<TensorSpec>> shards_;
  std::vector<uint16_t> narrow_;
  int64_t total_ = 0;
  int64_t done_ = 0;
};

// What the released models say, but for the sizes of a patch.
std::string PreprocessorText(const VisionConfig& config) {
  const int side = config.patch_size * config.spatial_merge_size;
  const nlohmann::json text = {{"image_processor_type", "Qwen2VLImageProcessor"},
                               {"min_pixels", 4 * side * side},
                               {"max_pixels", 16384 * side * side},
                               {"patch_size", config.patch_size},
                               {"temporal_patch_size", config.temporal_patch_size},
                               {"merge_size", config.spatial_merge_size},
                               {"image_mean", {0.48145466, 0.4578275, 0.40821073}},
                               {"image_std", {0.26862954, 0.26130258, 0.27577711}}};
  return text.dump(2) + "\n";
}

absl::Status PrepareDirectory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return DiskError(directory);
  const bool empty = std::filesystem::is_empty(directory, error);
  if (error) return DiskError(directory);
  if (empty) return absl::OkStatus();
  const std::string text = fmt::format("{}: is not empty", directory);
  return absl::FailedPreconditionError(absl::string_view(text.data(), text.size()));
}

}  // namespace

std::optional<ModelSize> ParseModelSize(std::string_view name) {
  for (const auto& [known, size] : kSizes) {
    if (known == name) return size;
  }
  return std::nullopt;
}

VisionConfig SizeConfig(ModelSize size) {
  VisionConfig config;
  config.hidden_size = 1280;
  switch (size) {
    case ModelSize::kTiny:
      config.depth = 4;
      config.hidden_size = 48;
      config.intermediate_size = 96;
      config.num_heads = 4;
      config.out_hidden_size = 64;
      config.fullatt_block_indexes = {1, 3};
      break;
    case ModelSize::k3b:
      config.out_hidden_size = 2048;
      break;
    case ModelSize::k7b:
      config.out_hidden_size = 3584;
      break;
    case ModelSize::k32b:
      config.intermediate_size = 3456;
      config.out_hidden_size = 5120;
      break;
    case ModelSize::k72b:
      config.intermediate_size = 3456;
      config.out_hidden_size = 8192;
      break;
  }
  return config;
}

absl::Status WriteRandomCheckpoint(const RandomCheckpointOptions& options) {
  if (auto status = CheckVisionConfig(options.config, "options"); !status.ok()) return status;
  if (options.dtype > DType::kBF16 || options.shard_bytes < 1) {
    return ModelError("options: dtype must be F32, F16 or BF16 and shard_bytes at least 1");
  }
  if (auto status = PrepareDirectory(options.directory); !status.ok()) return status;
  RandomWriter writer(options);
  if (auto status = writer.WriteAll(); !status.ok()) return status;
  auto status = writer.WriteText("preprocessor_config.json", PreprocessorText(options.config));
  if (!status.ok()) return status;
  const ModelConfig config{.vision = options.config, .name = options.name, .licence = ""};
  return writer.WriteText("config.json", FormatModelConfig(config));
}

}  // namespace emotion::vision
