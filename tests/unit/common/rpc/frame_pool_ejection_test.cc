// Replicas that fail, hang or are cut off, and what they cost.
#include <atomic>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/replica_choice.h"
#include "tests/unit/common/rpc/frame_pool_fixture.h"

namespace emotion {

using namespace testing;  // NOLINT: the vocabulary of these tests
using std::chrono::milliseconds;

// Sends `count` frames, each after the answer to the one before; how many were answered OK.
int AskOneByOne(Pool& pool, uint64_t count) {
  int ok = 0;
  for (uint64_t id = 1; id <= count; ++id) {
    Answers answers;
    pool.Submit(MakeFrame(id), answers.Taker());
    const auto answered = answers.results.WaitFor(1);
    REQUIRE(answered.size() == 1);
    ok += answered[0].status().code() == 0 ? 1 : 0;
  }
  return ok;
}

void FailAll(ServerStream& stream, const emotion::v1::Frame& frame) {
  stream.Send(ResultResponse(frame.frame_id(), Error(Reason::kInternal, "broken")));
}

TEST_CASE("a replica that fails five frames in a row gets none while as many others are there") {
  FakeReplica broken(FailAll);
  FakeReplica well(AnswerAll);
  Pool pool(To({broken.server.address(), well.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  CHECK(AskOneByOne(pool, 100) == 95);
  CHECK(broken.frames.Now().size() == 5);
}

TEST_CASE("a replica that answers in between, or whose callers are wrong, is not ejected") {
  std::atomic<int> asked{0};
  const bool callers = GENERATE(false, true);
  FakeReplica doubtful([&](ServerStream& stream, const emotion::v1::Frame& frame) {
    if (callers) {
      stream.Send(ResultResponse(frame.frame_id(), FieldError("image", "is none")));
    } else if (++asked % 5 == 0) {
      AnswerAll(stream, frame);
    } else {
      FailAll(stream, frame);
    }
  });
  FakeReplica well(AnswerAll);
  Pool pool(To({doubtful.server.address(), well.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  AskOneByOne(pool, 100);
  CHECK(doubtful.frames.Now().size() > 10);
}

TEST_CASE("where most replicas fail they are all used: it is not their fault") {
  FakeReplica broken(FailAll);
  FakeReplica broken_too(FailAll);
  FakeReplica well(AnswerAll);
  Pool pool(To({broken.server.address(), broken_too.server.address(), well.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 3; }));
  AskOneByOne(pool, 100);
  CHECK(broken.frames.Now().size() + broken_too.frames.Now().size() > 10);
  CHECK(well.frames.Now().size() > 10);
}

TEST_CASE("a replica that does not answer any more costs one frame, and a session a few") {
  FakeReplica hung(AnswerNone);
  FakeReplica well(AnswerAll);
  Pool pool(To({hung.server.address(), well.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  const bool session = GENERATE(false, true);
  Answers answers;
  int lost = 0;
  for (uint64_t id = 1; id <= 40; ++id) {
    emotion::v1::Frame frame = MakeFrame(id, 200);
    if (session) frame.set_session_key(std::string(16, 's'));
    pool.Submit(frame, answers.Taker());
    const auto answered = answers.results.WaitFor(id);
    REQUIRE(answered.size() == id);
    lost += ReasonIn(answered.back()) == Reason::kDeadline ? 1 : 0;
  }
  CHECK(hung.frames.Now().size() <= (session ? kAlwaysAtHome : 1));
  CHECK(lost < 8);  // some of a busy machine
}

// Counts the ejections that are logged.
struct Ejections {
  Ejections() {
    SetLogSinkForTesting([this](std::string_view line) {
      if (line.find("replica ejected") != std::string_view::npos) ++count;
    });
  }
  ~Ejections() { SetLogSinkForTesting(nullptr); }
  std::atomic<int> count{0};
};

// A replica whose frames wait until the test has them answered.
struct Holding {
  void Release() {
    for (const auto& [stream, id] : held.Now()) stream->Send(ResultResponse(id));
  }
  Collected<std::pair<ServerStream*, uint64_t>> held;
  FakeReplica replica{[this](ServerStream& stream, const emotion::v1::Frame& frame) {
    held.Add({&stream, frame.frame_id()});
  }};
};

// Until a replica that says nothing would have been blamed.
void AwaitBlame() { std::this_thread::sleep_for(milliseconds(1500)); }

TEST_CASE("a replica that says nothing to five frames whose time is over is ejected") {
  Ejections ejections;
  Answers answers;  // outlives the pool, which answers at its end
  FakeReplica hung(AnswerNone);
  Holding well;
  Pool pool(To({hung.server.address(), well.replica.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  for (uint64_t id = 1; id <= 12; ++id) pool.Submit(MakeFrame(id, 500), answers.Taker());
  REQUIRE(hung.frames.WaitFor(6).size() == 6);
  REQUIRE(well.held.WaitFor(6).size() == 6);
  well.Release();
  REQUIRE(answers.results.WaitFor(12).size() == 12);
  CHECK(Eventually([&] { return ejections.count == 1; }));
  // More than it has unanswered: the less loaded of two it would be again.
  for (uint64_t id = 13; id <= 42; ++id) pool.Submit(MakeFrame(id), answers.Taker());
  CHECK(well.held.WaitFor(36).size() == 36);
  CHECK(hung.frames.Now().size() == 6);
}

TEST_CASE("a replica that is too slow, but answers what is withdrawn, is not ejected") {
  Ejections ejections;
  Answers answers;
  FakeReplica slow(AnswerNone);
  slow.on_cancel = [](ServerStream& stream, uint64_t id) {
    stream.Send(ResultResponse(id, Error(Reason::kCancelled, "withdrawn")));
  };
  Holding well;
  Pool pool(To({slow.server.address(), well.replica.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  for (uint64_t id = 1; id <= 12; ++id) pool.Submit(MakeFrame(id, 300), answers.Taker());
  REQUIRE(slow.cancels.WaitFor(6).size() == 6);
  well.Release();
  AwaitBlame();
  CHECK(ejections.count == 0);
  for (uint64_t id = 13; id <= 24; ++id) pool.Submit(MakeFrame(id), answers.Taker());
  CHECK(slow.frames.WaitFor(12).size() == 12);
}

TEST_CASE("frames whose time is over before a window was free for them blame nobody") {
  Ejections ejections;
  Answers answers;
  FakeReplica full(AnswerNone, /*window=*/1);
  Pool pool(To({full.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 1; }));
  pool.Submit(MakeFrame(1), answers.Taker());
  for (uint64_t id = 2; id <= 12; ++id) {
    emotion::v1::Frame live = MakeFrame(id, 100);
    live.set_session_key(std::string(15, 's') + static_cast<char>('a' + id));
    live.set_sequence(id);
    pool.Submit(live, answers.Taker());
  }
  REQUIRE(answers.results.WaitFor(11).size() == 11);
  for (const Result& result : answers.results.Now()) CHECK(ReasonIn(result) == Reason::kDeadline);
  AwaitBlame();
  CHECK(full.frames.Now().size() == 1);
  CHECK(ejections.count == 0);
}

}  // namespace emotion
