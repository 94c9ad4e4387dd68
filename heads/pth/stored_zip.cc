#include "heads/pth/stored_zip.h"

#include <utility>

#include <zlib.h>

namespace emotion::heads::pth {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLocalHeaderBytes = 30;
constexpr size_t kExtraHeaderBytes = 4;
constexpr uint16_t kPaddingTag = 0x4246;  // "FB", torch's own
constexpr uint16_t kVersion = 20;
constexpr uint16_t kUtf8Names = 1 << 11;
constexpr uint16_t kFirstDayOfDos = 0x21;  // 1980-01-01

template <typename T>
void Put(std::string& bytes, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    bytes += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xFF);
  }
}

uint32_t Checksum(std::string_view data) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

// What local and central header have in common.
void PutDescription(std::string& bytes, uint32_t checksum, uint32_t size, size_t name_bytes,
                    size_t extra_bytes) {
  Put(bytes, kVersion);
  Put(bytes, kUtf8Names);
  Put<uint16_t>(bytes, 0);  // stored
  Put<uint16_t>(bytes, 0);  // midnight
  Put(bytes, kFirstDayOfDos);
  Put(bytes, checksum);
  Put(bytes, size);
  Put(bytes, size);
  Put(bytes, static_cast<uint16_t>(name_bytes));
  Put(bytes, static_cast<uint16_t>(extra_bytes));
}

}  // namespace

void StoredZip::Add(std::string name, std::string_view data) {
  const Entry entry{std::move(name), Checksum(data), static_cast<uint32_t>(data.size()),
                    static_cast<uint32_t>(bytes_.size())};
  const size_t data_start =
      bytes_.size() + kLocalHeaderBytes + entry.name.size() + kExtraHeaderBytes;
  const size_t padding = (kAlignment - data_start % kAlignment) % kAlignment;
  Put<uint32_t>(bytes_, 0x04034b50);
  PutDescription(bytes_, entry.checksum, entry.size, entry.name.size(),
                 kExtraHeaderBytes + padding);
  bytes_ += entry.name;
  Put(bytes_, kPaddingTag);
  Put(bytes_, static_cast<uint16_t>(padding));
  bytes_.append(padding, 'Z');
  bytes_ += data;
  entries_.push_back(entry);
}

std::string StoredZip::Finish() {
  const size_t directory_start = bytes_.size();
  for (const Entry& entry : entries_) {
    Put<uint32_t>(bytes_, 0x02014b50);
    Put(bytes_, kVersion);  // made by
    PutDescription(bytes_, entry.checksum, entry.size, entry.name.size(), 0);
    Put<uint16_t>(bytes_, 0);  // comment
    Put<uint16_t>(bytes_, 0);  // disk
    Put<uint16_t>(bytes_, 0);  // internal attributes
    Put<uint32_t>(bytes_, 0);  // external attributes
    Put(bytes_, entry.offset);
    bytes_ += entry.name;
  }
  const size_t directory_bytes = bytes_.size() - directory_start;
  Put<uint32_t>(bytes_, 0x06054b50);
  Put<uint16_t>(bytes_, 0);  // this disk
  Put<uint16_t>(bytes_, 0);  // the directory's disk
  Put(bytes_, static_cast<uint16_t>(entries_.size()));
  Put(bytes_, static_cast<uint16_t>(entries_.size()));
  Put(bytes_, static_cast<uint32_t>(directory_bytes));
  Put(bytes_, static_cast<uint32_t>(directory_start));
  Put<uint16_t>(bytes_, 0);  // comment
  entries_.clear();
  return std::exchange(bytes_, {});
}

}  // namespace emotion::heads::pth
