#include "heads/pth/pickle_calls.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "fmt/format.h"

namespace emotion::heads::pth {
namespace {

constexpr size_t kMaxRank = 8;
constexpr size_t kMaxArguments = 16;
constexpr std::string_view kTorch = "torch ";
constexpr std::string_view kStorageSuffix = "Storage";

// torch.load(weights_only=True) takes these too; a head needs none of them.
constexpr std::array<std::string_view, 20> kCarried = {
    "torch Size",
    "torch device",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_qtensor",
    "torch._utils _rebuild_sparse_tensor",
    "torch._utils _rebuild_meta_tensor_no_storage",
    "torch.serialization _get_layout",
    "torch._tensor _rebuild_from_type_v2",
    "collections Counter",
    "__builtin__ set",
    "builtins set",
    "__builtin__ frozenset",
    "builtins frozenset",
    "__builtin__ bytearray",
    "builtins bytearray",
    "__builtin__ complex",
    "builtins complex",
    "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray _reconstruct",
};

// Named as values or types, never called.
constexpr std::array<std::string_view, 20> kTorchNames = {
    "float32", "float", "float64", "double", "float16", "half",      "bfloat16",
    "int8",    "int16", "int32",   "int64",  "uint8",   "bool",      "complex64",
    "short",   "int",   "long",    "Tensor", "strided", "complex128"};

bool IsTorchName(std::string_view name) {
  if (!name.starts_with(kTorch)) return false;
  name.remove_prefix(kTorch.size());
  return std::find(kTorchNames.begin(), kTorchNames.end(), name) != kTorchNames.end();
}

// "torch FloatStorage" and its siblings.
std::optional<std::string_view> StorageClass(std::string_view name) {
  if (name == "torch.storage UntypedStorage") return name.substr(name.find(' ') + 1);
  if (!name.starts_with(kTorch) || !name.ends_with(kStorageSuffix)) return std::nullopt;
  return name.substr(kTorch.size());
}

std::optional<std::vector<int64_t>> Sizes(const PickleArena& arena, const Node& tuple) {
  if (tuple.kind != NodeKind::kTuple || tuple.items.size() > kMaxRank) return std::nullopt;
  std::vector<int64_t> sizes;
  for (NodeId id : tuple.items) {
    const Node& size = arena.at(id);
    if (size.kind != NodeKind::kInt || size.integer < 0) return std::nullopt;
    sizes.push_back(size.integer);
  }
  return sizes;
}

// (storage, offset, shape, stride, requires_grad, hooks[, metadata])
NodeId RebuildTensor(PickleArena& arena, const std::vector<NodeId>& arguments) {
  if (arguments.size() < 4) return arena.Fail("a tensor lacks its storage, shape or strides");
  if (arena.at(arguments[0]).kind != NodeKind::kStorage) {
    return arena.Fail("a tensor has no storage");
  }
  const Node& offset = arena.at(arguments[1]);
  if (offset.kind != NodeKind::kInt || offset.integer < 0) {
    return arena.Fail("a tensor's offset is no non-negative integer");
  }
  auto shape = Sizes(arena, arena.at(arguments[2]));
  auto stride = Sizes(arena, arena.at(arguments[3]));
  if (!shape || !stride || shape->size() != stride->size()) {
    return arena.Fail(fmt::format(
        "a tensor's shape and strides must be equally many non-negative integers, at most {}",
        kMaxRank));
  }
  auto view = std::make_unique<TensorView>();
  *view = {arguments[0], offset.integer, std::move(*shape), std::move(*stride)};
  const NodeId id = arena.Make(NodeKind::kTensor);
  if (arena.ok()) arena.at(id).tensor = std::move(view);
  return id;
}

NodeId RebuildParameter(PickleArena& arena, const std::vector<NodeId>& arguments) {
  if (arguments.empty() || arena.at(arguments[0]).kind != NodeKind::kTensor) {
    return arena.Fail("a parameter holds no tensor");
  }
  return arguments[0];
}

// _codecs.encode(text, 'latin1'): how protocol 2 writes bytes.
NodeId EncodeLatin1(PickleArena& arena, const std::vector<NodeId>& arguments) {
  if (arguments.empty() || arena.at(arguments[0]).kind != NodeKind::kString) {
    return arena.Fail("bytes are not written as text");
  }
  const std::string& text = arena.at(arguments[0]).text;
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) {
      bytes += text[i];
    } else if ((lead & 0xFC) == 0xC0 && i + 1 < text.size()) {
      bytes += static_cast<char>((lead & 3) << 6 | (text[++i] & 0x3F));
    } else {
      return arena.Fail("bytes written as text are not Latin-1");
    }
  }
  return arena.MakeText(NodeKind::kBytes, bytes);
}

