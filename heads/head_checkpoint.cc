#include "heads/head_checkpoint.h"

#include <array>
#include <cmath>
#include <memory>
#include <string_view>
#include <utility>

#include "fmt/format.h"
#include "heads/json_values.h"
#include "heads/pth/pth_file.h"
#include "heads/pth/tensor.h"
#include "heads/state_dict_layers.h"

namespace emotion::heads {
namespace {

using pth::Node;
using pth::NodeKind;
using pth::Quoted;

absl::Status EntryError(std::string_view entry, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("entry '{}' {}", entry, what));
}

absl::Status WrongKind(std::string_view entry, const Node& found, std::string_view expected) {
  return EntryError(entry, fmt::format("is {}; expected {}", KindName(found.kind), expected));
}

std::string ListKeys(const pth::PickleDocument& document) {
  constexpr size_t kMostKeys = 8;
  std::string keys;
  const std::vector<pth::NodeId>& items = document.root().items;
  for (size_t i = 0; i < items.size() && i < 2 * kMostKeys; i += 2) {
    if (i > 0) keys += ", ";
    keys += Quoted(document.at(items[i]).text);
  }
  return keys.empty() ? "nothing" : keys;
}

bool HoldsTensors(const pth::PickleDocument& document, const Node& dict) {
  for (size_t i = 1; i < dict.items.size(); i += 2) {
    if (document.at(dict.items[i]).kind == NodeKind::kTensor) return true;
  }
  return false;
}

absl::StatusOr<const Node*> FindStateDict(const pth::PickleDocument& document) {
  const Node& root = document.root();
  if (root.kind != NodeKind::kDict) {
    return absl::InvalidArgumentError(
        fmt::format("holds {}; expected a dict with 'model_state_dict'", KindName(root.kind)));
  }
  if (const Node* nested = document.Find(root, "model_state_dict")) {
    if (nested->kind != NodeKind::kDict) {
      return WrongKind("model_state_dict", *nested, "a state dict");
    }
    return nested;
  }
  if (HoldsTensors(document, root)) return &root;
  return absl::InvalidArgumentError(fmt::format(
      "has no 'model_state_dict' and is no state dict itself; found {}", ListKeys(document)));
}

std::optional<double> AsNumber(const Node& node) {
  if (node.kind == NodeKind::kFloat) return node.real;
  if (node.kind == NodeKind::kInt) return static_cast<double>(node.integer);
  return std::nullopt;
}

// Reads the entries beside the state dict into a checkpoint.
class EntryReader {
 public:
  EntryReader(pth::PthFile& file, const Node& entries, HeadCheckpoint& checkpoint)
      : file_(file), document_(file.document()), entries_(entries), checkpoint_(checkpoint) {}

