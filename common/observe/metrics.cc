#include "common/observe/metrics.h"

#include <array>
#include <atomic>
#include <map>
#include <tuple>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "common/sync/mutex.h"

namespace emotion {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using Buckets = Histogram::BucketBoundaries;

// From an exact cache hit (well below 1 ms) to the longest deadline (10 s), about x2 a step.
const Buckets& RequestSeconds() {
  static const Buckets buckets = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                  0.1,    0.25,  0.5,    1,     2.5,  5,     10};
  return buckets;
}

// Stages start lower: a lookup or a head takes microseconds.
const Buckets& StageSeconds() {
  static const Buckets buckets = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                  0.025,   0.05,   0.1,     0.25,   0.5,   1,      2.5,   10};
  return buckets;
}

const Buckets& BatchFrames() {
  static const Buckets buckets = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
  return buckets;
}

constexpr std::array<const char*, 6> kStageNames = {"decode", "cache",  "near",
                                                    "queue",  "encode", "classify"};
constexpr std::array<const char*, 2> kTierNames = {"local", "redis"};
constexpr std::array<const char*, 4> kOutcomeNames = {"exact", "near", "miss", "error"};
constexpr std::array<const char*, 8> kIncidentNames = {"nonfinite_rerun",
                                                       "out_of_memory",
                                                       "cache_value_refused",
                                                       "store_after_delete",
                                                       "model_mismatch",
                                                       "frame_refused",
                                                       "resend",
                                                       "watchdog"};

template <size_t kSize, class Enum>
const char* NameIn(const std::array<const char*, kSize>& names, Enum value) {
  return names.at(static_cast<size_t>(value));
}

double Seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string ReasonLabel(Reason reason) {
  const std::string_view name = ReasonName(reason);
  return std::string(name.empty() ? "UNSPECIFIED" : name);
}

// The series of a closed set, each made when it is first counted. To ask the family each time would
// cost microseconds of every frame: it makes the series before it finds that it has it.
template <class T, size_t kSize>
class SeriesSet {
 public:
  // `make` may run twice when two threads are first; both get the same series.
  template <class Make>
  T& At(size_t index, const Make& make) {
    std::atomic<T*>& slot = series_.at(index);
    T* series = slot.load(std::memory_order_acquire);
    if (series == nullptr) {
      series = &make();
      slot.store(series, std::memory_order_release);
    }
    return *series;
  }

 private:
  std::array<std::atomic<T*>, kSize> series_{};
};

}  // namespace

struct Metrics::Families {
  template <class T>
  Family<T>& Add(const char* name, const char* help) {
    if constexpr (std::is_same_v<T, Counter>) {
      return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
    } else if constexpr (std::is_same_v<T, Gauge>) {
      return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
    } else {
      return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
    }
  }

