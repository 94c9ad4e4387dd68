// The nodes of a pickle that is being read, counted against its limits.
//
// The first error sticks and everything after it does nothing, so callers check ok() once per
// opcode instead of after each step. Node 0 is always None: what a failed step returns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "heads/pth/pickle_reader.h"
#include "heads/pth/pickle_value.h"

namespace emotion::heads::pth {

class PickleArena {
 public:
  explicit PickleArena(const PickleLimits& limits) : limits_(limits) { nodes_.emplace_back(); }

  bool ok() const { return error_.empty(); }
  const std::string& error() const { return error_; }
  NodeId Fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
    return 0;
  }

  // References stay valid only until the next Make.
  Node& at(NodeId id) { return nodes_[id]; }
  const Node& at(NodeId id) const { return nodes_[id]; }
  std::vector<Node> TakeNodes() { return std::move(nodes_); }

  NodeId Make(NodeKind kind) {
    if (nodes_.size() >= limits_.objects) return Fail("holds too many objects");
    nodes_.emplace_back().kind = kind;
    return static_cast<NodeId>(nodes_.size() - 1);
  }
  NodeId MakeInt(int64_t value, NodeKind kind = NodeKind::kInt) {
    const NodeId id = Make(kind);
    if (ok()) at(id).integer = value;
    return id;
  }
  NodeId MakeFloat(double value) {
    const NodeId id = Make(NodeKind::kFloat);
    if (ok()) at(id).real = value;
    return id;
  }
  NodeId MakeText(NodeKind kind, std::string_view text) {
    if (text.size() > limits_.text_bytes - text_bytes_) return Fail("holds too much text");
    text_bytes_ += text.size();
    const NodeId id = Make(kind);
    if (ok()) at(id).text = text;
    return id;
  }
  NodeId MakeItems(NodeKind kind, std::vector<NodeId> items) {
    const NodeId id = Make(kind);
    if (ok()) at(id).items = std::move(items);
    return id;
  }

 private:
  const PickleLimits& limits_;
  std::vector<Node> nodes_;
  size_t text_bytes_ = 0;
  std::string error_;
};

}  // namespace emotion::heads::pth
