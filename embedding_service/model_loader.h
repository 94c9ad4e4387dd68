// Loads the model that the settings name: resolves DEVICE and PRECISION, reads the preprocessing,
// makes the encoder. The one file of this service that knows an implementation of the encoder.
#pragma once

#include "absl/status/statusor.h"
#include "embedding_service/loaded_model.h"
#include "embedding_service/options.h"

namespace emotion::embedding {

// The number format to compute in: the one asked for; else, where USE_FP16 allows it, `half`, the
// half precision that the devices gain from (kFp32: none); else fp32.
vision::Precision ChoosePrecision(const EmbeddingOptions& options, vision::Precision half);

// Errors: see vision::CreateEncoder and ReadPreprocessorConfig; NOT_FOUND, naming what to
// fetch, when there is no encoder in the models' folder.
absl::StatusOr<LoadedModel> LoadModel(const EmbeddingOptions& options);

}  // namespace emotion::embedding