  prometheus::Registry registry;
  Family<Counter>& requests = Add<Counter>("emotion_requests_total", "Requests answered.");
  Family<Histogram>& durations =
      Add<Histogram>("emotion_request_duration_seconds", "From request to answer.");
  Family<Counter>& refused =
      Add<Counter>("emotion_requests_refused_total", "Requests refused before any work.");
  Family<Histogram>& stages =
      Add<Histogram>("emotion_stage_duration_seconds", "Time of a frame in one stage.");
  Gauge& queue_frames =
      Add<Gauge>("emotion_queue_frames", "Frames that wait for the encoder.").Add({});
  Gauge& queue_wait =
      Add<Gauge>("emotion_queue_wait_seconds", "Estimated wait of a frame that arrives now.")
          .Add({});
  Histogram& batch =
      Add<Histogram>("emotion_batch_frames", "Frames of one encode.").Add({}, BatchFrames());
  Family<Counter>& dropped =
      Add<Counter>("emotion_frames_dropped_total", "Accepted frames that ended without a result.");
  Histogram& answer_age =
      Add<Histogram>("emotion_answer_age_seconds", "From accepting a frame to answering it.")
          .Add({}, RequestSeconds());
  Family<Counter>& lookups = Add<Counter>(
      "emotion_cache_lookups_total",
      "Lookups in a tier of the cache; near counts on top of the miss of the same frame.");
  Family<Gauge>& cache_bytes = Add<Gauge>(
      "emotion_cache_bytes", "Bytes held by this process' own cache; Redis' are not in it.");
  Gauge& breaker =
      Add<Gauge>("emotion_redis_breaker_open", "1 while Redis is left alone after failures.")
          .Add({});
  Family<Gauge>& replicas = Add<Gauge>("emotion_replicas", "Known replicas of the next service.");
  Gauge& streams = Add<Gauge>("emotion_streams", "Open streams and sockets of callers.").Add({});
  Family<Counter>& predictions = Add<Counter>("emotion_predictions_total", "Levels predicted.");
  Family<Counter>& quality =
      Add<Counter>("emotion_quality_warnings_total", "Quality warnings on frames.");
  Family<Counter>& incidents = Add<Counter>("emotion_incidents_total", "Rare events worth a look.");
  Family<Gauge>& gpu_memory = Add<Gauge>("emotion_gpu_memory_bytes", "Memory of the GPU.");
  Family<Counter>& reloads = Add<Counter>("emotion_model_reloads_total", "Reloads of the model.");
  Family<Gauge>& certificates = Add<Gauge>("emotion_tls_certificate_expiry_timestamp_seconds",
                                           "When a certificate ends, Unix time.");
  Family<Gauge>& build = Add<Gauge>("emotion_build_info", "Version of this process; always 1.");
  Family<Gauge>& model = Add<Gauge>("emotion_model_info", "Model in use; always 1.");

  // Counted for every frame.
  SeriesSet<Histogram, kStageNames.size()> stage_series;
  SeriesSet<Counter, kTierNames.size() * kOutcomeNames.size()> lookup_series;
  SeriesSet<Counter, kStateCount * kLevelCount> prediction_series;

  struct RequestSeries {
    Counter* count;
    Histogram* duration;
  };
  using RequestKey = std::tuple<std::string, std::string, std::string>;  // service, method, code
  Mutex request_mutex;
  std::map<RequestKey, RequestSeries, std::less<>> request_series GUARDED_BY(request_mutex);

  RequestSeries SeriesOf(std::string_view service, std::string_view method, std::string_view code) {
    const MutexLock lock(request_mutex);
    const auto found = request_series.find(std::tie(service, method, code));
    if (found != request_series.end()) return found->second;
    const prometheus::Labels who = {{"service", std::string(service)},
                                    {"method", std::string(method)}};
    prometheus::Labels outcome = who;
    outcome.emplace("code", code);
    const RequestSeries series = {.count = &requests.Add(outcome),
                                  .duration = &durations.Add(who, RequestSeconds())};
    request_series.emplace(RequestKey(service, method, code), series);
    return series;
  }

  Mutex model_mutex;
  Gauge* current_model GUARDED_BY(model_mutex) = nullptr;
};

Metrics::Metrics(const BuildInfo& build) : families_(std::make_unique<Families>()) {
  families_->build.Add({{"version", build.version}, {"commit", build.commit}}).Set(1);
  // Series of closed sets exist from the start, so that rates and alerts see their first increment.
  for (const char* stage : kStageNames) families_->stages.Add({{"stage", stage}}, StageSeconds());
  for (const char* kind : kIncidentNames) families_->incidents.Add({{"kind", kind}});
}

Metrics::~Metrics() = default;

void Metrics::Request(std::string_view service, std::string_view method, std::string_view code,
                      std::chrono::nanoseconds duration) {
  const Families::RequestSeries series = families_->SeriesOf(service, method, code);
  series.count->Increment();
  series.duration->Observe(Seconds(duration));
}

void Metrics::Refused(Reason reason) {
  families_->refused.Add({{"reason", ReasonLabel(reason)}}).Increment();
}

