// PredictBatch: many frames in one unary call, one result per frame in order, a bad image failing
// alone.
#pragma once

#include <functional>
#include <vector>

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "common/rpc/frame_backend.h"
#include "common/sync/mutex.h"
#include "emotion/v1/classifier.pb.h"

namespace emotion::classifier {

// INVALID_ARGUMENT when the batch is empty, has more than `max_frames` frames or repeats a frame id
// other than 0.
absl::Status CheckBatch(const v1::PredictBatchRequest& request, size_t max_frames);

// Frames of one (session, face) in one batch are probably different faces that nobody told apart:
// where a pair repeats, its frames are matched by equal bytes only. They are neither answered by a
// near frame nor left as one for frames to come.
void RestrictCaching(std::vector<v1::Frame>& frames);

class BatchCall final : public grpc::ServerUnaryReactor {
 public:
  using Observe = std::function<void(const grpc::Status&)>;

  // For the service method. REQUIRES a request that CheckBatch accepts. Deletes itself.
  static grpc::ServerUnaryReactor* Start(FrameBackend<v1::PredictResult>& backend,
                                         grpc::CallbackServerContext* context,
                                         const v1::PredictBatchRequest& request,
                                         v1::PredictBatchResponse* response, Observe observe);

  void OnCancel() override;
  void OnDone() override { delete this; }

 private:
  BatchCall(FrameBackend<v1::PredictResult>& backend, v1::PredictBatchResponse* response,
            size_t frames, Observe observe);

  void SetTicket(size_t index, uint64_t ticket);
  void Answer(size_t index, v1::PredictResult result);

  FrameBackend<v1::PredictResult>& backend_;
  const Observe observe_;
  v1::PredictBatchResponse* const response_;  // gRPC's; written under mutex_ until Finish

  Mutex mutex_;
  size_t unanswered_ GUARDED_BY(mutex_);
  bool cancelled_ GUARDED_BY(mutex_) = false;
  std::vector<uint64_t> tickets_ GUARDED_BY(mutex_);  // 0: not known yet
};

}  // namespace emotion::classifier
