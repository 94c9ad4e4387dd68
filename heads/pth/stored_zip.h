// Makes a zip archive of stored (unpacked) records.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace emotion::heads::pth {

// Records keep their order; their data starts at multiples of 64 bytes, so that
// torch.load(mmap=True) can map them. Times are fixed: equal records give equal archives.
class StoredZip {
 public:
  // REQUIRES: the archive stays below 4 GiB (see size()).
  void Add(std::string name, std::string_view data);

  // Bytes so far, without the directory.
  size_t size() const { return bytes_.size(); }

  // The archive; leaves this object empty.
  std::string Finish();

 private:
  struct Entry {
    std::string name;
    uint32_t checksum;
    uint32_t size;
    uint32_t offset;
  };
  std::string bytes_;
  std::vector<Entry> entries_;
};

}  // namespace emotion::heads::pth
