// What a pickle holds, as plain data.
//
// Values are nodes of one arena and name each other by index, so shared and even self-referencing
// structures cost nothing to hold and nothing to free. Immutable once read; safe from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace emotion::heads::pth {

using NodeId = uint32_t;

enum class NodeKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kBytes,
  kList,
  kTuple,
  kDict,
  kTensor,
  kStorage,
  kGlobal,
  kOpaque,  // something known that is carried and not needed, such as a set or a numpy array
};

// How a tensor looks at its storage. Unchecked: ReadTensor (tensor.h) compares it with the record.
struct TensorView {
  NodeId storage = 0;
  int64_t offset = 0;  // in elements, as the strides; none of these is negative
  std::vector<int64_t> shape;
  std::vector<int64_t> stride;
};

struct Node {
  NodeKind kind = NodeKind::kNone;
  int64_t integer = 0;        // kBool, kInt; kStorage: number of elements it says it has
  double real = 0;            // kFloat
  std::string text;           // kString, kBytes; kGlobal: "module name"; kStorage: "FloatStorage"
  std::vector<NodeId> items;  // kList, kTuple; kDict: key, value, key, value, ...;
                              // kStorage: its key
  std::unique_ptr<TensorView> tensor;  // kTensor only
};

class PickleDocument {
 public:
  // `nodes` has at least one element; every index in it is within it.
  PickleDocument(std::vector<Node> nodes, NodeId root);

  const Node& root() const { return nodes_[root_]; }
  const Node& at(NodeId id) const { return nodes_[id]; }

  // The value of a string key; nullptr where `dict` is no dict or has no such key. Of a key that
  // was set twice the last value counts, as in Python.
  const Node* Find(const Node& dict, std::string_view key) const;

 private:
  std::vector<Node> nodes_;
  NodeId root_;
};

// "a dict", "a tensor": for messages.
std::string_view KindName(NodeKind kind);

// `text` in single quotes, cut to 80 bytes, everything but printable ASCII as '?': names in a file
// come from strangers and go to terminals and logs.
std::string Quoted(std::string_view text);

}  // namespace emotion::heads::pth
