#include "embedding_service/batching/encode_pace.h"

#include <array>
#include <cstdint>
#include <vector>

#include <catch2/catch.hpp>

namespace emotion::embedding {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// An encoder that takes 10 ms and 1 ms a face (of 64 patches), times `slower`.
nanoseconds TimeOf(int faces, int slower = 1) { return milliseconds((10 + faces) * slower); }

EncodePace Learned() {
  EncodePace pace;
  std::vector<MeasuredEncode> encodes;
  for (const int faces : {1, 2, 4, 8}) encodes.push_back({faces * 64, TimeOf(faces)});
  pace.Learn(encodes);
  return pace;
}

// How far the estimate of so many faces is from `expected`, in percent.
double ErrorPercent(const EncodePace& pace, int faces, nanoseconds expected) {
  const auto estimate = static_cast<double>(pace.Estimate(faces * 64).count());
  return std::abs(estimate / static_cast<double>(expected.count()) - 1) * 100;
}

TEST_CASE("nothing is known before the first encode, and no work takes no time") {
  EncodePace pace;
  CHECK(pace.Estimate(64).count() == 0);
  pace.Record(0, milliseconds(5));
  pace.Learn({});
  CHECK(pace.Estimate(64).count() == 0);
  pace.Record(64, milliseconds(5));
  CHECK(pace.Estimate(64) == milliseconds(5));
  CHECK(pace.Estimate(128) == milliseconds(10));
  CHECK(pace.Estimate(0).count() == 0);
  CHECK(pace.Estimate(-64).count() == 0);
}

TEST_CASE("the fixed part and the part per patch are told apart") {
  const EncodePace pace = Learned();
  for (const int faces : {1, 3, 8, 16}) CHECK(ErrorPercent(pace, faces, TimeOf(faces)) < 0.01);
}

TEST_CASE("measurements that no line with positive parts fits give estimates above zero") {
  EncodePace pace;
  const std::array faster_when_larger = {MeasuredEncode{64, milliseconds(20)},
                                         MeasuredEncode{512, milliseconds(10)}};
  pace.Learn(faster_when_larger);
  CHECK(pace.Estimate(64) == milliseconds(15));
  CHECK(pace.Estimate(512) == milliseconds(15));
  const std::array steeper_than_proportional = {MeasuredEncode{64, milliseconds(1)},
                                                MeasuredEncode{128, milliseconds(4)}};
  pace.Learn(steeper_than_proportional);
  CHECK(pace.Estimate(1) > nanoseconds(0));
}

TEST_CASE("a long row of small batches does not make large ones look slow, nor the other way") {
  for (const int often : {1, 8}) {
    EncodePace pace = Learned();
    for (int i = 0; i < 1000; ++i) pace.Record(often * 64, TimeOf(often));
    for (const int faces : {1, 2, 4, 8}) CHECK(ErrorPercent(pace, faces, TimeOf(faces)) < 1);
  }
}

TEST_CASE("one slow encode at most doubles the estimate and is forgotten after a few") {
  EncodePace pace = Learned();
  pace.Record(8 * 64, std::chrono::seconds(60));
  CHECK(pace.Estimate(8 * 64) <= 2 * TimeOf(8));
  for (int i = 0; i < 6; ++i) pace.Record(8 * 64, TimeOf(8));
  CHECK(ErrorPercent(pace, 8, TimeOf(8)) < 10);
  for (int i = 0; i < 6; ++i) pace.Record(64, TimeOf(1));
  CHECK(ErrorPercent(pace, 8, TimeOf(8)) < 10);  // small encodes heal it, too
}

TEST_CASE("a device that became three times slower is known within six encodes") {
  EncodePace pace = Learned();
  for (int i = 0; i < 6; ++i) pace.Record(8 * 64, TimeOf(8, 3));
  CHECK(ErrorPercent(pace, 8, TimeOf(8, 3)) < 10);
  for (int i = 0; i < 8; ++i) pace.Record(8 * 64, TimeOf(8));  // and fast again
  CHECK(ErrorPercent(pace, 8, TimeOf(8)) < 10);
}

TEST_CASE("an estimate is a day at most, however much work there is") {
  const EncodePace pace = Learned();
  CHECK(pace.Estimate(INT64_MAX) == std::chrono::hours(24));
}

TEST_CASE("a mix of sizes is learnt from nothing") {
  EncodePace pace;
  for (int i = 0; i < 200; ++i) {
    for (const int faces : {1, 8, 4, 2}) pace.Record(faces * 64, TimeOf(faces));
  }
  for (const int faces : {1, 2, 4, 8}) CHECK(ErrorPercent(pace, faces, TimeOf(faces)) < 2);
}

}  // namespace
}  // namespace emotion::embedding
