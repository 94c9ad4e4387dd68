#include "vision/encoder/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "vision/encoder/model_error.h"
#include "vision/encoder/safetensors_header.h"

namespace emotion::vision {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are stored little-endian");

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's bound

struct DTypeRow {
  std::string_view name;
  int bytes;
};

// In the order of DType.
constexpr std::array kDTypes = {
    DTypeRow{"F32", 4},  DTypeRow{"F16", 2},     DTypeRow{"BF16", 2},   DTypeRow{"F64", 8},
    DTypeRow{"I64", 8},  DTypeRow{"I32", 4},     DTypeRow{"I16", 2},    DTypeRow{"I8", 1},
    DTypeRow{"U64", 8},  DTypeRow{"U32", 4},     DTypeRow{"U16", 2},    DTypeRow{"U8", 1},
    DTypeRow{"BOOL", 1}, DTypeRow{"F8_E4M3", 1}, DTypeRow{"F8_E5M2", 1}};

// Closes itself; mapping keeps the file alive without it.
class Descriptor {
 public:
  explicit Descriptor(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status CheckEntry(const HeaderEntry& entry, int64_t data_bytes, std::string_view source) {
  const auto expected = TensorBytes(entry.dtype, entry.shape);
  if (!expected) {
    return ModelError(fmt::format("{}: tensor '{}': the product of shape {} overflows", source,
                                  entry.name, ShapeText(entry.shape)));
  }
  if (entry.end > data_bytes || entry.begin > entry.end) {
    return ModelError(
        fmt::format("{}: tensor '{}': data_offsets [{}, {}] are not inside the {} bytes of data",
                    source, entry.name, entry.begin, entry.end, data_bytes));
  }
  if (entry.end - entry.begin != *expected) {
    return ModelError(fmt::format("{}: tensor '{}': has {} bytes; {} {} needs {}", source,
                                  entry.name, entry.end - entry.begin, DTypeName(entry.dtype),
                                  ShapeText(entry.shape), *expected));
  }
  return absl::OkStatus();
}

// Sorted by offset, each tensor must begin where the one before it ends.
absl::Status CheckTiling(std::vector<HeaderEntry>& entries, int64_t data_bytes,
                         std::string_view source) {
  std::ranges::sort(entries, {}, [](const HeaderEntry& e) { return std::pair(e.begin, e.end); });
  int64_t covered = 0;
  for (const HeaderEntry& entry : entries) {
    if (entry.begin != covered) {
      return ModelError(fmt::format(
          "{}: tensor '{}': begins at byte {}, {} byte {}", source, entry.name, entry.begin,
          entry.begin < covered ? "overlapping another that ends at" : "leaving a hole after",
          covered));
    }
    covered = entry.end;
  }
  if (covered != data_bytes) {
    return ModelError(fmt::format("{}: {} bytes after the last tensor belong to none", source,
                                  data_bytes - covered));
  }
  return absl::OkStatus();
}

std::string HeaderText(const std::vector<TensorSpec>& specs, int64_t& total) {
  std::string text = "{";
  total = 0;
  for (const TensorSpec& spec : specs) {
    const int64_t bytes = TensorBytes(spec.dtype, spec.shape).value_or(0);
    text += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                        text.size() > 1 ? "," : "", spec.name, DTypeName(spec.dtype),
                        fmt::join(spec.shape, ","), total, total + bytes);
    total += bytes;
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  return text;
}

absl::Status CheckSpecs(const std::vector<TensorSpec>& specs, const std::string& path) {
  std::map<std::string_view, int> count;
  int64_t total = 0;
  for (const TensorSpec& spec : specs) {
    const auto bytes = TensorBytes(spec.dtype, spec.shape);
    const bool plain = std::ranges::none_of(
        spec.name, [](unsigned char c) { return c < 0x20 || c == '"' || c == '\\'; });
    if (!plain || spec.name.empty() || ++count[spec.name] > 1) {
      return ModelError(
          fmt::format("{}: tensor name '{}' is repeated or not plain", path, spec.name));
    }
    if (!bytes || __builtin_add_overflow(total, *bytes, &total)) {
      return ModelError(
          fmt::format("{}: tensor '{}': {} is too large", path, spec.name, ShapeText(spec.shape)));
    }
  }
  return absl::OkStatus();
}

absl::Status DiskError(const std::string& path, const char* what) {
  const std::string text = fmt::format("{}: {}: {}", path, what, std::strerror(errno));
  return absl::InternalError(absl::string_view(text.data(), text.size()));
}

}  // namespace

std::string_view DTypeName(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }

int DTypeBytes(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].bytes; }

std::string ShapeText(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::optional<int64_t> TensorBytes(DType dtype, const Shape& shape) {
  int64_t bytes = DTypeBytes(dtype);
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return bytes;
}

absl::StatusOr<std::map<std::string, TensorView>> ParseSafetensors(std::span<const std::byte> file,
                                                                   std::string_view source) {
  uint64_t header_bytes = 0;
  if (file.size() < kLengthBytes) {
    return ModelError(fmt::format("{}: has {} bytes; a safetensors file has at least {}", source,
                                  file.size(), kLengthBytes));
  }
  std::memcpy(&header_bytes, file.data(), kLengthBytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file.size() - kLengthBytes) {
    return ModelError(
        fmt::format("{}: the header's length, {} bytes, is over the file's ({}) or over {}", source,
                    header_bytes, file.size(), kMaxHeaderBytes));
  }
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + kLengthBytes,
                                header_bytes);
  auto entries = ParseSafetensorsHeader(header, source);
  if (!entries.ok()) return entries.status();

  const auto data = file.subspan(kLengthBytes + header_bytes);
  const auto data_bytes = static_cast<int64_t>(data.size());
  for (const HeaderEntry& entry : *entries) {
    if (auto status = CheckEntry(entry, data_bytes, source); !status.ok()) return status;
  }
  if (auto status = CheckTiling(*entries, data_bytes, source); !status.ok()) return status;

  std::map<std::string, TensorView> tensors;
  for (HeaderEntry& entry : *entries) {
    tensors[std::move(entry.name)] = {entry.dtype, std::move(entry.shape),
                                      data.subspan(entry.begin, entry.end - entry.begin)};
  }
  return tensors;
}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::string& path) {
  const Descriptor file(path);
  if (file.get() < 0) {
    const auto text = fmt::format("{}: {}", path, std::strerror(errno));
    return errno == ENOENT ? ModelMissing(text) : ModelError(text);
  }
  struct stat info {};
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return ModelError(fmt::format("{}: is not a regular file", path));
  }
  const auto size = static_cast<size_t>(info.st_size);
  if (size < kLengthBytes) return ParseSafetensors({}, path).status();
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) {
    return ModelError(fmt::format("{}: cannot be mapped: {}", path, std::strerror(errno)));
  }
  std::unique_ptr<SafetensorsFile> mapped(
      new SafetensorsFile(path, {static_cast<const std::byte*>(address), size}));
  auto tensors = ParseSafetensors(mapped->mapping_, path);
  if (!tensors.ok()) return tensors.status();
  mapped->tensors_ = *std::move(tensors);
  return mapped;
}

