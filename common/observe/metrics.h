// What the process counts and measures, for Prometheus. One Metrics per process, owned by main and
// passed by reference; every function is safe from any thread and cheap (a hash lookup and
// atomics).
//
// Names and labels are public: dashboards and alerts are built on them. Labels come from closed
// sets; never pass a session, subject, address or id.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/affect/affect.h"
#include "common/error/error.h"

namespace emotion {

enum class Stage { kDecode, kCache, kNear, kQueue, kEncode, kClassify };
enum class CacheTier { kLocal, kRedis };
enum class LookupOutcome { kExact, kNear, kMiss, kError };
enum class IncidentKind {
  kNonfiniteRerun,
  kOutOfMemory,
  kCacheValueRefused,
  kStoreAfterDelete,
  kModelMismatch,
  kFrameRefused,
  kResend,
  kWatchdog,
};

struct BuildInfo {
  std::string version;  // such as "0.1.0"
  std::string commit;   // empty: unknown
};

class Metrics {
 public:
  explicit Metrics(const BuildInfo& build);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // emotion_requests_total{service,method,code} and
  // emotion_request_duration_seconds{service,method}. `code` is gRPC's name (CodeName) or the HTTP
  // status as text.
  void Request(std::string_view service, std::string_view method, std::string_view code,
               std::chrono::nanoseconds duration);
  // emotion_requests_refused_total{reason}: refused at a door, before any work.
  void Refused(Reason reason);

  // emotion_stage_duration_seconds{stage}.
  void StageTime(Stage stage, std::chrono::nanoseconds duration);

  // emotion_queue_frames; emotion_queue_wait_seconds: the estimate for a frame that arrives now.
  void SetQueueFrames(int64_t frames);
  void SetQueueWait(std::chrono::milliseconds wait);
  // emotion_batch_frames: frames of one encode.
  void Batch(size_t frames);
  // emotion_frames_dropped_total{reason}: accepted, and not answered with a result.
  void FrameDropped(Reason reason);
  // emotion_answer_age_seconds: from the acceptance of a frame at the first door to its answer.
  void AnswerAge(std::chrono::nanoseconds age);

  // emotion_cache_lookups_total{tier,outcome}. Each frame is looked for exactly, tier by tier, and
  // a tier that was asked counts one of exact, miss and error. Where a near frame answers after
  // that, the tier that knew it counts near on top of the misses.
  void CacheLookup(CacheTier tier, LookupOutcome outcome);
  // emotion_cache_bytes{tier="local"}: what this process holds. What Redis holds, Redis knows.
  void SetLocalCacheBytes(int64_t bytes);
  // emotion_redis_breaker_open.
  void SetRedisBreakerOpen(bool open);

  // emotion_replicas{service,state}: replicas of `service` ("embedding", "classifier") that this
  // process knows, by state: "ready", "connecting", "mismatch", "draining".
  void SetReplicas(std::string_view service, std::string_view state, int64_t replicas);
  // emotion_streams: open streams and sockets of callers. Add 1 at the start, -1 at the end.
  void AddStreams(int64_t delta);

  // emotion_predictions_total{state,level}. REQUIRES: 0 <= level < kLevelCount.
  void Prediction(State state, int level);
  // emotion_quality_warnings_total{warning}: "too_dark" and so on, as in REST.
  void QualityWarning(std::string_view warning);
  // emotion_incidents_total{kind}: things that should be rare, each worth a look.
  void Incident(IncidentKind kind);

  // emotion_gpu_memory_bytes{device,kind}: kind "used" or "total".
  void SetGpuMemory(std::string_view device, std::string_view kind, int64_t bytes);
  // emotion_model_reloads_total{result}: "ok" or "failed".
  void ModelReload(bool ok);
  // emotion_tls_certificate_expiry_timestamp_seconds{certificate}: "http" or "grpc".
  void SetCertificateExpiry(std::string_view certificate,
                            std::chrono::system_clock::time_point expiry);
  // emotion_model_info{fingerprint,precision,demo}: always 1; replaces what was set before.
  void SetModel(std::string_view fingerprint_hex, std::string_view precision, bool demo);

  // The exposition in Prometheus' text format 0.0.4.
  std::string Text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace emotion
