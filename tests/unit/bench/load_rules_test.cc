// The rules of the load generator: when frames are due, what they look like, what answers mean,
// what percentiles and objectives say.
#include <fstream>
#include <iterator>
#include <set>

#include <catch2/catch.hpp>

#include "bench/load/answer.h"
#include "bench/load/frame_clock.h"
#include "bench/load/frame_images.h"
#include "bench/load/latency_histogram.h"
#include "bench/load/objective.h"
#include "vision/preprocess/image_preparer.h"

namespace emotion::bench {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

PhasePlan Plan(std::vector<Phase> phases) { return PhasePlan(std::move(phases)); }

std::vector<FrameTime> AllOf(FrameClock clock) {
  std::vector<FrameTime> times;
  while (const auto time = clock.Next()) times.push_back(*time);
  return times;
}

std::string Face() {
  std::ifstream file(EMOTION_TEST_DATA "/images/astronaut_face.jpg", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

FrameImages Images() {
  auto images = FrameImages::FromJpeg(Face());
  REQUIRE(images.ok());
  return *std::move(images);
}

std::string PixelsOf(const std::string& jpeg) {
  static const vision::ImagePreparer preparer{vision::ImagePreparer::Settings{}};
  const auto decoded = preparer.Decode(jpeg, vision::PrepareOptions{});
  REQUIRE(decoded.ok());
  const std::vector<uint8_t>& pixels = decoded->image.pixels;
  return {pixels.begin(), pixels.end()};
}

double MeanDifference(const std::string& a, const std::string& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += std::abs(static_cast<uint8_t>(a[i]) - static_cast<uint8_t>(b[i]));
  }
  return sum / static_cast<double>(a.size());
}

TEST_CASE("percentiles are nearest ranks, rounded up by at most 1.6 %") {
  LatencyHistogram histogram;
  for (int ms = 1000; ms >= 1; --ms) histogram.Add(milliseconds(ms));
  CHECK(histogram.count() == 1000);
  for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99}) {
    const double exact = share * 1000;
    const double found = Milliseconds(histogram.Percentile(share));
    CHECK(found >= exact);
    CHECK(found <= exact * 1.016);
  }
  CHECK(histogram.Percentile(1) == seconds(1));
  CHECK(histogram.max() == seconds(1));
}

TEST_CASE("short times are kept to the microsecond, none are below zero") {
  LatencyHistogram histogram;
  CHECK(histogram.Percentile(0.5) == nanoseconds(0));
  histogram.Add(microseconds(-5));
  histogram.Add(microseconds(3));
  histogram.Add(microseconds(100));
  CHECK(histogram.Percentile(0.1) == nanoseconds(0));
  CHECK(histogram.Percentile(0.5) == microseconds(3));
  CHECK(histogram.Percentile(0.9) == microseconds(100));
}

TEST_CASE("two histograms add up to the one that saw everything") {
  LatencyHistogram one;
  LatencyHistogram other;
  LatencyHistogram both;
  for (int i = 0; i < 500; ++i) {
    const auto value = microseconds(i * i);
    (i % 2 == 0 ? one : other).Add(value);
    both.Add(value);
  }
  one.Merge(other);
  CHECK(one.count() == both.count());
  for (const double share : {0.1, 0.5, 0.99, 1.0}) {
    CHECK(one.Percentile(share) == both.Percentile(share));
  }
}

TEST_CASE("a phase is read from its parts, in any order") {
  const auto phase = ParsePhase("seconds=2.5,name=surge,rate=2x", 1);
  REQUIRE(phase.ok());
  CHECK(phase->name == "surge");
  CHECK(phase->rate == 2);
  CHECK(phase->length == milliseconds(2500));
  const auto plain = ParsePhase("seconds=1", 3);
  REQUIRE(plain.ok());
  CHECK(plain->name == "phase3");
  CHECK(plain->rate == 1);
}

TEST_CASE("a phase that says nothing sensible is refused, by the part that is wrong") {
  for (const char* text :
       {"", "name=a", "seconds=0", "seconds=-1", "rate=nan,seconds=1", "rate=-1,seconds=1",
        "seconds=1,speed=2", "seconds=1s", "name=,seconds=1", "seconds"}) {
    INFO(text);
    CHECK(!ParsePhase(text, 1).ok());
  }
}

