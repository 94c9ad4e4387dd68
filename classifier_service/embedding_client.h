// The way to the embedding services: frames over FramePool's streams, and the few unary calls that
// every replica must see. Decides by ModelBinding which replicas the heads accept.
//
// Thread-safe. Close() before the server of an in-process channel shuts down.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "classifier_service/model_binding.h"
#include "classifier_service/options.h"
#include "classifier_service/unary_fan_out.h"
#include "common/observe/metrics.h"
#include "common/rpc/frame_pool.h"

namespace emotion::classifier {

class EmbeddingClient {
 public:
  using Done = FramePool<EmbedHop>::Callback;

  // Borrows `binding` and `metrics`. `on_model_changed` is called, on a gRPC thread, when the heads
  // moved to another encoder.
  EmbeddingClient(const ClassifierOptions& options, ModelBinding& binding, Metrics& metrics,
                  std::function<void()> on_model_changed);
  ~EmbeddingClient();  // closes
  EmbeddingClient(const EmbeddingClient&) = delete;
  EmbeddingClient& operator=(const EmbeddingClient&) = delete;

  // As FramePool.
  uint64_t Submit(v1::Frame frame, Done done) {
    return pool_->Submit(std::move(frame), std::move(done));
  }
  void Cancel(uint64_t ticket) { pool_->Cancel(ticket); }
  PoolState State() const { return pool_->State(); }

  // Asks the replicas for their model and gives the one that the heads are bound to.
  // UNAVAILABLE when none of it answers within a second.
  using ModelDone = std::function<void(absl::StatusOr<v1::GetEmbeddingModelResponse>)>;
  void GetModel(ModelDone done);

  // Forgets a session in every known replica. UNAVAILABLE, safe to repeat, when there is none or
  // one could not be reached.
  void DeleteSession(const v1::DeleteEmbeddingSessionRequest& request,
                     std::function<void(absl::Status)> done);

  // Cancels what is under way and returns when no callback runs any more. Safe to call twice.
  void Close();

 private:
  Verdict Judge(const v1::Welcome& welcome);
  void OnPoolChanged();

  ModelBinding& binding_;
  const std::function<void()> on_model_changed_;
  UnaryFanOut calls_;
  // The pool once it stands: it may call back while it is being made.
  std::atomic<FramePool<EmbedHop>*> standing_pool_ = nullptr;
  std::unique_ptr<FramePool<EmbedHop>> pool_;  // last: its callbacks use all of the above
};

}  // namespace emotion::classifier
