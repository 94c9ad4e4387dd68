// emotion health [--server URL]: the whole picture of a running system, for containers and people.
#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/http_client.h"
#include "cli/verbs.h"

namespace emotion::cli {

int RunHealth(Arguments arguments) {
  std::string server = "http://localhost:8000";
  bool ready = false;
  CLI::App app("Asks a gateway how it is. Exit code 0 when it serves, 1 when not.",
               "emotion health");
  app.add_option("--server", server, "gateway, or the metrics address of another process")
      ->capture_default_str();
  app.add_flag("--ready", ready, "ask only whether this process can serve");
  return ParseAndRun(app, arguments, [&] {
    const auto answer = Fetch({.url = server + (ready ? "/health/ready" : "/health"),
                               .headers = {},
                               .body = {},
                               .timeout = std::chrono::seconds(5)});
    if (!answer.ok()) {
      return Fail(fmt::format("{}; is the system running? start it with `emotion serve`",
                              std::string(answer.status().message())));
    }
    fmt::print("{}\n", answer->body);
    return answer->status == 200 ? kExitDone : kExitFailed;
  });
}

}  // namespace emotion::cli
