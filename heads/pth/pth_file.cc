#include "heads/pth/pth_file.h"

#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include "fmt/format.h"
#include "heads/pth/pickle_reader.h"

namespace emotion::heads::pth {
namespace {

constexpr uint64_t kMaxFileBytes = 1ULL << 30;
constexpr uint64_t kMaxPickleBytes = 32ULL << 20;

std::string_view AsText(const std::vector<uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

absl::StatusOr<std::vector<uint8_t>> ReadWholeFile(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return absl::NotFoundError("does not exist");
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::InvalidArgumentError("is not a file");
  }
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error) return absl::InvalidArgumentError(fmt::format("cannot be read: {}", error.message()));
  if (size > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        fmt::format("has {} bytes; the limit is {}", size, kMaxFileBytes));
  }
  std::vector<uint8_t> bytes(size);
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size))) {
    return absl::InvalidArgumentError("cannot be read");
  }
  return bytes;
}

// What a file is that is no zip archive.
absl::Status DescribeForeign(std::string_view bytes) {
  if (bytes.empty()) return absl::InvalidArgumentError("is empty");
  // Protocol 2 and the magic number 0x1950a86a20f9469cfc6c.
  if (bytes.starts_with("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")) {
    return absl::InvalidArgumentError(
        "is in the format of torch < 1.6: load it and save it again with torch >= 1.6");
  }
  return absl::InvalidArgumentError(
      "is not a .pth file (expected the zip archive that torch.save of torch >= 1.6 writes)");
}

// "mlp/" where the archive has "mlp/data.pkl".
absl::StatusOr<std::string> FindPrefix(const ZipReader& zip) {
  constexpr std::string_view kPickle = "data.pkl";
  for (const ZipReader::Entry& entry : zip.entries()) {
    const size_t slash = entry.name.find('/');
    if (slash == std::string::npos || entry.name.substr(slash + 1) != kPickle) continue;
    std::string prefix = entry.name.substr(0, slash + 1);
    if (zip.Has(prefix + "constants.pkl")) {
      return absl::InvalidArgumentError(
          "is a TorchScript module; expected torch.save of a state_dict");
    }
    if (entry.size > kMaxPickleBytes) {
      return absl::InvalidArgumentError(
          fmt::format("its data.pkl has {} bytes; the limit is {}", entry.size, kMaxPickleBytes));
    }
    return prefix;
  }
  return absl::InvalidArgumentError(
      "is a zip archive without data.pkl: torch.save did not write it");
}

absl::StatusOr<bool> IsBigEndian(ZipReader& zip, const std::string& name) {
  if (!zip.Has(name)) return false;
  auto order = zip.Read(name);
  if (!order.ok()) return order.status();
  if (AsText(*order) == "little") return false;
  if (AsText(*order) == "big") return true;
  return absl::InvalidArgumentError(
      fmt::format("has byte order {}; expected 'little' or 'big'", Quoted(AsText(*order))));
}

}  // namespace

absl::StatusOr<std::unique_ptr<PthFile>> PthFile::Open(const std::filesystem::path& path) {
  auto bytes = ReadWholeFile(path);
  if (!bytes.ok()) return bytes.status();
  return Parse(*std::move(bytes));
}

absl::StatusOr<std::unique_ptr<PthFile>> PthFile::Parse(std::vector<uint8_t> bytes) {
  if (!AsText(bytes).starts_with("PK")) return DescribeForeign(AsText(bytes));
  auto zip = ZipReader::Open(std::move(bytes));
  if (!zip.ok()) return zip.status();
  auto prefix = FindPrefix(**zip);
  if (!prefix.ok()) return prefix.status();
  auto big_endian = IsBigEndian(**zip, *prefix + "byteorder");
  if (!big_endian.ok()) return big_endian.status();
  auto pickle = (*zip)->Read(*prefix + "data.pkl");
  if (!pickle.ok()) return pickle.status();
  auto document = ReadPickle(AsText(*pickle));
  if (!document.ok()) return document.status();
  return std::unique_ptr<PthFile>(
      new PthFile(*std::move(zip), *std::move(prefix), *std::move(document), *big_endian));
}

PthFile::PthFile(std::unique_ptr<ZipReader> zip, std::string prefix, PickleDocument document,
                 bool big_endian)
    : zip_(std::move(zip)),
      prefix_(std::move(prefix)),
      document_(std::move(document)),
      big_endian_(big_endian) {}

absl::StatusOr<std::span<const uint8_t>> PthFile::Storage(const std::string& key) {
  auto found = storages_.find(key);
  if (found == storages_.end()) {
    auto bytes = zip_->Read(prefix_ + "data/" + key);
    // A file that lacks a record exists: not what NOT_FOUND means to callers.
    if (!bytes.ok()) return absl::InvalidArgumentError(bytes.status().message());
    found = storages_.emplace(key, *std::move(bytes)).first;
  }
  return std::span<const uint8_t>(found->second);
}

}  // namespace emotion::heads::pth
