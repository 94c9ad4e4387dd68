// Which frames a near one answers, and what is asked and stored for that.
#include <fstream>
#include <future>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/unit/embedding_service/near_fixture.h"

namespace emotion::embedding {
namespace {

std::string ReadFace() {
  std::ifstream file(std::string(EMOTION_TEST_DATA) + "/images/astronaut_face.jpg",
                     std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_CASE("a frame near enough to an encoded one is answered by it, without an encode or a store") {
  NearPipeline near;
  const FrameResult first = near.EncodeFirst();
  CHECK(first.outcome == Outcome::kMiss);
  const FrameResult second = near.test.Ask(NearPipeline::Of(kAnna, 2));
  REQUIRE(second.status.ok());
  CHECK(second.outcome == Outcome::kNear);
  CHECK(second.similarity == 0.97F);
  CHECK(second.embedding == first.embedding);
  CHECK(second.times.decode.count() > 0);
  CHECK(second.times.cache.count() > 0);
  CHECK(second.times.encode.count() == 0);
  CHECK(near.test.control.images == 1);
  CHECK(near.cache.stores().size() == 1);
  near.test.AwaitNothingHeld();
}

TEST_CASE("a small JPEG is decoded, and a near one answered, on the thread that brings it") {
  NearPipeline near;
  const std::string face = ReadFace();
  const auto of = [&](std::string image) {
    FrameRequest request = Request(std::move(image));
    request.session = kAnna;
    return request;
  };
  REQUIRE(near.test.Ask(of(face + "1")).outcome == Outcome::kMiss);
  near.cache.AnswerNearWith(near.cache.stores().back());

  const auto answered_by = [&](FrameRequest request) {
    std::promise<std::thread::id> thread;
    near.test.pipeline.Submit(std::move(request), [&](const FrameResult& result) {
      CHECK(result.outcome == Outcome::kNear);
      thread.set_value(std::this_thread::get_id());
    });
    return thread.get_future().get();
  };
  CHECK(answered_by(of(face + "2")) == std::this_thread::get_id());
  // What may take long is not: another format, more bytes, a larger size to bring it to.
  CHECK(answered_by(NearPipeline::Of(kAnna, 3)) != std::this_thread::get_id());
  CHECK(answered_by(of(face + std::string(16 * 1024, '3'))) != std::this_thread::get_id());
  near.test.AwaitNothingHeld();
}

TEST_CASE("what is encoded is stored with its lane and descriptor, for later frames") {
  NearPipeline near;
  near.test.Ask(NearPipeline::Of(kAnna, 1));
  REQUIRE(near.cache.stores().size() == 1);
  const CacheStore store = near.cache.stores().front();
  CHECK(store.lane.size() == 32);
  CHECK(store.lane == near.cache.last_lane());
  CHECK(store.descriptor.has_value());
}

TEST_CASE("a near question says when its frame was accepted, for what it shows to be fleeting") {
  NearPipeline near;
  FrameRequest request = NearPipeline::Of(kAnna, 1);
  request.accepted_at_us = 123'456;
  near.test.Ask(std::move(request));
  CHECK(near.cache.asked_at_us() == 123'456);
}

TEST_CASE("the quality is that of the frame itself, not of the one that answers for it") {
  NearPipeline near;
  near.EncodeFirst();
  FrameRequest dark = NearPipeline::Of(kAnna, 2);
  dark.image = testing::MakePlainPng(0);
  const FrameResult result = near.test.Ask(dark);
  CHECK(result.outcome == Outcome::kNear);
  CHECK((result.quality_warnings & 2U) != 0);  // too dark
  CHECK((result.embedding->quality_warnings & 2U) == 0);
}

TEST_CASE("near matching is for frames of a session, of the heads' size, sent once, and when on") {
  const auto has_lane = [](FrameRequest request, bool near_matching = true) {
    NearPipeline near({.near_matching = near_matching});
    near.test.Ask(std::move(request));
    return near.cache.near_questions() > 0 || !near.cache.stores().back().lane.empty();
  };
  CHECK(has_lane(NearPipeline::Of(kAnna, 1)));
  CHECK_FALSE(has_lane(NearPipeline::Of(kAnna, 1), false));
  CHECK_FALSE(has_lane(NearPipeline::Of("", 1)));
  FrameRequest request = NearPipeline::Of(kAnna, 1);
  request.resent = true;
  CHECK_FALSE(has_lane(request));
  request = NearPipeline::Of(kAnna, 1);
  request.prepare.resize = vision::ResizeMode::kNative;
  CHECK_FALSE(has_lane(request));
  request = NearPipeline::Of(kAnna, 1);
  request.cache = CacheUse::kExactOnly;
  CHECK_FALSE(has_lane(request));
}

TEST_CASE("exact only finds the very image and joins a flight of it, and no near one") {
  NearPipeline near;
  near.EncodeFirst();
  FrameRequest exact = NearPipeline::Of(kAnna, 1);
  exact.cache = CacheUse::kExactOnly;
  CHECK(near.test.Ask(exact).outcome == Outcome::kExact);
  exact.image = MakePng(2);
  Sent busy = near.test.Occupy();
  Sent first = near.test.Send(exact);
  Sent second = near.test.Send(exact);
  near.test.control.gate.Open();
  CHECK(first.Get().outcome == Outcome::kMiss);
  CHECK(second.Get().outcome == Outcome::kCoalesced);
  CHECK(near.cache.stores().back().lane.empty());
}

TEST_CASE("bypass asks nothing, encodes anew, and is stored for near matching") {
  NearPipeline near;
  near.EncodeFirst();
  const int asked = near.cache.near_questions();
  FrameRequest bypass = NearPipeline::Of(kAnna, 2);
  bypass.cache = CacheUse::kBypass;
  CHECK(near.test.Ask(bypass).outcome == Outcome::kMiss);
  CHECK(near.cache.near_questions() == asked);
  CHECK(near.cache.stores().back().descriptor.has_value());
}

TEST_CASE("bypass without near matching encodes anew, and is stored for equal bytes only") {
  NearPipeline near;
  near.EncodeFirst();
  const int asked = near.cache.near_questions();
  FrameRequest bypass = NearPipeline::Of(kAnna, 2);
  bypass.cache = CacheUse::kBypassExactOnly;
  CHECK(near.test.Ask(bypass).outcome == Outcome::kMiss);
  CHECK(near.test.Ask(bypass).outcome == Outcome::kMiss);
  CHECK(near.cache.near_questions() == asked);
  CHECK(near.cache.stores().back().lane.empty());
  CHECK_FALSE(near.cache.stores().back().descriptor.has_value());
  CHECK(near.test.Ask(NearPipeline::Of(kAnna, 2)).outcome == Outcome::kExact);
}

TEST_CASE("no-store neither asks for near frames nor is found as one") {
  NearPipeline near;
  near.EncodeFirst();
  const int asked = near.cache.near_questions();
  FrameRequest no_store = NearPipeline::Of(kAnna, 2);
  no_store.cache = CacheUse::kNoStore;
  CHECK(near.test.Ask(no_store).outcome == Outcome::kMiss);
  CHECK(near.cache.near_questions() == asked);
  CHECK(near.cache.stores().size() == 1);
}

}  // namespace
}  // namespace emotion::embedding
