// A BatchRunner over fake encoders. For batch_runner_*test.cc.
#pragma once

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "common/observe/metrics.h"
#include "embedding_service/batching/batch_runner.h"
#include "tests/fakes/fake_encoder.h"

namespace emotion::embedding {

using std::chrono::milliseconds;
using testing::FakeEncoder;
using testing::FakeEncoderControl;

// A tiny image whose values follow from `number`.
inline vision::Patches Image(int number) {
  vision::Patches patches{.grid = {1, 2, 2}, .rows = std::vector<float>(4 * 8)};
  for (size_t i = 0; i < patches.rows.size(); ++i) {
    patches.rows[i] = static_cast<float>((number * 31 + static_cast<int>(i) * 7) % 17) / 17;
  }
  return patches;
}

// `count` fake encoders under one control.
inline BatchRunner::Encoders Fakes(FakeEncoderControl& control, size_t count,
                                   vision::Precision precision = vision::Precision::kFp32) {
  BatchRunner::Encoders encoders;
  for (size_t i = 0; i < count; ++i) {
    encoders.push_back(std::make_unique<FakeEncoder>(control, precision));
  }
  return encoders;
}

struct Runner {
  explicit Runner(BatchRules rules = {}, vision::Precision precision = vision::Precision::kFp32,
                  bool rerun = false, size_t encoders = 1)
      : runner(
            {.rules = rules,
             .make_fp32 = rerun ? EncoderFactory([this] { return MakeFp32(); }) : EncoderFactory()},
            Fakes(control, encoders, precision), metrics) {}

  absl::StatusOr<std::unique_ptr<vision::VisionEncoder>> MakeFp32() {
    ++fp32_made;
    return std::make_unique<FakeEncoder>(control, vision::Precision::kFp32);
  }

  std::future<EncodeAnswer> Submit(Ticket ticket, vision::Patches image,
                                   milliseconds timeout = milliseconds(10'000),
                                   const std::string& subject = {}) {
    auto reserved = Reserve(subject);
    REQUIRE(reserved.ok());
    return Push(ticket, std::move(image), std::move(reserved->place), timeout);
  }
  absl::StatusOr<Reservation> Reserve(const std::string& subject = {}) {
    return runner.Reserve({.patches = 4,
                           .deadline = std::chrono::steady_clock::now() + std::chrono::hours(1),
                           .subject = subject});
  }
  std::future<EncodeAnswer> Push(Ticket ticket, vision::Patches image, Place place,
                                 milliseconds timeout = milliseconds(10'000)) {
    auto promise = std::make_shared<std::promise<EncodeAnswer>>();
    auto future = promise->get_future();
    const absl::Status pushed = runner.Push(
        ticket,
        {.patches = std::move(image),
         .deadline = std::chrono::steady_clock::now() + timeout,
         .done = [promise](EncodeAnswer answer) { promise->set_value(std::move(answer)); }},
        std::move(place));
    if (!pushed.ok()) promise->set_value({.vector = pushed});
    return future;
  }

  bool Counted(const std::string& line) const {
    return metrics.Text().find(line) != std::string::npos;
  }

  FakeEncoderControl control;
  Metrics metrics{BuildInfo{}};
  std::atomic<int> fp32_made{0};
  BatchRunner runner;
};

}  // namespace emotion::embedding
