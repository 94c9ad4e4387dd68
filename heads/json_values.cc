#include "heads/json_values.h"

#include <cmath>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace emotion::heads {
namespace {

using Json = nlohmann::ordered_json;
using pth::Node;
using pth::NodeKind;
using pth::ValueToWrite;

constexpr int kMaxDepth = 8;
constexpr int kMaxValues = 10000;

class ToJson {
 public:
  explicit ToJson(const pth::PickleDocument& document) : document_(document) {}

  bool within_bounds() const { return within_bounds_; }

  Json Convert(const Node& node, int depth) {
    if (depth > kMaxDepth || ++values_ > kMaxValues) within_bounds_ = false;
    if (!within_bounds_) return nullptr;
    switch (node.kind) {
      case NodeKind::kBool:
        return node.integer != 0;
      case NodeKind::kInt:
        return node.integer;
      case NodeKind::kFloat:
        return std::isfinite(node.real) ? Json(node.real) : Json(nullptr);
      case NodeKind::kString:
        return node.text;
      case NodeKind::kList:
      case NodeKind::kTuple:
        return List(node, depth);
      case NodeKind::kDict:
        return Dict(node, depth);
      default:
        return nullptr;
    }
  }

 private:
  Json List(const Node& node, int depth) {
    Json list = Json::array();
    for (pth::NodeId item : node.items) {
      if (!within_bounds_) break;
      list.push_back(Convert(document_.at(item), depth + 1));
    }
    return list;
  }

  Json Dict(const Node& node, int depth) {
    Json dict = Json::object();
    for (size_t i = 0; i < node.items.size() && within_bounds_; i += 2) {
      const Node& key = document_.at(node.items[i]);
      if (key.kind != NodeKind::kString) continue;
      dict[key.text] = Convert(document_.at(node.items[i + 1]), depth + 1);
    }
    return dict;
  }

  const pth::PickleDocument& document_;
  int values_ = 0;
  bool within_bounds_ = true;
};

absl::StatusOr<ValueToWrite> FromJson(const Json& json, int depth) {
  if (depth > kMaxDepth) {
    return absl::InvalidArgumentError(fmt::format("is nested over {} levels", kMaxDepth));
  }
  if (json.is_boolean()) return ValueToWrite{json.get<bool>()};
  if (json.is_number_integer()) return ValueToWrite{json.get<int64_t>()};
  if (json.is_number_float()) return ValueToWrite{json.get<double>()};
  if (json.is_string()) return ValueToWrite{json.get<std::string>()};
  if (json.is_null()) return ValueToWrite{};
  ValueToWrite::List list;
  ValueToWrite::Dict dict;
  for (const auto& [key, item] : json.items()) {
    auto value = FromJson(item, depth + 1);
    if (!value.ok()) return value.status();
    if (json.is_array()) {
      list.push_back(*std::move(value));
    } else {
      dict.emplace_back(key, *std::move(value));
    }
  }
  return json.is_array() ? ValueToWrite{std::move(list)} : ValueToWrite{std::move(dict)};
}

}  // namespace

absl::StatusOr<std::string> PickleToJson(const pth::PickleDocument& document, const Node& node) {
  ToJson converter(document);
  const Json json = converter.Convert(node, 1);
  if (!converter.within_bounds()) {
    return absl::InvalidArgumentError(
        fmt::format("has over {} levels or {} values", kMaxDepth, kMaxValues));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<ValueToWrite> JsonToPickle(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::InvalidArgumentError("is no JSON");
  return FromJson(json, 1);
}

}  // namespace emotion::heads
