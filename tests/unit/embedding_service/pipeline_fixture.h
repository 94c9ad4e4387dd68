// A pipeline with a fake encoder, and the words of its tests.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <catch2/catch.hpp>

#include "common/numeric/half.h"
#include "common/observe/metrics.h"
#include "embedding_service/cache/local_cache.h"
#include "embedding_service/frame_pipeline.h"
#include "tests/fakes/fake_encoder.h"
#include "tests/fakes/make_png.h"

namespace emotion::embedding {

using std::chrono::milliseconds;
using testing::FakeEncoder;
using testing::FakeEncoderControl;
using testing::MakePng;

inline const SessionKey kAnna(16, 'a');

inline FrameRequest Request(std::string image) {
  return {.image = std::move(image), .accepted_at_us = 1000};
}

// A frame's future answer, and how to take the frame back.
struct Sent {
  Ticket ticket = 0;
  std::future<FrameResult> answer;

  FrameResult Get() { return answer.get(); }
  bool Answered() { return answer.wait_for(milliseconds(0)) == std::future_status::ready; }
};

// Without near matching, for which pictures of noise may be alike, but over another cache.
struct Pipeline {
  explicit Pipeline(BatchRules rules = {}, const FramePipeline::Options& options = {},
                    vision::Precision precision = vision::Precision::kFp32)
      : cache({.ttl = std::chrono::seconds(600), .near_threshold = 1}, metrics),
        pipeline(options, Runner(rules, precision), cache, metrics) {}
  // Over another cache, which outlives it.
  Pipeline(EmbeddingCache& other, const FramePipeline::Options& options)
      : cache({.capacity_bytes = 0}, metrics),
        pipeline(options, Runner({}, vision::Precision::kFp32), other, metrics) {}

  std::unique_ptr<BatchRunner> Runner(const BatchRules& rules, vision::Precision precision) {
    return std::make_unique<BatchRunner>(
        BatchRunner::Options{.rules = rules, .make_fp32 = [this] { return MakeFp32(); }},
        std::make_unique<FakeEncoder>(control, precision), metrics);
  }

  absl::StatusOr<std::unique_ptr<vision::VisionEncoder>> MakeFp32() {
    return std::make_unique<FakeEncoder>(control, vision::Precision::kFp32);
  }

  Sent Send(FrameRequest request) {
    auto promise = std::make_shared<std::promise<FrameResult>>();
    Sent sent{.answer = promise->get_future()};
    sent.ticket = pipeline.Submit(std::move(request), [promise](FrameResult result) {
      promise->set_value(std::move(result));
    });
    return sent;
  }
  FrameResult Ask(FrameRequest request) { return Send(std::move(request)).Get(); }

  // Makes the encoder busy with a frame of its own.
  Sent Occupy() {
    control.gate.Close();
    Sent sent = Send(Request(MakePng(9999)));
    control.gate.AwaitVisitor();
    return sent;
  }

  // Waits until `frames` are decoded or wait for the encoder.
  void AwaitDecoded(size_t frames) {
    while (DecodedCount() < frames) std::this_thread::yield();
  }
  size_t DecodedCount() const {
    const std::string text = metrics.Text();
    const std::string name = "emotion_stage_duration_seconds_count{stage=\"decode\"} ";
    const size_t at = text.find(name);
    return at == std::string::npos ? 0 : std::stoul(text.substr(at + name.size()));
  }

  // What the heads must see of `image`.
  std::string Expected(const FrameRequest& request) const {
    const auto prepared = pipeline.preparer().Prepare(request.image, request.prepare);
    REQUIRE(prepared.ok());
    return EncodeHalf(testing::FakeEmbedding(prepared->patches));
  }

  bool Counted(const std::string& line) const {
    return metrics.Text().find(line) != std::string::npos;
  }

  // Everything is answered; this waits until its work has ended too.
  void AwaitNothingHeld() {
    while (pipeline.held().flights > 0) std::this_thread::yield();
    CHECK(pipeline.held().frames == 0);
    CHECK(pipeline.Load().frames == 0);
  }

  Metrics metrics{BuildInfo{}};
  FakeEncoderControl control;
  LocalCache cache;
  FramePipeline pipeline;
};

}  // namespace emotion::embedding
