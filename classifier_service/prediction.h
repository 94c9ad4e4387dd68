// From an embedding message to prediction messages: pure functions.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "emotion/v1/classifier.pb.h"
#include "heads/head_bank.h"

namespace emotion::classifier {

// The values of an embedding. INVALID_ARGUMENT (naming found and expected) when its dim is not
// `dim`, its bytes do not fit dim and dtype, or a value is not finite.
absl::StatusOr<std::vector<float>> EmbeddingValues(const v1::Embedding& embedding, int dim);

// One message per head, in the order of AffectiveState.
std::vector<v1::StatePrediction> StateMessages(const heads::HeadPredictions& predictions);

// Whether a picture with these v1::QualityWarning is good enough for its levels to mean something.
// Too dark, too bright, blurred, too small and without a face are not; the others are advice.
bool QualityUsable(const google::protobuf::RepeatedField<int>& warnings);

}  // namespace emotion::classifier
