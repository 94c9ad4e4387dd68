#include "common/lifecycle/lifecycle.h"

#include <cstdlib>
#include <string>

#include <catch2/catch.hpp>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace emotion {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Runs `child` in a process of its own, since signals and _exit are of the whole process. It should
// end with _exit; 99: it did not.
template <class Child>
int ExitCodeOf(Child child) {
  const pid_t pid = fork();
  if (pid == 0) {
    child();
    _exit(99);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("a signal that came before Wait is not lost, and is told apart") {
  CHECK(ExitCodeOf([] {
          StopSignals signals;
          kill(getpid(), SIGTERM);
          _exit(signals.Wait().signal == SIGTERM ? 0 : 1);
        }) == 0);
  CHECK(ExitCodeOf([] {
          StopSignals signals;
          kill(getpid(), SIGINT);
          _exit(signals.Wait().signal == SIGINT ? 0 : 1);
        }) == 0);
}

TEST_CASE("threads started later do not take the signals away, and SIGPIPE does not kill") {
  CHECK(ExitCodeOf([] {
          StopSignals signals;
          std::thread([] { kill(getpid(), SIGTERM); }).join();
          raise(SIGPIPE);
          _exit(signals.Wait().signal == SIGTERM ? 0 : 1);
        }) == 0);
}

TEST_CASE("a part of the process can ask for the stop") {
  CHECK(ExitCodeOf([] {
          StopSignals signals;
          std::thread asker([&] { signals.RequestStop(); });
          const StopRequest stop = signals.Wait();
          asker.join();
          _exit(stop.signal == 0 ? 0 : 1);
        }) == 0);
}

TEST_CASE("waiting for a time ends at it, or at a second signal") {
  CHECK(ExitCodeOf([] {
          StopSignals signals;
          const auto until = Clock::now() + milliseconds(30);
          if (signals.WaitUntil(until) || Clock::now() < until) _exit(1);
          kill(getpid(), SIGINT);
          _exit(signals.WaitUntil(Clock::now() + std::chrono::hours(1)) ? 0 : 1);
        }) == 0);
}

TEST_CASE("SIGTERM waits for balancers, SIGINT and a failed part do not") {
  const Clock::time_point now = Clock::now();
  const DrainPlan term = PlanDrain({SIGTERM, now}, milliseconds(5000), milliseconds(20000));
  CHECK(term.accept_until == now + milliseconds(5000));
  CHECK(term.deadline == now + milliseconds(25000));
  for (const int signal : {SIGINT, 0}) {
    const DrainPlan plan = PlanDrain({signal, now}, milliseconds(5000), milliseconds(20000));
    CHECK(plan.accept_until == now);
    CHECK(plan.deadline == now + milliseconds(20000));
  }
}

TEST_CASE("the watchdog ends a process that hangs, and spares one that does not") {
  CHECK(ExitCodeOf([] {
          const Watchdog watchdog(Clock::now() + milliseconds(20));
          while (true) pause();
        }) == kWatchdogExitCode);
  CHECK(ExitCodeOf([] {
          { const Watchdog watchdog(Clock::now() + std::chrono::hours(1)); }
          _exit(0);
        }) == 0);
}

TEST_CASE("systemd is told over its socket") {
  const std::string path = "/tmp/emotion-notify-" + std::to_string(getpid());
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
  NotifySystemd("READY=1");
  unsetenv("NOTIFY_SOCKET");
  NotifySystemd("READY=1");  // nobody listens: nothing happens
  char text[32] = {};
  CHECK(recv(fd, text, sizeof(text), 0) == 7);
  CHECK(std::string(text) == "READY=1");
  CHECK(recv(fd, text, sizeof(text), 0) == -1);
  close(fd);
  unlink(path.c_str());
}

}  // namespace emotion
