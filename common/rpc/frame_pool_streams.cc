#include <algorithm>

#include "common/error/error.h"
#include "common/log/log.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/frame_pool_impl.h"
#include "common/rpc/replica_choice.h"
#include "common/rpc/status.h"

namespace emotion {
namespace {

constexpr uint32_t kProtocol = 1;
constexpr const char* kInProcessAddress = "in-process";
// A server that accepts the stream and does not say Welcome is not one of ours.
constexpr std::chrono::seconds kWelcomePatience{10};
// Of a peer that states none: enough to keep it busy.
constexpr uint32_t kDefaultWindow = 64;

// Opens the stream of a hop with the stub's method of its own name.
void Open(v1::EmbeddingService::Stub& stub, grpc::ClientContext* context,
          grpc::ClientBidiReactor<v1::EmbedStreamRequest, v1::EmbedStreamResponse>* reactor) {
  stub.async()->EmbedStream(context, reactor);
}
void Open(v1::ClassifierService::Stub& stub, grpc::ClientContext* context,
          grpc::ClientBidiReactor<v1::PredictStreamRequest, v1::PredictStreamResponse>* reactor) {
  stub.async()->PredictStream(context, reactor);
}

// The model that a message says the classifier changed to; embedding services never say so.
const std::string* ChangedModel(const v1::EmbedStreamResponse&) { return nullptr; }
const std::string* ChangedModel(const v1::PredictStreamResponse& response) {
  return response.has_model_changed() ? &response.model_changed().model() : nullptr;
}

uint32_t WindowOr(uint32_t stated, uint32_t fallback) { return stated > 0 ? stated : fallback; }

// OFF is no failure, DOWN is one.
int Badness(v1::SharedCache cache) { return cache == v1::SHARED_CACHE_DOWN ? 4 : cache; }

constexpr std::chrono::milliseconds kInProcessRetry{100};

}  // namespace

template <class Hop>
FramePool<Hop>::Impl::Impl(Options options, LocalStreamMaker<Hop> local)
    : options_(std::move(options)),
      local_(std::move(local)),
      grace_until_(Clock::now() + options_.start_grace),
      patience_until_(grace_until_) {}

template <class Hop>
void FramePool<Hop>::Impl::Start() {
  timers_.At(grace_until_, [this] { EndPatience(); });
  if (options_.in_process) {
    TakeAddresses({{kInProcessAddress, ""}});
    return;
  }
  auto resolver = std::make_unique<Resolver>(
      options_.targets, options_.resolve_period,
      [this](const std::vector<ResolvedAddress>& addresses) { TakeAddresses(addresses); });
  MutexLock lock(mutex_);  // what it found already may use it
  resolver_ = std::move(resolver);
}

template <class Hop>
void FramePool<Hop>::Impl::TakeAddresses(const std::vector<ResolvedAddress>& addresses) {
  Effects effects;
  std::vector<std::shared_ptr<Replica>> added;
  {
    MutexLock lock(mutex_);
    if (closed_) return;
    std::set<std::string> names;
    for (const ResolvedAddress& address : addresses) {
      names.insert(address.address);
      const auto known = replicas_.find(address.address);
      if (known != replicas_.end()) {
        known->second->present = true;
        continue;
      }
      AddReplica(address);
      added.push_back(replicas_.at(address.address));
    }
    for (const auto& [name, replica] : std::map(replicas_)) {
      if (!names.contains(name)) RemoveReplica(*replica, effects);
    }
    if (!added.empty()) Changed(effects);
  }
  for (const auto& replica : added) Connect(replica);
  Perform(effects);
}

template <class Hop>
void FramePool<Hop>::Impl::AddReplica(const ResolvedAddress& address) {
  auto replica = std::make_shared<Replica>();
  replica->address = address.address;
  replica->address_hash = HashAddress(address.address);
  replica->channel = options_.in_process ? options_.in_process
                                         : MakeChannel(address.address, options_.tls, address.host);
  replica->stub = Hop::Service::NewStub(replica->channel);
  // A server of this process refuses streams only while its model loads, and costs nothing to ask.
  if (options_.in_process) replica->backoff = Backoff(kInProcessRetry, kInProcessRetry);
  replicas_[address.address] = std::move(replica);
}

// Its address is gone: it gets no more frames and is forgotten when its stream ends.
template <class Hop>
void FramePool<Hop>::Impl::RemoveReplica(Replica& replica, Effects& effects) {
  replica.present = false;
  if (replica.stream) {
    StartDraining(*replica.stream, effects);
    EndIfDrained(*replica.stream, effects);
  } else {
    const std::string address = replica.address;
    replicas_.erase(address);
    Changed(effects);
  }
}

template <class Hop>
void FramePool<Hop>::Impl::Connect(const std::shared_ptr<Replica>& replica) {
  std::shared_ptr<Stream> stream;
  {
    MutexLock lock(mutex_);
    if (closed_ || replica->stream || !replica->present || replica->retired) return;
    stream = std::make_shared<Stream>(this->shared_from_this(), replica);
    replica->stream = stream;
    ++open_streams_;
    timers_.At(Clock::now() + kWelcomePatience, [weak = std::weak_ptr<Stream>(stream)] {
      if (const auto slow = weak.lock()) slow->pool->EndIfNotWelcome(*slow);
    });
  }
  if (local_) return LocalStream<Request, Response>::Start(stream, local_());
  StartClientSession<Request, Response>(
      [stub = replica->stub](grpc::ClientContext* context, auto* reactor) {
        Open(*stub, context, reactor);
      },
      stream);
}

template <class Hop>
void FramePool<Hop>::Impl::EndIfNotWelcome(Stream& stream) {
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mutex_);
    if (stream.phase == Phase::kOpening) session = stream.session;
  }
  if (session) session->Cancel();
}

