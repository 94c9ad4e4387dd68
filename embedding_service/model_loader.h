// Loads the model that the settings name: resolves DEVICE and PRECISION, reads the preprocessing,
// makes the encoder. The one file of this service that knows an implementation of the encoder.
#pragma once

#include "absl/status/statusor.h"
#include "embedding_service/loaded_model.h"
#include "embedding_service/options.h"

namespace emotion::embedding {

// What the processor at hand can do.
struct CpuFeatures {
  bool bf16 = false;  // AVX-512 BF16 or AMX: half precision is faster than single, not slower

  static CpuFeatures OfThisMachine();
};

// The number format to compute in: the one asked for; else half precision where USE_FP16 allows it
// and the device gains from it; else fp32. `device` is resolved: "cpu" or "cuda...".
vision::Precision ChoosePrecision(const EmbeddingOptions& options, std::string_view device,
                                  const CpuFeatures& cpu);

// Errors: see vision::CreateEncoder and ReadPreprocessorConfig; NOT_FOUND, naming what to
// fetch, when there is no encoder in the models' folder.
absl::StatusOr<LoadedModel> LoadModel(const EmbeddingOptions& options);

}  // namespace emotion::embedding
