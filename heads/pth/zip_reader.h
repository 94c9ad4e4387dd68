// A zip archive in memory, read with bounds: what a file claims is checked before it costs
// anything.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace emotion::heads::pth {

// Not for several threads at once.
class ZipReader {
 public:
  struct Entry {
    std::string name;
    uint64_t size = 0;  // uncompressed
  };

  // Refuses archives with more than 4096 entries, an entry over 512 MiB, an entry that unpacks to
  // over 200 times its packed size (and 1 MiB), encrypted entries, two entries of one name, and
  // methods other than stored and deflated. INVALID_ARGUMENT says which.
  static absl::StatusOr<std::unique_ptr<ZipReader>> Open(std::vector<uint8_t> bytes);

  ~ZipReader();
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;

  const std::vector<Entry>& entries() const { return entries_; }
  bool Has(std::string_view name) const;

  // The unpacked entry, its checksum verified. One archive gives at most 1 GiB in all: entries may
  // overlap in a crafted file, so their number says nothing about the work they make. NOT_FOUND
  // for names that are not there.
  absl::StatusOr<std::vector<uint8_t>> Read(std::string_view name);

 private:
  struct Handle;
  ZipReader(std::vector<uint8_t> bytes, std::unique_ptr<Handle> handle);
  absl::Status ListEntries();

  std::vector<uint8_t> bytes_;  // libzip reads from here: outlives handle_
  std::unique_ptr<Handle> handle_;
  std::vector<Entry> entries_;
  uint64_t bytes_left_;
};

}  // namespace emotion::heads::pth
