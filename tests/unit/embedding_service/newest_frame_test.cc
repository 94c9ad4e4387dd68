// Newest frame wins, in the pipeline.
#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "embedding_service/frame_pipeline.h"
#include "tests/fakes/eventually.h"
#include "tests/unit/embedding_service/pipeline_fixture.h"

namespace emotion::embedding {
namespace {

const SessionKey kBert(16, 'b');

FrameRequest Live(uint32_t image, uint64_t sequence, const SessionKey& session = kAnna) {
  FrameRequest request = Request(MakePng(image));
  request.session = session;
  request.subject = session;
  request.sequence = sequence;
  return request;
}

Reason Why(Sent& sent) { return ReasonOf(sent.Get().status); }

TEST_CASE("a newer frame supersedes the one that waits for the encoder, and costs one encode") {
  Pipeline test;
  Sent busy = test.Occupy();
  Sent older = test.Send(Live(1, 10));
  test.AwaitDecoded(2);
  Sent newer = test.Send(Live(2, 11));
  CHECK(Why(older) == Reason::kSuperseded);
  CHECK(test.Counted("emotion_frames_dropped_total{reason=\"SUPERSEDED\"} 1"));
  test.control.gate.Open();
  CHECK(newer.Get().status.ok());
  CHECK(busy.Get().status.ok());
  test.AwaitNothingHeld();
  CHECK(test.control.images == 2);
}

TEST_CASE("an older frame that arrives late is superseded at once, and so is one as old") {
  Pipeline test;
  Sent busy = test.Occupy();
  Sent newest = test.Send(Live(1, 10));
  Sent late = test.Send(Live(2, 9));
  Sent same = test.Send(Live(3, 10));
  CHECK(Why(late) == Reason::kSuperseded);
  CHECK(Why(same) == Reason::kSuperseded);
  test.control.gate.Open();
  CHECK(newest.Get().status.ok());
  Sent after = test.Send(Live(4, 9));
  CHECK(Why(after) == Reason::kSuperseded);
}

TEST_CASE("the frame that is being encoded is left alone; one waits behind it") {
  Pipeline test({.max_frames = 1});
  test.control.gate.Close();
  Sent encoding = test.Send(Live(1, 10));
  test.control.gate.AwaitVisitor();
  Sent waiting = test.Send(Live(2, 11));
  Sent newest = test.Send(Live(3, 12));
  CHECK(Why(waiting) == Reason::kSuperseded);
  test.control.gate.Open();
  CHECK(encoding.Get().status.ok());
  CHECK(newest.Get().status.ok());
  test.AwaitNothingHeld();
  CHECK(test.control.images == 2);
}

TEST_CASE("plain frames are never superseded: without a sequence, or without a session") {
  Pipeline test;
  Sent busy = test.Occupy();
  Sent post = test.Send(Live(1, 0));
  Sent live = test.Send(Live(2, 5));
  Sent another_post = test.Send(Live(3, 0));
  Sent stranger = test.Send(Live(4, 7, SessionKey()));
  Sent another_stranger = test.Send(Live(5, 8, SessionKey()));
  FrameRequest second_face = Live(6, 6);
  second_face.face_id = 1;
  Sent other_face = test.Send(second_face);
  Sent other_session = test.Send(Live(7, 6, kBert));
  test.control.gate.Open();
  for (Sent* sent :
       {&post, &live, &another_post, &stranger, &another_stranger, &other_face, &other_session}) {
    CHECK(sent->Get().status.ok());
  }
}

TEST_CASE("a frame that sends often keeps its place in line, neither starved nor favoured") {
  // All of one subject, so that places are by arrival.
  const auto live = [](uint32_t image, uint64_t sequence, const SessionKey& session) {
    FrameRequest request = Live(image, sequence, session);
    request.subject = std::string(16, 's');
    return request;
  };
  Mutex mutex;
  std::vector<std::string> order;
  Pipeline test({.max_frames = 1});  // after what its answers write
  Sent busy = test.Occupy();
  Sent first = test.Send(live(1, 1, kAnna));
  Sent second = test.Send(live(2, 1, kBert));
  test.AwaitDecoded(3);
  Sent in_front = test.Send(live(3, 2, kAnna));  // in the place of the first
  test.AwaitDecoded(4);
  const auto note = [&](std::string name) {
    return [&, name](const FrameResult& result) {
      const MutexLock lock(mutex);
      order.push_back(name + (result.status.ok() ? "" : " failed"));
    };
  };
  // The lanes go on once more, with answers that tell their order.
  test.pipeline.Submit(live(4, 2, kBert), note("b"));
  test.AwaitDecoded(5);
  test.pipeline.Submit(live(5, 3, kAnna), note("a"));
  test.AwaitDecoded(6);
  CHECK(Why(first) == Reason::kSuperseded);
  CHECK(Why(second) == Reason::kSuperseded);
  CHECK(Why(in_front) == Reason::kSuperseded);
  test.control.gate.Open();
  CHECK(busy.Get().status.ok());
  test.AwaitNothingHeld();
  const auto told = [&] {
    const MutexLock lock(mutex);
    return order;
  };
  testing::Eventually([&] { return told().size() == 2; });  // answers are given just after
  CHECK(told() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a full queue has room for the newer frame of one who waits there") {
  Pipeline test({.queue_limit = 1}, {.queue_limit = 4});
  Sent busy = test.Occupy();
  Sent older = test.Send(Live(1, 10));
  test.AwaitDecoded(2);
  Sent newer = test.Send(Live(2, 11));
  CHECK(Why(older) == Reason::kSuperseded);
  FrameRequest another = Live(3, 10, kBert);
  another.subject = kAnna;  // who holds as much as there is
  Sent other = test.Send(another);
  CHECK(Why(other) == Reason::kQueueFull);
  test.control.gate.Open();
  CHECK(newer.Get().status.ok());
  CHECK(busy.Get().status.ok());
  test.AwaitNothingHeld();
}

TEST_CASE("a flight with other waiters goes on for them when its first frame is superseded") {
  Pipeline test;
  Sent busy = test.Occupy();
  Sent older = test.Send(Live(1, 10));
  Sent plain = test.Send(Request(MakePng(1)));
  test.AwaitDecoded(2);
  Sent newer = test.Send(Live(2, 11));
  CHECK(Why(older) == Reason::kSuperseded);
  test.control.gate.Open();
  CHECK(plain.Get().status.ok());
  CHECK(newer.Get().status.ok());
  test.AwaitNothingHeld();
  CHECK(test.control.images == 3);
}

TEST_CASE("a newcomer answered by the cache, or a bad image, leaves no place behind") {
  Pipeline test({.queue_limit = 2}, {.queue_limit = 4});
  REQUIRE(test.Ask(Request(MakePng(7))).status.ok());
  Sent busy = test.Occupy();
  Sent older = test.Send(Live(1, 10));
  test.AwaitDecoded(3);
  Sent hit = test.Send(Live(7, 11));
  CHECK(Why(older) == Reason::kSuperseded);
  CHECK(hit.Get().outcome == Outcome::kExact);
  Sent again = test.Send(Live(2, 12));
  test.AwaitDecoded(4);
  FrameRequest broken = Live(3, 13);
  broken.image = "no image";
  Sent bad = test.Send(broken);
  CHECK(Why(bad) == Reason::kImageUnsupported);
  test.control.gate.Open();
  CHECK(busy.Get().status.ok());
  CHECK(again.Get().status.ok());
  test.AwaitNothingHeld();
}

TEST_CASE("frames superseded before they are decoded are not decoded, and free their images") {
  const size_t bytes = MakePng(1).size();
  Pipeline test({}, {.decode_threads = 1, .undecoded_bytes = bytes * 5 / 2});
  testing::Gate gate;
  gate.Close();
  std::promise<void> held;
  test.pipeline.Submit(Request("broken"), [&](const FrameResult&) {
    gate.Pass();  // holds the decode thread
    held.set_value();
  });
  gate.AwaitVisitor();
  std::vector<Sent> sent;
  for (uint32_t i = 1; i <= 10; ++i) sent.push_back(test.Send(Live(i, i)));
  for (size_t i = 0; i < 9; ++i) CHECK(Why(sent[i]) == Reason::kSuperseded);
  gate.Open();
  held.get_future().get();
  CHECK(sent[9].Get().status.ok());
  test.AwaitNothingHeld();
  CHECK(test.DecodedCount() == 2);  // the broken one, the newest
}

TEST_CASE("the newer frame takes the older one's turn at the decoder, too") {
  Pipeline test({.max_frames = 1}, {.decode_threads = 1});
  testing::Gate gate;
  gate.Close();
  std::promise<void> held;
  test.pipeline.Submit(Request("broken"), [&](const FrameResult&) {
    gate.Pass();  // holds the decode thread
    held.set_value();
  });
  gate.AwaitVisitor();
  Mutex mutex;
  std::vector<std::string> order;
  const auto note = [&](const std::string& name) {
    return [&, name](const FrameResult& result) {
      const MutexLock lock(mutex);
      order.push_back(name + (result.status.ok() ? "" : " superseded"));
    };
  };
  test.pipeline.Submit(Live(1, 1, kAnna), note("anna 1"));
  test.pipeline.Submit(Live(2, 1, kBert), note("bert 1"));
  test.pipeline.Submit(Live(3, 2, kAnna), note("anna 2"));
  gate.Open();
  held.get_future().get();
  // Not when nothing is held any more: an answer is given after its place was given back.
  CHECK(testing::Eventually([&] {
    const MutexLock lock(mutex);
    return order.size() == 3;
  }));
  const MutexLock lock(mutex);
  CHECK(order == std::vector<std::string>{"anna 1 superseded", "anna 2", "bert 1"});
}

TEST_CASE("with a decoder that cannot keep up every sender still gets answers") {
  Pipeline test({.max_frames = 8}, {.decode_threads = 1});
  constexpr uint32_t kSenders = 16;
  const std::string image = MakePng(1, 400, 400);  // takes long to decode
  std::array<std::atomic<int>, kSenders> answers{};
  std::atomic<int> unanswered{0};
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  uint64_t sequence = 0;
  const auto all = [&] {
    return std::all_of(answers.begin(), answers.end(), [](const auto& n) { return n >= 3; });
  };
  while (!all() && std::chrono::steady_clock::now() < until) {
    ++sequence;
    for (uint32_t sender = 0; sender < kSenders; ++sender) {
      FrameRequest request = Live(1, sequence, std::string(16, static_cast<char>('a' + sender)));
      request.image = image;
      request.cache = CacheUse::kNoStore;
      ++unanswered;
      test.pipeline.Submit(std::move(request), [&, sender](const FrameResult& result) {
        if (result.status.ok()) ++answers[sender];
        --unanswered;
      });
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
  CHECK(all());
  while (unanswered > 0) std::this_thread::yield();
  test.AwaitNothingHeld();
}

TEST_CASE("a frame stands in line until the newer one is decoded") {
  std::promise<void> held;
  testing::Gate gate;  // both outlive the pipeline's threads
  Pipeline test({.max_frames = 1}, {.decode_threads = 1});
  Sent busy = test.Occupy();
  Sent older = test.Send(Live(1, 1));
  test.AwaitDecoded(2);
  gate.Close();
  test.pipeline.Submit(Request("broken"), [&](const FrameResult&) {
    gate.Pass();  // holds the decode thread
    held.set_value();
  });
  gate.AwaitVisitor();
  Sent waiting = test.Send(Live(2, 2));
  Sent newest = test.Send(Live(3, 3));
  CHECK(Why(waiting) == Reason::kSuperseded);
  CHECK_FALSE(older.Answered());
  const bool encoder_first = GENERATE(false, true);
  if (encoder_first) {
    test.control.gate.Open();
    CHECK(older.Get().status.ok());
  }
  gate.Open();
  held.get_future().get();
  if (!encoder_first) {
    CHECK(Why(older) == Reason::kSuperseded);
    test.control.gate.Open();
  }
  CHECK(newest.Get().status.ok());
  CHECK(busy.Get().status.ok());
  test.AwaitNothingHeld();
}

TEST_CASE("who sends faster than a frame is decoded is answered all the same") {
  std::atomic<int> answers{0};  // outlives what writes it
  Pipeline test({}, {.decode_threads = 1});
  FrameRequest request = Live(1, 0);
  request.image = MakePng(1, 1000, 1000);  // far longer to decode than to send
  request.cache = CacheUse::kNoStore;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (answers < 3 && std::chrono::steady_clock::now() < until) {
    ++request.sequence;
    test.pipeline.Submit(request,
                         [&](const FrameResult& result) { answers += result.status.ok(); });
    std::this_thread::sleep_for(milliseconds(1));
  }
  CHECK(answers >= 3);
  test.AwaitNothingHeld();
}

TEST_CASE("a frame sent again after a crash is not out of date by itself") {
  Pipeline test;
  Sent busy = test.Occupy();
  Sent lost = test.Send(Live(1, 10));
  FrameRequest resent = Live(1, 10);
  resent.resent = true;
  Sent again = test.Send(resent);
  CHECK(Why(lost) == Reason::kSuperseded);
  test.control.gate.Open();
  CHECK(again.Get().status.ok());
}

TEST_CASE("live and plain frames under random cancels and deadlines: one right answer each") {
  Pipeline test({.max_frames = 4, .queue_limit = 16}, {.queue_limit = 64});
  constexpr int kThreads = 4;
  constexpr int kFrames = 400;
  constexpr uint32_t kImages = 24;
  std::vector<std::string> images;
  std::vector<std::string> expected;
  for (uint32_t i = 0; i < kImages; ++i) {
    images.push_back(MakePng(i, 32, 32));
    expected.push_back(test.Expected(Request(images.back())));
  }
  std::atomic<uint64_t> sequence{0};
  std::atomic<int> wrong{0};
  std::atomic<int> superseded{0};
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t) + 1);
      std::vector<Sent> sent;
      std::vector<size_t> which;
      for (int i = 0; i < kFrames; ++i) {
        const size_t image = random() % kImages;
        FrameRequest request = Request(images[image]);
        request.cache = random() % 2 == 0 ? CacheUse::kNoStore : CacheUse::kUse;
        request.session = std::string(16, static_cast<char>('a' + random() % 3));
        request.subject = random() % 8 == 0 ? "other" : request.session;
        request.face_id = random() % 2;
        if (random() % 4 != 0) request.sequence = ++sequence - random() % 2;
        request.resent = random() % 10 == 0;
        request.interactive = random() % 4 != 0;
        if (random() % 5 == 0) request.timeout = milliseconds(random() % 4);
        if (random() % 20 == 0) request.image = "broken";
        sent.push_back(test.Send(std::move(request)));
        which.push_back(image);
        if (random() % 3 == 0) test.pipeline.Cancel(sent[random() % sent.size()].ticket);
        if (random() % 40 == 0) test.control.failures = 1;
      }
      for (size_t i = 0; i < sent.size(); ++i) {
        const FrameResult result = sent[i].Get();  // throws when answered twice or never
        if (result.status.ok() && result.embedding->halves != expected[which[i]]) ++wrong;
        if (ReasonOf(result.status) == Reason::kSuperseded) ++superseded;
      }
    });
  }
  for (std::thread& sender : senders) sender.join();
  CHECK(wrong == 0);
  CHECK(superseded > 0);
  test.AwaitNothingHeld();
  CHECK(test.Counted("emotion_queue_frames 0"));
}

}  // namespace
}  // namespace emotion::embedding
