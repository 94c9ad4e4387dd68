// A .pth file of torch.save (torch >= 1.6): a zip archive with a pickle and one record per storage.
//
//   <any>/data.pkl   what was saved; tensors name their storage
//   <any>/data/<key> the elements of a storage
//   <any>/byteorder  "little" or "big"; absent (torch < 2.1): little
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "heads/pth/pickle_value.h"
#include "heads/pth/zip_reader.h"

namespace emotion::heads::pth {

// Not for several threads at once.
class PthFile {
 public:
  // NOT_FOUND: no such file. INVALID_ARGUMENT: anything else that is wrong with it, in words that
  // say what to do: empty, truncated, not a zip archive, written by torch < 1.6, TorchScript, over
  // 1 GiB, or a pickle that ReadPickle refuses. Messages do not name the file; callers do.
  static absl::StatusOr<std::unique_ptr<PthFile>> Open(const std::filesystem::path& path);
  static absl::StatusOr<std::unique_ptr<PthFile>> Parse(std::vector<uint8_t> bytes);

  const PickleDocument& document() const { return document_; }
  bool big_endian() const { return big_endian_; }

  // The record of storage `key`. Valid as long as this object; read once, then kept.
  absl::StatusOr<std::span<const uint8_t>> Storage(const std::string& key);

 private:
  PthFile(std::unique_ptr<ZipReader> zip, std::string prefix, PickleDocument document,
          bool big_endian);

  std::unique_ptr<ZipReader> zip_;
  std::string prefix_;  // "mlp/"
  PickleDocument document_;
  bool big_endian_;
  std::map<std::string, std::vector<uint8_t>> storages_;
};

}  // namespace emotion::heads::pth