void Metrics::StageTime(Stage stage, std::chrono::nanoseconds duration) {
  families_->stage_series
      .At(static_cast<size_t>(stage),
          [&]() -> Histogram& {
            return families_->stages.Add({{"stage", NameIn(kStageNames, stage)}}, StageSeconds());
          })
      .Observe(Seconds(duration));
}

void Metrics::SetQueueFrames(int64_t frames) {
  families_->queue_frames.Set(static_cast<double>(frames));
}
void Metrics::SetQueueWait(std::chrono::milliseconds wait) {
  families_->queue_wait.Set(Seconds(wait));
}
void Metrics::Batch(size_t frames) { families_->batch.Observe(static_cast<double>(frames)); }

void Metrics::FrameDropped(Reason reason) {
  families_->dropped.Add({{"reason", ReasonLabel(reason)}}).Increment();
}
void Metrics::AnswerAge(std::chrono::nanoseconds age) {
  families_->answer_age.Observe(Seconds(age));
}

void Metrics::CacheLookup(CacheTier tier, LookupOutcome outcome) {
  const size_t index =
      static_cast<size_t>(tier) * kOutcomeNames.size() + static_cast<size_t>(outcome);
  families_->lookup_series
      .At(index,
          [&]() -> Counter& {
            return families_->lookups.Add(
                {{"tier", NameIn(kTierNames, tier)}, {"outcome", NameIn(kOutcomeNames, outcome)}});
          })
      .Increment();
}
void Metrics::SetLocalCacheBytes(int64_t bytes) {
  families_->cache_bytes.Add({{"tier", NameIn(kTierNames, CacheTier::kLocal)}})
      .Set(static_cast<double>(bytes));
}
void Metrics::SetRedisBreakerOpen(bool open) { families_->breaker.Set(open ? 1 : 0); }

void Metrics::SetReplicas(std::string_view service, std::string_view state, int64_t replicas) {
  families_->replicas.Add({{"service", std::string(service)}, {"state", std::string(state)}})
      .Set(static_cast<double>(replicas));
}
void Metrics::AddStreams(int64_t delta) {
  families_->streams.Increment(static_cast<double>(delta));
}

void Metrics::Prediction(State state, int level) {
  const size_t index = static_cast<size_t>(state) * kLevelCount + static_cast<size_t>(level);
  families_->prediction_series
      .At(index,
          [&]() -> Counter& {
            return families_->predictions.Add(
                {{"state", std::string(StateName(state))}, {"level", std::to_string(level)}});
          })
      .Increment();
}
void Metrics::QualityWarning(std::string_view warning) {
  families_->quality.Add({{"warning", std::string(warning)}}).Increment();
}
void Metrics::Incident(IncidentKind kind) {
  families_->incidents.Add({{"kind", NameIn(kIncidentNames, kind)}}).Increment();
}

void Metrics::SetGpuMemory(std::string_view device, std::string_view kind, int64_t bytes) {
  families_->gpu_memory.Add({{"device", std::string(device)}, {"kind", std::string(kind)}})
      .Set(static_cast<double>(bytes));
}
void Metrics::ModelReload(bool ok) {
  families_->reloads.Add({{"result", ok ? "ok" : "failed"}}).Increment();
}
void Metrics::SetCertificateExpiry(std::string_view certificate,
                                   std::chrono::system_clock::time_point expiry) {
  const auto seconds = std::chrono::duration<double>(expiry.time_since_epoch()).count();
  families_->certificates.Add({{"certificate", std::string(certificate)}}).Set(seconds);
}

void Metrics::SetModel(std::string_view fingerprint_hex, std::string_view precision, bool demo) {
  Gauge& gauge = families_->model.Add({{"fingerprint", std::string(fingerprint_hex)},
                                       {"precision", std::string(precision)},
                                       {"demo", demo ? "true" : "false"}});
  MutexLock lock(families_->model_mutex);
  if (families_->current_model != nullptr && families_->current_model != &gauge) {
    families_->model.Remove(families_->current_model);
  }
  families_->current_model = &gauge;
  gauge.Set(1);
}

std::string Metrics::Text() const {
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

}  // namespace emotion
