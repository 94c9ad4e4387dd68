#include "heads/pth/pickle_reader.h"

#include <bit>
#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "heads/pth/pickle_arena.h"
#include "heads/pth/pickle_calls.h"

namespace emotion::heads::pth {
namespace {

// Opcodes by their names in CPython's pickletools.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kAppend = 'a',
  kAppends = 'e',
  kBinBytes = 'B',
  kBinFloat = 'G',
  kBinGet = 'h',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kBinPersId = 'Q',
  kBinPut = 'q',
  kBinString = 'T',
  kBinUnicode = 'X',
  kBuild = 'b',
  kEmptyDict = '}',
  kEmptyList = ']',
  kEmptyTuple = ')',
  kGlobal = 'c',
  kLongBinGet = 'j',
  kLongBinPut = 'r',
  kNone = 'N',
  kReduce = 'R',
  kSetItem = 's',
  kSetItems = 'u',
  kShortBinBytes = 'C',
  kShortBinString = 'U',
  kTuple = 't',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

constexpr uint8_t kNewestProtocol = 5;
constexpr size_t kLongestName = 256;

class Machine {
 public:
  Machine(std::string_view bytes, const PickleLimits& limits)
      : bytes_(bytes), limits_(limits), arena_(limits) {}

  absl::StatusOr<PickleDocument> Run() {
    NodeId root = 0;
    for (bool running = true; running && arena_.ok();) {
      const uint8_t opcode = Number<uint8_t>();
      if (!arena_.ok()) break;
      if (opcode == kStop) {
        root = Pop();
        running = false;
      } else if (!Constant(opcode) && !Container(opcode) && !Memo(opcode) && !Object(opcode)) {
        Refuse(opcode);
      }
    }
    if (!arena_.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("data.pkl at byte {}: {}", position_, arena_.error()));
    }
    return PickleDocument(arena_.TakeNodes(), root);
  }

 private:
  std::string_view Take(uint64_t count) {
    if (count > bytes_.size() - position_) {
      arena_.Fail("ends in the middle of a value");
      return {};
    }
    const std::string_view taken = bytes_.substr(position_, count);
    position_ += count;
    return taken;
  }

  // Little-endian, as everything in a pickle but floats.
  template <typename T>
  T Number() {
    T value = 0;
    const std::string_view taken = Take(sizeof(T));
    for (size_t i = 0; i < taken.size(); ++i) {
      value |= static_cast<T>(static_cast<uint64_t>(static_cast<uint8_t>(taken[i])) << (8 * i));
    }
    return value;
  }

  std::string_view Line() {
    const size_t end = bytes_.find('\n', position_);
    if (end == std::string_view::npos || end - position_ > kLongestName) {
      arena_.Fail("has a name without an end");
      return {};
    }
    const std::string_view line = Take(end - position_);
    Take(1);
    return line;
  }

  void Push(NodeId id) {
    if (stack_.size() >= limits_.stack) arena_.Fail("needs too deep a stack");
    if (arena_.ok()) stack_.push_back(id);
  }

  // Nothing below the innermost mark is touched, as in CPython.
  bool CanPop() {
    if (stack_.size() > (marks_.empty() ? 0 : marks_.back())) return true;
    arena_.Fail("takes a value from an empty stack");
    return false;
  }
  NodeId Pop() {
    if (!CanPop()) return 0;
    const NodeId id = stack_.back();
    stack_.pop_back();
    return id;
  }
  NodeId Top() { return CanPop() ? stack_.back() : 0; }

  std::vector<NodeId> PopToMark() {
    if (marks_.empty()) {
      arena_.Fail("closes what was not opened");
      return {};
    }
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    marks_.pop_back();
    std::vector<NodeId> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return items;
  }

