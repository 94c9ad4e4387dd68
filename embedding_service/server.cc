#include "embedding_service/server.h"

#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "common/hash/sha256.h"
#include "common/log/log.h"
#include "common/observe/trace.h"
#include "common/rpc/load_teller.h"
#include "common/rpc/server_host.h"
#include "common/sync/mutex.h"
#include "embedding_service/cache/tiered_cache.h"
#include "embedding_service/embed_backend.h"
#include "embedding_service/frame_pipeline.h"
#include "embedding_service/selftest.h"
#include "embedding_service/service.h"

namespace emotion::embedding {
namespace {

constexpr vision::ImageSize kHeadsInput = {112, 112};
constexpr int64_t kDecodeBytesPerThread = int64_t{64} << 20;

// torch's name of the type, as the first version logged it.
std::string_view DtypeName(vision::Precision precision) {
  switch (precision) {
    case vision::Precision::kBf16:
      return "torch.bfloat16";
    case vision::Precision::kFp16:
      return "torch.float16";
    case vision::Precision::kInt8:
    case vision::Precision::kMixedInt8:
      return "torch.int8";
    case vision::Precision::kFp32:
      break;
  }
  return "torch.float32";
}

int64_t PatchesOf(vision::ImageSize size, const vision::PreprocessorConfig& config) {
  return int64_t{size.width / config.patch_size} * (size.height / config.patch_size);
}

vision::ImagePreparer::Settings PreparerSettings(const EmbeddingOptions& options,
                                                 const vision::PreprocessorConfig& config) {
  return {.config = config, .limits = {.max_bytes = options.max_image_bytes}};
}

BatchRunner::Options RunnerOptions(const EmbeddingOptions& options, const LoadedModel& model,
                                   size_t batch_size, const SelfTestReport& tested) {
  const int64_t face = PatchesOf(kHeadsInput, model.preprocessor);
  return {.rules = {.max_frames = batch_size,
                    .max_patches = std::max<int64_t>(static_cast<int64_t>(batch_size) * face,
                                                     options.max_patches),
                    .queue_limit = options.queue_limit,
                    .patch_limit = std::max(BatchRules().patch_limit,
                                            static_cast<int64_t>(options.queue_limit) * face),
                    .wait_to_fill = options.batch_wait},
          .typical_patches = face,
          .measured = tested.measured,
          .make_fp32 = model.make_fp32};
}

void LogSelfTest(const SelfTestReport& tested) {
  const auto largest = tested.measured.back().duration;
  const double ms = std::chrono::duration<double, std::milli>(largest).count();
  if (tested.cosine) {
    LogInfo("self-test passed", {{"cosine", *tested.cosine}, {"largest_batch_ms", ms}});
  } else {
    LogInfo("self-test passed; without encoder/selftest.json only finiteness was checked",
            {{"largest_batch_ms", ms}});
  }
}

CacheOptions CacheOptionsOf(const EmbeddingOptions& options) {
  return {.local = {.capacity_bytes = options.cache_bytes,
                    .ttl = options.cache_ttl,
                    .near_threshold = options.cache_similarity_threshold},
          .redis = options.redis,
          .secret = options.cache_secret};
}

v1::SharedCache ToProto(SharedCacheState state) {
  switch (state) {
    case SharedCacheState::kOff:
      return v1::SHARED_CACHE_OFF;
    case SharedCacheState::kUp:
      return v1::SHARED_CACHE_UP;
    case SharedCacheState::kDown:
      return v1::SHARED_CACHE_DOWN;
  }
  return v1::SHARED_CACHE_UNSPECIFIED;
}

void LogCache(const EmbeddingOptions& options, const TieredCache& cache) {
  const bool near = options.cache_similarity_threshold < 1;
  const auto& redis = options.redis;
  LogInfo("the cache", {{"in_process_bytes", options.cache_bytes},
                        {"redis", redis ? redis->host : std::string("off")},
                        {"near", !near                 ? "off"
                                 : cache.shares_near() ? "shared"
                                                       : "in process"}});
  if (redis && options.cache_secret.empty()) {
    LogWarning(
        "CACHE_SECRET is not set: near matching stays in process, and values in Redis are guarded "
        "against accidents only");
  }
}

}  // namespace

class EmbeddingServer::Impl {
 public:
  Impl(const EmbeddingOptions& options, Deps deps)
      : options_(options),
        deps_(std::move(deps)),
        cache_(CacheOptionsOf(options), deps_.metrics),
        backend_({.limits = {.max_image_bytes = options.max_image_bytes,
                             .max_timeout = options.default_timeout,
                             .max_patches = options.max_patches},
                  .window_frames = static_cast<uint32_t>(options.queue_limit),
                  .replica_id = MakeRequestId(),
                  .server_version = EMOTION_VERSION,
                  .shared_cache = [this] { return ToProto(cache_.shared_state()); }},
                 deps_.metrics),
        service_(backend_, cache_, options.queue_limit, deps_.metrics) {}

