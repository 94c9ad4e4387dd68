#include "vision/encoder/model_directory.h"

#include <filesystem>
#include <utility>

#include "fmt/format.h"
#include "vision/encoder/fingerprint.h"
#include "vision/encoder/model_error.h"

namespace emotion::vision {
namespace {

absl::Status CheckPatches(const VisionConfig& tower, const PreprocessorConfig& preprocessing,
                          const std::string& path) {
  const struct {
    const char* key;
    int found;
    int expected;
  } rows[] = {{"patch_size", preprocessing.patch_size, tower.patch_size},
              {"temporal_patch_size", preprocessing.temporal_patch_size, tower.temporal_patch_size},
              {"merge_size", preprocessing.merge_size, tower.spatial_merge_size},
              {"channels", 3, tower.in_channels}};
  for (const auto& row : rows) {
    if (row.found != row.expected) {
      return ModelError(
          fmt::format("{}: preprocessor_config.json: {} is {}; config.json makes it {}", path,
                      row.key, row.found, row.expected));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelDirectory> OpenModelDirectory(const std::string& path) {
  auto config = ReadModelConfig(path);
  if (!config.ok()) return config.status();
  auto preprocessing = ReadPreprocessorConfig(path);
  if (!preprocessing.ok()) return preprocessing.status();
  auto status = CheckPatches(config->vision, *preprocessing, path);
  if (!status.ok()) return status;
  auto checkpoint = Checkpoint::Open(path, config->vision);
  if (!checkpoint.ok()) return checkpoint.status();
  return ModelDirectory{path, *std::move(config), *preprocessing, *std::move(checkpoint)};
}

Fingerprint ComputeFingerprint(const ModelDirectory& model, int threads) {
  return ComputeFingerprint(model.config.vision, CanonicalText(model.preprocessing),
                            model.checkpoint, threads);
}

Fingerprint ComputeFingerprint(const ModelDirectory& model, const TensorDigests& digests) {
  return ComputeFingerprint(model.config.vision, CanonicalText(model.preprocessing),
                            model.checkpoint, digests);
}

EncoderInfo DescribeModel(const ModelDirectory& model) {
  EncoderInfo info;
  info.name = model.config.name;
  info.dim = model.config.vision.out_hidden_size;
  info.patch_values = model.config.vision.patch_values();
  info.merge_size = model.config.vision.spatial_merge_size;
  info.demo = model.config.demo;
  info.licence = model.config.licence;
  return info;
}

absl::StatusOr<ModelSummary> SummarizeModel(const std::string& path) {
  auto model = OpenModelDirectory(path);
  if (!model.ok()) return model.status();
  ModelSummary summary{.config = model->config,
                       .preprocessing = model->preprocessing,
                       .prefix = model->checkpoint.prefix(),
                       .files = {},
                       .dtypes = {}};
  for (const std::string& file : model->checkpoint.files()) {
    std::error_code ignored;
    summary.files.push_back(
        {file, static_cast<int64_t>(std::filesystem::file_size(file, ignored))});
  }
  for (const auto& [name, view] : model->checkpoint.tensors()) {
    ++summary.dtypes[std::string(DTypeName(view.dtype))];
    summary.bytes += static_cast<int64_t>(view.bytes.size());
    summary.parameters += static_cast<int64_t>(view.bytes.size()) / DTypeBytes(view.dtype);
  }
  summary.fingerprint = ComputeFingerprint(*model);
  return summary;
}

}  // namespace emotion::vision
