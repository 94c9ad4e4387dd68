// Where the files are that come with the programs: the demo model, the web page.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace emotion {

// The running executable; empty where /proc does not say.
std::filesystem::path ThisProgram();

// The folder `name` ("web", "models/demo") that belongs to `program`: below share/emotion-api of
// its prefix when it is installed in PREFIX/bin, in the checkout when it was built there
// (build/PRESET/bin). nullopt when it is in neither place.
std::optional<std::filesystem::path> FindSharedFiles(const std::filesystem::path& program,
                                                     std::string_view name);

}  // namespace emotion
