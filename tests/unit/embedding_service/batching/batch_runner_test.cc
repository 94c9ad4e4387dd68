#include "embedding_service/batching/batch_runner.h"

#include <algorithm>
#include <future>
#include <new>
#include <random>
#include <thread>

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

// `count` fake encoders under one control.
BatchRunner::Encoders Fakes(FakeEncoderControl& control, size_t count,
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
