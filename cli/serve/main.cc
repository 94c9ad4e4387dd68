// emotion serve: the whole system in one process.
#include "cli/serve/whole_system.h"

int main(int argc, char** argv) {
  return emotion::RunProgram(
      {.name = "emotion serve", .service = "emotion", .roles = emotion::kAllRoles},
      std::vector<std::string>(argv + 1, argv + argc), emotion::cli::StartWholeSystem);
}
