#include "embedding_service/cache/deletion_log.h"

#include <catch2/catch.hpp>

namespace emotion::embedding {
namespace {

using std::chrono::seconds;

const std::string kAnna(16, 'a');
const std::string kBert(16, 'b');
const DeletionLog::TimePoint kNow = DeletionLog::TimePoint{} + seconds(1000);

TEST_CASE("a frame accepted before its session's last deletion is not stored") {
  DeletionLog log(seconds(600), 100);
  log.Record(kAnna, 5000, kNow);
  CHECK_FALSE(log.MayStore(kAnna, 4999));
  CHECK_FALSE(log.MayStore(kAnna, 5000));
  CHECK(log.MayStore(kAnna, 5001));
  CHECK(log.MayStore(kBert, 1));
  CHECK(log.MayStore("", 1));
}

TEST_CASE("an older deletion that arrives late takes nothing back") {
  DeletionLog log(seconds(600), 100);
  log.Record(kAnna, 5000, kNow);
  log.Record(kAnna, 3000, kNow);
  CHECK_FALSE(log.MayStore(kAnna, 4000));
}

TEST_CASE("records die after one cache lifetime, counted from the last deletion") {
  DeletionLog log(seconds(600), 100);
  log.Record(kAnna, 5000, kNow);
  log.Record(kAnna, 5000, kNow + seconds(300));
  log.Record(kBert, 1, kNow + seconds(700));
  CHECK_FALSE(log.MayStore(kAnna, 5000));
  log.Record(kBert, 1, kNow + seconds(900));
  CHECK(log.MayStore(kAnna, 5000));
  CHECK(log.size() == 1);
}

TEST_CASE("beyond the bound the oldest record refuses stores of everybody up to its time") {
  DeletionLog log(seconds(600), 3);
  log.Record(kAnna, 5000, kNow);
  for (char c = 'b'; c < 'f'; ++c) log.Record(std::string(16, c), 1, kNow);
  CHECK(log.size() == 3);
  CHECK_FALSE(log.MayStore(kAnna, 5000));
  CHECK_FALSE(log.MayStore(std::string(16, 'z'), 5000));
  CHECK(log.MayStore(kAnna, 5001));
}

}  // namespace
}  // namespace emotion::embedding
