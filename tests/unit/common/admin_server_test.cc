#include "common/observe/admin_server.h"

#include <atomic>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace emotion {
namespace {

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  return fd;
}

// Everything that the server answers until it closes the connection.
std::string Exchange(int port, const std::string& request) {
  const int fd = Connect(port);
  REQUIRE(send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0);
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 0; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) answer.append(buffer, n);
  close(fd);
  return answer;
}

std::string Get(int port, const std::string& target, const std::string& method = "GET") {
  return Exchange(port, method + " " + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
}

bool IsStatus(const std::string& answer, const std::string& status) {
  return answer.starts_with("HTTP/1.1 " + status);
}

std::unique_ptr<AdminServer> StartServer(const Metrics& metrics, std::function<bool()> ready) {
  auto server = AdminServer::Start({"127.0.0.1:0", std::move(ready)}, metrics);
  REQUIRE(server.ok());
  return *std::move(server);
}

}  // namespace

TEST_CASE("metrics and health are served, readiness as it is now") {
  Metrics metrics({"9.9", ""});
  std::atomic<bool> ready = false;
  const auto server = StartServer(metrics, [&] { return ready.load(); });
  const int port = server->port();
  const std::string text = Get(port, "/metrics");
  CHECK(IsStatus(text, "200"));
  CHECK(text.find("version=0.0.4") != std::string::npos);
  CHECK(text.find("emotion_build_info{commit=\"\",version=\"9.9\"} 1") != std::string::npos);
  CHECK(IsStatus(Get(port, "/health/live"), "200"));
  CHECK(IsStatus(Get(port, "/health/ready?x=1"), "503"));
  ready = true;
  CHECK(IsStatus(Get(port, "/health/ready"), "200"));
}

TEST_CASE("other paths, methods and protocols are refused") {
  Metrics metrics({"1", ""});
  const auto server = StartServer(metrics, nullptr);
  const int port = server->port();
  CHECK(IsStatus(Get(port, "/"), "404"));
  CHECK(IsStatus(Get(port, "/metrics/../x"), "404"));
  const std::string post = Get(port, "/metrics", "POST");
  CHECK(IsStatus(post, "405"));
  CHECK(post.find("Allow: GET, HEAD") != std::string::npos);
  const std::string head = Get(port, "/health/live", "HEAD");
  CHECK(IsStatus(head, "200"));
  CHECK(head.ends_with("\r\n\r\n"));
  CHECK(Exchange(port, "nonsense\r\n\r\n").empty());
  CHECK(
      Exchange(port, "GET /metrics HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n").empty());
  CHECK(IsStatus(Get(port, "/health/live"), "200"));
}

TEST_CASE("silent connections do not keep others away for ever, and the server stops at once") {
  Metrics metrics({"1", ""});
  auto server = StartServer(metrics, nullptr);
  std::vector<int> silent;
  for (int i = 0; i < 40; ++i) silent.push_back(Connect(server->port()));
  server.reset();
  for (const int fd : silent) close(fd);
  SUCCEED();
}

TEST_CASE("a wrong or taken address is an error that names it") {
  Metrics metrics({"1", ""});
  for (const char* wrong : {"", "9101", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999",
                            "127.0.0.1:1x", "name:1", "[::1:1"}) {
    INFO(wrong);
    const auto server = AdminServer::Start({wrong, nullptr}, metrics);
    REQUIRE_FALSE(server.ok());
    CHECK(server.status().code() == absl::StatusCode::kInvalidArgument);
  }
  const auto first = StartServer(metrics, nullptr);
  const std::string taken = "127.0.0.1:" + std::to_string(first->port());
  const auto second = AdminServer::Start({taken, nullptr}, metrics);
  REQUIRE_FALSE(second.ok());
  CHECK(second.status().ToString().find(taken) != std::string::npos);
}

}  // namespace emotion