TEST_CASE("a camera takes its frames at equal steps, at the rate of the phase") {
  const PhasePlan plan =
      Plan({{"warm", 1, seconds(10)}, {"pause", 0, seconds(5)}, {"surge", 4, seconds(10)}});
  const auto times = AllOf(FrameClock(plan, {.fps = 2}));
  CHECK(times.size() == 100);  // 20 and 80
  size_t in_pause = 0;
  for (size_t i = 0; i < times.size(); ++i) {
    CHECK(times[i].due == times[i].capture);
    if (plan.PhaseAt(times[i].capture) == 1) ++in_pause;
    if (i == 0 || plan.PhaseAt(times[i].capture) != plan.PhaseAt(times[i - 1].capture)) continue;
    const double step = Milliseconds(times[i].capture - times[i - 1].capture);
    CHECK(step == Approx(plan.PhaseAt(times[i].capture) == 0 ? 500 : 125).margin(0.01));
  }
  CHECK(in_pause == 0);
}

TEST_CASE("jitter sends frames late, by at most its share of a period, and keeps their order") {
  const PhasePlan plan = Plan({{"all", 1, seconds(100)}});
  const auto times = AllOf(FrameClock(plan, {.fps = 10, .jitter = 0.5}));
  REQUIRE(times.size() == 1000);
  for (size_t i = 0; i < times.size(); ++i) {
    CHECK(times[i].due >= times[i].capture);
    CHECK(times[i].due <= times[i].capture + milliseconds(50));
    if (i > 0) CHECK(times[i].due > times[i - 1].due);
  }
}

TEST_CASE("cameras are out of step with each other, and the same in every run") {
  const PhasePlan plan = Plan({{"all", 1, seconds(2)}});
  std::set<Offset> first;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    const auto times = AllOf(FrameClock(plan, {.fps = 1, .seed = seed}));
    REQUIRE(!times.empty());
    first.insert(times.front().due);
    CHECK(AllOf(FrameClock(plan, {.fps = 1, .seed = seed})).front().due == times.front().due);
  }
  CHECK(first.size() == 20);
}

TEST_CASE("people arrive at random, as often as they should") {
  const PhasePlan plan = Plan({{"all", 1, seconds(1000)}});
  const auto times = AllOf(FrameClock(plan, {.fps = 10, .arrivals = Arrivals::kPoisson}));
  CHECK(times.size() == Approx(10000).epsilon(0.05));
}

TEST_CASE("phases follow each other, and the last one lasts") {
  const PhasePlan plan = Plan({{"a", 1, seconds(1)}, {"b", 1, seconds(2)}});
  CHECK(plan.PhaseAt(Offset(0)) == 0);
  CHECK(plan.PhaseAt(milliseconds(999)) == 0);
  CHECK(plan.PhaseAt(seconds(1)) == 1);
  CHECK(plan.PhaseAt(seconds(10)) == 1);
  CHECK(plan.total() == seconds(3));
}

TEST_CASE("every picture has bytes and pixels of its own, and decodes") {
  const FrameImages images = Images();
  std::set<std::string> files;
  std::set<std::string> pixels;
  for (uint64_t picture = 1; picture <= 100; ++picture) {
    const std::string file = images.Make(picture, 0);
    CHECK(file == images.Make(picture, 0));
    files.insert(file);
    pixels.insert(PixelsOf(file));
  }
  CHECK(files.size() == 100);
  CHECK(pixels.size() == 100);
}

TEST_CASE("a nuance changes the bytes and hardly the pixels; another picture changes both") {
  const FrameImages images = Images();
  const auto base = PixelsOf(images.Make(7, 0));
  CHECK(images.Make(7, 1) != images.Make(7, 0));
  CHECK(MeanDifference(base, PixelsOf(images.Make(7, 1))) < 1);
  CHECK(MeanDifference(base, PixelsOf(images.Make(8, 0))) > 2);
}

TEST_CASE("what is no JPEG with quantisers is refused") {
  CHECK(!FrameImages::FromJpeg("").ok());
  CHECK(!FrameImages::FromJpeg("\xff\xd8").ok());
  CHECK(!FrameImages::FromJpeg("\x89PNG and so on, for as long as you like").ok());
  CHECK(!FrameImages::FromJpeg(Face().substr(0, 40)).ok());
  std::string zero_length("\xff\xd8\xff\xe0\x00\x00", 6);
  zero_length.resize(200);
  CHECK(!FrameImages::FromJpeg(zero_length).ok());
}

