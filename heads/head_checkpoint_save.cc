#include <algorithm>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "heads/head_checkpoint.h"
#include "heads/json_values.h"
#include "heads/pth/pth_writer.h"

namespace emotion::heads {
namespace {

using pth::TensorToWrite;
using pth::ValueToWrite;
using Dict = ValueToWrite::Dict;

constexpr double kDefaultEpsilon = NormLayer{}.epsilon;

absl::Status CheckWritable(const HeadCheckpoint& checkpoint) {
  absl::Status status = CheckNetwork(checkpoint.network);
  status.Update(CheckNames(checkpoint.network));
  status.Update(CheckCalibration(checkpoint.calibration));
  if (!status.ok()) return status;
  if (checkpoint.network.norm_placement != NormPlacement::kBeforeActivation) {
    return absl::InvalidArgumentError("norms behind activations cannot be written");
  }
  for (const HeadLayer& layer : checkpoint.network.layers) {
    const auto* norm = std::get_if<NormLayer>(&layer.layer);
    if (norm == nullptr) continue;
    if (norm->epsilon != kDefaultEpsilon) {
      return absl::InvalidArgumentError(fmt::format("layer '{}' has epsilon {}; only {} is written",
                                                    layer.name, norm->epsilon, kDefaultEpsilon));
    }
    // Without them a LayerNorm would leave no trace in the file.
    if (norm->kind == NormKind::kLayerNorm && (norm->weight.empty() || norm->bias.empty())) {
      return absl::InvalidArgumentError(
          fmt::format("layer '{}' is a LayerNorm without weight or bias", layer.name));
    }
  }
  return absl::OkStatus();
}

void AddTensor(Dict& dict, const std::string& key, const std::vector<float>& values,
               std::vector<int64_t> shape) {
  if (!values.empty())
    dict.emplace_back(key, ValueToWrite{TensorToWrite{std::move(shape), values}});
}

Dict StateDict(const HeadNetwork& network) {
  Dict dict;
  for (const HeadLayer& layer : network.layers) {
    const std::string prefix = layer.name.empty() ? "" : layer.name + ".";
    if (const auto* linear = std::get_if<LinearLayer>(&layer.layer)) {
      AddTensor(dict, prefix + "weight", linear->weight, {linear->outputs, linear->inputs});
      AddTensor(dict, prefix + "bias", linear->bias, {linear->outputs});
      continue;
    }
    const auto& norm = std::get<NormLayer>(layer.layer);
    AddTensor(dict, prefix + "weight", norm.weight, {norm.width});
    AddTensor(dict, prefix + "bias", norm.bias, {norm.width});
    AddTensor(dict, prefix + "running_mean", norm.running_mean, {norm.width});
    AddTensor(dict, prefix + "running_var", norm.running_var, {norm.width});
  }
  return dict;
}

void AddShape(Dict& root, const HeadNetwork& network) {
  ValueToWrite::List hidden;
  for (const HeadLayer& layer : network.layers) {
    const auto* linear = std::get_if<LinearLayer>(&layer.layer);
    if (linear != nullptr) hidden.emplace_back(linear->outputs);
  }
  hidden.pop_back();  // the last Linear's outputs are the classes
  root.emplace_back("input_dim", ValueToWrite{network.input_dim()});
  root.emplace_back("hidden_dims", ValueToWrite{std::move(hidden)});
  root.emplace_back("num_classes", ValueToWrite{static_cast<int64_t>(kLevelCount)});
  root.emplace_back("activation", ValueToWrite{std::string(ActivationName(network.activation))});
}

void AddCalibration(Dict& root, const Calibration& calibration) {
  if (calibration.method.empty() && !calibration.temperature && calibration.bias.empty()) return;
  Dict entries = {{"method", ValueToWrite{calibration.method}},
                  {"prior", ValueToWrite{calibration.prior}}};
  if (calibration.temperature) {
    entries.emplace_back("temperature",
                         ValueToWrite{static_cast<double>(*calibration.temperature)});
  }
  if (!calibration.bias.empty()) {
    ValueToWrite::List bias;
    for (float value : calibration.bias) bias.emplace_back(static_cast<double>(value));
    entries.emplace_back("bias", ValueToWrite{std::move(bias)});
  }
  root.emplace_back("calibration", ValueToWrite{std::move(entries)});
}

absl::Status AddJson(Dict& root, const std::string& name, const std::string& json) {
  if (json.empty()) return absl::OkStatus();
  auto value = JsonToPickle(json);
  if (!value.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("{} {}", name, std::string(value.status().message())));
  }
  root.emplace_back(name, *std::move(value));
  return absl::OkStatus();
}

void AddText(Dict& root, const std::string& name, const std::string& text) {
  if (!text.empty()) root.emplace_back(name, ValueToWrite{text});
}

}  // namespace

absl::Status SaveHeadCheckpoint(const std::filesystem::path& path,
                                const HeadCheckpoint& checkpoint) {
  if (absl::Status status = CheckWritable(checkpoint); !status.ok()) return status;
  Dict root = {{"model_state_dict", ValueToWrite{StateDict(checkpoint.network)}}};
  if (checkpoint.val_f1) root.emplace_back("val_f1", ValueToWrite{*checkpoint.val_f1});
  AddShape(root, checkpoint.network);
  root.emplace_back("input_size", ValueToWrite{ValueToWrite::List{
                                      ValueToWrite{int64_t{checkpoint.input_size.width}},
                                      ValueToWrite{int64_t{checkpoint.input_size.height}}}});
  AddCalibration(root, checkpoint.calibration);
  if (checkpoint.encoder_fingerprint) {
    AddText(root, "encoder_fingerprint", FormatFingerprint(*checkpoint.encoder_fingerprint));
  }
  AddText(root, "pooling", "mean");
  AddText(root, "preprocessing_version", checkpoint.preprocessing_version);
  ValueToWrite::List level_names;
  for (size_t level = 0; level < kLevelCount; ++level) {
    level_names.emplace_back(std::string(LevelName(level)));
  }
  root.emplace_back("level_names", ValueToWrite{std::move(level_names)});
  absl::Status status = AddJson(root, "crop", checkpoint.crop);
  status.Update(AddJson(root, "metrics", checkpoint.metrics));
  if (!status.ok()) return status;
  if (checkpoint.demo) root.emplace_back("demo", ValueToWrite{true});
  AddText(root, "licence", checkpoint.licence);
  return pth::WritePth(path, ValueToWrite{std::move(root)});
}

}  // namespace emotion::heads
