// Frames that wait for a cache: who joined them, who leaves, who comes after, and the end.
#include <future>
#include <thread>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/embedding_service/near_fixture.h"

namespace emotion::embedding {
namespace {

TEST_CASE("who joined a flight is answered by its near hit") {
  NearPipeline near;
  near.EncodeFirst();
  near.cache.Hold(false, true);
  Sent first = near.test.Send(NearPipeline::Of(kAnna, 2));
  near.cache.AwaitHeld(1);
  Sent second = near.test.Send(NearPipeline::Of(kAnna, 2));
  near.cache.Release();
  CHECK(first.Get().outcome == Outcome::kNear);
  CHECK(second.Get().outcome == Outcome::kCoalesced);
  CHECK(near.test.control.images == 1);
  near.test.AwaitNothingHeld();
}

// Single flight is by image and scope: with CACHE_SCOPE=global, two sessions share one.
TEST_CASE("a near hit answers nobody of another session; the flight goes on for them") {
  NearPipeline near;
  near.EncodeFirst();
  near.cache.Hold(false, true);
  Sent anna = near.test.Send(NearPipeline::Of(kAnna, 2));
  near.cache.AwaitHeld(1);
  Sent bert = near.test.Send(NearPipeline::Of(kBert, 2));
  FrameRequest exact = NearPipeline::Of(kAnna, 2);
  exact.cache = CacheUse::kExactOnly;
  Sent strict = near.test.Send(exact);
  near.cache.Release();
  CHECK(anna.Get().outcome == Outcome::kNear);
  const FrameResult berts = bert.Get();
  CHECK(berts.outcome == Outcome::kCoalesced);
  CHECK(berts.embedding->halves == near.test.Expected(NearPipeline::Of(kBert, 2)));
  CHECK(strict.Get().embedding == berts.embedding);
  CHECK(near.test.control.images == 2);
  near.test.AwaitNothingHeld();
}

TEST_CASE("a frame that is withdrawn or late during its near lookup is answered then") {
  NearPipeline near;
  near.EncodeFirst();
  near.cache.Hold(false, true);
  Sent cancelled = near.test.Send(NearPipeline::Of(kAnna, 2));
  FrameRequest hurried = NearPipeline::Of(kAnna, 3);
  hurried.timeout = milliseconds(1000);  // enough to be decoded on a slow machine
  Sent late = near.test.Send(hurried);
  Sent patient = near.test.Send(NearPipeline::Live(4, 1));
  near.cache.AwaitHeld(3);
  near.test.pipeline.Cancel(cancelled.ticket);
  CHECK(ReasonOf(cancelled.Get().status) == Reason::kCancelled);
  CHECK(ReasonOf(late.Get().status) == Reason::kDeadline);
  near.cache.Release();
  CHECK(patient.Get().outcome == Outcome::kNear);
  near.test.AwaitNothingHeld();  // also their places in the queue
  CHECK(near.test.control.images == 1);
}

TEST_CASE("a live frame that is being prepared goes on until a newer one is as far") {
  NearPipeline near;
  Sent busy = near.test.Occupy();
  near.cache.Hold(false, true);
  Sent older = near.test.Send(NearPipeline::Live(1, 1));
  near.cache.AwaitHeld(1);
  Sent newer = near.test.Send(NearPipeline::Live(2, 2));
  near.cache.AwaitHeld(2);
  Sent newest = near.test.Send(NearPipeline::Live(3, 3));
  CHECK(ReasonOf(newer.Get().status) == Reason::kSuperseded);  // one of a lane is enough
  near.cache.AwaitHeld(3);
  CHECK_FALSE(older.Answered());
  near.cache.Release();
  CHECK(ReasonOf(older.Get().status) == Reason::kSuperseded);
  near.test.control.gate.Open();
  CHECK(newest.Get().outcome == Outcome::kMiss);
  CHECK(busy.Get().status.ok());
  near.test.AwaitNothingHeld();
  CHECK(near.test.control.images == 2);
}

TEST_CASE("a live frame that is being prepared is out of date once a newer one is answered") {
  NearPipeline near;
  near.EncodeFirst();
  near.cache.Hold(false, true);
  Sent older = near.test.Send(NearPipeline::Live(2, 1));
  near.cache.AwaitHeld(1);
  SECTION("with a result") {
    Sent newer = near.test.Send(NearPipeline::Live(1, 2));
    CHECK(newer.Get().outcome == Outcome::kExact);
    CHECK(ReasonOf(older.Get().status) == Reason::kSuperseded);
    near.cache.Release();
  }
  SECTION("but not with an error") {
    FrameRequest broken = NearPipeline::Live(3, 2);
    broken.image = "no image";
    CHECK(ReasonOf(near.test.Ask(broken).status) == Reason::kImageUnsupported);
    near.cache.Release();
    CHECK(older.Get().outcome == Outcome::kNear);
  }
  near.test.AwaitNothingHeld();
  CHECK(near.test.control.images == 1);
}

TEST_CASE("a live frame sent twice while it is being prepared costs one encode") {
  NearPipeline near;
  near.cache.Hold(false, true);
  Sent older = near.test.Send(NearPipeline::Live(1, 1));
  near.cache.AwaitHeld(1);
  Sent newer = near.test.Send(NearPipeline::Live(1, 2));
  near.cache.Release();
  CHECK(ReasonOf(older.Get().status) == Reason::kSuperseded);
  CHECK(newer.Get().outcome == Outcome::kCoalesced);
  near.test.AwaitNothingHeld();
  CHECK(near.test.control.images == 1);
}

TEST_CASE("a frame that is withdrawn or superseded during its exact lookup is answered then") {
  NearPipeline near;
  near.cache.Hold(true, false);
  Sent cancelled = near.test.Send(NearPipeline::Of(kAnna, 2));
  Sent older = near.test.Send(NearPipeline::Live(4, 1));
  near.test.pipeline.Cancel(cancelled.ticket);
  CHECK(ReasonOf(cancelled.Get().status) == Reason::kCancelled);
  Sent newer = near.test.Send(NearPipeline::Live(5, 2));
  CHECK(ReasonOf(older.Get().status) == Reason::kSuperseded);
  near.cache.Release();
  CHECK(newer.Get().outcome == Outcome::kMiss);
  near.test.AwaitNothingHeld();
  CHECK(near.test.control.images == 1);
}

TEST_CASE("while frames wait for the cache the rest goes on, and identical ones still share") {
  NearPipeline near;
  near.cache.Hold(true, false);
  Sent first = near.test.Send(NearPipeline::Of(kAnna, 2));
  Sent second = near.test.Send(NearPipeline::Of(kAnna, 2));
  near.cache.AwaitHeld(2);
  FrameRequest other = NearPipeline::Of(kBert, 3);
  other.cache = CacheUse::kBypass;
  CHECK(near.test.Ask(other).outcome == Outcome::kMiss);
  CHECK_FALSE(first.Answered());
  near.test.control.gate.Close();
  near.cache.Release();
  near.test.control.gate.Open();
  CHECK(first.Get().status.ok());
  CHECK(second.Get().status.ok());
  CHECK(near.test.control.images == 2);
  near.test.AwaitNothingHeld();
}

TEST_CASE("stopping answers who waits for the cache at once, and waits for the cache itself") {
  NearPipeline near;
  near.EncodeFirst();
  near.cache.Hold(true, true);
  Sent looking = near.test.Send(NearPipeline::Of(kAnna, 2));
  FrameRequest request = NearPipeline::Of(kAnna, 3);
  near.cache.AwaitHeld(1);
  near.cache.Hold(false, true);
  Sent near_looking = near.test.Send(request);
  near.cache.AwaitHeld(2);
  auto stopping = std::async(std::launch::async, [&] { near.test.pipeline.Stop(); });
  CHECK(ReasonOf(looking.Get().status) == Reason::kDraining);
  CHECK(ReasonOf(near_looking.Get().status) == Reason::kDraining);
  CHECK(stopping.wait_for(milliseconds(20)) == std::future_status::timeout);
  near.cache.Release();
  stopping.get();
  CHECK(near.test.pipeline.held().flights == 0);
}

TEST_CASE("near lookups answered on another thread are each answered once, under fire") {
  NearPipeline near;
  near.EncodeFirst();
  std::vector<Sent> sent;
  for (uint32_t round = 0; round < 30; ++round) {
    near.cache.Hold(round % 3 == 0, round % 2 == 0);
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(300 * (round % 5)));
      near.cache.Release();
    });
    std::vector<Sent> these;
    for (uint32_t i = 0; i < 8; ++i) {
      FrameRequest request =
          i % 2 == 0 ? NearPipeline::Live(i + 10, round * 8 + i + 1) : NearPipeline::Of(kBert, i);
      if (i % 4 == 3) request.timeout = milliseconds(1);
      these.push_back(near.test.Send(std::move(request)));
    }
    near.test.pipeline.Cancel(these[round % 8].ticket);
    other.join();
    near.cache.Release();
    for (Sent& one : these) {
      const FrameResult result = one.Get();  // throws when answered twice or never
      if (result.status.ok()) CHECK(result.embedding != nullptr);
    }
  }
  near.test.AwaitNothingHeld();
}

}  // namespace
}  // namespace emotion::embedding
