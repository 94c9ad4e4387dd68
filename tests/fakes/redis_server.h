// A real redis-server (from PATH) for one test: on a unix socket and a free port of this machine,
// in a folder of its own, keeping nothing on disk. It ends with this object, and also when the
// process of the test ends in whatever way.
//
//   RedisServer server({"--requirepass", "secret"});
//   server.Kill();
//   server.Start();   // the same port, the same socket, empty
#pragma once

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace emotion::testing {

class RedisServer {
 public:
  // `arguments` are settings of redis-server, such as {"--maxmemory", "2mb"}. Throws when it does
  // not start. The thread that makes it must outlive it.
  explicit RedisServer(std::vector<std::string> arguments = {})
      : arguments_(std::move(arguments)), port_(FreePort()) {
    std::string folder = (std::filesystem::temp_directory_path() / "emotion-redis-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = folder;
    Start();
  }
  ~RedisServer() {
    Kill();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  int port() const { return port_; }
  std::string socket_path() const { return folder_ + "/redis.sock"; }

  // After Kill(). Returns once it answers (with whatever: -LOADING and -NOAUTH are answers).
  void Start() {
    Spawn();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (Ask("PING").empty()) {
      if (std::chrono::steady_clock::now() > deadline || waitpid(pid_, nullptr, WNOHANG) != 0) {
        throw std::runtime_error("redis-server does not start; see " + folder_ + "/log");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  // Stopped it accepts connections (the system does) and answers nothing.
  void Pause() { kill(pid_, SIGSTOP); }
  void Resume() { kill(pid_, SIGCONT); }

  // Sends one line of an own connection ("SET a b", lines split by \n are a pipeline) and returns
  // what comes back first, as it is sent; empty: nobody answers.
  std::string Ask(const std::string& line) const {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(port_);
    std::string answer;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      const std::string sent = line + "\r\n";
      pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
      char bytes[4096];
      if (send(fd, sent.data(), sent.size(), MSG_NOSIGNAL) > 0 && poll(&wait, 1, 5000) > 0) {
        const ssize_t size = recv(fd, bytes, sizeof(bytes), 0);
        if (size > 0) answer.assign(bytes, static_cast<size_t>(size));
      }
    }
    close(fd);
    return answer;
  }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  static int FreePort() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof(address);
    bind(fd, reinterpret_cast<const sockaddr*>(&address), size);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    close(fd);
    return ntohs(address.sin_port);
  }

  void Spawn() {
    std::vector<std::string> words = {
        "redis-server", "--save",    "",       "--appendonly",        "no",
        "--bind",       "127.0.0.1", "--port", std::to_string(port_), "--unixsocket",
        socket_path(),  "--dir",     folder_,  "--logfile",           folder_ + "/log",
        "--loglevel",   "warning"};
    words.insert(words.end(), arguments_.begin(), arguments_.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes leaves nobody behind
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    execvp(argv[0], argv.data());
    _exit(127);
  }

  const std::vector<std::string> arguments_;
  const int port_;
  std::string folder_;
  pid_t pid_ = -1;
};

}  // namespace emotion::testing
