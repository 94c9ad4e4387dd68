// Answers of the pipeline as protocol messages.
#pragma once

#include "embedding_service/frame_request.h"
#include "emotion/v1/embedding.pb.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::embedding {

// `result` as the wire carries it; the embedding in fp16. Not the frame_id.
v1::EmbedResult ToEmbedResult(const FrameResult& result, const vision::EncoderInfo& encoder);

// A result that says only why there is none.
v1::EmbedResult FailedResult(const absl::Status& status);

// fp16 values to fp32, exactly.
void WidenToFp32(v1::Embedding& embedding);

v1::Precision ToProto(vision::Precision precision);

}  // namespace emotion::embedding
