#include "embedding_service/batching/batch_runner.h"

#include <algorithm>
#include <future>
#include <new>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/embedding_service/batching/batch_runner_fixture.h"

namespace emotion::embedding {
namespace {

bool Dropped(std::future<EncodeAnswer>& answer) {
  try {
    answer.get();
    return false;
  } catch (const std::future_error&) {
    return true;  // its promise was destroyed, not kept
  }
}

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
  CHECK(Dropped(cancelled));
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

TEST_CASE("two encoders work on one queue at the same time, each on its own frames") {
  Runner test({.max_frames = 2}, vision::Precision::kFp32, false, 2);
  test.control.gate.Close();
  std::vector<std::future<EncodeAnswer>> answers;
  for (int i = 0; i < 8; ++i) answers.push_back(test.Submit(static_cast<Ticket>(i), Image(i)));
  while (test.control.encodes < 2) std::this_thread::yield();  // both are at the gate
  test.control.gate.Open();
  for (int i = 0; i < 8; ++i) {
    const EncodeAnswer answer = answers[static_cast<size_t>(i)].get();
    REQUIRE(answer.vector.ok());
    CHECK(*answer.vector == testing::FakeEmbedding(Image(i)));
  }
}

TEST_CASE("an encoder that throws what is no exception fails its batch, not the process") {
  class Strange final : public vision::VisionEncoder {
   public:
    const vision::EncoderInfo& info() const override { return info_; }
    Vectors Encode(Images /*images*/) override { throw 42; }

   private:
    vision::EncoderInfo info_;
  };
  Metrics metrics{BuildInfo{}};
  BatchRunner runner({}, std::make_unique<Strange>(), metrics);
  std::promise<EncodeAnswer> answered;
  auto reserved = runner.Reserve({.patches = 4, .deadline = TimePoint::max()});
  REQUIRE(runner
              .Push(1,
                    {.patches = Image(1),
                     .deadline = TimePoint::max(),
                     .done = [&](EncodeAnswer answer) { answered.set_value(std::move(answer)); }},
                    std::move(reserved->place))
              .ok());
  CHECK(ReasonOf(answered.get_future().get().vector.status()) == Reason::kInternal);
}

TEST_CASE("an fp32 encoder that cannot be made fails its frame and is tried again") {
  FakeEncoderControl control;
  Metrics metrics{BuildInfo{}};
  int made = 0;
  Fp32Rerun rerun([&]() -> absl::StatusOr<std::unique_ptr<vision::VisionEncoder>> {
    if (++made == 1) throw std::bad_alloc();
    return std::make_unique<FakeEncoder>(control);
  });
  CHECK(ReasonOf(rerun.Encode(Image(1)).status()) == Reason::kInternal);
  CHECK(rerun.Encode(Image(1)).ok());
  CHECK(rerun.Encode(Image(2)).ok());
  CHECK(made == 2);
}

TEST_CASE("a frame that was evicted for another is never answered from here") {
  Runner test({.max_frames = 1, .queue_limit = 4});
  test.control.gate.Close();
  auto running = test.Submit(1, Image(1), milliseconds(10'000), "anna");
  test.control.gate.AwaitVisitor();
  std::vector<std::future<EncodeAnswer>> annas;
  for (Ticket t = 2; t <= 5; ++t) {
    annas.push_back(test.Submit(t, Image(2), milliseconds(10'000), "anna"));
  }
  auto reserved = test.Reserve("ben");
  REQUIRE(reserved.ok());
  CHECK(reserved->evicted == Ticket{5});
  CHECK_FALSE(test.runner.Cancel(5));
  CHECK(Dropped(annas.back()));
  auto bens = test.Push(6, Image(6), std::move(reserved->place));
  test.control.gate.Open();
  CHECK(bens.get().vector.ok());
  for (size_t i = 0; i < 3; ++i) CHECK(annas[i].get().vector.ok());
}

TEST_CASE("a newer frame goes in the place that was taken back from an older one") {
  Runner test({.max_frames = 1});
  test.control.gate.Close();
  auto running = test.Submit(1, Image(1));
  test.control.gate.AwaitVisitor();
  auto older = test.Submit(2, Image(2));
  std::optional<Place> place = test.runner.TakeBack(2);
  REQUIRE(place);
  CHECK_FALSE(test.runner.TakeBack(1));  // it is being encoded
  CHECK(Dropped(older));
  CHECK(test.runner.Load().frames == 1);
  auto newer = test.Push(3, Image(3), *std::move(place));
  test.control.gate.Open();
  CHECK(*newer.get().vector == testing::FakeEmbedding(Image(3)));
  CHECK(test.runner.Load().frames == 0);
}

TEST_CASE("with a wait set, frames that come one by one share an encode") {
  Runner test({.max_frames = 3, .wait_to_fill = std::chrono::seconds(60)});
  auto first = test.Submit(1, Image(1));
  auto second = test.Submit(2, Image(2));
  CHECK(first.wait_for(milliseconds(20)) == std::future_status::timeout);
  auto third = test.Submit(3, Image(3));
  CHECK(first.get().vector.ok());
  CHECK(test.control.batches() == std::vector<size_t>{3});
}

TEST_CASE("a wait that is over ends without another frame") {
  Runner test({.max_frames = 3, .wait_to_fill = milliseconds(5)});
  CHECK(test.Submit(1, Image(1)).get().vector.ok());
}

// Under this test's wheels: cancels, places taken back and evicted, faults of every kind, short
// deadlines, and an end in the middle of it.
TEST_CASE("with several threads and encoders every frame ends exactly once, whatever happens") {
  Runner test({.max_frames = 4, .queue_limit = 32}, vision::Precision::kBf16, /*rerun=*/true, 3);
  test.control.memory_frames = 3;
  test.control.nan_of_dark = true;
  constexpr int kThreads = 4;
  constexpr int kFrames = 2000;
  std::vector<std::atomic<int>> ended(kThreads * kFrames);
  std::atomic<int> wrong{0};
  std::atomic<int> encoded{0};
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t) + 1);
      for (int i = 0; i < kFrames; ++i) {
        const auto ticket = static_cast<Ticket>(t * kFrames + i);
        if (random() % 50 == 0) test.control.throws = 1;
        if (random() % 50 == 0) test.control.failures = 1;
        auto reserved = test.Reserve(std::to_string(random() % 3 == 0 ? t : 0));
        if (!reserved.ok()) {
          ++ended[ticket];
          std::this_thread::yield();
          continue;
        }
        if (reserved->evicted) ++ended[*reserved->evicted];
        const int number = static_cast<int>(random() % 100);
        vision::Patches image = Image(number);
        if (number == 0) image.rows.front() = -2;
        std::vector<float> expected = testing::FakeEmbedding(image);
        const absl::Status pushed = test.runner.Push(
            ticket,
            {.patches = std::move(image),
             .deadline = std::chrono::steady_clock::now() + milliseconds(random() % 20),
             .interactive = random() % 4 != 0,
             .alone = random() % 10 == 0,
             .done =
                 [&, ticket, expected = std::move(expected)](const EncodeAnswer& answer) {
                   ++ended[ticket];
                   if (answer.vector.ok()) {
                     ++encoded;
                     wrong += *answer.vector != expected;
                   }
                 }},
            std::move(reserved->place));
        if (!pushed.ok()) ++ended[ticket];
        const auto earlier = static_cast<Ticket>(t * kFrames) + random() % (i + 1);
        if (random() % 4 == 0) ended[earlier] += test.runner.Cancel(earlier);
        if (random() % 4 == 0) {
          if (auto place = test.runner.TakeBack(earlier)) {
            ++ended[earlier];
            test.runner.Release(*std::move(place));
          }
        }
        if (random() % 4 == 0) test.runner.Raise(earlier, TimePoint::max(), true);
      }
    });
  }
  while (encoded < 200) std::this_thread::yield();
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(20));
    test.runner.Stop();
  });
  for (std::thread& sender : senders) sender.join();
  stopper.join();
  CHECK(wrong == 0);
  CHECK(std::all_of(ended.begin(), ended.end(), [](const auto& times) { return times == 1; }));
  CHECK(test.runner.Load().frames == 0);
}

}  // namespace
}  // namespace emotion::embedding
