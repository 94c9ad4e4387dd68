#include "classifier_service/prediction.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "common/error/error.h"
#include "common/numeric/half.h"
#include "fmt/format.h"

namespace emotion::classifier {
namespace {

static_assert(std::endian::native == std::endian::little, "embeddings travel little-endian");

size_t BytesPerValue(v1::DType dtype) { return dtype == v1::D_TYPE_F32 ? 4 : 2; }

std::vector<float> DecodeFloats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace

absl::StatusOr<std::vector<float>> EmbeddingValues(const v1::Embedding& embedding, int dim) {
  if (embedding.dim() != static_cast<uint32_t>(dim)) {
    return FieldError("embedding.dim",
                      fmt::format("the heads take {} values; was {}", dim, embedding.dim()));
  }
  const size_t expected = static_cast<size_t>(dim) * BytesPerValue(embedding.dtype());
  if (embedding.data().size() != expected) {
    return FieldError("embedding.data", fmt::format("{} values of {} take {} bytes; has {}", dim,
                                                    v1::DType_Name(embedding.dtype()), expected,
                                                    embedding.data().size()));
  }
  std::vector<float> values = embedding.dtype() == v1::D_TYPE_F32 ? DecodeFloats(embedding.data())
                                                                  : DecodeHalf(embedding.data());
  const auto wrong =
      std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (wrong != values.end()) {
    return FieldError("embedding.data",
                      fmt::format("value {} is not finite", wrong - values.begin()));
  }
  return values;
}

std::vector<v1::StatePrediction> StateMessages(const heads::HeadPredictions& predictions) {
  std::vector<v1::StatePrediction> messages;
  messages.reserve(predictions.size());
  for (size_t i = 0; i < predictions.size(); ++i) {
    const heads::HeadPrediction& prediction = predictions[i];
    v1::StatePrediction& message = messages.emplace_back();
    message.set_state(static_cast<v1::AffectiveState>(i + 1));
    message.set_level(static_cast<uint32_t>(prediction.level));
    message.set_confidence(prediction.confidence);
    message.mutable_probabilities()->Add(prediction.probabilities.begin(),
                                         prediction.probabilities.end());
    message.set_expected_level(prediction.expected_level);
  }
  return messages;
}

bool QualityUsable(const google::protobuf::RepeatedField<int>& warnings) {
  return std::none_of(warnings.begin(), warnings.end(), [](int warning) {
    return warning == v1::QUALITY_WARNING_TOO_DARK || warning == v1::QUALITY_WARNING_TOO_BRIGHT ||
           warning == v1::QUALITY_WARNING_BLURRED || warning == v1::QUALITY_WARNING_TOO_SMALL ||
           warning == v1::QUALITY_WARNING_NO_FACE;
  });
}

}  // namespace emotion::classifier
