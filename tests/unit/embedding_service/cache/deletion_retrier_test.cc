#include "embedding_service/cache/deletion_retrier.h"

#include <map>

#include <catch2/catch.hpp>

#include "tests/fakes/eventually.h"

namespace emotion::embedding {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Eventually;

const std::string kAnna(16, 'a');
const std::string kBert(16, 'b');

// A tier that hears when it wants to.
struct Tier {
  void Forget(const std::string& session, int64_t deleted_at_us,
              const std::function<void(absl::Status)>& done) {
    absl::Status status = absl::UnavailableError("away");
    {
      const MutexLock lock(mutex);
      ++asked;
      if (hears) {
        told[session] = deleted_at_us;
        status = absl::OkStatus();
      }
    }
    done(status);
  }
  void Hear() {
    const MutexLock lock(mutex);
    hears = true;
  }
  int Asked() {
    const MutexLock lock(mutex);
    return asked;
  }

  Mutex mutex;
  bool hears GUARDED_BY(mutex) = false;
  int asked GUARDED_BY(mutex) = 0;
  std::map<std::string, int64_t> told GUARDED_BY(mutex);
};

struct Retrier {
  explicit Retrier(seconds keep = seconds(600), size_t max_pending = 100)
      : retrier({.interval = milliseconds(2), .keep = keep, .max_pending = max_pending},
                [this](const std::string& session, int64_t at, auto done) {
                  tier.Forget(session, at, done);
                }) {}
  Tier tier;
  DeletionRetrier retrier;
};

TEST_CASE("a deletion is told until it was heard, with its latest time") {
  Retrier test;
  CHECK(test.retrier.Add(kAnna, 100));
  CHECK(test.retrier.Add(kAnna, 300));
  CHECK(test.retrier.Add(kAnna, 200));
  CHECK(test.retrier.Add(kBert, 50));
  CHECK(test.retrier.pending() == 2);
  REQUIRE(Eventually([&] { return test.tier.Asked() > 5; }));
  CHECK(test.retrier.pending() == 2);
  test.tier.Hear();
  REQUIRE(Eventually([&] { return test.retrier.pending() == 0; }));
  const MutexLock lock(test.tier.mutex);
  CHECK(test.tier.told == std::map<std::string, int64_t>{{kAnna, 300}, {kBert, 50}});
}

TEST_CASE("what nothing lives of any more is told no more") {
  Retrier test(seconds(0));
  CHECK(test.retrier.Add(kAnna, 100));
  CHECK(Eventually([&] { return test.retrier.pending() == 0; }));
}

TEST_CASE("too many deletions are not taken, and those that wait stay") {
  Retrier test(seconds(600), 2);
  CHECK(test.retrier.Add(kAnna, 1));
  CHECK(test.retrier.Add(kBert, 1));
  CHECK_FALSE(test.retrier.Add(std::string(16, 'c'), 1));
  CHECK(test.retrier.Add(kAnna, 2));
  CHECK(test.retrier.pending() == 2);
}

TEST_CASE("stopping asks nobody any more") {
  Retrier test;
  test.retrier.Add(kAnna, 1);
  REQUIRE(Eventually([&] { return test.tier.Asked() > 0; }));
  test.retrier.Stop();
  const int asked = test.tier.Asked();
  std::this_thread::sleep_for(milliseconds(20));
  CHECK(test.tier.Asked() == asked);
}

}  // namespace
}  // namespace emotion::embedding
