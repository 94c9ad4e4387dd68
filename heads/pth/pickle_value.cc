#include "heads/pth/pickle_value.h"

#include <array>
#include <utility>

namespace emotion::heads::pth {

PickleDocument::PickleDocument(std::vector<Node> nodes, NodeId root)
    : nodes_(std::move(nodes)), root_(root) {}

const Node* PickleDocument::Find(const Node& dict, std::string_view key) const {
  if (dict.kind != NodeKind::kDict) return nullptr;
  for (size_t i = dict.items.size(); i >= 2; i -= 2) {
    const Node& name = at(dict.items[i - 2]);
    if (name.kind == NodeKind::kString && name.text == key) return &at(dict.items[i - 1]);
  }
  return nullptr;
}

std::string_view KindName(NodeKind kind) {
  constexpr std::array<std::string_view, 13> kNames = {
      "None",    "a bool", "an integer", "a float",   "a string", "bytes",    "a list",
      "a tuple", "a dict", "a tensor",   "a storage", "a global", "an object"};
  return kNames[static_cast<size_t>(kind)];
}

std::string Quoted(std::string_view text) {
  constexpr size_t kLongest = 80;
  std::string quoted = "'";
  for (char c : text.substr(0, kLongest)) quoted += c >= ' ' && c <= '~' ? c : '?';
  return quoted + (text.size() > kLongest ? "...'" : "'");
}

}  // namespace emotion::heads::pth
