#include "heads/pth/tensor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <string_view>

#include "fmt/format.h"

namespace emotion::heads::pth {
namespace {

double HalfToDouble(uint16_t bits) {
  const int exponent = bits >> 10 & 0x1F;
  const int fraction = bits & 0x3FF;
  double magnitude;
  if (exponent == 0x1F) {
    magnitude = fraction == 0 ? HUGE_VAL : std::nan("");
  } else if (exponent == 0) {
    magnitude = std::ldexp(fraction, -24);
  } else {
    magnitude = std::ldexp(fraction + 0x400, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

double Bfloat16ToDouble(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

template <typename T>
T Load(const uint8_t* at, bool big_endian) {
  std::array<uint8_t, sizeof(T)> bytes;
  std::memcpy(bytes.data(), at, sizeof(T));
  if (big_endian) std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<T>(bytes);
}

template <typename T>
double LoadAs(const uint8_t* at, bool big_endian) {
  return static_cast<double>(Load<T>(at, big_endian));
}

struct DType {
  std::string_view storage;
  int64_t size;  // bytes
  double (*load)(const uint8_t* at, bool big_endian);
};

constexpr std::array kDTypes = {
    DType{"FloatStorage", 4, LoadAs<float>},
    DType{"DoubleStorage", 8, LoadAs<double>},
    DType{"HalfStorage", 2,
          [](const uint8_t* at, bool big) { return HalfToDouble(Load<uint16_t>(at, big)); }},
    DType{"BFloat16Storage", 2,
          [](const uint8_t* at, bool big) { return Bfloat16ToDouble(Load<uint16_t>(at, big)); }},
    DType{"LongStorage", 8, LoadAs<int64_t>},
    DType{"IntStorage", 4, LoadAs<int32_t>},
    DType{"ShortStorage", 2, LoadAs<int16_t>},
    DType{"CharStorage", 1, LoadAs<int8_t>},
    DType{"ByteStorage", 1, LoadAs<uint8_t>},
    DType{"BoolStorage", 1, LoadAs<uint8_t>},
};

// A tensor whose every element lies within `bytes`.
struct CheckedView {
  const TensorView* view;
  const DType* dtype;
  std::span<const uint8_t> bytes;
  int64_t count;
  bool big_endian;
};

absl::StatusOr<CheckedView> Check(PthFile& file, const Node& node) {
  if (node.kind != NodeKind::kTensor) {
    return absl::InvalidArgumentError(fmt::format("is {}; expected a tensor", KindName(node.kind)));
  }
  const TensorView& view = *node.tensor;
  const Node& storage = file.document().at(view.storage);
  const auto dtype = std::find_if(kDTypes.begin(), kDTypes.end(),
                                  [&](const DType& d) { return d.storage == storage.text; });
  if (dtype == kDTypes.end()) {
    return absl::InvalidArgumentError(
        fmt::format("is a tensor of {}, which is not read", Quoted(storage.text)));
  }
  auto count = ElementCount(view.shape);
  if (!count.ok()) return count.status();
  auto bytes = file.Storage(file.document().at(storage.items[0]).text);
  if (!bytes.ok()) return bytes.status();
  // No overflow: each size is at most kMaxTensorElements here, each stride below 2^63.
  __int128 last = view.offset;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    last += static_cast<__int128>(std::max<int64_t>(view.shape[i], 1) - 1) * view.stride[i];
  }
  if (*count > 0 && (last + 1) * dtype->size > static_cast<__int128>(bytes->size())) {
    return absl::InvalidArgumentError(
        fmt::format("is a tensor of {} elements that reaches beyond its storage of {} bytes",
                    *count, bytes->size()));
  }
  return CheckedView{&view, &*dtype, *bytes, *count, file.big_endian()};
}

bool IsContiguous(const TensorView& view) {
  int64_t expected = 1;
  for (size_t i = view.shape.size(); i-- > 0;) {
    if (view.shape[i] != 1 && view.stride[i] != expected) return false;
    expected *= view.shape[i];
  }
  return true;
}

// Element offsets in row-major order of a strided tensor.
class Walker {
 public:
  explicit Walker(const TensorView& view)
      : view_(view), index_(view.shape.size(), 0), offset_(view.offset) {}

  int64_t offset() const { return offset_; }
  void Next() {
    for (size_t i = index_.size(); i-- > 0;) {
      if (++index_[i] < view_.shape[i]) {
        offset_ += view_.stride[i];
        return;
      }
      offset_ -= (view_.shape[i] - 1) * view_.stride[i];
      index_[i] = 0;
    }
  }

 private:
  const TensorView& view_;
  std::vector<int64_t> index_;
  int64_t offset_;
};

}  // namespace

absl::StatusOr<int64_t> ElementCount(const std::vector<int64_t>& shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  int64_t count = 1;
  for (int64_t size : shape) {
    if (__builtin_mul_overflow(count, size, &count) || count > kMaxTensorElements) {
      return absl::InvalidArgumentError(
          fmt::format("is a tensor of shape [{}]; the limit is {} elements", fmt::join(shape, ", "),
                      kMaxTensorElements));
    }
  }
  return count;
}

absl::StatusOr<Tensor> ReadTensor(PthFile& file, const Node& node) {
  auto checked = Check(file, node);
  if (!checked.ok()) return checked.status();
  Tensor tensor{checked->view->shape, std::vector<float>(static_cast<size_t>(checked->count))};
  if (tensor.values.empty()) return tensor;
  const uint8_t* const base = checked->bytes.data();
  if (checked->dtype->storage == "FloatStorage" && !checked->big_endian &&
      IsContiguous(*checked->view)) {
    std::memcpy(tensor.values.data(), base + checked->view->offset * checked->dtype->size,
                tensor.values.size() * sizeof(float));
    return tensor;
  }
  Walker walker(*checked->view);
  for (float& value : tensor.values) {
    value = static_cast<float>(
        checked->dtype->load(base + walker.offset() * checked->dtype->size, checked->big_endian));
    walker.Next();
  }
  return tensor;
}

absl::StatusOr<double> ReadScalarTensor(PthFile& file, const Node& node) {
  auto checked = Check(file, node);
  if (!checked.ok()) return checked.status();
  if (checked->count != 1) {
    return absl::InvalidArgumentError(
        fmt::format("is a tensor of {} elements; expected one", checked->count));
  }
  return checked->dtype->load(checked->bytes.data() + checked->view->offset * checked->dtype->size,
                              checked->big_endian);
}

}  // namespace emotion::heads::pth