  absl::Status ReadMetadata() {
    for (auto read : {&EntryReader::ValF1, &EntryReader::Size, &EntryReader::CalibrationEntry,
                      &EntryReader::EncoderFingerprint, &EntryReader::Pooling,
                      &EntryReader::PreprocessingVersion, &EntryReader::Json,
                      &EntryReader::LevelNames, &EntryReader::Origin}) {
      if (absl::Status status = (this->*read)(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<Activation>> ReadActivation() {
    const Node* node = Entry("activation");
    if (node == nullptr) return std::optional<Activation>();
    const auto activation =
        node->kind == NodeKind::kString ? ParseActivation(node->text) : std::nullopt;
    if (activation) return activation;
    return EntryError(
        "activation",
        fmt::format("is {}, which is not known; say in heads.json "
                    "which one comes closest, or retrain",
                    node->kind == NodeKind::kString ? Quoted(node->text) : KindName(node->kind)));
  }

  // What the entries say of the layers against what the layers are.
  absl::Status CompareWithLayers() {
    std::vector<int64_t> widths = {checkpoint_.network.input_dim()};
    for (const HeadLayer& layer : checkpoint_.network.layers) {
      const auto* linear = std::get_if<LinearLayer>(&layer.layer);
      if (linear != nullptr) widths.push_back(linear->outputs);
    }
    absl::Status status = CompareNumber("input_dim", widths.front());
    status.Update(CompareNumber("num_classes", widths.back()));
    status.Update(CompareHidden({widths.begin() + 1, widths.end() - 1}));
    return status;
  }

 private:
  // nullptr for what is absent or None.
  const Node* Entry(std::string_view name) const { return Member(entries_, name); }
  const Node* Member(const Node& dict, std::string_view name) const {
    const Node* node = document_.Find(dict, name);
    return node == nullptr || node->kind == NodeKind::kNone ? nullptr : node;
  }

  absl::Status ReadText(const Node& dict, std::string_view name, std::string& text) const {
    constexpr size_t kLongest = 4096;
    const Node* node = Member(dict, name);
    if (node == nullptr) return absl::OkStatus();
    if (node->kind != NodeKind::kString) return WrongKind(name, *node, "text");
    if (node->text.size() > kLongest) {
      return EntryError(name,
                        fmt::format("has {} bytes; the limit is {}", node->text.size(), kLongest));
    }
    text = node->text;
    return absl::OkStatus();
  }

  absl::Status ValF1() {
    const Node* node = Entry("val_f1");
    if (node == nullptr) return absl::OkStatus();
    std::optional<double> value = AsNumber(*node);
    if (node->kind == NodeKind::kTensor) {
      auto scalar = pth::ReadScalarTensor(file_, *node);
      if (!scalar.ok()) return EntryError("val_f1", std::string(scalar.status().message()));
      value = *scalar;
    }
    if (!value) return WrongKind("val_f1", *node, "a number");
    if (std::isfinite(*value)) checkpoint_.val_f1 = *value;
    return absl::OkStatus();
  }

  absl::Status Size() {
    const Node* node = Entry("input_size");
    if (node == nullptr) return absl::OkStatus();
    const bool pair = node->items.size() == 2 &&
                      (node->kind == NodeKind::kList || node->kind == NodeKind::kTuple);
    const std::array<const Node*, 2> sides = {pair ? &document_.at(node->items[0]) : node,
                                              pair ? &document_.at(node->items[1]) : node};
    for (const Node* side : sides) {
      if (side->kind != NodeKind::kInt || side->integer < kMinInputSize ||
          side->integer > kMaxInputSize) {
        return EntryError("input_size", fmt::format("must be N or [width, height], each {} to {}",
                                                    kMinInputSize, kMaxInputSize));
      }
    }
    checkpoint_.input_size = {static_cast<int>(sides[0]->integer),
                              static_cast<int>(sides[1]->integer)};
    return absl::OkStatus();
  }

  absl::Status CalibrationEntry() {
    const Node* node = Entry("calibration");
    if (node == nullptr) return absl::OkStatus();
    if (node->kind != NodeKind::kDict) return WrongKind("calibration", *node, "a dict");
    Calibration& calibration = checkpoint_.calibration;
    absl::Status status = ReadText(*node, "method", calibration.method);
    status.Update(ReadText(*node, "prior", calibration.prior));
    if (const Node* temperature = Member(*node, "temperature")) {
      const auto value = AsNumber(*temperature);
      if (!value) return WrongKind("calibration.temperature", *temperature, "a number");
      calibration.temperature = static_cast<float>(*value);
    }
    if (const Node* bias = Member(*node, "bias")) {
      status.Update(Numbers("calibration.bias", *bias, calibration.bias));
    }
    status.Update(CheckCalibration(calibration));
    return status;
  }

  absl::Status Numbers(std::string_view name, const Node& node, std::vector<float>& values) {
    if (node.kind == NodeKind::kTensor) {
      if (node.tensor->shape != std::vector<int64_t>{static_cast<int64_t>(kLevelCount)}) {
        return EntryError(name, fmt::format("must have shape [{}]", kLevelCount));
      }
      auto tensor = pth::ReadTensor(file_, node);
      if (!tensor.ok()) return EntryError(name, std::string(tensor.status().message()));
      values = std::move(tensor->values);
      return absl::OkStatus();
    }
    if (node.kind != NodeKind::kList && node.kind != NodeKind::kTuple) {
      return WrongKind(name, node, "a list");
    }
    for (pth::NodeId item : node.items) {
      const auto value = AsNumber(document_.at(item));
      if (!value) return WrongKind(name, document_.at(item), "numbers");
      values.push_back(static_cast<float>(*value));
    }
    return absl::OkStatus();
  }

  absl::Status EncoderFingerprint() {
    const Node* node = Entry("encoder_fingerprint");
    if (node == nullptr) return absl::OkStatus();
    if (node->kind == NodeKind::kString) {
      checkpoint_.encoder_fingerprint = ParseFingerprint(node->text);
    }
    if (checkpoint_.encoder_fingerprint) return absl::OkStatus();
    return EntryError("encoder_fingerprint",
                      node->kind == NodeKind::kString
                          ? fmt::format("is {}; expected 64 hexadecimal digits", Quoted(node->text))
                          : fmt::format("is {}; expected text", KindName(node->kind)));
  }

  absl::Status Pooling() {
    std::string pooling = "mean";
    absl::Status status = ReadText(entries_, "pooling", pooling);
    if (status.ok() && pooling != "mean") {
      return EntryError("pooling", fmt::format("is {}; expected 'mean'", Quoted(pooling)));
    }
    return status;
  }

  absl::Status PreprocessingVersion() {
    const Node* node = Entry("preprocessing_version");
    if (node != nullptr && node->kind == NodeKind::kInt) {
      checkpoint_.preprocessing_version = std::to_string(node->integer);
      return absl::OkStatus();
    }
    return ReadText(entries_, "preprocessing_version", checkpoint_.preprocessing_version);
  }

  absl::Status Json() {
    for (auto [name, json] :
         {std::pair("crop", &checkpoint_.crop), std::pair("metrics", &checkpoint_.metrics)}) {
      const Node* node = Entry(name);
      if (node == nullptr || node->kind != NodeKind::kDict) continue;
      auto text = PickleToJson(document_, *node);
      if (!text.ok()) return EntryError(name, std::string(text.status().message()));
      *json = *std::move(text);
    }
    return absl::OkStatus();
  }

  // Levels in another order would turn every answer around without a sign.
  absl::Status LevelNames() {
    const Node* node = Entry("level_names");
    if (node == nullptr) return absl::OkStatus();
    bool same = node->items.size() == kLevelCount;
    for (size_t level = 0; same && level < kLevelCount; ++level) {
      same = document_.at(node->items[level]).text == LevelName(level);
    }
    if (same) return absl::OkStatus();
    return EntryError("level_names",
                      "must be 'very low', 'low', 'high', 'very high', in this order");
  }

  absl::Status Origin() {
    const Node* demo = Entry("demo");
    if (demo != nullptr && demo->kind != NodeKind::kBool) return WrongKind("demo", *demo, "a bool");
    checkpoint_.demo = demo != nullptr && demo->integer != 0;
    return ReadText(entries_, "licence", checkpoint_.licence);
  }

  absl::Status CompareNumber(std::string_view name, int64_t actual) const {
    const Node* node = Entry(name);
    if (node == nullptr) return absl::OkStatus();
    if (node->kind != NodeKind::kInt) return WrongKind(name, *node, "an integer");
    if (node->integer == actual) return absl::OkStatus();
    return EntryError(name, fmt::format("is {}; the layers have {}", node->integer, actual));
  }

  absl::Status CompareHidden(const std::vector<int64_t>& actual) const {
    const Node* node = Entry("hidden_dims");
    if (node == nullptr) return absl::OkStatus();
    bool same = node->items.size() == actual.size();
    for (size_t i = 0; same && i < actual.size(); ++i) {
      const Node& width = document_.at(node->items[i]);
      same = width.kind == NodeKind::kInt && width.integer == actual[i];
    }
    if (same) return absl::OkStatus();
    return EntryError("hidden_dims", fmt::format("differs from the layers, which have [{}]",
                                                 fmt::join(actual, ", ")));
  }

  pth::PthFile& file_;
  const pth::PickleDocument& document_;
  const Node& entries_;
  HeadCheckpoint& checkpoint_;
};

absl::StatusOr<HeadCheckpoint> Interpret(pth::PthFile& file, const HeadOverrides& overrides) {
  auto state_dict = FindStateDict(file.document());
  if (!state_dict.ok()) return state_dict.status();
  HeadCheckpoint checkpoint;
  EntryReader entries(file, file.document().root(), checkpoint);
  LayoutOptions layout = overrides.layout;
  if (!layout.activation) {
    auto activation = entries.ReadActivation();
    if (!activation.ok()) return activation.status();
    layout.activation = *activation;
  }
  auto network = ReadNetwork(file, **state_dict, layout);
  if (!network.ok()) return network.status();
  checkpoint.network = *std::move(network);
  absl::Status status = entries.CompareWithLayers();
  status.Update(entries.ReadMetadata());
  if (!status.ok()) return status;
  if (overrides.input_size) checkpoint.input_size = *overrides.input_size;
  return checkpoint;
}

}  // namespace

absl::StatusOr<HeadCheckpoint> LoadHeadCheckpoint(const std::filesystem::path& path,
                                                  const HeadOverrides& overrides) {
  const auto named = [&](const absl::Status& status) {
    return absl::Status(status.code(), fmt::format("{}: {}", path.filename().string(),
                                                   std::string(status.message())));
  };
  auto file = pth::PthFile::Open(path);
  if (!file.ok()) return named(file.status());
  auto checkpoint = Interpret(**file, overrides);
  if (!checkpoint.ok()) return named(checkpoint.status());
  return checkpoint;
}

absl::StatusOr<HeadCheckpoint> ParseHeadCheckpoint(std::vector<uint8_t> bytes,
                                                   const HeadOverrides& overrides) {
  auto file = pth::PthFile::Parse(std::move(bytes));
  if (!file.ok()) return file.status();
  return Interpret(**file, overrides);
}

}  // namespace emotion::heads
