// One frame as the pipeline sees it, and its answer: plain values, no protocol types.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "embedding_service/cache/codec.h"
#include "embedding_service/cache/embedding_cache.h"
#include "vision/preprocess/image_preparer.h"

namespace emotion::embedding {

enum class CacheUse {
  kUse,
  kExactOnly,        // as kUse, without near-duplicate matching, in both directions
  kBypass,           // encode anew, then store
  kBypassExactOnly,  // as kBypass; no later frame is near to it
  kNoStore,          // neither look nor store
};

struct FrameRequest {
  std::string image;             // as it came
  SessionKey session = {};       // 16 bytes or empty
  std::string cache_scope = {};  // 16 bytes or empty
  uint32_t face_id = 0;          // of the session
  uint64_t sequence = 0;         // larger is newer within (session, face_id); 0: no live frame
  std::string subject = {};      // who shares a turn in the queue: the frame's fairness_key
  std::string request_id = {};
  std::chrono::milliseconds timeout{10'000};  // time left when it arrived
  int64_t accepted_at_us = 0;                 // Unix time at the first door
  CacheUse cache = CacheUse::kUse;
  bool interactive = true;
  bool resent = false;  // it was in flight when a replica died: share nothing with others
  vision::PrepareOptions prepare = {};  // its deadline is the pipeline's to set
};

enum class Outcome {
  kMiss,
  kExact,      // the same image was encoded before
  kNear,       // another frame of the same session and face was near enough
  kCoalesced,  // an identical frame in flight answered for this one
};

struct FrameTimes {
  std::chrono::nanoseconds decode{0};
  std::chrono::nanoseconds cache{0};  // exact and near
  std::chrono::nanoseconds queue{0};
  std::chrono::nanoseconds encode{0};
};

struct FrameResult {
  absl::Status status = absl::OkStatus();
  std::shared_ptr<const CachedEmbedding> embedding = nullptr;  // set when status is OK
  uint32_t quality_warnings = 0;  // of the frame itself, as in CachedEmbedding
  Outcome outcome = Outcome::kMiss;
  float similarity = 0;  // of kNear: to the frame that answers
  FrameTimes times = {};
  std::chrono::milliseconds next_frame_after{0};
};

using FrameDone = std::function<void(FrameResult)>;

}  // namespace emotion::embedding
