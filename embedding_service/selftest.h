// What an encoder must show before it may serve: one finite encode of each batch size that will
// occur, and, where `selftest.json` lies beside the weights, the vector that the fp32 path once
// gave for the picture named in it:
//
//   {"image": "selftest.png", "width": 112, "height": 112, "embedding": [dim numbers]}
//
// The picture lies in the same folder and is resized to width x height, EXIF ignored.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "embedding_service/batching/encode_pace.h"
#include "vision/encoder/vision_encoder.h"
#include "vision/preprocess/image_preparer.h"

namespace emotion::embedding {

struct SelfTestReport {
  std::vector<MeasuredEncode> measured;  // one of each batch size, the largest last
  std::optional<double> cosine;          // to selftest.json's vector; unset: there is no such file
};

// Blocks for several encodes: an encode that took less than a second is done again and counts with
// its second time, since the first one of a size also prepares things. `heads_input` is the usual
// size of a face, in pixels. Errors: the encoder's; FAILED_PRECONDITION when a vector is not
// finite, or the cosine is below 0.999 (0.99 where the encoder computes in int8); INVALID_ARGUMENT
// for a selftest.json that is none. Where a batch of more than one runs out of device memory a log
// line says so and larger ones are not tried.
absl::StatusOr<SelfTestReport> RunSelfTest(vision::VisionEncoder& encoder,
                                           const vision::ImagePreparer& preparer,
                                           vision::ImageSize heads_input, size_t max_batch,
                                           const std::filesystem::path& directory);

}  // namespace emotion::embedding
