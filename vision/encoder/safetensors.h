// One .safetensors file: a memory-mapped reader and a streaming writer.
//
// The format: 8 bytes little-endian header length, a JSON header (name -> dtype, shape,
// data_offsets), then the tensors' bytes. The reader treats the file as hostile: the header's
// length and nesting are bounded, every size is computed with checked arithmetic, each tensor must
// have exactly the bytes of its shape and dtype, and the tensors must tile the data without holes
// or overlaps (as the format demands). Whatever is wrong is INVALID_ARGUMENT naming file and
// tensor.
//
// Bytes are read only when touched. A file that somebody shortens while it is mapped raises SIGBUS:
// replace model files by renaming, as every downloader does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace emotion::vision {

// The dtypes that the format knows. Weights are kF32, kF16 or kBF16.
enum class DType {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kF8E4M3,
  kF8E5M2
};

// "BF16", as the header spells it.
std::string_view DTypeName(DType dtype);
int DTypeBytes(DType dtype);

using Shape = std::vector<int64_t>;

// "[1280, 3, 2, 14, 14]"
std::string ShapeText(const Shape& shape);

// shape x bytes of dtype; nullopt when a size is negative or the product passes int64. The empty
// shape is a scalar; a zero anywhere makes zero bytes.
std::optional<int64_t> TensorBytes(DType dtype, const Shape& shape);

// A tensor inside a mapped file; valid while the SafetensorsFile lives. Bytes may be unaligned.
struct TensorView {
  DType dtype = DType::kF32;
  Shape shape;
  std::span<const std::byte> bytes;
};

class SafetensorsFile {
 public:
  // NOT_FOUND when there is no file.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(const std::string& path);

  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;
  ~SafetensorsFile();

  const std::string& path() const { return path_; }
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }

  // Gives the pages of `view` back to the kernel; reading them again reads the file again.
  void Release(const TensorView& view) const;

 private:
  SafetensorsFile(std::string path, std::span<const std::byte> mapping);

  std::string path_;
  std::span<const std::byte> mapping_;
  std::map<std::string, TensorView> tensors_;
};

// Checks and indexes a whole file's bytes; `source` names it in messages. What Open does after
// mapping, and what the fuzzer drives.
absl::StatusOr<std::map<std::string, TensorView>> ParseSafetensors(std::span<const std::byte> file,
                                                                   std::string_view source);

struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
};

// Writes one file in constant memory: all specs first, then the bytes in the same order, in pieces
// of any size. The file appears under its name only when Finish() returns OK.
class SafetensorsWriter {
 public:
  // INVALID_ARGUMENT for repeated names or impossible shapes, INTERNAL when the disk refuses.
  static absl::StatusOr<std::unique_ptr<SafetensorsWriter>> Create(
      const std::string& path, const std::vector<TensorSpec>& specs);

  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;
  // Removes what was written when Finish() was not reached.
  ~SafetensorsWriter();

  [[nodiscard]] absl::Status Append(std::span<const std::byte> bytes);

  // Fails when fewer bytes than the specs promise were appended.
  [[nodiscard]] absl::Status Finish();

 private:
  SafetensorsWriter(std::string path, std::FILE* file, int64_t left)
      : path_(std::move(path)), file_(file), left_(left) {}

  std::string path_;
  std::FILE* file_;
  int64_t left_;  // bytes that are still promised
};

}  // namespace emotion::vision
