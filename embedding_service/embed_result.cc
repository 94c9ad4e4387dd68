#include "embedding_service/embed_result.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <string>
#include <vector>

#include "common/numeric/half.h"
#include "common/rpc/status.h"
#include "vision/preprocess/version.h"

namespace emotion::embedding {
namespace {

static_assert(std::endian::native == std::endian::little, "fp32 goes onto the wire as it lies");

uint32_t Microseconds(std::chrono::nanoseconds time) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  return static_cast<uint32_t>(std::clamp<int64_t>(us, 0, UINT32_MAX));
}

v1::CacheOutcome OutcomeToProto(Outcome outcome) {
  switch (outcome) {
    case Outcome::kMiss:
      return v1::CACHE_OUTCOME_MISS;
    case Outcome::kExact:
      return v1::CACHE_OUTCOME_EXACT;
    case Outcome::kNear:
      return v1::CACHE_OUTCOME_NEAR;
    case Outcome::kCoalesced:
      return v1::CACHE_OUTCOME_COALESCED;
  }
  return v1::CACHE_OUTCOME_UNSPECIFIED;
}

void SetTimes(const FrameTimes& times, v1::StageTimes* proto) {
  proto->set_decode_us(Microseconds(times.decode));
  proto->set_cache_us(Microseconds(times.cache));
  proto->set_queue_us(Microseconds(times.queue));
  proto->set_encode_us(Microseconds(times.encode));
}

void SetEmbedding(const CachedEmbedding& value, const vision::EncoderInfo& encoder,
                  v1::Embedding* proto) {
  proto->set_data(value.halves);
  proto->set_dtype(v1::D_TYPE_F16);
  proto->set_dim(static_cast<uint32_t>(value.halves.size() / 2));
  proto->set_model_fingerprint(encoder.fingerprint.data(), encoder.fingerprint.size());
  proto->set_pooling(v1::POOLING_MEAN_TOKENS);
  proto->set_precision(ToProto(encoder.precision));
  proto->set_preprocessing_version(vision::kPreprocessingVersion);
}

}  // namespace

v1::Precision ToProto(vision::Precision precision) {
  switch (precision) {
    case vision::Precision::kFp32:
      return v1::PRECISION_F32;
    case vision::Precision::kBf16:
      return v1::PRECISION_BF16;
    case vision::Precision::kFp16:
      return v1::PRECISION_F16;
    case vision::Precision::kInt8:
      return v1::PRECISION_INT8;
    case vision::Precision::kMixedInt8:
      return v1::PRECISION_MIXED_INT8;
  }
  return v1::PRECISION_UNSPECIFIED;
}

v1::EmbedResult ToEmbedResult(const FrameResult& result, const vision::EncoderInfo& encoder) {
  v1::EmbedResult proto = FailedResult(result.status);
  proto.set_next_frame_after_ms(
      static_cast<uint32_t>(std::clamp<int64_t>(result.next_frame_after.count(), 0, UINT32_MAX)));
  SetTimes(result.times, proto.mutable_times());
  if (!result.status.ok()) return proto;
  SetEmbedding(*result.embedding, encoder, proto.mutable_embedding());
  proto.set_cache(OutcomeToProto(result.outcome));
  if (result.outcome == Outcome::kNear) proto.set_similarity(result.similarity);
  for (int warning = 1; warning <= v1::QualityWarning_MAX; ++warning) {
    if ((result.quality_warnings >> warning & 1U) != 0) {
      proto.add_quality_warnings(static_cast<v1::QualityWarning>(warning));
    }
  }
  return proto;
}

v1::EmbedResult FailedResult(const absl::Status& status) {
  v1::EmbedResult proto;
  ToProtoStatus(status, proto.mutable_status());
  return proto;
}

void WidenToFp32(v1::Embedding& embedding) {
  const std::vector<float> values = DecodeHalf(embedding.data());
  embedding.set_data(values.data(), values.size() * sizeof(float));
  embedding.set_dtype(v1::D_TYPE_F32);
}

}  // namespace emotion::embedding