SafetensorsFile::SafetensorsFile(std::string path, std::span<const std::byte> mapping)
    : path_(std::move(path)), mapping_(mapping) {}

SafetensorsFile::~SafetensorsFile() {
  munmap(const_cast<std::byte*>(mapping_.data()), mapping_.size());
}

void SafetensorsFile::Release(const TensorView& view) const {
  // Whole pages inside the tensor only: its neighbours' stay.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(view.bytes.data()) + page - 1) / page * page;
  const auto end =
      (reinterpret_cast<uintptr_t>(view.bytes.data()) + view.bytes.size()) / page * page;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

absl::StatusOr<std::unique_ptr<SafetensorsWriter>> SafetensorsWriter::Create(
    const std::string& path, const std::vector<TensorSpec>& specs) {
  if (auto status = CheckSpecs(specs, path); !status.ok()) return status;
  int64_t total = 0;
  const std::string header = HeaderText(specs, total);
  std::FILE* file = std::fopen((path + ".partial").c_str(), "wbe");
  if (file == nullptr) return DiskError(path, "cannot be created");
  std::unique_ptr<SafetensorsWriter> writer(new SafetensorsWriter(path, file, total));
  const uint64_t length = header.size();
  if (std::fwrite(&length, sizeof(length), 1, file) != 1 ||
      std::fwrite(header.data(), 1, header.size(), file) != header.size()) {
    return DiskError(path, "cannot be written");
  }
  return writer;
}

SafetensorsWriter::~SafetensorsWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::remove((path_ + ".partial").c_str());
}

absl::Status SafetensorsWriter::Append(std::span<const std::byte> bytes) {
  if (std::cmp_greater(bytes.size(), left_)) {
    return ModelError(fmt::format("{}: {} bytes more than the tensors have", path_,
                                  bytes.size() - static_cast<size_t>(left_)));
  }
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) {
    return DiskError(path_, "cannot be written");
  }
  left_ -= static_cast<int64_t>(bytes.size());
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::Finish() {
  if (left_ != 0) {
    return ModelError(fmt::format("{}: {} bytes of the tensors were not written", path_, left_));
  }
  const bool flushed = std::fflush(file_) == 0 && fsync(fileno(file_)) == 0;
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  if (!flushed || !closed) return DiskError(path_, "cannot be written");
  if (std::rename((path_ + ".partial").c_str(), path_.c_str()) != 0) {
    return DiskError(path_, "cannot be renamed from its .partial");
  }
  return absl::OkStatus();
}

}  // namespace emotion::vision
