#include "embedding_service/frame_pipeline.h"

#include <fstream>
#include <random>
#include <sstream>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/embedding_service/pipeline_fixture.h"

namespace emotion::embedding {
namespace {

TEST_CASE("a frame is answered with the embedding of its own image") {
  Pipeline test;
  for (uint32_t i = 0; i < 20; ++i) {
    const FrameRequest request = Request(MakePng(i));
    const FrameResult result = test.Ask(request);
    REQUIRE(result.status.ok());
    CHECK(result.embedding->halves == test.Expected(request));
    CHECK(result.outcome == Outcome::kMiss);
    CHECK(result.times.decode.count() > 0);
    CHECK(result.times.encode.count() > 0);
  }
  test.AwaitNothingHeld();
}

TEST_CASE("the same image again is an exact hit with the very same numbers") {
  Pipeline test;
  const FrameResult miss = test.Ask(Request(MakePng(1)));
  const FrameResult hit = test.Ask(Request(MakePng(1)));
  CHECK(hit.outcome == Outcome::kExact);
  CHECK(hit.embedding->halves == miss.embedding->halves);
  CHECK(hit.embedding->quality_warnings == miss.embedding->quality_warnings);
  CHECK(hit.times.encode.count() == 0);
  CHECK(test.control.images == 1);
}

TEST_CASE("another scope, size or orientation is another question") {
  Pipeline test;
  test.Ask(Request(MakePng(1)));
  FrameRequest scope = Request(MakePng(1));
  scope.cache_scope = std::string(16, 's');
  CHECK(test.Ask(scope).outcome == Outcome::kMiss);
  FrameRequest size = Request(MakePng(1));
  size.prepare.heads_input = {56, 56};
  CHECK(test.Ask(size).outcome == Outcome::kMiss);
  FrameRequest native = Request(MakePng(1));
  native.prepare.resize = vision::ResizeMode::kNative;
  CHECK(test.Ask(native).outcome == Outcome::kMiss);
  FrameRequest exif = Request(MakePng(1));
  exif.prepare.orientation = vision::OrientationMode::kIgnoreExif;
  CHECK(test.Ask(exif).outcome == Outcome::kMiss);
}

TEST_CASE("bypass encodes anew and stores; no-store neither looks nor stores") {
  Pipeline test;
  FrameRequest no_store = Request(MakePng(1));
  no_store.cache = CacheUse::kNoStore;
  CHECK(test.Ask(no_store).outcome == Outcome::kMiss);
  CHECK(test.cache.entries() == 0);
  FrameRequest bypass = Request(MakePng(1));
  bypass.cache = CacheUse::kBypass;
  CHECK(test.Ask(bypass).outcome == Outcome::kMiss);
  CHECK(test.Ask(bypass).outcome == Outcome::kMiss);
  CHECK(test.Ask(Request(MakePng(1))).outcome == Outcome::kExact);
  CHECK(test.Ask(no_store).outcome == Outcome::kMiss);
}

TEST_CASE("identical frames in flight share one encode") {
  Pipeline test;
  Sent busy = test.Occupy();
  Sent first = test.Send(Request(MakePng(1)));
  Sent second = test.Send(Request(MakePng(1)));
  FrameRequest other_scope = Request(MakePng(1));
  other_scope.cache_scope = std::string(16, 's');
  Sent third = test.Send(other_scope);
  test.control.gate.Open();
  const FrameResult a = first.Get();
  const FrameResult b = second.Get();
  CHECK(a.outcome == Outcome::kMiss);
  CHECK(b.outcome == Outcome::kCoalesced);
  CHECK(b.embedding == a.embedding);
  CHECK(third.Get().outcome == Outcome::kMiss);
  CHECK(busy.Get().status.ok());
  CHECK(test.control.images == 3);
}

TEST_CASE("a failed encode answers everyone who waits for it and is not cached") {
  Pipeline test;
  Sent busy = test.Occupy();
  test.control.failures = 2;  // of the busy one, too
  Sent first = test.Send(Request(MakePng(1)));
  Sent second = test.Send(Request(MakePng(1)));
  test.control.gate.Open();
  CHECK(ReasonOf(first.Get().status) == Reason::kInternal);
  CHECK(ReasonOf(second.Get().status) == Reason::kInternal);
  const FrameResult again = test.Ask(Request(MakePng(1)));
  CHECK(again.status.ok());
  CHECK(again.outcome == Outcome::kMiss);
}

TEST_CASE("the first frame of a flight may leave; the flight goes on for the others") {
  Pipeline test;
  Sent busy = test.Occupy();
  Sent first = test.Send(Request(MakePng(1)));
  Sent second = test.Send(Request(MakePng(1)));
  test.pipeline.Cancel(first.ticket);
  CHECK(ReasonOf(first.Get().status) == Reason::kCancelled);
  test.control.gate.Open();
  CHECK(second.Get().status.ok());
}

TEST_CASE("a frame whose last waiter left costs no encode") {
  Pipeline test;
  Sent busy = test.Occupy();
  Sent first = test.Send(Request(MakePng(1)));
  Sent second = test.Send(Request(MakePng(1)));
  test.AwaitDecoded(2);
  test.pipeline.Cancel(second.ticket);
  test.pipeline.Cancel(first.ticket);
  CHECK(ReasonOf(second.Get().status) == Reason::kCancelled);
  test.control.gate.Open();
  CHECK(busy.Get().status.ok());
  test.AwaitNothingHeld();
  CHECK(test.control.images == 1);
  test.pipeline.Cancel(first.ticket);  // no effect: answered already
  test.pipeline.Cancel(12345);
}

TEST_CASE("a frame is answered when its deadline passes, though the encoder is busy") {
  Pipeline test;
  Sent busy = test.Occupy();
  FrameRequest hurried = Request(MakePng(1));
  hurried.timeout = milliseconds(20);
  const FrameResult late = test.Ask(hurried);
  CHECK(ReasonOf(late.status) == Reason::kDeadline);
  CHECK(test.Counted("emotion_frames_dropped_total{reason=\"DEADLINE\"} 1"));
  test.control.gate.Open();
  busy.Get();
  test.AwaitNothingHeld();
  CHECK(test.control.images == 1);
}

TEST_CASE("one who joins with more patience keeps the flight alive") {
  Pipeline test;
  Sent busy = test.Occupy();
  FrameRequest hurried = Request(MakePng(1));
  hurried.timeout = milliseconds(20);
  Sent first = test.Send(hurried);
  Sent second = test.Send(Request(MakePng(1)));
  CHECK(ReasonOf(first.Get().status) == Reason::kDeadline);
  test.control.gate.Open();
  CHECK(second.Get().status.ok());
}

TEST_CASE("a broken image fails alone, with the decoder's reason") {
  Pipeline test;
  CHECK(ReasonOf(test.Ask(Request("")).status) == Reason::kImageUnsupported);
  CHECK(ReasonOf(test.Ask(Request("GIF89a......")).status) == Reason::kImageUnsupported);
  const std::string png = MakePng(1);
  CHECK(ReasonOf(test.Ask(Request(png.substr(0, png.size() / 2))).status) == Reason::kImageCorrupt);
  FrameRequest large = Request(MakePng(1, 600, 600));
  large.prepare.resize = vision::ResizeMode::kNative;
  CHECK(ReasonOf(test.Ask(large).status) == Reason::kImageDimensions);
  CHECK(test.Ask(Request(png)).status.ok());
  test.AwaitNothingHeld();
}

TEST_CASE("a full queue refuses at once, but exact hits and identical frames get through") {
  Pipeline test({.queue_limit = 2}, {.queue_limit = 2});
  REQUIRE(test.Ask(Request(MakePng(1))).status.ok());
  Sent busy = test.Occupy();
  Sent second = test.Send(Request(MakePng(2)));
  Sent third = test.Send(Request(MakePng(3)));
  const FrameResult refused = test.Ask(Request(MakePng(4)));
  CHECK(ReasonOf(refused.status) == Reason::kQueueFull);
  CHECK(RetryDelayOf(refused.status));
  CHECK(test.Counted("emotion_requests_refused_total{reason=\"QUEUE_FULL\"} 1"));
  CHECK(test.Ask(Request(MakePng(1))).outcome == Outcome::kExact);
  Sent joined = test.Send(Request(MakePng(3)));
  test.control.gate.Open();
  CHECK(joined.Get().outcome == Outcome::kCoalesced);
  CHECK(second.Get().status.ok());
  CHECK(third.Get().status.ok());
}

TEST_CASE("images that wait to be decoded are bounded in bytes") {
  const std::string image = MakePng(1);
  Pipeline test({}, {.decode_threads = 1, .undecoded_bytes = image.size() * 3 / 2});
  // The answer to a broken image comes on the decode thread: it holds it.
  testing::Gate gate;
  gate.Close();
  std::promise<void> held;
  test.pipeline.Submit(Request("broken"), [&](const FrameResult&) {
    gate.Pass();
    held.set_value();
  });
  gate.AwaitVisitor();
  Sent first = test.Send(Request(image));
  CHECK(ReasonOf(test.Ask(Request(MakePng(2))).status) == Reason::kQueueFull);
  gate.Open();
  held.get_future().get();
  CHECK(first.Get().status.ok());
  CHECK(test.Ask(Request(MakePng(2))).status.ok());
}

TEST_CASE("an embedding of the fp32 rerun is answered and not cached") {
  Pipeline test({}, {}, vision::Precision::kBf16);
  std::ifstream file(EMOTION_TEST_DATA "/images/astronaut_face.jpg", std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  test.control.scale = 1e8F;  // beyond fp16 in fp32, too
  CHECK(ReasonOf(test.Ask(Request(bytes.str())).status) == Reason::kInternal);
  test.control.scale = 1;
  test.control.nan_of_dark = true;
  const FrameRequest dark = Request(MakePng(0));
  const FrameResult result = test.Ask(dark);
  REQUIRE(result.status.ok());
  CHECK(result.embedding->halves == test.Expected(dark));
  CHECK(test.cache.entries() == 0);
  CHECK(test.Ask(dark).outcome == Outcome::kMiss);
}

TEST_CASE("a session deleted while its frame is in flight keeps nothing of it") {
  Pipeline test;
  Sent busy = test.Occupy();
  FrameRequest request = Request(MakePng(1));
  request.session = kAnna;
  request.accepted_at_us = 500;
  Sent sent = test.Send(request);
  test.cache.Forget(kAnna, 500, [](const absl::Status&) {});
  test.control.gate.Open();
  CHECK(sent.Get().status.ok());
  CHECK(busy.Get().status.ok());
  CHECK(test.Ask(request).outcome == Outcome::kMiss);
}

TEST_CASE("a resent frame shares nothing: if it kills the encoder, it does so alone") {
  Pipeline test({.max_frames = 8});
  Sent busy = test.Occupy();
  Sent first = test.Send(Request(MakePng(1)));
  FrameRequest resent = Request(MakePng(1));
  resent.resent = true;
  Sent second = test.Send(resent);
  test.AwaitDecoded(3);
  test.control.gate.Open();
  CHECK(first.Get().outcome == Outcome::kMiss);
  CHECK(second.Get().outcome == Outcome::kMiss);
  CHECK(test.control.batches() == std::vector<size_t>{1, 1, 1});
}

TEST_CASE("draining refuses new frames and answers those in flight") {
  Pipeline test;
  Sent busy = test.Occupy();
  Sent waiting = test.Send(Request(MakePng(1)));
  test.pipeline.BeginDrain();
  CHECK(ReasonOf(test.Ask(Request(MakePng(2))).status) == Reason::kDraining);
  test.control.gate.Open();
  CHECK(busy.Get().status.ok());
  CHECK(waiting.Get().status.ok());
}

TEST_CASE("stopping answers every frame, wherever it is") {
  Pipeline test;
  Sent busy = test.Occupy();
  std::vector<Sent> waiting;
  for (uint32_t i = 0; i < 20; ++i) waiting.push_back(test.Send(Request(MakePng(i))));
  std::thread opener([&] {
    for (Sent& sent : waiting) CHECK(ReasonOf(sent.Get().status) == Reason::kDraining);
    test.control.gate.Open();
  });
  test.pipeline.Stop();
  opener.join();
  CHECK(busy.Answered());
  CHECK(test.pipeline.held().frames == 0);
}

TEST_CASE("under random cancels, deadlines and faults each frame has one right answer") {
  Pipeline test({.max_frames = 4, .queue_limit = 64}, {.queue_limit = 64});
  constexpr int kThreads = 4;
  constexpr int kFrames = 300;
  constexpr uint32_t kImages = 24;
  std::vector<std::string> images;
  std::vector<std::string> expected;
  for (uint32_t i = 0; i < kImages; ++i) {
    images.push_back(MakePng(i, 32, 32));
    expected.push_back(test.Expected(Request(images.back())));
  }
  std::atomic<int> wrong{0};
  std::atomic<int> answered{0};
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t) + 1);
      std::vector<Sent> sent;
      std::vector<size_t> which;
      for (int i = 0; i < kFrames; ++i) {
        const size_t image = random() % kImages;
        FrameRequest request = Request(images[image]);
        request.cache = random() % 3 == 0 ? CacheUse::kNoStore : CacheUse::kUse;
        request.session = kAnna;
        request.accepted_at_us = i;
        request.resent = random() % 10 == 0;
        request.interactive = random() % 4 != 0;
        if (random() % 5 == 0) request.timeout = milliseconds(random() % 4);
        sent.push_back(test.Send(std::move(request)));
        which.push_back(image);
        if (random() % 3 == 0) test.pipeline.Cancel(sent[random() % sent.size()].ticket);
        if (random() % 40 == 0) test.control.failures = 1;
        if (random() % 40 == 0) test.cache.Forget(kAnna, i, [](const absl::Status&) {});
      }
      for (size_t i = 0; i < sent.size(); ++i) {
        const FrameResult result = sent[i].Get();  // throws when answered twice or never
        ++answered;
        if (result.status.ok() && result.embedding->halves != expected[which[i]]) ++wrong;
      }
    });
  }
  for (std::thread& sender : senders) sender.join();
  CHECK(wrong == 0);
  CHECK(answered == kThreads * kFrames);
  test.AwaitNothingHeld();
}

}  // namespace
}  // namespace emotion::embedding