  ~Impl() { Stop(std::chrono::steady_clock::now()); }

  absl::Status Listen() {
    auto host = ServerHost::Start({.listen = options_.listen,
                                   .services = {&service_},
                                   .names = {"emotion.v1.EmbeddingService"},
                                   .tls = options_.tls});
    if (!host.ok()) return host.status();
    host_ = *std::move(host);
    LogCache(options_, cache_);
    loading_ = std::thread([this] { Load(); });
    // For routing and pace.
    teller_ = std::make_unique<LoadTeller>(
        [this] { return backend_.MakeLoad(); },
        [this](const v1::Load& load) { service_.streams().TellLoad(load); });
    return absl::OkStatus();
  }

  int port() const { return host_->port(); }
  std::shared_ptr<grpc::Channel> InProcessChannel() { return host_->InProcessChannel(); }
  LocalStreamMaker<EmbedHop> LocalStreams() {
    return [this] { return service_.NewStream(); };
  }
  bool ready() const { return ready_; }
  std::string Addresses() const { return "grpc " + BoundAddress(options_.listen, port()); }

  Held held() const {
    const std::shared_ptr<FramePipeline> pipeline = this->pipeline();
    if (!pipeline) return {};
    const FramePipeline::Held held = pipeline->held();
    return {.frames = held.frames, .flights = held.flights};
  }

  void BeginDrain(std::chrono::milliseconds stop_sending_within) {
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
      ready_ = false;
      host_->SetServing(false);
    }
    service_.streams().BeginDrain(stop_sending_within);
  }

  void Stop(std::chrono::steady_clock::time_point deadline) {
    if (host_ == nullptr || !loading_.joinable()) return;
    BeginDrain(std::chrono::milliseconds(0));
    teller_->Stop();
    if (const auto pipeline = this->pipeline()) pipeline->BeginDrain();
    host_->Shutdown(deadline);
    loading_.join();
    if (const auto pipeline = this->pipeline()) pipeline->Stop();
    cache_.Stop();
  }

 private:
  std::shared_ptr<FramePipeline> pipeline() const {
    const MutexLock lock(mutex_);
    return pipeline_;
  }

  bool stopping() const {
    const MutexLock lock(mutex_);
    return stopping_;
  }

  void Load() {
    const absl::Status status = LoadAndTest();
    if (stopping()) return;  // nobody waits for it any more
    if (!status.ok()) {
      LogError("the model could not be loaded", {{"error", std::string(status.message())}});
    }
    if (deps_.loaded) deps_.loaded(status);
  }

  absl::Status LoadAndTest() {
    LogInfo("Loading Qwen2.5-VL model...");
    absl::StatusOr<LoadedModel> model = deps_.load();
    if (!model.ok()) return model.status();
    const vision::EncoderInfo info = model->encoder->info();
    LogInfo(fmt::format("Vision model loaded with dtype: {}", DtypeName(info.precision)));
    const size_t batch_size = BatchSizeOn(options_, info.device);
    const vision::ImagePreparer preparer(PreparerSettings(options_, model->preprocessor));
    auto tested = RunSelfTest(*model->encoder, preparer, kHeadsInput, batch_size, model->directory);
    if (!tested.ok()) return tested.status();
    LogSelfTest(*tested);
    for (const auto& encoder : model->on_more_devices) {
      const auto other = RunSelfTest(*encoder, preparer, kHeadsInput, batch_size, model->directory);
      if (!other.ok()) return other.status();
      LogSelfTest(*other);
    }
    Serve(*std::move(model), batch_size, *tested);
    if (stopping()) return absl::OkStatus();
    LogModel(info, batch_size);
    return absl::OkStatus();
  }

