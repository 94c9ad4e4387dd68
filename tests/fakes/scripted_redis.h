// A server that speaks Redis' protocol and answers what a test wants: what a real one says only in
// rare states (LOADING, READONLY) and what none says.
//
//   ScriptedRedis redis([](const RedisCommand& command) { return "-LOADING in memory\r\n"; });
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "tests/fakes/loopback_server.h"
#include "tests/fakes/resp.h"

namespace emotion::testing {

class ScriptedRedis {
 public:
  // Returns the bytes of the answer, whatever they are. Called on the threads of connections.
  using Script = std::function<std::string(const std::vector<std::string>& command)>;

  // Connecting always works: PING, AUTH and CLIENT are answered as a healthy server would, unless
  // `also_login`.
  explicit ScriptedRedis(Script script, bool also_login = false)
      : script_(std::move(script)),
        also_login_(also_login),
        server_([this](int fd) { Serve(fd); }) {}

  int port() const { return server_.port(); }
  LoopbackServer& server() { return server_; }

 private:
  void Serve(int fd) {
    std::string received;
    char bytes[4096];
    for (;;) {
      while (const auto message = TakeRespMessage(received)) {
        if (!SendAll(fd, Answer(RespArguments(*message)))) return;
      }
      const ssize_t size = recv(fd, bytes, sizeof(bytes), 0);
      if (size <= 0) return;
      received.append(bytes, static_cast<size_t>(size));
    }
  }

  std::string Answer(const std::vector<std::string>& command) const {
    if (!also_login_ && command[0] == "PING") return RespBulk(command.at(1));
    if (!also_login_ && (command[0] == "AUTH" || command[0] == "CLIENT")) return "+OK\r\n";
    return script_(command);
  }

  const Script script_;
  const bool also_login_;
  LoopbackServer server_;  // last: its threads use all of the above
};

}  // namespace emotion::testing
