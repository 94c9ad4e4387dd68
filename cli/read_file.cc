#include "cli/read_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

namespace emotion::cli {

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return absl::NotFoundError(fmt::format("{}: {}", path, error.message()));
  if (size > max_bytes) {
    return absl::FailedPreconditionError(
        fmt::format("{}: has {} bytes; at most {} are read", path, size, max_bytes));
  }
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return absl::NotFoundError(fmt::format("{}: cannot be read", path));
  return bytes;
}

}  // namespace emotion::cli