  NodeId Long() {
    const std::string_view digits = Take(Number<uint8_t>());
    if (digits.size() > sizeof(int64_t)) return arena_.Make(NodeKind::kOpaque);
    uint64_t value = !digits.empty() && (digits.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
    for (size_t i = 0; i < digits.size(); ++i) {
      value &= ~(uint64_t{0xFF} << (8 * i));
      value |= static_cast<uint64_t>(static_cast<uint8_t>(digits[i])) << (8 * i);
    }
    return arena_.MakeInt(static_cast<int64_t>(value));
  }

  double Float() {
    uint64_t bits = 0;
    for (char c : Take(sizeof(bits))) bits = bits << 8 | static_cast<uint8_t>(c);
    return std::bit_cast<double>(bits);
  }

  bool Constant(uint8_t opcode) {
    switch (opcode) {
      case kNone:
        return Push(arena_.Make(NodeKind::kNone)), true;
      case kNewTrue:
      case kNewFalse:
        return Push(arena_.MakeInt(opcode == kNewTrue, NodeKind::kBool)), true;
      case kBinInt:
        return Push(arena_.MakeInt(static_cast<int32_t>(Number<uint32_t>()))), true;
      case kBinInt1:
        return Push(arena_.MakeInt(Number<uint8_t>())), true;
      case kBinInt2:
        return Push(arena_.MakeInt(Number<uint16_t>())), true;
      case kLong1:
        return Push(Long()), true;
      case kBinFloat:
        return Push(arena_.MakeFloat(Float())), true;
      case kBinUnicode:
        return Text(NodeKind::kString, Number<uint32_t>());
      case kShortBinUnicode:
        return Text(NodeKind::kString, Number<uint8_t>());
      case kBinUnicode8:
        return Text(NodeKind::kString, Number<uint64_t>());
      case kBinString:
      case kBinBytes:
        return Text(NodeKind::kBytes, Number<uint32_t>());
      case kShortBinString:
      case kShortBinBytes:
        return Text(NodeKind::kBytes, Number<uint8_t>());
      case kBinBytes8:
        return Text(NodeKind::kBytes, Number<uint64_t>());
      default:
        return false;
    }
  }

  bool Text(NodeKind kind, uint64_t length) {
    Push(arena_.MakeText(kind, Take(length)));
    return true;
  }

  bool Container(uint8_t opcode) {
    switch (opcode) {
      case kMark:
        if (marks_.size() >= limits_.marks) arena_.Fail("is nested too deeply");
        marks_.push_back(stack_.size());
        return true;
      case kEmptyDict:
        return Push(arena_.Make(NodeKind::kDict)), true;
      case kEmptyList:
        return Push(arena_.Make(NodeKind::kList)), true;
      case kEmptyTuple:
        return Push(arena_.Make(NodeKind::kTuple)), true;
      case kEmptySet:
        return Push(arena_.Make(NodeKind::kOpaque)), true;
      case kTuple:
        return Push(arena_.MakeItems(NodeKind::kTuple, PopToMark())), true;
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return ShortTuple(opcode - kTuple1 + 1U);
      case kAppend:
        return Extend(NodeKind::kList, PopLast(1));
      case kAppends:
        return Extend(NodeKind::kList, PopToMark());
      case kSetItem:
        return Extend(NodeKind::kDict, PopLast(2));
      case kSetItems:
        return Extend(NodeKind::kDict, PopToMark());
      case kAddItems:
        PopToMark();
        return Top(), true;
      case kFrozenSet:
        PopToMark();
        return Push(arena_.Make(NodeKind::kOpaque)), true;
      default:
        return false;
    }
  }

  std::vector<NodeId> PopLast(size_t count) {
    std::vector<NodeId> items(count);
    while (count > 0) items[--count] = Pop();
    return items;
  }

  bool ShortTuple(size_t count) {
    Push(arena_.MakeItems(NodeKind::kTuple, PopLast(count)));
    return true;
  }

  bool Extend(NodeKind kind, const std::vector<NodeId>& items) {
    Node& target = arena_.at(Top());
    if (!arena_.ok()) return true;
    if (target.kind != kind) {
      arena_.Fail(fmt::format("adds items to {}", KindName(target.kind)));
    } else if (kind == NodeKind::kDict && items.size() % 2 != 0) {
      arena_.Fail("has a key without a value");
    } else {
      target.items.insert(target.items.end(), items.begin(), items.end());
    }
    return true;
  }

  bool Memo(uint8_t opcode) {
    switch (opcode) {
      case kBinPut:
        return Remember(Number<uint8_t>());
      case kLongBinPut:
        return Remember(Number<uint32_t>());
      case kMemoize:
        return Remember(static_cast<uint32_t>(memo_.size()));
      case kBinGet:
        return Recall(Number<uint8_t>());
      case kLongBinGet:
        return Recall(Number<uint32_t>());
      default:
        return false;
    }
  }

  bool Remember(uint32_t slot) {
    const NodeId id = Top();
    if (memo_.size() >= limits_.objects) arena_.Fail("remembers too many objects");
    if (arena_.ok()) memo_[slot] = id;
    return true;
  }

  bool Recall(uint32_t slot) {
    const auto found = memo_.find(slot);
    Push(found == memo_.end() ? arena_.Fail("refers to an object that it never had")
                              : found->second);
    return true;
  }

  bool Object(uint8_t opcode) {
    switch (opcode) {
      case kProto:
        if (const uint8_t version = Number<uint8_t>(); version > kNewestProtocol) {
          arena_.Fail(
              fmt::format("has pickle protocol {}; known are up to {}", version, kNewestProtocol));
        }
        return true;
      case kFrame:
        return Number<uint64_t>(), true;
      case kGlobal: {
        const std::string_view module = Line();
        return Global(module, Line());
      }
      case kStackGlobal: {
        const NodeId name = Pop();
        const NodeId module = Pop();
        return Global(arena_.at(module).text, arena_.at(name).text);
      }
      case kReduce: {
        const NodeId arguments = Pop();
        const NodeId function = Pop();
        if (arena_.ok()) Push(ApplyCall(arena_, function, arguments));
        return true;
      }
      case kBuild: {
        const NodeId state = Pop();
        const NodeId object = Top();
        if (arena_.ok()) ApplyState(arena_, object, state);
        return true;
      }
      case kBinPersId: {
        const NodeId id = Pop();
        if (arena_.ok()) Push(ApplyPersistentId(arena_, id));
        return true;
      }
      default:
        return false;
    }
  }

  bool Global(std::string_view module, std::string_view name) {
    if (!arena_.ok()) return true;
    if (module.size() > kLongestName || name.size() > kLongestName) {
      arena_.Fail("has a name that is too long");
      return true;
    }
    const std::string full = fmt::format("{} {}", module, name);
    if (IsKnownGlobal(full)) {
      Push(arena_.MakeText(NodeKind::kGlobal, full));
    } else {
      arena_.Fail(fmt::format(
          "holds a Python object {}, and only tensors, numbers, text, lists and dicts are read: "
          "save model.state_dict(), not the model",
          Quoted(full)));
    }
    return true;
  }

  void Refuse(uint8_t opcode) {
    arena_.Fail(opcode == kNewObj
                    ? "makes a Python object, and only tensors, numbers, text, "
                      "lists and dicts are read"
                    : fmt::format("has opcode {:#04x}, which no checkpoint needs", opcode));
  }

  const std::string_view bytes_;
  const PickleLimits limits_;
  size_t position_ = 0;
  PickleArena arena_;
  std::vector<NodeId> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, NodeId> memo_;
};

}  // namespace

absl::StatusOr<PickleDocument> ReadPickle(std::string_view bytes, const PickleLimits& limits) {
  return Machine(bytes, limits).Run();
}

}  // namespace emotion::heads::pth
