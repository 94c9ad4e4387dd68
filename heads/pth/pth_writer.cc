#include "heads/pth/pth_writer.h"

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>
#include <system_error>

#include <unistd.h>

#include "fmt/format.h"
#include "heads/pth/stored_zip.h"

namespace emotion::heads::pth {
namespace {

static_assert(std::endian::native == std::endian::little, "records are written as they lie");

// Keeps room for headers and directory below the zip format's 4 GiB.
constexpr uint64_t kMaxDataBytes = 0xF0000000;

class PickleWriter {
 public:
  std::string Finish() { return std::move(bytes_) + '.'; }
  const std::vector<TensorToWrite>& tensors() const { return tensors_; }

  void Value(const ValueToWrite& value) {
    std::visit([this](const auto& v) { Write(v); }, value.variant());
  }

 private:
  void Write(std::monostate) { bytes_ += 'N'; }
  void Write(bool value) { bytes_ += value ? '\x88' : '\x89'; }
  void Write(int64_t value) {
    if (value >= std::numeric_limits<int32_t>::min() &&
        value <= std::numeric_limits<int32_t>::max()) {
      bytes_ += 'J';
      Raw(static_cast<int32_t>(value));
    } else {
      bytes_ += "\x8a\x08";
      Raw(value);
    }
  }
  void Write(double value) {
    bytes_ += 'G';
    const auto bits = std::bit_cast<uint64_t>(value);
    for (int shift = 56; shift >= 0; shift -= 8) bytes_ += static_cast<char>(bits >> shift & 0xFF);
  }
  void Write(const std::string& text) { Text(text); }
  void Write(const ValueToWrite::List& list) {
    bytes_ += "](";
    for (const ValueToWrite& item : list) Value(item);
    bytes_ += 'e';
  }
  void Write(const ValueToWrite::Dict& dict) {
    bytes_ += "}(";
    for (const auto& [key, value] : dict) {
      Text(key);
      Value(value);
    }
    bytes_ += 'u';
  }
  // torch._utils._rebuild_tensor_v2(storage, 0, shape, stride, False, OrderedDict())
  void Write(const TensorToWrite& tensor) {
    Global("torch._utils", "_rebuild_tensor_v2");
    bytes_ += "((";
    Text("storage");
    Global("torch", "FloatStorage");
    Text(std::to_string(tensors_.size()));
    Text("cpu");
    Write(static_cast<int64_t>(tensor.values.size()));
    bytes_ += "tQ";
    Write(int64_t{0});
    Sizes(tensor.shape);
    Sizes(ContiguousStrides(tensor.shape));
    Write(false);
    Global("collections", "OrderedDict");
    bytes_ += ")RtR";
    tensors_.push_back(tensor);
  }

  static std::vector<int64_t> ContiguousStrides(const std::vector<int64_t>& shape) {
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t i = shape.size(); i > 1; --i) strides[i - 2] = strides[i - 1] * shape[i - 1];
    return strides;
  }

  void Sizes(const std::vector<int64_t>& sizes) {
    bytes_ += '(';
    for (int64_t size : sizes) Write(size);
    bytes_ += 't';
  }
  template <typename T>
  void Raw(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void Text(std::string_view text) {
    bytes_ += 'X';
    Raw(static_cast<uint32_t>(text.size()));
    bytes_ += text;
  }
  void Global(std::string_view module, std::string_view name) {
    bytes_ += fmt::format("c{}\n{}\n", module, name);
  }

  std::string bytes_ = "\x80\x02";
  std::vector<TensorToWrite> tensors_;
};

absl::Status FileError(const std::filesystem::path& path, std::string_view what, int error) {
  return absl::UnavailableError(
      fmt::format("{} {}: {}", what, path.string(), std::generic_category().message(error)));
}

// By way of a neighbour, which is renamed when it is on the disk: a reader never sees half a file.
absl::Status ReplaceFile(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::path draft = path;
  draft += fmt::format(".{}.tmp", getpid());
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(draft.c_str(), "wb"),
                                                       std::fclose);
  if (file == nullptr) return FileError(draft, "cannot write", errno);
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size() &&
                       std::fflush(file.get()) == 0 && fsync(fileno(file.get())) == 0;
  const int write_error = errno;
  file.reset();
  if (written && std::rename(draft.c_str(), path.c_str()) == 0) return absl::OkStatus();
  const int error = written ? errno : write_error;
  std::remove(draft.c_str());
  return FileError(path, "cannot write", error);
}

}  // namespace

ValueToWrite::ValueToWrite() = default;
ValueToWrite::ValueToWrite(Variant value) : variant_(std::move(value)) {}
ValueToWrite::ValueToWrite(const ValueToWrite&) = default;
ValueToWrite::ValueToWrite(ValueToWrite&&) noexcept = default;
ValueToWrite& ValueToWrite::operator=(const ValueToWrite&) = default;
ValueToWrite& ValueToWrite::operator=(ValueToWrite&&) noexcept = default;
ValueToWrite::~ValueToWrite() = default;

absl::Status WritePth(const std::filesystem::path& path, const ValueToWrite& root) {
  PickleWriter pickle;
  pickle.Value(root);
  uint64_t data_bytes = 0;
  for (const TensorToWrite& tensor : pickle.tensors()) data_bytes += tensor.values.size_bytes();
  const std::string program = pickle.Finish();
  if (data_bytes + program.size() > kMaxDataBytes) {
    return absl::InvalidArgumentError(fmt::format(
        "{}: {} bytes of tensors are too many for one file", path.string(), data_bytes));
  }
  // The folder inside the archive is named like the file, as torch.save names it.
  const std::string prefix = path.stem().string() + "/";
  StoredZip zip;
  zip.Add(prefix + "data.pkl", program);
  zip.Add(prefix + "byteorder", "little");
  for (size_t i = 0; i < pickle.tensors().size(); ++i) {
    const std::span<const float> values = pickle.tensors()[i].values;
    zip.Add(fmt::format("{}data/{}", prefix, i),
            {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }
  zip.Add(prefix + "version", "3\n");
  return ReplaceFile(path, zip.Finish());
}

}  // namespace emotion::heads::pth
