#include "heads/heads_json.h"

#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>

#include "fmt/format.h"
#include "heads/pth/pickle_value.h"
#include "nlohmann/json.hpp"

namespace emotion::heads {
namespace {

using nlohmann::json;
using pth::Quoted;

constexpr uintmax_t kMaxFileBytes = 64 << 10;

// Reads one object of settings into `overrides`; keeps the first error.
class Section {
 public:
  Section(std::string name, const json& members, HeadOverrides& overrides)
      : name_(std::move(name)), members_(members), overrides_(overrides) {}

  absl::Status Read() {
    if (!members_.is_object()) Expect("", members_, "an object");
    for (const auto& [key, value] : members_.items()) {
      if (!status_.ok()) break;
      Member(key, value);
    }
    return status_;
  }

 private:
  void Member(const std::string& key, const json& value) {
    if (key == "activation") {
      overrides_.layout.activation =
          value.is_string() ? ParseActivation(Text(value)) : std::nullopt;
      if (!overrides_.layout.activation) Expect(key, value, "a known name, such as \"relu\"");
    } else if (key == "norm") {
      Norm(value);
    } else if (key == "batch_norm_eps") {
      overrides_.layout.batch_norm_epsilon = Epsilon(key, value);
    } else if (key == "layer_norm_eps") {
      overrides_.layout.layer_norm_epsilon = Epsilon(key, value);
    } else if (key == "layers") {
      Layers(value);
    } else if (key == "input_size") {
      Size(value);
    } else {
      status_ = absl::InvalidArgumentError(
          fmt::format("heads.json: {} has an unknown member {}", name_, Quoted(key)));
    }
  }

  void Norm(const json& value) {
    if (value == "before_activation") {
      overrides_.layout.norm_placement = NormPlacement::kBeforeActivation;
    } else if (value == "after_activation") {
      overrides_.layout.norm_placement = NormPlacement::kAfterActivation;
    } else {
      Expect("norm", value, "\"before_activation\" or \"after_activation\"");
    }
  }

  double Epsilon(const std::string& key, const json& value) {
    const double epsilon = value.is_number() ? value.get<double>() : -1;
    if (!(epsilon >= 0 && epsilon <= 1)) Expect(key, value, "a number from 0 to 1");
    return epsilon;
  }

  void Layers(const json& value) {
    overrides_.layout.layers.clear();
    if (!value.is_array() || value.empty()) Expect("layers", value, "a list of names");
    for (const json& name : value) {
      if (!name.is_string()) return Expect("layers", name, "names only");
      overrides_.layout.layers.push_back(Text(name));
    }
  }

  void Size(const json& value) {
    const bool pair = value.is_array() && value.size() == 2;
    const auto width = Side(pair ? value[0] : value);
    const auto height = Side(pair ? value[1] : value);
    if (!width || !height) {
      return Expect(
          "input_size", value,
          fmt::format("N or [width, height], each {} to {}", kMinInputSize, kMaxInputSize));
    }
    overrides_.input_size = InputSize{*width, *height};
  }

  static std::optional<int> Side(const json& value) {
    if (!value.is_number_integer() || value < kMinInputSize || value > kMaxInputSize) {
      return std::nullopt;
    }
    return value.get<int>();
  }

  static std::string Text(const json& value) { return value.get<std::string>(); }

  void Expect(std::string_view key, const json& found, std::string_view expected) {
    status_ = absl::InvalidArgumentError(
        fmt::format("heads.json: {}{}{} is {}; expected {}", name_, key.empty() ? "" : ".", key,
                    Quoted(found.dump(-1, ' ', true, json::error_handler_t::replace)), expected));
  }

  const std::string name_;
  const json& members_;
  HeadOverrides& overrides_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<HeadOverridesByState> ParseHeadsJson(const std::string& text) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return absl::InvalidArgumentError("heads.json: is no JSON object");
  HeadOverridesByState all;
  if (root.contains("common")) {
    HeadOverrides common;
    if (auto status = Section("common", root["common"], common).Read(); !status.ok()) return status;
    all.fill(common);
  }
  for (const auto& [name, members] : root.items()) {
    if (name == "common") continue;
    const auto state = ParseState(name);
    if (!state) {
      return absl::InvalidArgumentError(fmt::format(
          "heads.json: has an unknown member {}; expected \"common\" or a state", Quoted(name)));
    }
    HeadOverrides& overrides = all[static_cast<size_t>(*state)];
    if (auto status = Section(name, members, overrides).Read(); !status.ok()) return status;
  }
  return all;
}

absl::StatusOr<HeadOverridesByState> LoadHeadsJson(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "heads.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return HeadOverridesByState{};
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        fmt::format("heads.json: is no file of at most {} bytes", kMaxFileBytes));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return ParseHeadsJson(text);
}

}  // namespace emotion::heads
