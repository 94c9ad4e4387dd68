#include "heads/pth/zip_reader.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <zip.h>

#include "fmt/format.h"
#include "heads/pth/pickle_value.h"

namespace emotion::heads::pth {
namespace {

constexpr zip_int64_t kMaxEntries = 4096;
constexpr uint64_t kMaxEntryBytes = 512ULL << 20;
constexpr uint64_t kMaxTotalBytes = 1ULL << 30;
constexpr uint64_t kMaxRatio = 200;
constexpr uint64_t kRatioFreeBytes = 1 << 20;

absl::Status CheckEntry(const zip_stat_t& stat) {
  constexpr zip_uint64_t kNeeded =
      ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  if ((stat.valid & kNeeded) != kNeeded) {
    return absl::InvalidArgumentError("the archive's directory is damaged");
  }
  const std::string name = Quoted(stat.name);
  if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE) {
    return absl::InvalidArgumentError(fmt::format("record {} is encrypted", name));
  }
  if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE) {
    return absl::InvalidArgumentError(
        fmt::format("record {} is packed by method {}; expected stored (0) or deflated (8)", name,
                    stat.comp_method));
  }
  if (stat.size > kMaxEntryBytes) {
    return absl::InvalidArgumentError(
        fmt::format("record {} has {} bytes; the limit is {}", name, stat.size, kMaxEntryBytes));
  }
  if (stat.size > kRatioFreeBytes && stat.size / kMaxRatio > stat.comp_size) {
    return absl::InvalidArgumentError(
        fmt::format("record {} unpacks from {} to {} bytes; the limit is {} times", name,
                    stat.comp_size, stat.size, kMaxRatio));
  }
  return absl::OkStatus();
}

}  // namespace

struct ZipReader::Handle {
  explicit Handle(zip_t* opened) : zip(opened) {}
  ~Handle() { zip_discard(zip); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  zip_t* const zip;
};

absl::StatusOr<std::unique_ptr<ZipReader>> ZipReader::Open(std::vector<uint8_t> bytes) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  zip_t* zip = source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error);
  const std::string reason = zip == nullptr ? zip_error_strerror(&error) : "";
  if (zip == nullptr && source != nullptr) zip_source_free(source);
  zip_error_fini(&error);
  if (zip == nullptr) {
    return absl::InvalidArgumentError(
        fmt::format("the zip archive is truncated or damaged ({})", reason));
  }
  std::unique_ptr<ZipReader> reader(new ZipReader(std::move(bytes), std::make_unique<Handle>(zip)));
  if (absl::Status status = reader->ListEntries(); !status.ok()) return status;
  return reader;
}

ZipReader::ZipReader(std::vector<uint8_t> bytes, std::unique_ptr<Handle> handle)
    : bytes_(std::move(bytes)), handle_(std::move(handle)), bytes_left_(kMaxTotalBytes) {}

ZipReader::~ZipReader() = default;

absl::Status ZipReader::ListEntries() {
  const zip_int64_t count = zip_get_num_entries(handle_->zip, 0);
  if (count > kMaxEntries) {
    return absl::InvalidArgumentError(
        fmt::format("the archive has {} records; the limit is {}", count, kMaxEntries));
  }
  std::unordered_set<std::string> names;
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    if (zip_stat_index(handle_->zip, static_cast<zip_uint64_t>(i), 0, &stat) != 0) {
      return absl::InvalidArgumentError("the archive's directory is damaged");
    }
    if (absl::Status status = CheckEntry(stat); !status.ok()) return status;
    if (!names.insert(stat.name).second) {
      return absl::InvalidArgumentError(
          fmt::format("the archive has two records {}", Quoted(stat.name)));
    }
    entries_.push_back({stat.name, stat.size});
  }
  return absl::OkStatus();
}

bool ZipReader::Has(std::string_view name) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.name == name; });
}

absl::StatusOr<std::vector<uint8_t>> ZipReader::Read(std::string_view name) {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& e) { return e.name == name; });
  if (entry == entries_.end()) {
    return absl::NotFoundError(fmt::format("has no record {}", Quoted(name)));
  }
  if (entry->size > bytes_left_) {
    return absl::InvalidArgumentError(
        fmt::format("its records have over {} bytes in all", kMaxTotalBytes));
  }
  bytes_left_ -= entry->size;
  const auto damaged = [&] {
    return absl::InvalidArgumentError(
        fmt::format("record {} is truncated or damaged", Quoted(name)));
  };
  const auto index = static_cast<zip_uint64_t>(entry - entries_.begin());
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(
      zip_fopen_index(handle_->zip, index, 0), zip_fclose);
  if (file == nullptr) return damaged();
  std::vector<uint8_t> unpacked(entry->size);
  // libzip compares length and checksum when it meets the end, hence the byte beyond.
  uint8_t beyond = 0;
  const zip_int64_t got = zip_fread(file.get(), unpacked.data(), unpacked.size());
  if (got != static_cast<zip_int64_t>(unpacked.size()) || zip_fread(file.get(), &beyond, 1) != 0) {
    return damaged();
  }
  return unpacked;
}

}  // namespace emotion::heads::pth
