#include "classifier_service/batch_call.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "common/error/error.h"
#include "common/rpc/frame_call.h"
#include "fmt/format.h"

namespace emotion::classifier {
namespace {

// The mode without its near matching. What a later release knows is left to who knows it.
v1::CacheMode ExactOnly(v1::CacheMode mode) {
  switch (mode) {
    case v1::CACHE_MODE_UNSPECIFIED:
    case v1::CACHE_MODE_USE:
      return v1::CACHE_MODE_EXACT_ONLY;
    case v1::CACHE_MODE_BYPASS:
      return v1::CACHE_MODE_BYPASS_EXACT_ONLY;
    default:
      return mode;
  }
}

}  // namespace

absl::Status CheckBatch(const v1::PredictBatchRequest& request, size_t max_frames) {
  const auto count = static_cast<size_t>(request.frames_size());
  if (count == 0 || count > max_frames) {
    return FieldError("frames", fmt::format("must be 1 to {}; was {}", max_frames, count));
  }
  std::set<uint64_t> ids;
  for (int i = 0; i < request.frames_size(); ++i) {
    const uint64_t id = request.frames(i).frame_id();
    if (id != 0 && !ids.insert(id).second) {
      return FieldError(fmt::format("frames[{}].frame_id", i), fmt::format("{} repeats", id));
    }
  }
  return absl::OkStatus();
}

void RestrictCaching(std::vector<v1::Frame>& frames) {
  std::map<std::pair<std::string, uint32_t>, size_t> faces;
  for (const v1::Frame& frame : frames) ++faces[{frame.session_key(), frame.face_id()}];
  for (v1::Frame& frame : frames) {
    if (faces[{frame.session_key(), frame.face_id()}] > 1) {
      frame.set_cache_mode(ExactOnly(frame.cache_mode()));
    }
  }
}

grpc::ServerUnaryReactor* BatchCall::Start(FrameBackend<v1::PredictResult>& backend,
                                           grpc::CallbackServerContext* context,
                                           const v1::PredictBatchRequest& request,
                                           v1::PredictBatchResponse* response, Observe observe) {
  std::vector<v1::Frame> frames(request.frames().begin(), request.frames().end());
  RestrictCaching(frames);
  auto* call = new BatchCall(backend, response, frames.size(), std::move(observe));
  for (size_t i = 0; i < frames.size(); ++i) {
    frames[i].set_timeout_ms(TimeLeftMs(frames[i].timeout_ms(), context->deadline()));
    // As in FrameCall: the reactor is not bound before this function returns.
    call->SetTicket(i, backend.Submit(std::move(frames[i]), [call, i](v1::PredictResult result) {
      call->Answer(i, std::move(result));
    }));
  }
  return call;
}

BatchCall::BatchCall(FrameBackend<v1::PredictResult>& backend, v1::PredictBatchResponse* response,
                     size_t frames, Observe observe)
    : backend_(backend),
      observe_(std::move(observe)),
      response_(response),
      unanswered_(frames),
      tickets_(frames, 0) {
  for (size_t i = 0; i < frames; ++i) response_->add_results();
}

void BatchCall::OnCancel() {
  std::vector<uint64_t> tickets;
  {
    MutexLock lock(mutex_);
    cancelled_ = true;
    tickets = tickets_;
  }
  for (uint64_t ticket : tickets) {
    if (ticket != 0) backend_.Cancel(ticket);
  }
}

void BatchCall::SetTicket(size_t index, uint64_t ticket) {
  bool cancelled = false;
  {
    MutexLock lock(mutex_);
    tickets_[index] = ticket;
    cancelled = cancelled_;
  }
  if (cancelled) backend_.Cancel(ticket);
}

void BatchCall::Answer(size_t index, v1::PredictResult result) {
  {
    MutexLock lock(mutex_);
    *response_->mutable_results(static_cast<int>(index)) = std::move(result);
    if (--unanswered_ > 0) return;
  }
  observe_(grpc::Status::OK);
  Finish(grpc::Status::OK);
}

}  // namespace emotion::classifier
