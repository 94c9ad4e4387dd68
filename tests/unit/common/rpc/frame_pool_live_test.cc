// Live frames in FramePool: those that wait, of each lane the newest.
#include <atomic>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "tests/unit/common/rpc/frame_pool_fixture.h"

namespace emotion {
namespace {

using namespace testing;  // NOLINT: the vocabulary of these tests
using std::chrono::milliseconds;

emotion::v1::Frame LiveFrame(uint64_t sequence, char session = 'a', uint32_t face = 0) {
  emotion::v1::Frame frame = MakeFrame(sequence);
  frame.set_session_key(std::string(16, session));
  frame.set_face_id(face);
  frame.set_sequence(sequence);
  return frame;
}

// A replica that answers when the test says so, and a pool that is connected to it.
struct HeldReplica {
  explicit HeldReplica(uint32_t window, FramePoolOptions options = {})
      : replica([this](ServerStream& to, const emotion::v1::Frame&) { streams.Add(&to); }, window),
        pool(With(std::move(options), replica.server.address())) {
    REQUIRE(Eventually([&] { return pool.State().ready == 1; }));
  }

  static FramePoolOptions With(FramePoolOptions options, const std::string& address) {
    options.targets = {address};
    return options;
  }

  // Answers the `index`th frame that the replica got, once it did.
  emotion::v1::Frame AnswerFrame(size_t index, const absl::Status& status = absl::OkStatus()) {
    ServerStream* stream = streams.WaitFor(index + 1).at(index);
    emotion::v1::Frame frame = replica.frames.Now().at(index);
    stream->Send(ResultResponse(frame.frame_id(), status));
    return frame;
  }

  Answers answers;  // outlives the pool, which answers at its end
  Collected<ServerStream*> streams;
  FakeReplica replica;
  Pool pool;
};

}  // namespace

TEST_CASE("a live frame waits for room in a window, where others are refused") {
  HeldReplica test(1);
  test.pool.Submit(MakeFrame(100), test.answers.Taker());
  test.pool.Submit(LiveFrame(1), test.answers.Taker());
  test.pool.Submit(MakeFrame(200), test.answers.Taker());
  const auto refused = test.answers.results.WaitFor(1);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].frame_id() == 200);
  CHECK(ReasonIn(refused[0]) == Reason::kQueueFull);
  test.AnswerFrame(0);
  CHECK(test.AnswerFrame(1).sequence() == 1);
  CHECK(test.answers.results.WaitFor(3).size() == 3);
}

TEST_CASE("of a lane one frame waits, the newest; the others are answered SUPERSEDED once") {
  Metrics metrics{BuildInfo{}};
  FramePoolOptions options;
  options.metrics = &metrics;
  HeldReplica test(1, options);
  test.pool.Submit(LiveFrame(1), test.answers.Taker());  // in flight: left alone
  for (const uint64_t sequence : {2, 5, 4, 6, 3}) {
    test.pool.Submit(LiveFrame(sequence), test.answers.Taker());
  }
  const auto superseded = test.answers.results.WaitFor(4);
  REQUIRE(superseded.size() == 4);
  std::set<uint64_t> ids;
  for (const Result& result : superseded) {
    CHECK(ReasonIn(result) == Reason::kSuperseded);
    ids.insert(result.frame_id());
  }
  CHECK(ids == std::set<uint64_t>{2, 3, 4, 5});
  test.AnswerFrame(0);
  CHECK(test.AnswerFrame(1).sequence() == 6);
  REQUIRE(test.answers.results.WaitFor(6).size() == 6);
  CHECK(test.answers.results.Now()[5].frame_id() == 6);
  CHECK(test.replica.frames.Now().size() == 2);
  CHECK(metrics.Text().find("emotion_frames_dropped_total{reason=\"SUPERSEDED\"} 4") !=
        std::string::npos);
}

TEST_CASE("lanes go in the order in which they began to wait, however often they send") {
  HeldReplica test(1);
  test.pool.Submit(MakeFrame(100), test.answers.Taker());
  test.pool.Submit(LiveFrame(1, 'a'), test.answers.Taker());
  test.pool.Submit(LiveFrame(1, 'b'), test.answers.Taker());
  test.pool.Submit(LiveFrame(1, 'b', 1), test.answers.Taker());
  test.pool.Submit(LiveFrame(1, 'c'), test.answers.Taker());
  test.pool.Submit(LiveFrame(2, 'c'), test.answers.Taker());
  test.pool.Submit(LiveFrame(2, 'a'), test.answers.Taker());
  test.AnswerFrame(0);
  std::string order;
  for (size_t i = 1; i <= 4; ++i) {
    const emotion::v1::Frame frame = test.AnswerFrame(i);
    order += frame.session_key()[0] + std::to_string(frame.sequence());
  }
  CHECK(order == "a2b1b1c2");
}