TEST_CASE("an HTTP answer is a prediction, or says why not") {
  const Answer good = AnswerOfHttp(200, R"({"cached":false,"next_frame_after_ms":250})");
  CHECK(good.verdict == Verdict::kPrediction);
  CHECK(good.reason.empty());
  CHECK(good.next_frame_after == milliseconds(250));
  CHECK(good.cached == Cached::kNo);
  CHECK(AnswerOfHttp(200, R"({"cached":true,"cache":"exact"})").cached == Cached::kExact);
  CHECK(AnswerOfHttp(200, R"({"cached":true,"cache":"near"})").cached == Cached::kNear);
  CHECK(AnswerOfHttp(200, R"({"cached":false,"cache":"miss"})").cached == Cached::kNo);
  const Answer full = AnswerOfHttp(429, R"({"status":429,"reason":"QUEUE_FULL"})");
  CHECK(full.verdict == Verdict::kRefused);
  CHECK(full.reason == "QUEUE_FULL");
  CHECK(AnswerOfHttp(409, R"({"reason": "SUPERSEDED"})").verdict == Verdict::kSuperseded);
  CHECK(AnswerOfHttp(504, R"({"reason":"DEADLINE"})").verdict == Verdict::kFailed);
  CHECK(AnswerOfHttp(502, "<html>").reason == "HTTP_502");
}

TEST_CASE("messages of a socket are told apart by type and id") {
  const auto prediction = ReadSocketMessage(
      R"({"type":"prediction","id":12,"face_id":0,"request_id":"7","next_frame_after_ms":33})");
  CHECK(prediction.kind == SocketMessage::Kind::kAnswer);
  CHECK(prediction.id == 12);
  CHECK(prediction.answer.verdict == Verdict::kPrediction);
  CHECK(prediction.answer.next_frame_after == milliseconds(33));
  const auto superseded = ReadSocketMessage(R"({"type":"superseded","id":3,"face_id":1})");
  CHECK(superseded.answer.verdict == Verdict::kSuperseded);
  const auto full = ReadSocketMessage(
      R"({"type":"error","id":4,"problem":{"type":"urn:x:reason:QUEUE_FULL","reason":"QUEUE_FULL"}})");
  CHECK(full.kind == SocketMessage::Kind::kAnswer);
  CHECK(full.answer.verdict == Verdict::kRefused);
  CHECK(ReadSocketMessage(R"({"type":"error","problem":{"reason":"FIELD_INVALID"}})").kind ==
        SocketMessage::Kind::kError);
  CHECK(ReadSocketMessage(R"({"type":"ready","session_id":"a"})").kind ==
        SocketMessage::Kind::kReady);
  const auto draining = ReadSocketMessage(R"({"type":"draining","reconnect_after_ms":800})");
  CHECK(draining.kind == SocketMessage::Kind::kDraining);
  CHECK(draining.reconnect_after == milliseconds(800));
  CHECK(ReadSocketMessage("").kind == SocketMessage::Kind::kOther);
}

TEST_CASE("an objective is a name, a relation and a number") {
  const auto objective = ParseObjective("surge.p99_ms<=50");
  REQUIRE(objective.ok());
  CHECK(objective->name == "surge.p99_ms");
  CHECK(Holds(*objective, 50));
  CHECK(!Holds(*objective, 50.1));
  CHECK(Holds(*ParseObjective("goodput>=360"), 360));
  CHECK(!Holds(*ParseObjective("goodput>360"), 360));
  CHECK(Holds(*ParseObjective("starved==0"), 0));
  CHECK(!Holds(*ParseObjective("starved<0"), 0));
  for (const char* text : {"", "p99_ms", "<=50", "p99_ms<=", "p99_ms<=fast", "p99_ms=50"}) {
    INFO(text);
    CHECK(!ParseObjective(text).ok());
  }
}

TEST_CASE("an objective that is missed, or about nothing, is said with its value") {
  const std::vector<Objective> objectives = {
      *ParseObjective("p99_ms<=50"), *ParseObjective("starved==0"), *ParseObjective("happiness>1")};
  const auto missed = Missed(objectives, {{"p99_ms", 61.5}, {"starved", 0}});
  REQUIRE(missed.size() == 2);
  CHECK(missed[0] == "p99_ms<=50: was 61.5");
  CHECK(missed[1] == "happiness>1: nothing here is called that");
}

}  // namespace
}  // namespace emotion::bench
