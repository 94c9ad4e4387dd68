#include "embedding_service/batching/batch_runner.h"

#include <future>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "common/observe/metrics.h"
#include "tests/fakes/fake_encoder.h"

namespace emotion::embedding {
namespace {

using std::chrono::milliseconds;
using testing::FakeEncoder;
using testing::FakeEncoderControl;

// A tiny image whose values follow from `number`.
vision::Patches Image(int number) {
  vision::Patches patches{.grid = {1, 2, 2}, .rows = std::vector<float>(4 * 8)};
  for (size_t i = 0; i < patches.rows.size(); ++i) {
    patches.rows[i] = static_cast<float>((number * 31 + static_cast<int>(i) * 7) % 17) / 17;
  }
  return patches;
}

struct Runner {
  explicit Runner(BatchRules rules = {}, vision::Precision precision = vision::Precision::kFp32,
                  bool rerun = false)
      : runner({.rules = rules,
                .make_fp32 = rerun ? BatchRunner::EncoderFactory([this] { return MakeFp32(); })
                                   : BatchRunner::EncoderFactory()},
               std::make_unique<FakeEncoder>(control, precision), metrics) {}

  absl::StatusOr<std::unique_ptr<vision::VisionEncoder>> MakeFp32() {
    ++fp32_made;
    return std::make_unique<FakeEncoder>(control, vision::Precision::kFp32);
  }

