#include "common/install/shared_files.h"

namespace emotion {

namespace fs = std::filesystem;

fs::path ThisProgram() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored);
}

std::optional<fs::path> FindSharedFiles(const fs::path& program, std::string_view name) {
  const fs::path bin = program.parent_path();
  const fs::path installed = bin.parent_path() / "share/emotion-api" / name;
  const fs::path built = bin.parent_path().parent_path().parent_path() / name;
  std::error_code ignored;
  for (const fs::path& folder : {installed, built}) {
    if (fs::is_directory(folder, ignored)) return folder;
  }
  return std::nullopt;
}

}  // namespace emotion
