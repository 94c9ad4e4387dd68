// NumPy's .npy format, version 1.0: one float32 matrix.
#pragma once

#include <filesystem>
#include <vector>

#include "absl/status/status.h"

namespace emotion::cli {

// Writes [rows.size(), rows[0].size()] float32, C order, little-endian. INVALID_ARGUMENT when rows
// differ in length or there is none, INTERNAL when the file cannot be written.
absl::Status WriteNpy(const std::filesystem::path& file,
                      const std::vector<std::vector<float>>& rows);

}  // namespace emotion::cli
