// What happens when a device has too little memory for a batch.
#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/embedding_service/batching/batch_runner_fixture.h"

namespace emotion::embedding {
namespace {

// Frames 1 to `frames` in one batch, whatever the encoder makes of it.
std::vector<std::future<EncodeAnswer>> SubmitTogether(Runner& test, int frames, Ticket first) {
  test.control.gate.Close();
  auto before = test.Submit(first, Image(0));
  test.control.gate.AwaitVisitor();
  std::vector<std::future<EncodeAnswer>> answers;
  for (int i = 1; i <= frames; ++i) answers.push_back(test.Submit(first + i, Image(i)));
  test.control.gate.Open();
  return answers;
}

TEST_CASE("out of device memory halves the batch until it fits, and the rest goes in that size") {
  Runner test({.max_frames = 8});
  test.control.memory_frames = 2;
  auto answers = SubmitTogether(test, 8, 0);
  for (int i = 1; i <= 8; ++i) {
    const EncodeAnswer answer = answers[static_cast<size_t>(i - 1)].get();
    REQUIRE(answer.vector.ok());
    CHECK(*answer.vector == testing::FakeEmbedding(Image(i)));
    CHECK(answer.cacheable);
  }
  CHECK(test.control.batches() == std::vector<size_t>{1, 8, 4, 2, 2, 2, 2});
  CHECK(test.Counted("emotion_incidents_total{kind=\"out_of_memory\"} 2"));
}

TEST_CASE("after running out of memory batches stay small for a while, then grow again") {
  // The time is long for this test's first half and over by the time of its second.
  constexpr milliseconds kSmall{1'000};
  FakeEncoderControl control;
  Metrics metrics{BuildInfo{}};
  std::atomic<int> answered{0};
  BatchRunner runner({.rules = {.max_frames = 4}, .small_batches_for = kSmall}, Fakes(control, 1),
                     metrics);
  Ticket next = 1;
  const auto batches_of_four_more = [&] {
    const size_t before = control.batches().size();
    control.gate.Close();
    for (int i = 0; i < 5; ++i) {
      auto reserved = runner.Reserve({.patches = 4, .deadline = TimePoint::max()});
      REQUIRE(reserved.ok());
      REQUIRE(runner
                  .Push(next++,
                        {.patches = Image(i),
                         .deadline = TimePoint::max(),
                         .done = [&](const EncodeAnswer& a) { answered += a.vector.ok() ? 1 : 0; }},
                        std::move(reserved->place))
                  .ok());
      if (i == 0) control.gate.AwaitVisitor();
    }
    control.gate.Open();
    while (answered < static_cast<int>(next) - 1) std::this_thread::yield();
    const std::vector<size_t> all = control.batches();
    return std::vector<size_t>(all.begin() + static_cast<ptrdiff_t>(before), all.end());
  };
  control.memory_frames = 2;
  CHECK(batches_of_four_more() == std::vector<size_t>{1, 4, 2, 2});
  const auto small_since = std::chrono::steady_clock::now();
  CHECK(batches_of_four_more() == std::vector<size_t>{1, 2, 2});
  control.memory_frames = 4;
  std::this_thread::sleep_until(small_since + kSmall);
  CHECK(batches_of_four_more() == std::vector<size_t>{1, 4});
}

TEST_CASE("an image that does not fit into memory alone fails alone") {
  Runner test({.max_frames = 4});
  test.control.memory_patches = 4;
  test.control.gate.Close();
  auto running = test.Submit(0, Image(0));
  test.control.gate.AwaitVisitor();
  vision::Patches huge = Image(2);
  huge.grid = {1, 4, 4};
  auto before = test.Submit(1, Image(1));
  auto large = test.Submit(2, huge);
  auto after = test.Submit(3, Image(3));
  test.control.gate.Open();
  CHECK(*before.get().vector == testing::FakeEmbedding(Image(1)));
  CHECK(ReasonOf(large.get().vector.status()) == Reason::kInternal);
  CHECK(*after.get().vector == testing::FakeEmbedding(Image(3)));
  CHECK(test.Submit(4, Image(4)).get().vector.ok());
}

TEST_CASE("one encoder out of memory does not shrink the batches of the other") {
  FakeEncoderControl small;
  FakeEncoderControl large;
  small.memory_frames = 1;
  small.gate.Close();
  large.gate.Close();
  Metrics metrics{BuildInfo{}};
  BatchRunner::Encoders encoders = Fakes(small, 1);
  encoders.push_back(std::make_unique<FakeEncoder>(large));
  std::atomic<int> answered{0};
  BatchRunner runner({.rules = {.max_frames = 4}}, std::move(encoders), metrics);
  Ticket next = 1;
  const auto submit = [&](int frames) {
    for (int i = 0; i < frames; ++i) {
      auto reserved = runner.Reserve({.patches = 4, .deadline = TimePoint::max()});
      REQUIRE(reserved.ok());
      REQUIRE(
          runner
              .Push(next++,
                    {.patches = Image(1),
                     .deadline = TimePoint::max(),
                     .done = [&](const EncodeAnswer& answer) { answered += answer.vector.ok(); }},
                    std::move(reserved->place))
              .ok());
    }
  };
  submit(2);  // both encoders get busy, in whatever batches
  while (small.encodes + large.encodes < 1) std::this_thread::yield();
  submit(20);
  small.gate.Open();
  large.gate.Open();
  while (answered < 22) std::this_thread::yield();
  for (const size_t batch : large.batches()) CHECK(batch <= 4);
  runner.Stop();
}

}  // namespace
}  // namespace emotion::embedding
