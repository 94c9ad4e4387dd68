#include "cli/npy.h"

#include <fstream>
#include <string>

#include <fmt/format.h>

namespace emotion::cli {
namespace {

// Magic, version 1.0, header length, then the header itself, padded so that the data is aligned.
std::string Header(size_t rows, size_t columns) {
  constexpr size_t kAlignment = 64;
  constexpr size_t kPrefixBytes = 10;
  std::string text =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  const size_t unpadded = kPrefixBytes + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  text.push_back('\n');
  std::string header = "\x93NUMPY\x01";
  header.push_back('\0');
  header.push_back(static_cast<char>(text.size() & 0xff));
  header.push_back(static_cast<char>(text.size() >> 8));
  return header + text;
}

}  // namespace

absl::Status WriteNpy(const std::filesystem::path& file,
                      const std::vector<std::vector<float>>& rows) {
  if (rows.empty()) return absl::InvalidArgumentError("there are no rows to write");
  for (const auto& row : rows) {
    if (row.size() != rows[0].size()) {
      return absl::InvalidArgumentError("rows of an array must have one length");
    }
  }
  std::ofstream out(file, std::ios::binary);
  out << Header(rows.size(), rows[0].size());
  for (const auto& row : rows) {
    out.write(reinterpret_cast<const char*>(row.data()),
              static_cast<std::streamsize>(row.size() * sizeof(float)));
  }
  out.close();
  if (!out) return absl::InternalError(fmt::format("{} cannot be written", file.string()));
  return absl::OkStatus();
}

}  // namespace emotion::cli