template <typename T>
std::optional<T> FromBytes(std::string_view bytes) {
  T value;
  if (bytes.size() != sizeof(T)) return std::nullopt;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

// numpy.float64(0.43) and the like; of dtypes that no metric has only the existence is kept.
NodeId NumpyScalar(PickleArena& arena, const std::vector<NodeId>& arguments) {
  if (arguments.size() != 2 || arena.at(arguments[0]).kind != NodeKind::kOpaque ||
      arena.at(arguments[1]).kind != NodeKind::kBytes) {
    return arena.Make(NodeKind::kOpaque);
  }
  // By reference: copies of a long text, taken again and again, would be a way to keep us busy.
  const std::string& dtype = arena.at(arguments[0]).text;
  const std::string& bytes = arena.at(arguments[1]).text;
  if (dtype == "f8") {
    if (const auto value = FromBytes<double>(bytes)) return arena.MakeFloat(*value);
  } else if (dtype == "f4") {
    if (const auto value = FromBytes<float>(bytes)) return arena.MakeFloat(*value);
  } else if (dtype == "i8") {
    if (const auto value = FromBytes<int64_t>(bytes)) return arena.MakeInt(*value);
  } else {
    return arena.Make(NodeKind::kOpaque);
  }
  return arena.Fail(fmt::format("a numpy {} scalar has {} bytes", dtype, bytes.size()));
}

NodeId NumpyDtype(PickleArena& arena, const std::vector<NodeId>& arguments) {
  if (arguments.empty() || arena.at(arguments[0]).kind != NodeKind::kString) {
    return arena.Make(NodeKind::kOpaque);
  }
  const std::string name = arena.at(arguments[0]).text.substr(0, 8);
  return arena.MakeText(NodeKind::kOpaque, name);
}

NodeId OrderedDict(PickleArena& arena, const std::vector<NodeId>& arguments) {
  if (!arguments.empty()) return arena.Fail("has an OrderedDict of an unknown form");
  return arena.Make(NodeKind::kDict);
}

struct Call {
  std::string_view name;
  NodeId (*apply)(PickleArena&, const std::vector<NodeId>&);
};

constexpr std::array kCalls = {
    Call{"collections OrderedDict", OrderedDict},
    Call{"torch._utils _rebuild_tensor_v2", RebuildTensor},
    Call{"torch._utils _rebuild_parameter", RebuildParameter},
    Call{"torch._utils _rebuild_parameter_with_state", RebuildParameter},
    Call{"_codecs encode", EncodeLatin1},
    Call{"numpy dtype", NumpyDtype},
    Call{"numpy.core.multiarray scalar", NumpyScalar},
    Call{"numpy._core.multiarray scalar", NumpyScalar},
};

bool IsCarried(std::string_view name) {
  return std::find(kCarried.begin(), kCarried.end(), name) != kCarried.end();
}

const Call* FindCall(std::string_view name) {
  const auto call = std::find_if(kCalls.begin(), kCalls.end(),
                                 [&](const Call& candidate) { return candidate.name == name; });
  return call == kCalls.end() ? nullptr : &*call;
}

}  // namespace

bool IsKnownGlobal(std::string_view name) {
  return FindCall(name) != nullptr || IsCarried(name) || StorageClass(name).has_value() ||
         IsTorchName(name) || name == "numpy ndarray" || name == "torch.nn.parameter Parameter";
}

NodeId ApplyCall(PickleArena& arena, NodeId function, NodeId arguments) {
  if (arena.at(function).kind != NodeKind::kGlobal ||
      arena.at(arguments).kind != NodeKind::kTuple) {
    return arena.Fail("calls something that is no function");
  }
  const std::string name = arena.at(function).text;
  if (IsCarried(name)) return arena.Make(NodeKind::kOpaque);
  if (arena.at(arguments).items.size() > kMaxArguments) {
    return arena.Fail(fmt::format("calls {} with too many arguments", Quoted(name)));
  }
  const std::vector<NodeId> items = arena.at(arguments).items;
  if (const Call* call = FindCall(name)) return call->apply(arena, items);
  return arena.Fail(fmt::format("calls {}, which no checkpoint needs", Quoted(name)));
}

void ApplyState(PickleArena& arena, NodeId object, NodeId state) {
  Node& target = arena.at(object);
  if (target.kind != NodeKind::kDict && target.kind != NodeKind::kOpaque) {
    arena.Fail(fmt::format("sets the state of {}", KindName(target.kind)));
    return;
  }
  const Node& values = arena.at(state);
  if (target.kind == NodeKind::kOpaque && values.kind == NodeKind::kTuple &&
      values.items.size() > 1 && arena.at(values.items[1]).text == ">") {
    target.text.clear();
  }
}

NodeId ApplyPersistentId(PickleArena& arena, NodeId id) {
  const Node& tuple = arena.at(id);
  if (tuple.kind != NodeKind::kTuple || tuple.items.size() < 5 ||
      tuple.items.size() > kMaxArguments) {
    return arena.Fail("has a storage reference of an unknown form");
  }
  const std::vector<NodeId> items = tuple.items;
  if (arena.at(items[0]).text != "storage" || arena.at(items[1]).kind != NodeKind::kGlobal ||
      arena.at(items[2]).kind != NodeKind::kString || arena.at(items[4]).kind != NodeKind::kInt) {
    return arena.Fail("has a storage reference of an unknown form");
  }
  const auto type = StorageClass(arena.at(items[1]).text);
  if (!type) return arena.Fail("has a storage of an unknown class");
  const int64_t elements = arena.at(items[4]).integer;
  const NodeId storage = arena.MakeText(NodeKind::kStorage, std::string(*type));
  if (!arena.ok()) return 0;
  arena.at(storage).integer = elements;
  arena.at(storage).items = {items[2]};
  return storage;
}

}  // namespace emotion::heads::pth
