#include "common/rpc/frame_pool.h"

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "common/rpc/status.h"
#include "tests/unit/common/rpc/echo_service.h"

namespace emotion {
namespace {

using namespace testing;  // NOLINT: the vocabulary of these tests
using Pool = FramePool<EmbedHop>;
using Result = emotion::v1::EmbedResult;
using std::chrono::milliseconds;

Response WelcomeResponse(uint32_t window, const std::string& replica_id) {
  Response response;
  response.mutable_welcome()->set_protocol(1);
  response.mutable_welcome()->set_window_frames(window);
  response.mutable_welcome()->set_replica_id(replica_id);
  return response;
}

Response ResultResponse(uint64_t id, const absl::Status& status = absl::OkStatus()) {
  Response response;
  response.mutable_result()->set_frame_id(id);
  ToProtoStatus(status, response.mutable_result()->mutable_status());
  return response;
}

// A replica that welcomes, and does with frames and cancels what the test says.
struct FakeReplica {
  using OnFrame = std::function<void(ServerStream&, const emotion::v1::Frame&)>;

  explicit FakeReplica(OnFrame on_frame, uint32_t window = 100, const std::string& id = "r")
      : server(Script(std::move(on_frame), window, id)) {}

  ~FakeReplica() { Kill(); }

  void Kill() { server.host->Shutdown(std::chrono::steady_clock::now()); }

  StreamScript Script(OnFrame on_frame, uint32_t window, const std::string& id) {
    StreamScript script;
    script.on_message = [=, this](ServerStream& stream, Request&& request) {
      if (request.has_hello()) stream.Send(WelcomeResponse(window, id));
      if (request.has_cancel()) cancels.Add(request.cancel().frame_id());
      if (request.has_frame()) {
        frames.Add(request.frame());
        on_frame(stream, request.frame());
      }
    };
    script.on_half_close = [this](ServerStream& stream) {
      half_closes.Add(1);
      stream.Finish(grpc::Status::OK);
    };
    return script;
  }

  Collected<emotion::v1::Frame> frames;
  Collected<uint64_t> cancels;
  Collected<int> half_closes;
  TestServer server;
};

void AnswerAll(ServerStream& stream, const emotion::v1::Frame& frame) {
  stream.Send(ResultResponse(frame.frame_id()));
}
void AnswerNone(ServerStream&, const emotion::v1::Frame&) {}

FramePoolOptions To(const std::vector<std::string>& targets) {
  FramePoolOptions options;
  options.targets = targets;
  options.start_grace = kPatience;
  return options;
}

emotion::v1::Frame MakeFrame(uint64_t id, uint32_t timeout_ms = 20'000) {
  emotion::v1::Frame frame;
  frame.set_frame_id(id);
  frame.set_timeout_ms(timeout_ms);
  frame.set_encoded_image("image");
  return frame;
}

Reason ReasonIn(const Result& result) { return ReasonOf(FromProtoStatus(result.status())); }

// Submits and collects.
struct Answers {
  Collected<Result> results;
  Pool::Callback Taker() {
    return [this](Result result) { results.Add(std::move(result)); };
  }
};

}  // namespace

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
