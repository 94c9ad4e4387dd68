#include "gateway/live/open_sessions.h"

#include <catch2/catch.hpp>

namespace emotion::gateway {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kClosedAt = 1000;
const OpenSessions::TimePoint kStart{};

TEST_CASE("a session is due some time after its last socket closed, dated at the close") {
  OpenSessions sessions(milliseconds(30'000));
  sessions.Open("a");
  sessions.Open("a");
  sessions.Close("a", true, kStart, 1);
  CHECK_FALSE(sessions.NextDue());
  sessions.Close("a", true, kStart + milliseconds(10), kClosedAt);
  CHECK(sessions.NextDue() == kStart + milliseconds(30'010));
  CHECK(sessions.TakeDue(kStart + milliseconds(30'009)).empty());
  const auto due = sessions.TakeDue(kStart + milliseconds(30'010));
  REQUIRE(due.size() == 1);
  CHECK(due[0].session_key == "a");
  CHECK(due[0].deleted_at_us == kClosedAt);
  CHECK(sessions.open() == 0);
  CHECK(sessions.waiting() == 0);
  CHECK_FALSE(sessions.NextDue());
}

TEST_CASE("a session that is opened again starts anew") {
  OpenSessions sessions(milliseconds(100));
  sessions.Open("a");
  sessions.Close("a", true, kStart, 1);
  sessions.Open("a");
  CHECK(sessions.TakeDue(kStart + milliseconds(200)).empty());
  sessions.Close("a", true, kStart + milliseconds(300), 2);
  const auto due = sessions.TakeAll();
  REQUIRE(due.size() == 1);
  CHECK(due[0].deleted_at_us == 2);
  sessions.Open("b");
  sessions.Close("b", true, kStart, 3);
  sessions.Open("b");
  sessions.Close("b", false, kStart, 4);
  CHECK(sessions.TakeAll().empty());
  sessions.Close("never opened", true, kStart, 5);
  CHECK(sessions.TakeAll().empty());
}

TEST_CASE("more sessions than may wait are due early, oldest first") {
  OpenSessions sessions(milliseconds(100), 3);
  for (const std::string key : {"a", "b", "c", "d"}) {
    sessions.Open(key);
    sessions.Close(key, true, kStart, 1);
  }
  const auto due = sessions.TakeDue(kStart);
  REQUIRE(due.size() == 1);
  CHECK(due[0].session_key == "a");
  CHECK(sessions.waiting() == 3);
}

}  // namespace
}  // namespace emotion::gateway