  void Serve(LoadedModel model, size_t batch_size, const SelfTestReport& tested) {
    const vision::EncoderInfo info = model.encoder->info();
    cache_.ServeModel({.fingerprint = info.fingerprint,
                       .precision = info.precision,
                       .dim = static_cast<size_t>(info.dim)});
    cache_.AwaitFirstState();  // who is ready says how its cache is; most models take longer
    BatchRunner::Options runner_options = RunnerOptions(options_, model, batch_size, tested);
    BatchRunner::Encoders encoders = std::move(model.on_more_devices);
    encoders.insert(encoders.begin(), std::move(model.encoder));
    auto runner = std::make_unique<BatchRunner>(std::move(runner_options), std::move(encoders),
                                                deps_.metrics);
    auto pipeline = std::make_shared<FramePipeline>(
        FramePipeline::Options{
            .preparer = PreparerSettings(options_, model.preprocessor),
            .max_patches = options_.max_patches,
            .decode_threads = options_.decode_threads,
            .decode_memory_bytes =
                static_cast<int64_t>(options_.decode_threads) * kDecodeBytesPerThread,
            .queue_limit = options_.queue_limit,
            .near_matching = options_.cache_similarity_threshold < 1},
        std::move(runner), cache_, deps_.metrics);
    const MutexLock lock(mutex_);
    pipeline_ = pipeline;
    if (stopping_) return;
    backend_.Open(std::move(pipeline), static_cast<uint32_t>(batch_size));
    host_->SetServing(true);
    ready_ = true;
  }

  void LogModel(const vision::EncoderInfo& info, size_t batch_size) {
    const std::string fingerprint = Hex(info.fingerprint);
    deps_.metrics.SetModel(fingerprint, vision::PrecisionName(info.precision), info.demo);
    LogInfo("the embedding service is ready", {{"model", info.name},
                                               {"fingerprint", fingerprint},
                                               {"device", info.device},
                                               {"devices", options_.devices.size()},
                                               {"batch_size", batch_size},
                                               {"port", host_->port()}});
    if (info.demo) {
      LogWarning("DEMO MODEL: its embeddings are no measurement of anyone");
    }
  }

  const EmbeddingOptions options_;
  const Deps deps_;
  TieredCache cache_;
  EmbedBackend backend_;
  Service service_;

  mutable Mutex mutex_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::shared_ptr<FramePipeline> pipeline_ GUARDED_BY(mutex_);
  std::atomic<bool> ready_ = false;

  std::unique_ptr<ServerHost> host_;
  std::thread loading_;
  std::unique_ptr<LoadTeller> teller_;  // last: they use all of the above
};

absl::StatusOr<std::unique_ptr<EmbeddingServer>> EmbeddingServer::Start(
    const EmbeddingOptions& options, Deps deps) {
  auto impl = std::make_unique<Impl>(options, std::move(deps));
  if (absl::Status listening = impl->Listen(); !listening.ok()) return listening;
  return std::unique_ptr<EmbeddingServer>(new EmbeddingServer(std::move(impl)));
}

EmbeddingServer::EmbeddingServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EmbeddingServer::~EmbeddingServer() = default;

int EmbeddingServer::port() const { return impl_->port(); }
std::shared_ptr<grpc::Channel> EmbeddingServer::InProcessChannel() {
  return impl_->InProcessChannel();
}
LocalStreamMaker<EmbedHop> EmbeddingServer::LocalStreams() { return impl_->LocalStreams(); }
bool EmbeddingServer::ready() const { return impl_->ready(); }
std::string EmbeddingServer::Addresses() const { return impl_->Addresses(); }
EmbeddingServer::Held EmbeddingServer::held() const { return impl_->held(); }
void EmbeddingServer::BeginDrain(std::chrono::milliseconds stop_sending_within) {
  impl_->BeginDrain(stop_sending_within);
}
void EmbeddingServer::Stop(std::chrono::steady_clock::time_point deadline) {
  impl_->Stop(deadline);
}

}  // namespace emotion::embedding
