#include "common/redis/address_lookup.h"

#include <atomic>
#include <future>

#include <catch2/catch.hpp>

#include "common/redis/socket_wait.h"
#include "tests/fakes/eventually.h"

namespace emotion {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::vector<SocketAddress> Never(const std::string&, uint16_t) {
  FAIL("looked up a name where there is none");
  return {};
}

steady_clock::time_point In(milliseconds time) { return steady_clock::now() + time; }

TEST_CASE("addresses and paths are known without a lookup") {
  const WakeEvent stop;
  for (const char* host : {"127.0.0.1", "::1", "/run/redis/redis.sock"}) {
    CAPTURE(host);
    AddressLookup lookup(host, 6379, Never);
    const auto found = lookup.Find(In(milliseconds(0)), stop.fd());
    REQUIRE(found.ok());
    CHECK(found->size() == 1);
  }
  AddressLookup too_long("/" + std::string(200, 'x'), 0, Never);
  CHECK_FALSE(too_long.Find(In(milliseconds(0)), stop.fd()).ok());
}

TEST_CASE("a lookup that hangs costs its time limit, and what was known before still counts") {
  std::promise<void> release;
  auto released = release.get_future().share();
  std::atomic<int> lookups = 0;
  const auto hangs_later = [&, released](const std::string&, uint16_t) {
    if (++lookups > 1) released.wait();
    return std::vector<SocketAddress>(3);
  };
  WakeEvent stop;
  {
    AddressLookup lookup("cache", 6379, hangs_later);
    REQUIRE(lookup.Find(In(milliseconds(10'000)), stop.fd())->size() == 3);
    const auto start = steady_clock::now();
    CHECK(lookup.Find(In(milliseconds(10)), stop.fd())->size() == 3);
    CHECK(lookup.Find(In(milliseconds(10)), stop.fd())->size() == 3);
    stop.Signal();
    CHECK(lookup.Find(In(milliseconds(10'000)), stop.fd())->size() == 3);
    CHECK(steady_clock::now() - start < milliseconds(1000));
    CHECK(lookups == 2);  // one that hangs is not joined by others
  }                       // does not wait for it
  release.set_value();
}

TEST_CASE("a name that nobody knows is an error, until somebody does") {
  std::atomic<bool> known = false;
  const WakeEvent stop;
  AddressLookup lookup("cache", 6379, [&](const std::string&, uint16_t) {
    return std::vector<SocketAddress>(known ? 1 : 0);
  });
  CHECK(lookup.Find(In(milliseconds(5000)), stop.fd()).status().code() ==
        absl::StatusCode::kUnavailable);
  known = true;
  CHECK(testing::Eventually([&] { return lookup.Find(In(milliseconds(100)), stop.fd()).ok(); }));
}

}  // namespace
}  // namespace emotion
