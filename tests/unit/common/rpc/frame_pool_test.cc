#include "common/rpc/frame_pool.h"

#include <atomic>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/common/rpc/frame_pool_fixture.h"

namespace emotion {

using namespace testing;  // NOLINT: the vocabulary of these tests
using std::chrono::milliseconds;

TEST_CASE("frames are answered with their own ids, over TCP and in process") {
  for (const bool in_process : {false, true}) {
    FakeReplica replica(AnswerAll, 1000);
    FramePoolOptions options = To({replica.server.address()});
    if (in_process) options.in_process = replica.server.host->InProcessChannel();
    Pool pool(options);
    Answers answers;
    for (uint64_t id = 1; id <= 300; ++id) pool.Submit(MakeFrame(id * 7), answers.Taker());
    const auto results = answers.results.WaitFor(300);
    REQUIRE(results.size() == 300);
    std::set<uint64_t> ids;
    for (const Result& result : results) {
      CHECK(result.status().code() == 0);
      ids.insert(result.frame_id());
    }
    CHECK(ids.size() == 300);
    CHECK(*ids.begin() == 7);
    CHECK(pool.State().ready == 1);
    CHECK(pool.State().welcome->replica_id() == "r");
    CHECK(pool.Channels().size() == 1);
    pool.Close();
  }
}

TEST_CASE("without a replica frames are answered NO_REPLICA when the grace is over") {
  Answers answers;  // outlives the pool, which answers at its end
  FramePoolOptions options = To({"127.0.0.1:1"});
  options.start_grace = milliseconds(0);
  Pool pool(options);
  pool.Submit(MakeFrame(5), answers.Taker());
  const auto results = answers.results.WaitFor(1);
  REQUIRE(results.size() == 1);
  CHECK(results[0].frame_id() == 5);
  CHECK(ReasonIn(results[0]) == Reason::kNoReplica);
  CHECK(RetryDelayOf(FromProtoStatus(results[0].status())));
}

TEST_CASE("a replica that breaks off gives its frames to another, as a second attempt") {
  Answers answers;  // outlives the pool, which answers at its end
  FakeReplica first(AnswerNone);
  FramePoolOptions options = To({first.server.address()});
  auto second = std::make_unique<FakeReplica>(AnswerAll);
  options.targets.push_back(second->server.address());
  Pool pool(options);
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  for (uint64_t id = 1; id <= 20; ++id) pool.Submit(MakeFrame(id), answers.Taker());
  REQUIRE(Eventually([&] { return !first.frames.Now().empty(); }));
  first.Kill();
  const auto results = answers.results.WaitFor(20);
  REQUIRE(results.size() == 20);
  for (const Result& result : results) CHECK(result.status().code() == 0);
  const size_t lost = first.frames.Now().size();
  size_t resent = 0;
  for (const auto& frame : second->frames.Now()) resent += frame.attempt() == 1 ? 1 : 0;
  CHECK(resent >= lost);  // more were on the wire
  pool.Close();
}

TEST_CASE("a frame that was in flight at two crashes is refused") {
  Answers answers;  // outlives the pool, which answers at its end
  const auto crash = [](ServerStream& stream, const emotion::v1::Frame&) {
    stream.Finish({grpc::StatusCode::UNAVAILABLE, "crash"});
  };
  FakeReplica a(crash);
  FakeReplica b(crash);
  Pool pool(To({a.server.address(), b.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  pool.Submit(MakeFrame(1), answers.Taker());
  const auto results = answers.results.WaitFor(1);
  REQUIRE(results.size() == 1);
  CHECK(ReasonIn(results[0]) == Reason::kFrameRefused);
  CHECK(a.frames.Now().size() + b.frames.Now().size() == 2);
}

TEST_CASE("replicas of another model are not used until the judge changes its mind") {
  Answers answers;  // outlives the pool, which answers at its end
  FakeReplica replica(AnswerAll);
  std::atomic<bool> fits = false;
  FramePoolOptions options = To({replica.server.address()});
  options.start_grace = milliseconds(0);
  options.judge = [&](const emotion::v1::Welcome&) {
    return fits ? Verdict::kUse : Verdict::kMismatch;
  };
  std::atomic<int> changes = 0;
  options.on_change = [&] { ++changes; };
  Pool pool(options);
  REQUIRE(Eventually([&] { return pool.State().mismatch == 1; }));
  pool.Submit(MakeFrame(1), answers.Taker());
  REQUIRE(answers.results.WaitFor(1).size() == 1);
  CHECK(ReasonIn(answers.results.Now()[0]) == Reason::kModelMismatch);
  const int before = changes;
  fits = true;
  pool.Rejudge();
  CHECK(changes > before);
  CHECK(pool.State().ready == 1);
  pool.Submit(MakeFrame(2), answers.Taker());
  REQUIRE(answers.results.WaitFor(2).size() == 2);
  CHECK(answers.results.Now()[1].status().code() == 0);
}

TEST_CASE("a frame whose time is up is answered by the pool, and withdrawn from the replica") {
  Answers answers;  // outlives the pool, which answers at its end
  FakeReplica replica(AnswerNone);
  Pool pool(To({replica.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 1; }));
  pool.Submit(MakeFrame(9, 50), answers.Taker());
  const auto results = answers.results.WaitFor(1);
  REQUIRE(results.size() == 1);
  CHECK(results[0].frame_id() == 9);
  CHECK(ReasonIn(results[0]) == Reason::kDeadline);
  REQUIRE(replica.frames.WaitFor(1).size() == 1);
  CHECK(replica.frames.Now()[0].timeout_ms() <= 50);
  REQUIRE(replica.cancels.WaitFor(1).size() == 1);
  CHECK(replica.cancels.Now()[0] == replica.frames.Now()[0].frame_id());
}

TEST_CASE("a cancelled frame is withdrawn and still answered once") {
  Answers answers;  // outlives the pool, which answers at its end
  Collected<ServerStream*> streams;
  FakeReplica replica(
      [&](ServerStream& stream, const emotion::v1::Frame&) { streams.Add(&stream); });
  Pool pool(To({replica.server.address()}));
  const uint64_t ticket = pool.Submit(MakeFrame(1), answers.Taker());
  ServerStream* stream = streams.WaitFor(1).at(0);
  pool.Cancel(ticket);
  const uint64_t id = replica.cancels.WaitFor(1).at(0);
  stream->Send(ResultResponse(id, Error(Reason::kCancelled, "withdrawn")));
  stream->Send(ResultResponse(id));  // an answer too many
  REQUIRE(answers.results.WaitFor(1).size() == 1);
  CHECK(ReasonIn(answers.results.Now()[0]) == Reason::kCancelled);
  pool.Cancel(ticket);
  pool.Cancel(12345);
  pool.Close();
  CHECK(answers.results.Now().size() == 1);
}

TEST_CASE("a frame cancelled while it waits for a replica is answered CANCELLED") {
  Answers answers;  // outlives the pool, which answers at its end
  Pool pool(To({"127.0.0.1:1"}));
  pool.Cancel(pool.Submit(MakeFrame(1), answers.Taker()));
  REQUIRE(answers.results.WaitFor(1).size() == 1);
  CHECK(ReasonIn(answers.results.Now()[0]) == Reason::kCancelled);
}

TEST_CASE("a frame answered DRAINING goes elsewhere without counting as an attempt") {
  Answers answers;  // outlives the pool, which answers at its end
  const auto draining = [](ServerStream& stream, const emotion::v1::Frame& frame) {
    stream.Send(ResultResponse(frame.frame_id(), Error(Reason::kDraining, "stopping")));
  };
  FakeReplica leaving(draining);
  FakeReplica staying(AnswerAll);
  Pool pool(To({leaving.server.address(), staying.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  for (uint64_t id = 1; id <= 20; ++id) pool.Submit(MakeFrame(id), answers.Taker());
  const auto results = answers.results.WaitFor(20);
  REQUIRE(results.size() == 20);
  for (const Result& result : results) CHECK(result.status().code() == 0);
  for (const auto& frame : staying.frames.Now()) CHECK(frame.attempt() == 0);
}

TEST_CASE("after Drain a replica answers what it has, gets nothing new, and its stream ends") {
  Answers answers;  // outlives the pool, which answers at its end
  Collected<ServerStream*> streams;
  FakeReplica leaving(
      [&](ServerStream& stream, const emotion::v1::Frame&) { streams.Add(&stream); });
  Pool pool(To({leaving.server.address()}));
  pool.Submit(MakeFrame(1), answers.Taker());
  ServerStream* stream = streams.WaitFor(1).at(0);
  Response drain;
  drain.mutable_drain()->set_stop_sending_within_ms(100);
  stream->Send(std::move(drain));
  REQUIRE(Eventually([&] { return pool.State().draining == 1; }));
  CHECK(leaving.half_closes.Now().empty());
  stream->Send(ResultResponse(leaving.frames.Now()[0].frame_id()));
  REQUIRE(answers.results.WaitFor(1).size() == 1);
  CHECK(answers.results.Now()[0].status().code() == 0);
  CHECK(leaving.half_closes.WaitFor(1).size() == 1);
}

TEST_CASE("frames beyond every window are answered QUEUE_FULL at once") {
  Answers answers;  // outlives the pool, which answers at its end
  FakeReplica replica(AnswerNone, /*window=*/2);
  Pool pool(To({replica.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 1; }));
  for (uint64_t id = 1; id <= 3; ++id) pool.Submit(MakeFrame(id), answers.Taker());
  REQUIRE(answers.results.WaitFor(1).size() == 1);
  CHECK(answers.results.Now()[0].frame_id() == 3);
  CHECK(ReasonIn(answers.results.Now()[0]) == Reason::kQueueFull);
}

TEST_CASE("the pool's state tells the pace of the replica in which a frame waits least") {
  Answers answers;  // outlives the pool, which answers at its end
  const auto tell = [](uint32_t wait, uint32_t next) {
    return [=](ServerStream& stream, const emotion::v1::Frame& frame) {
      Response response;
      response.mutable_load()->set_queue_wait_ms(wait);
      response.mutable_load()->set_next_frame_after_ms(next);
      stream.Send(std::move(response));
      AnswerAll(stream, frame);
    };
  };
  FakeReplica slow(tell(900, 950));
  FakeReplica fast(tell(30, 80));
  Pool pool(To({slow.server.address(), fast.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  for (uint64_t id = 1; id <= 64; ++id) pool.Submit(MakeFrame(id), answers.Taker());
  REQUIRE(answers.results.WaitFor(64).size() == 64);
  CHECK(Eventually([&] { return pool.State().next_frame_after == milliseconds(80); }));
  CHECK(pool.State().queue_wait == milliseconds(30));
}

TEST_CASE("frames of a session meet on one replica") {
  FakeReplica a(AnswerAll);
  FakeReplica b(AnswerAll);
  Pool pool(To({a.server.address(), b.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  for (size_t i = 1; i <= 20; ++i) {
    Answers answers;
    emotion::v1::Frame frame = MakeFrame(i);
    frame.set_session_key(std::string(16, 's'));
    pool.Submit(frame, answers.Taker());
    REQUIRE(answers.results.WaitFor(1).size() == 1);
  }
  const size_t at_a = a.frames.Now().size();
  CHECK((at_a == 0 || at_a == 20));
}

TEST_CASE("Close answers everything once and refuses what comes after") {
  Answers answers;  // outlives the pool, which answers at its end
  FakeReplica replica(AnswerNone);
  Pool pool(To({replica.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 1; }));
  for (uint64_t id = 1; id <= 10; ++id) pool.Submit(MakeFrame(id), answers.Taker());
  pool.Close();
  CHECK(answers.results.Now().size() == 10);
  for (const Result& result : answers.results.Now()) CHECK(ReasonIn(result) == Reason::kCancelled);
  pool.Submit(MakeFrame(11), answers.Taker());
  REQUIRE(answers.results.Now().size() == 11);
  CHECK(ReasonIn(answers.results.Now()[10]) == Reason::kDraining);
  pool.Close();
}

TEST_CASE("many threads, a replica that keeps breaking off: every frame is answered exactly once") {
  Answers answers;  // outlives the pool, which answers at its end
  std::atomic<int> count = 0;
  FakeReplica shaky(
      [&](ServerStream& stream, const emotion::v1::Frame& frame) {
        if (++count % 50 == 0) return stream.Finish({grpc::StatusCode::UNAVAILABLE, "crash"});
        AnswerAll(stream, frame);
      },
      1000);
  FakeReplica steady(AnswerAll, 1000);
  Pool pool(To({shaky.server.address(), steady.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 2; }));
  constexpr int kThreads = 4;
  constexpr int kEach = 250;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const uint64_t ticket = pool.Submit(MakeFrame(t * kEach + i), answers.Taker());
        if (i % 10 == 0) pool.Cancel(ticket);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(answers.results.WaitFor(kThreads * kEach).size() == kThreads * kEach);
  pool.Close();
  std::set<uint64_t> ids;
  for (const Result& result : answers.results.Now()) ids.insert(result.frame_id());
  CHECK(ids.size() == kThreads * kEach);
}

}  // namespace emotion
