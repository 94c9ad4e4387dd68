#include "heads/state_dict_layers.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "fmt/format.h"
#include "heads/pth/tensor.h"

namespace emotion::heads {
namespace {

using pth::Node;
using pth::NodeKind;
using pth::Quoted;

constexpr size_t kMaxModules = 2 * kMaxLinearLayers + 1;
constexpr std::array<std::string_view, 5> kFields = {"weight", "bias", "running_mean",
                                                     "running_var", "num_batches_tracked"};

struct Module {
  std::string name;
  std::map<std::string_view, const Node*> fields;  // keys are those of kFields
};

absl::Status KeyError(std::string_view key, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("key {} {}", Quoted(key), what));
}

absl::Status AddKey(std::string_view key, const Node& value, std::vector<Module>& modules) {
  const size_t dot = key.rfind('.');
  const std::string_view name = dot == key.npos ? "" : key.substr(0, dot);
  const std::string_view leaf = dot == key.npos ? key : key.substr(dot + 1);
  const auto field = std::find(kFields.begin(), kFields.end(), leaf);
  if (field == kFields.end()) {
    return KeyError(key, "belongs to no Linear, BatchNorm1d or LayerNorm");
  }
  if (value.kind != NodeKind::kTensor) {
    return KeyError(key, fmt::format("is {}; expected a tensor", KindName(value.kind)));
  }
  auto module = std::find_if(modules.begin(), modules.end(),
                             [&](const Module& candidate) { return candidate.name == name; });
  if (module == modules.end()) {
    if (modules.size() == kMaxModules) {
      return KeyError(key, fmt::format("is of one layer too many; the limit is {}", kMaxModules));
    }
    module = modules.insert(modules.end(), Module{std::string(name), {}});
  }
  if (!module->fields.emplace(*field, &value).second) return KeyError(key, "is there twice");
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Module>> GroupKeys(const pth::PickleDocument& document,
                                              const Node& state_dict) {
  const bool bare = &state_dict == &document.root();
  std::vector<Module> modules;
  for (size_t i = 0; i < state_dict.items.size(); i += 2) {
    const Node& key = document.at(state_dict.items[i]);
    const Node& value = document.at(state_dict.items[i + 1]);
    // A bare state dict may have entries beside its tensors.
    if (bare && (value.kind != NodeKind::kTensor || key.text == "val_f1")) continue;
    if (key.kind != NodeKind::kString) {
      return absl::InvalidArgumentError("the state dict has a key that is no string");
    }
    absl::Status status = AddKey(key.text, value, modules);
    if (!status.ok()) return status;
  }
  if (modules.empty()) return absl::InvalidArgumentError("the state dict is empty");
  return modules;
}

absl::StatusOr<std::vector<Module>> Reorder(std::vector<Module> modules,
                                            const std::vector<std::string>& order) {
  if (order.size() != modules.size()) {
    return absl::InvalidArgumentError(fmt::format(
        "heads.json lists {} layers; the state dict has {}", order.size(), modules.size()));
  }
  std::vector<Module> ordered;
  for (const std::string& name : order) {
    const auto module = std::find_if(modules.begin(), modules.end(),
                                     [&](const Module& m) { return m.name == name; });
    if (module == modules.end()) {
      return absl::InvalidArgumentError(fmt::format(
          "heads.json lists layer {}, which the state dict has not or which is listed twice",
          Quoted(name)));
    }
    ordered.push_back(std::move(*module));
    modules.erase(module);
  }
  return ordered;
}

class LayerReader {
 public:
  LayerReader(pth::PthFile& file, const LayoutOptions& options) : file_(file), options_(options) {}

  absl::StatusOr<HeadLayer> Read(const Module& module) {
    const Node* weight = Field(module, "weight");
    const bool batch_norm = Field(module, "running_mean") != nullptr;
    const size_t rank = weight == nullptr ? 1 : weight->tensor->shape.size();
    if (rank == 2 && !batch_norm) return ReadLinear(module);
    if (rank == 1 && (batch_norm || (weight != nullptr && Field(module, "bias") != nullptr))) {
      return ReadNorm(module, batch_norm ? NormKind::kBatchNorm : NormKind::kLayerNorm);
    }
    return KeyError(
        module.name.empty() ? "weight" : module.name + ".weight",
        fmt::format(
            "belongs to no Linear, BatchNorm1d or LayerNorm (shape [{}]{})",
            weight == nullptr ? "" : fmt::format("{}", fmt::join(weight->tensor->shape, ", ")),
            rank == 1 ? ", no bias" : ""));
  }

 private:
  static const Node* Field(const Module& module, std::string_view field) {
    const auto found = module.fields.find(field);
    return found == module.fields.end() ? nullptr : found->second;
  }

  // Shapes are compared before a tensor is read: an expanded one costs its file nothing.
  absl::Status ReadField(const Module& module, std::string_view field,
                         const std::vector<int64_t>& shape, std::vector<float>& values) {
    const Node* node = Field(module, field);
    if (node == nullptr) return absl::OkStatus();
    const std::string key =
        module.name.empty() ? std::string(field) : fmt::format("{}.{}", module.name, field);
    if (node->tensor->shape != shape) {
      return KeyError(
          key, fmt::format("has shape [{}]; expected [{}]", fmt::join(node->tensor->shape, ", "),
                           fmt::join(shape, ", ")));
    }
    auto tensor = pth::ReadTensor(file_, *node);
    if (!tensor.ok()) return KeyError(key, std::string(tensor.status().message()));
    values = std::move(tensor->values);
    return absl::OkStatus();
  }

  absl::StatusOr<HeadLayer> ReadLinear(const Module& module) {
    for (std::string_view field : {"running_var", "num_batches_tracked"}) {
      if (Field(module, field) != nullptr) {
        return KeyError(module.name, fmt::format("has both a matrix and {}", field));
      }
    }
    const std::vector<int64_t>& shape = Field(module, "weight")->tensor->shape;
    LinearLayer linear{.inputs = shape[1], .outputs = shape[0], .weight = {}, .bias = {}};
    if (auto status = CheckSize(module, linear.inputs, linear.outputs); !status.ok()) return status;
    absl::Status status = ReadField(module, "weight", shape, linear.weight);
    status.Update(ReadField(module, "bias", {linear.outputs}, linear.bias));
    if (!status.ok()) return status;
    return HeadLayer{module.name, std::move(linear)};
  }

  absl::StatusOr<HeadLayer> ReadNorm(const Module& module, NormKind kind) {
    const bool batch = kind == NormKind::kBatchNorm;
    const Node* sized = Field(module, batch ? "running_mean" : "weight");
    const int64_t width = sized->tensor->shape.size() == 1 ? sized->tensor->shape[0] : 0;
    if (auto status = CheckSize(module, width, 1); !status.ok()) return status;
    NormLayer norm;
    norm.kind = kind;
    norm.width = width;
    norm.epsilon =
        (batch ? options_.batch_norm_epsilon : options_.layer_norm_epsilon).value_or(norm.epsilon);
    absl::Status status = ReadField(module, "weight", {width}, norm.weight);
    status.Update(ReadField(module, "bias", {width}, norm.bias));
    status.Update(ReadField(module, "running_mean", {width}, norm.running_mean));
    status.Update(ReadField(module, "running_var", {width}, norm.running_var));
    if (!status.ok()) return status;
    return HeadLayer{module.name, std::move(norm)};
  }

  absl::Status CheckSize(const Module& module, int64_t inputs, int64_t outputs) {
    if (inputs < 1 || inputs > kMaxInputDim || outputs < 1 || outputs > kMaxInputDim) {
      return KeyError(module.name, fmt::format("is {} to {}; both must be 1 to {}", inputs, outputs,
                                               kMaxInputDim));
    }
    parameters_ += inputs * outputs;
    if (parameters_ > kMaxParameters) {
      return KeyError(module.name,
                      fmt::format("brings the head over {} parameters", kMaxParameters));
    }
    return absl::OkStatus();
  }

  pth::PthFile& file_;
  const LayoutOptions& options_;
  int64_t parameters_ = 0;
};

}  // namespace

absl::StatusOr<HeadNetwork> ReadNetwork(pth::PthFile& file, const Node& state_dict,
                                        const LayoutOptions& options) {
  auto modules = GroupKeys(file.document(), state_dict);
  if (modules.ok() && !options.layers.empty()) {
    modules = Reorder(*std::move(modules), options.layers);
  }
  if (!modules.ok()) return modules.status();
  HeadNetwork network;
  network.activation = options.activation.value_or(network.activation);
  network.norm_placement = options.norm_placement.value_or(network.norm_placement);
  LayerReader reader(file, options);
  for (const Module& module : *modules) {
    auto layer = reader.Read(module);
    if (!layer.ok()) return layer.status();
    network.layers.push_back(*std::move(layer));
  }
  absl::Status status = CheckNetwork(network);
  if (status.ok() && !options.norm_placement) status = CheckNames(network);
  if (!status.ok()) return status;
  return network;
}

}  // namespace emotion::heads
