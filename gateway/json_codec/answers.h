// Answers as JSON, written from the messages of the protocol.
//
// Members stand in the documented order; false and zero ones are always there, `similarity` and
// `face` only where they mean something. Numbers are finite and have fixed decimals: probabilities,
// confidence, expected_level and similarity 6, times 3.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "emotion/v1/classifier.pb.h"

namespace emotion::gateway {

using Milliseconds = std::chrono::duration<double, std::milli>;

// "miss", "exact", "near", "coalesced"; "miss" for what this release does not know.
std::string_view CacheOutcomeName(v1::CacheOutcome outcome);

// The object of one prediction. REQUIRES: result.status().code() == 0.
std::string PredictionJson(const v1::PredictResult& result, Milliseconds processing_time,
                           std::string_view request_id);

// The value of Server-Timing: "decode;dur=1.200, cache;dur=0.010, ...", in milliseconds.
std::string ServerTiming(const v1::StageTimes& times);

// The model card of GET /v1/model.
struct CardLimits {
  size_t max_image_bytes = 0;
  size_t max_batch_images = 0;
  size_t max_body_bytes = 0;
  std::chrono::milliseconds request_timeout{0};
};
std::string ModelCardJson(const v1::GetModelResponse& model, const CardLimits& limits);

}  // namespace emotion::gateway