  std::future<EncodeAnswer> Submit(Ticket ticket, vision::Patches image,
                                   milliseconds timeout = milliseconds(10'000)) {
    auto promise = std::make_shared<std::promise<EncodeAnswer>>();
    auto future = promise->get_future();
    const TimePoint deadline = std::chrono::steady_clock::now() + timeout;
    auto reserved = runner.Reserve(
        {.patches = 4, .deadline = std::chrono::steady_clock::now() + std::chrono::hours(1)});
    REQUIRE(reserved.ok());
    const absl::Status pushed = runner.Push(
        ticket,
        {.patches = std::move(image),
         .deadline = deadline,
         .done = [promise](EncodeAnswer answer) { promise->set_value(std::move(answer)); }},
        std::move(reserved->place));
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

TEST_CASE("every frame gets the vector of its own image, in whatever batch it was encoded") {
  Runner test;
  std::vector<std::future<EncodeAnswer>> answers;
  for (int i = 0; i < 100; ++i) answers.push_back(test.Submit(static_cast<Ticket>(i), Image(i)));
  for (int i = 0; i < 100; ++i) {
    const EncodeAnswer answer = answers[static_cast<size_t>(i)].get();
    REQUIRE(answer.vector.ok());
    CHECK(*answer.vector == testing::FakeEmbedding(Image(i)));
    CHECK(answer.cacheable);
  }
  CHECK(test.control.images == 100);
}

TEST_CASE("what arrives while the encoder is busy goes into its next batch") {
  Runner test({.max_frames = 8});
  test.control.gate.Close();
  auto first = test.Submit(1, Image(1));
  test.control.gate.AwaitVisitor();
  std::vector<std::future<EncodeAnswer>> more;
  for (Ticket t = 2; t <= 6; ++t) more.push_back(test.Submit(t, Image(static_cast<int>(t))));
  CHECK(test.runner.Load().frames == 5);
  test.control.gate.Open();
  for (auto& answer : more) REQUIRE(answer.get().vector.ok());
  CHECK(test.control.batches() == std::vector<size_t>{1, 5});
}

TEST_CASE("an encode that fails or throws answers its whole batch and the next one works") {
  Runner test;
  test.control.failures = 1;
  CHECK(ReasonOf(test.Submit(1, Image(1)).get().vector.status()) == Reason::kInternal);
  test.control.throws = 1;
  CHECK(ReasonOf(test.Submit(2, Image(2)).get().vector.status()) == Reason::kInternal);
  test.control.one_vector_less = true;
  CHECK(ReasonOf(test.Submit(3, Image(3)).get().vector.status()) == Reason::kInternal);
  test.control.one_vector_less = false;
  CHECK(test.Submit(4, Image(4)).get().vector.ok());
}

TEST_CASE("out of device memory halves the batch until it fits") {
  Runner test({.max_frames = 8});
  test.control.memory_frames = 2;
  test.control.gate.Close();
  auto first = test.Submit(0, Image(0));
  test.control.gate.AwaitVisitor();
  std::vector<std::future<EncodeAnswer>> answers;
  for (int i = 1; i <= 8; ++i) answers.push_back(test.Submit(static_cast<Ticket>(i), Image(i)));
  test.control.gate.Open();
  for (int i = 1; i <= 8; ++i) {
    const EncodeAnswer answer = answers[static_cast<size_t>(i - 1)].get();
    REQUIRE(answer.vector.ok());
    CHECK(*answer.vector == testing::FakeEmbedding(Image(i)));
  }
  CHECK(test.control.batches() == std::vector<size_t>{1, 8, 4, 2, 2, 4, 2, 2});
  CHECK(test.Counted("emotion_incidents_total{kind=\"out_of_memory\"} 3"));
}

TEST_CASE("a frame that does not fit into memory alone fails alone") {
  Runner test;
  test.control.memory_frames = 0;
  CHECK(ReasonOf(test.Submit(1, Image(1)).get().vector.status()) == Reason::kInternal);
  test.control.memory_frames = 4;
  CHECK(test.Submit(2, Image(2)).get().vector.ok());
}

TEST_CASE("a vector that is not finite is encoded again in fp32, and not for the cache") {
  Runner test({}, vision::Precision::kBf16, /*rerun=*/true);
  test.control.nan_of_dark = true;
  vision::Patches dark = Image(1);
  dark.rows.front() = -2;
  for (Ticket ticket : {1, 2}) {
    const EncodeAnswer answer = test.Submit(ticket, dark).get();
    REQUIRE(answer.vector.ok());
    CHECK(*answer.vector == testing::FakeEmbedding(dark));
    CHECK_FALSE(answer.cacheable);
  }
  CHECK(test.fp32_made == 1);
  CHECK(test.Counted("emotion_incidents_total{kind=\"nonfinite_rerun\"} 2"));
}

TEST_CASE("a vector that fp16 cannot hold fails its frame alone where fp32 is no better") {
  Runner test;
  test.control.scale = 1e8F;
  CHECK(ReasonOf(test.Submit(1, Image(1)).get().vector.status()) == Reason::kInternal);
  test.control.scale = 1;
  CHECK(test.Submit(2, Image(2)).get().vector.ok());
}

TEST_CASE("a frame that died while the encoder was busy costs no encode") {
  Runner test;
  test.control.gate.Close();
  auto first = test.Submit(1, Image(1));
  test.control.gate.AwaitVisitor();
  auto late = test.Submit(2, Image(2), milliseconds(0));
  auto cancelled = test.Submit(3, Image(3));
  CHECK(test.runner.Cancel(3));
  CHECK_FALSE(test.runner.Cancel(3));
  CHECK_FALSE(test.runner.Cancel(1));  // it is being encoded
  test.control.gate.Open();
  CHECK(ReasonOf(late.get().vector.status()) == Reason::kDeadline);
  CHECK(first.get().vector.ok());
  test.runner.Stop();
  CHECK(test.control.images == 1);
  CHECK_THROWS_AS(cancelled.get(), std::future_error);  // its promise was dropped, not kept
}

TEST_CASE("stopping finishes the running batch, answers what waits and refuses what comes") {
  Runner test;
  test.control.gate.Close();
  auto running = test.Submit(1, Image(1));
  test.control.gate.AwaitVisitor();
  auto waiting = test.Submit(2, Image(2));
  std::thread stopper([&] { test.runner.Stop(); });
  CHECK(ReasonOf(waiting.get().vector.status()) == Reason::kDraining);
  CHECK(ReasonOf(test.runner.Reserve({.patches = 4, .deadline = TimePoint::max()}).status()) ==
        Reason::kDraining);
  test.control.gate.Open();
  stopper.join();
  CHECK(running.get().vector.ok());
}

}  // namespace
}  // namespace emotion::embedding