template <class Hop>
void FramePool<Hop>::Impl::StreamOpened(Stream& stream, std::shared_ptr<Session> session) {
  bool closed = false;
  {
    MutexLock lock(mutex_);
    stream.session = session;
    closed = closed_;
  }
  if (closed) return session->Cancel();
  Request request;
  request.mutable_hello()->set_protocol(kProtocol);
  request.mutable_hello()->set_client(options_.client_name);
  session->Send(std::move(request));
}

template <class Hop>
void FramePool<Hop>::Impl::StreamSaid(const std::shared_ptr<Stream>& stream, Response response) {
  if (response.has_welcome()) {
    TakeWelcome(stream, std::move(*response.mutable_welcome()));
    return;
  }
  Effects effects;
  {
    MutexLock lock(mutex_);
    if (response.has_result()) {
      TakeResult(stream, std::move(*response.mutable_result()), effects);
    } else if (response.has_load()) {
      stream->load = response.load();
      stream->window = WindowOr(response.load().window_frames(), stream->window);
      ServeLine(effects);
    } else if (response.has_drain()) {
      StartDraining(*stream, effects);
      EndIfDrained(*stream, effects);
    } else if (const std::string* model = ChangedModel(response)) {
      stream->welcome.set_model(*model);
      Changed(effects);
    }
  }
  Perform(effects);
}

template <class Hop>
void FramePool<Hop>::Impl::TakeWelcome(const std::shared_ptr<Stream>& stream, v1::Welcome welcome) {
  const Verdict verdict = Judge(welcome);
  Effects effects;
  {
    MutexLock lock(mutex_);
    if (closed_ || stream->phase != Phase::kOpening) return;
    stream->window = WindowOr(welcome.window_frames(), kDefaultWindow);
    stream->welcome = std::move(welcome);
    stream->phase = verdict == Verdict::kUse ? Phase::kReady : Phase::kMismatch;
    stream->replica->backoff.Reset();
    if (verdict == Verdict::kMismatch && options_.metrics != nullptr) {
      options_.metrics->Incident(IncidentKind::kModelMismatch);
    }
    DispatchWaiting(effects);
    Changed(effects);
    LogInfo(verdict == Verdict::kUse ? "replica ready" : "replica has another model",
            {{"hop", Hop::kName},
             {"replica", stream->replica->address},
             {"replica_id", stream->welcome.replica_id()}});
  }
  Perform(effects);
}

template <class Hop>
void FramePool<Hop>::Impl::StartDraining(Stream& stream, Effects& effects) {
  if (stream.phase == Phase::kDraining || stream.phase == Phase::kOver) return;
  stream.phase = Phase::kDraining;
  // An in-process server that drains is about to be shut down, and must not be called after that.
  if (options_.in_process) stream.replica->retired = true;
  Changed(effects);
}

template <class Hop>
void FramePool<Hop>::Impl::EndIfDrained(Stream& stream, Effects& effects) {
  if (stream.phase != Phase::kDraining || !stream.outstanding.empty() || !stream.session) return;
  effects.push_back([session = stream.session] { session->HalfClose(); });
}

template <class Hop>
void FramePool<Hop>::Impl::StreamClosed(const std::shared_ptr<Stream>& stream,
                                        const grpc::Status& status) {
  Effects effects;
  {
    MutexLock lock(mutex_);
    const std::shared_ptr<Replica>& replica = stream->replica;
    const bool crashed = stream->phase != Phase::kDraining;
    const bool was_open = stream->phase != Phase::kOpening;
    stream->phase = Phase::kOver;
    if (replica->stream == stream) replica->stream = nullptr;
    for (const uint64_t id : std::exchange(stream->outstanding, {})) {
      const auto ticket = tickets_.find(id);
      if (ticket != tickets_.end() && ticket->second.stream == stream) Resend(id, crashed, effects);
    }
    if (!closed_) {
      if (was_open) {
        LogWarning("replica's stream ended", {{"hop", Hop::kName},
                                              {"replica", replica->address},
                                              {"code", static_cast<int>(status.error_code())},
                                              {"detail", status.error_message()}});
      }
      if (replica->present) {
        ScheduleConnect(replica);
      } else {
        replicas_.erase(replica->address);
      }
      if (resolver_) resolver_->Kick();
      Changed(effects);
    }
  }
  Perform(effects);
  MutexLock lock(mutex_);
  --open_streams_;
  streams_changed_.NotifyAll();
}

