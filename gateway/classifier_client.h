// The gateway's way to classifier_service: frames over PredictStream, and three unary calls.
//
// Frames go through a FramePool (common/rpc/frame_pool), which picks the replica, keeps the
// deadline and sends again what a broken stream left. Callbacks run exactly once, on gRPC's threads
// or, where the classifier lives in this process, on any, before Predict returns too; they must not
// block. Safe from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>

#include <grpcpp/client_context.h>

#include "absl/status/statusor.h"
#include "common/rpc/frame_pool.h"
#include "common/sync/mutex.h"

namespace emotion::gateway {

class ClassifierClient {
 public:
  using PredictCallback = std::function<void(v1::PredictResult)>;
  template <class Response>
  using UnaryCallback = std::function<void(absl::StatusOr<Response>)>;

  explicit ClassifierClient(FramePoolOptions options,
                            LocalStreamMaker<PredictHop> streams = nullptr);
  ~ClassifierClient();  // closes

  // As FramePool: the result's status says how it went. Returns the ticket for Cancel.
  uint64_t Predict(v1::Frame frame, PredictCallback done);
  void Cancel(uint64_t ticket);

  // Asks the replicas one after another until one answers OK; else the last error.
  // UNAVAILABLE/NO_REPLICA when there is none to ask.
  void GetModel(std::chrono::milliseconds timeout, UnaryCallback<v1::GetModelResponse> done);
  void GetStatus(std::chrono::milliseconds timeout, UnaryCallback<v1::GetStatusResponse> done);
  void DeleteSession(const v1::DeleteSessionRequest& request, std::chrono::milliseconds timeout,
                     UnaryCallback<v1::DeleteSessionResponse> done);

  // `changed` is called, at once and then after replicas or their model changed, on a thread that
  // must not be held up, until Close.
  void OnChange(std::function<void()> changed);

  PoolState State() const { return pool_.State(); }

  // Refuses new calls (UNAVAILABLE/DRAINING), cancels the rest, returns when every callback has
  // run. Must come before the server behind an in-process channel shuts down: gRPC 1.51 crashes
  // else.
  void Close();

 private:
  template <class Request, class Response>
  void Ask(Request request, std::chrono::milliseconds timeout, UnaryCallback<Response> done);
  template <class Call>
  void Start(std::shared_ptr<Call> call);
  bool Enter();
  void Leave();
  void Remember(grpc::ClientContext* context);
  void Forget(grpc::ClientContext* context);
  bool closed();

  void Changed();

  Mutex mutex_;
  CondVar left_;
  bool closed_ GUARDED_BY(mutex_) = false;
  std::set<grpc::ClientContext*> contexts_ GUARDED_BY(mutex_);  // of calls under way
  int calls_ GUARDED_BY(mutex_) = 0;  // unary calls whose callback has not returned
  std::function<void()> on_change_ GUARDED_BY(mutex_);
  FramePool<PredictHop> pool_;  // last: calls Changed from its start on
};

}  // namespace emotion::gateway
