// What the heads say of themselves, as GetModel answers it.
#pragma once

#include "classifier_service/model_binding.h"
#include "emotion/v1/classifier.pb.h"
#include "heads/head_bank.h"

namespace emotion::classifier {

// Borrows both; they must outlive it. Thread-safe.
class ModelCard {
 public:
  ModelCard(const heads::HeadBank& bank, const ModelBinding& binding)
      : bank_(bank), binding_(binding) {}

  // The card of the heads together with the encoder that they are bound to now.
  v1::GetModelResponse With(v1::GetEmbeddingModelResponse encoder) const;

 private:
  const heads::HeadBank& bank_;
  const ModelBinding& binding_;
};

}  // namespace emotion::classifier