template <class Hop>
void FramePool<Hop>::Impl::ScheduleConnect(const std::shared_ptr<Replica>& replica) {
  timers_.At(Clock::now() + replica->backoff.Next(Fraction()),
             [this, replica] { Connect(replica); });
}

template <class Hop>
Verdict FramePool<Hop>::Impl::Judge(const v1::Welcome& welcome) const {
  return options_.judge ? options_.judge(welcome) : Verdict::kUse;
}

template <class Hop>
void FramePool<Hop>::Impl::Rejudge() {
  std::vector<std::pair<std::shared_ptr<Stream>, v1::Welcome>> judged;
  {
    MutexLock lock(mutex_);
    for (const auto& [address, replica] : replicas_) {
      const auto& stream = replica->stream;
      if (!stream) continue;
      if (stream->phase == Phase::kReady || stream->phase == Phase::kMismatch) {
        judged.emplace_back(stream, stream->welcome);
      }
    }
  }
  Effects effects;
  bool changed = false;
  for (const auto& [stream, welcome] : judged) {
    const Phase phase = Judge(welcome) == Verdict::kUse ? Phase::kReady : Phase::kMismatch;
    MutexLock lock(mutex_);
    const bool settled = stream->phase == Phase::kReady || stream->phase == Phase::kMismatch;
    if (!settled || stream->phase == phase) continue;
    stream->phase = phase;
    changed = true;
  }
  if (changed) {
    MutexLock lock(mutex_);
    DispatchWaiting(effects);
    Changed(effects);
  }
  Perform(effects);
}

template <class Hop>
void FramePool<Hop>::Impl::Changed(Effects& effects) {
  NoteReplicas();
  if (options_.metrics != nullptr) {
    const PoolState state = CountReplicas();
    Metrics& metrics = *options_.metrics;
    metrics.SetReplicas(Hop::kName, "ready", state.ready);
    metrics.SetReplicas(Hop::kName, "mismatch", state.mismatch);
    metrics.SetReplicas(Hop::kName, "draining", state.draining);
    metrics.SetReplicas(Hop::kName, "connecting",
                        state.total - state.ready - state.mismatch - state.draining);
  }
  if (options_.on_change) effects.push_back(options_.on_change);
}

template <class Hop>
PoolState FramePool<Hop>::Impl::CountReplicas() const {
  PoolState state;
  for (const auto& [address, replica] : replicas_) {
    ++state.total;
    if (!replica->stream) continue;
    const Stream& stream = *replica->stream;
    state.mismatch += stream.phase == Phase::kMismatch ? 1 : 0;
    state.draining += stream.phase == Phase::kDraining ? 1 : 0;
    if (stream.phase != Phase::kReady) continue;
    if (Badness(stream.load.shared_cache()) > Badness(state.shared_cache)) {
      state.shared_cache = stream.load.shared_cache();
    }
    if (++state.ready == 1) state.welcome = stream.welcome;
  }
  const v1::Load least = LeastLoad();
  state.queue_wait = std::chrono::milliseconds(least.queue_wait_ms());
  state.next_frame_after = std::chrono::milliseconds(least.next_frame_after_ms());
  return state;
}

// The times of the ready replica in which a frame waits least; zeros without one.
template <class Hop>
v1::Load FramePool<Hop>::Impl::LeastLoad() const {
  const v1::Load* least = nullptr;
  for (const auto& [address, replica] : replicas_) {
    if (!replica->stream || replica->stream->phase != Phase::kReady) continue;
    const v1::Load& load = replica->stream->load;
    if (least == nullptr || load.queue_wait_ms() < least->queue_wait_ms()) least = &load;
  }
  return least == nullptr ? v1::Load() : *least;
}

template <class Hop>
PoolState FramePool<Hop>::Impl::State() const {
  MutexLock lock(mutex_);
  return CountReplicas();
}

template <class Hop>
std::vector<std::shared_ptr<grpc::Channel>> FramePool<Hop>::Impl::Channels() const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (const auto& [address, replica] : replicas_) {
    if (!replica->retired) channels.push_back(replica->channel);
  }
  return channels;
}

template class FramePool<EmbedHop>::Impl;
template class FramePool<PredictHop>::Impl;

}  // namespace emotion