TEST_CASE("a live frame that waits keeps its deadline, and can be cancelled") {
  HeldReplica test(1);
  test.pool.Submit(MakeFrame(100), test.answers.Taker());
  emotion::v1::Frame hurried = LiveFrame(1, 'a');
  hurried.set_timeout_ms(20);
  test.pool.Submit(hurried, test.answers.Taker());
  REQUIRE(test.answers.results.WaitFor(1).size() == 1);
  CHECK(ReasonIn(test.answers.results.Now()[0]) == Reason::kDeadline);
  test.pool.Cancel(test.pool.Submit(LiveFrame(1, 'b'), test.answers.Taker()));
  REQUIRE(test.answers.results.WaitFor(2).size() == 2);
  CHECK(ReasonIn(test.answers.results.Now()[1]) == Reason::kCancelled);
  test.pool.Submit(LiveFrame(1, 'c'), test.answers.Taker());
  test.AnswerFrame(0);
  CHECK(test.AnswerFrame(1).session_key()[0] == 'c');
}

TEST_CASE("frames that wait are bounded, in number and in bytes") {
  const bool bytes = GENERATE(false, true);
  FramePoolOptions options;
  (bytes ? options.most_waiting_bytes : options.most_waiting) = bytes ? 14 : 2;  // "image" twice
  HeldReplica test(1, options);
  test.pool.Submit(MakeFrame(100), test.answers.Taker());
  test.pool.Submit(LiveFrame(1, 'a'), test.answers.Taker());
  test.pool.Submit(LiveFrame(1, 'b'), test.answers.Taker());
  test.pool.Submit(LiveFrame(77, 'c'), test.answers.Taker());
  REQUIRE(test.answers.results.WaitFor(1).size() == 1);
  CHECK(test.answers.results.Now()[0].frame_id() == 77);
  CHECK(ReasonIn(test.answers.results.Now()[0]) == Reason::kQueueFull);
  test.pool.Submit(LiveFrame(2, 'b'), test.answers.Taker());  // in the place of the first
  REQUIRE(test.answers.results.WaitFor(2).size() == 2);
  CHECK(ReasonIn(test.answers.results.Now()[1]) == Reason::kSuperseded);
}

TEST_CASE("live frames leave room in a window for those that do not wait") {
  HeldReplica test(16);
  for (char session = 'a'; session <= 'p'; ++session) {
    test.pool.Submit(LiveFrame(1, session), test.answers.Taker());
  }
  test.pool.Submit(MakeFrame(100), test.answers.Taker());
  const auto frames = test.replica.frames.WaitFor(16);
  REQUIRE(frames.size() == 16);
  CHECK(frames[15].sequence() == 0);
}

TEST_CASE("without a session, or without a sequence, a frame supersedes nothing") {
  HeldReplica test(1);
  test.pool.Submit(MakeFrame(100), test.answers.Taker());
  emotion::v1::Frame stranger = LiveFrame(1);
  stranger.clear_session_key();
  test.pool.Submit(stranger, test.answers.Taker());
  emotion::v1::Frame post = LiveFrame(2);
  post.set_sequence(0);
  test.pool.Submit(post, test.answers.Taker());
  const auto results = test.answers.results.WaitFor(2);
  REQUIRE(results.size() == 2);
  for (const Result& result : results) CHECK(ReasonIn(result) == Reason::kQueueFull);
}

TEST_CASE("without a replica live frames wait a while, the newest of each lane, then are refused") {
  Answers answers;  // outlives the pool, which answers at its end
  FramePoolOptions options = To({"127.0.0.1:1"});
  options.start_grace = milliseconds(100);
  Pool pool(options);
  pool.Submit(LiveFrame(1), answers.Taker());
  pool.Submit(LiveFrame(2), answers.Taker());
  REQUIRE(answers.results.WaitFor(2).size() == 2);
  CHECK(ReasonIn(answers.results.Now()[0]) == Reason::kSuperseded);
  CHECK(ReasonIn(answers.results.Now()[1]) == Reason::kNoReplica);
  pool.Submit(LiveFrame(3), answers.Taker());
  REQUIRE(answers.results.WaitFor(3).size() == 3);
  CHECK(ReasonIn(answers.results.Now()[2]) == Reason::kNoReplica);
}

TEST_CASE("live frames that a broken replica had go on, unless a newer one came meanwhile") {
  Answers answers;  // outlives the pool, which answers at its end
  std::atomic<bool> first = true;
  Collected<ServerStream*> streams;
  FakeReplica replica([&](ServerStream& stream, const emotion::v1::Frame& frame) {
    if (!first) return AnswerAll(stream, frame);
    streams.Add(&stream);
  });
  Pool pool(To({replica.server.address()}));
  REQUIRE(Eventually([&] { return pool.State().ready == 1; }));
  pool.Submit(LiveFrame(1, 'a'), answers.Taker());
  pool.Submit(LiveFrame(2, 'a'), answers.Taker());
  pool.Submit(LiveFrame(1, 'b'), answers.Taker());
  ServerStream* stream = streams.WaitFor(3).at(0);
  first = false;
  stream->Finish({grpc::StatusCode::UNAVAILABLE, "crash"});
  const auto results = answers.results.WaitFor(3);
  REQUIRE(results.size() == 3);
  std::map<uint64_t, int> reasons;
  for (const Result& result : results) ++reasons[result.status().code()];
  CHECK(reasons[grpc::StatusCode::OK] == 2);
  CHECK(reasons[grpc::StatusCode::ABORTED] == 1);
}

}  // namespace emotion
