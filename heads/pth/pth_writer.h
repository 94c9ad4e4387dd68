// Writes .pth files that torch.load(weights_only=True) of torch >= 2 reads.
//
// Plain dicts, lists, numbers, text and float32 tensors in pickle protocol 2; the archive is
// stored, not packed, each record at a multiple of 64 bytes, as torch.save does it. The same value
// gives the same bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace emotion::heads::pth {

// Borrows its values. REQUIRES: shape's product is values.size(); [] with one value is a scalar.
struct TensorToWrite {
  std::vector<int64_t> shape;
  std::span<const float> values;
};

// None, a bool, a number, text, a tensor, a list or a dict.
class ValueToWrite {
 public:
  using List = std::vector<ValueToWrite>;
  using Dict = std::vector<std::pair<std::string, ValueToWrite>>;  // in this order
  using Variant =
      std::variant<std::monostate, bool, int64_t, double, std::string, TensorToWrite, List, Dict>;

  ValueToWrite();  // None
  explicit ValueToWrite(Variant value);
  // Out of line: inlined, they make GCC 12 warn of values that are not there.
  ValueToWrite(const ValueToWrite&);
  ValueToWrite(ValueToWrite&&) noexcept;
  ValueToWrite& operator=(const ValueToWrite&);
  ValueToWrite& operator=(ValueToWrite&&) noexcept;
  ~ValueToWrite();

  const Variant& variant() const { return variant_; }

 private:
  Variant variant_;
};

// Replaces `path` as a whole or leaves it as it was. INVALID_ARGUMENT: over 4 GiB; UNAVAILABLE: the
// file system refused, in its words.
absl::Status WritePth(const std::filesystem::path& path, const ValueToWrite& root);

}  // namespace emotion::heads::pth
