#include "embedding_service/embed_result.h"

#include <cstring>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "common/numeric/half.h"

namespace emotion::embedding {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

vision::EncoderInfo Encoder() {
  vision::EncoderInfo info;
  info.fingerprint.fill(7);
  info.dim = 3;
  info.precision = vision::Precision::kBf16;
  return info;
}

FrameResult Good() {
  auto value = std::make_shared<CachedEmbedding>();
  value->halves = EncodeHalf(std::vector<float>{0.5F, -1, 3});
  return {.embedding = value,
          .quality_warnings =
              (1U << v1::QUALITY_WARNING_TOO_DARK) | (1U << v1::QUALITY_WARNING_NOT_SQUARE),
          .outcome = Outcome::kCoalesced,
          .times = {.decode = microseconds(10),
                    .cache = microseconds(20),
                    .queue = microseconds(30),
                    .encode = microseconds(40)},
          .next_frame_after = milliseconds(500)};
}

TEST_CASE("a good answer carries embedding, model, warnings, times and pace") {
  const v1::EmbedResult result = ToEmbedResult(Good(), Encoder());
  CHECK(result.status().code() == 0);
  CHECK(result.embedding().dim() == 3);
  CHECK(result.embedding().dtype() == v1::D_TYPE_F16);
  CHECK(DecodeHalf(result.embedding().data()) == std::vector<float>{0.5F, -1, 3});
  CHECK(result.embedding().model_fingerprint() == std::string(32, '\7'));
  CHECK(result.embedding().pooling() == v1::POOLING_MEAN_TOKENS);
  CHECK(result.embedding().precision() == v1::PRECISION_BF16);
  CHECK(result.cache() == v1::CACHE_OUTCOME_COALESCED);
  REQUIRE(result.quality_warnings_size() == 2);
  CHECK(result.quality_warnings(0) == v1::QUALITY_WARNING_TOO_DARK);
  CHECK(result.quality_warnings(1) == v1::QUALITY_WARNING_NOT_SQUARE);
  CHECK(result.times().decode_us() == 10);
  CHECK(result.times().cache_us() == 20);
  CHECK(result.times().queue_us() == 30);
  CHECK(result.times().encode_us() == 40);
  CHECK(result.next_frame_after_ms() == 500);
}

TEST_CASE("a near answer says how near, and others do not") {
  FrameResult near = Good();
  CHECK_FALSE(ToEmbedResult(near, Encoder()).has_similarity());
  near.outcome = Outcome::kNear;
  near.similarity = 0.97F;
  const v1::EmbedResult result = ToEmbedResult(near, Encoder());
  CHECK(result.cache() == v1::CACHE_OUTCOME_NEAR);
  CHECK(result.similarity() == 0.97F);
}

TEST_CASE("a failed answer carries its status and the pace, and no embedding") {
  const v1::EmbedResult result = ToEmbedResult(
      {.status = Error(Reason::kQueueFull, "full"), .next_frame_after = milliseconds(70)},
      Encoder());
  CHECK(result.status().code() == static_cast<int>(absl::StatusCode::kResourceExhausted));
  CHECK_FALSE(result.has_embedding());
  CHECK(result.next_frame_after_ms() == 70);
}

TEST_CASE("fp32 is the fp16 numbers, wider") {
  v1::EmbedResult result = ToEmbedResult(Good(), Encoder());
  WidenToFp32(*result.mutable_embedding());
  CHECK(result.embedding().dtype() == v1::D_TYPE_F32);
  std::vector<float> values(3);
  REQUIRE(result.embedding().data().size() == 12);
  std::memcpy(values.data(), result.embedding().data().data(), 12);
  CHECK(values == std::vector<float>{0.5F, -1, 3});
}

}  // namespace
}  // namespace emotion::embedding
